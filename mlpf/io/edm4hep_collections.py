"""Which collections and relations of an EDM4hep file are used, whatever version of podio wrote it."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import awkward as ak
import numpy as np
import uproot

from mlpf.errors import NtupleError
from mlpf.io import edm4hep_schema as edm


class Collections(NamedTuple):
    """Names of collections and of branches of relations; empty where the file has none.

    Attributes:
        particles: MCParticles.
        reconstructed: ReconstructedParticles.
        header: EventHeader.
        tracks, clusters: what the reconstructed particles are made of: name -> the number that object ids give the collection.
        parents: of the MCParticles.
        tracks_of, clusters_of: of the reconstructed particles.
        link_from, link_to: the reconstructed and the MC ends of truth links.
        ids: all collections and their numbers, where the file tells them.
    """

    particles: str
    reconstructed: str
    header: str
    tracks: dict[str, int]
    clusters: dict[str, int]
    parents: str
    tracks_of: str
    clusters_of: str
    link_from: str
    link_to: str
    ids: Mapping[str, int]


def find_collections(file: uproot.ReadOnlyDirectory, tree: uproot.TTree, place: str) -> Collections:
    """Look through a file.

    Raises:
        NtupleError: it has no reconstructed particles, or does not tell which collection an object id means.
    """
    by_type: dict[str, list[str]] = {}
    for branch in tree.branches:
        by_type.setdefault(branch.typename.rpartition("::")[2].rstrip(">"), []).append(branch.name)
    branches = set(tree.keys(recursive=False))
    particles, reconstructed, link, header = (_pick(by_type, *kind) for kind in (edm.PARTICLES, edm.RECONSTRUCTED, edm.TRUTH_LINKS, edm.HEADER))
    if not reconstructed:
        raise NtupleError(f"{place}: no collection of {edm.RECONSTRUCTED[0][0]}; needed are reconstructed particles, with their tracks and clusters")
    numbers = _id_table(file)
    tracks_of, clusters_of = (_relation(branches, reconstructed, *kind) for kind in (edm.TRACKS_OF, edm.CLUSTERS_OF))
    if not tracks_of or not clusters_of:
        raise NtupleError(f"{place}: {reconstructed} has no relation to its {'clusters' if tracks_of else 'tracks'}; written by a podio that is not known?")
    return Collections(
        particles=particles,
        reconstructed=reconstructed,
        header=header,
        tracks=_numbered(tree, tracks_of, by_type.get(edm.TRACKS, []), numbers, place),
        clusters=_numbered(tree, clusters_of, by_type.get(edm.CLUSTERS, []), numbers, place),
        parents=_relation(branches, particles, *edm.PARENTS),
        tracks_of=tracks_of,
        clusters_of=clusters_of,
        link_from=_relation(branches, link, *edm.RECONSTRUCTED_OF),
        link_to=_relation(branches, link, *edm.PARTICLE_OF),
        ids=numbers,
    )


def states_branch(branches: Sequence[str], tracks: str) -> str:
    """The branch of the track states of a collection of tracks, or an empty name."""
    name, number = edm.STATES
    return next((branch for branch in (f"_{tracks}_{name}", f"{tracks}_{number}") if branch in branches), "")


def _pick(by_type: Mapping[str, Sequence[str]], types: Sequence[str], preferred: Sequence[str]) -> str:
    names = [name for kind in types for name in by_type.get(kind, ())]
    return next((name for name in preferred if name in names), names[0] if names else "")


def _relation(branches: set[str], collection: str, names: Sequence[str], number: int) -> str:
    """The branch of a relation: podio names them since 0.17, before it numbered them."""
    return next((branch for branch in (*(f"_{collection}_{name}" for name in names), f"{collection}#{number}") if branch in branches), "")


def _id_table(file: uproot.ReadOnlyDirectory) -> dict[str, int]:
    """Collection -> number in object ids; empty where the file has no such table."""
    for tree, branch in edm.ID_TABLES:
        if tree in file and branch in file[tree].keys(recursive=False):
            names, numbers = (file[tree][f"{branch}/{member}"].array(entry_stop=1)[0].tolist() for member in ("m_names", "m_collectionIDs"))
            return dict(zip(names, numbers, strict=True))
    return {}


def _numbered(tree: uproot.TTree, relation: str, candidates: Sequence[str], numbers: Mapping[str, int], place: str) -> dict[str, int]:
    """The collections that a relation points into, and their numbers.

    Without a table the numbers are found by elimination: in every event a collection has more objects than the largest index into it.
    """
    if not relation:
        return {}
    ids, index = (tree[f"{relation}/{relation}.{member}"].array() for member in ("collectionID", "index"))
    used = np.unique(ak.to_numpy(ak.flatten(ids))).tolist()
    if numbers:
        return {name: numbers[name] for name in candidates if numbers.get(name) in used}
    sizes = {name: ak.to_numpy(ak.num(tree[f"{name}/{name}.type"].array())) for name in candidates}
    needed = {number: ak.to_numpy(ak.fill_none(ak.max(ak.mask(index, ids == number), axis=1), -1)) + 1 for number in used}
    fitting = [names for names in permutations(candidates, len(used)) if all((sizes[n] >= needed[i]).all() for n, i in zip(names, used, strict=True))]
    if len(fitting) != 1:
        raise NtupleError(f"{place}: {relation}: cannot tell which of {', '.join(candidates) or 'no'} collections it means; keep the tree podio_metadata")
    return dict(zip(fitting[0], used, strict=True))
