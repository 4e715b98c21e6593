"""What an event holds, in the form that the page draws: elements, true particles, candidates and generated jets, each with its place in the detector."""

from typing import NamedTuple

import numpy as np

from mlpf.candidates import charge_of_pdgid, signed_pdgid
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.plotting.display.paths import Paths, can_be_drawn, cluster_positions, fly, fronts, rims
from mlpf.plotting.looks import JET_RADIUS
from mlpf.schema import DATASET, ElementType
from mlpf.simulation.propagation import MAX_CENTRAL_ETA

TRACKS = (ElementType.TRACK, ElementType.GSF)


class Objects(NamedTuple):
    """Elements, particles or jets of one event.

    Attributes:
        columns: name -> ``(P,)`` values as the file has them; among them pt, eta, phi, energy [GeV, rad].
        paths: their curves in the detector.
        positions: ``(P, 3)`` where they are [cm]: clusters where they were measured, all others where their paths end, or where they point to if they
            have none; NaN where they cannot be drawn.
    """

    columns: dict[str, np.ndarray]
    paths: Paths
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def drawable(self) -> np.ndarray:
        """``(P,) bool``: have finite values and a place."""
        return can_be_drawn(*(self.columns[name] for name in ("pt", "eta", "phi", "energy"))) & np.isfinite(self.positions).all(axis=1)


class Links(NamedTuple):
    """Pairs of objects.

    Attributes:
        first, second: ``(L,)`` positions in the two collections.
        weight: ``(L,)`` as the file has it, in the unit of its column; empty where links have none.
    """

    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray


NO_LINKS = Links(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


def _momenta(event: Events, collection: str) -> dict[str, np.ndarray]:
    return {name: event[f"{collection}_{name}"] for name in ("pt", "eta", "phi", "energy")}


def elements_of(event: Events) -> Objects:
    """PF elements of an event of an ntuple or of a dataset."""
    num_elements, element_type = event.size("element"), event["element_type"]
    index = event["element_index"] if event.layout is DATASET else np.arange(num_elements, dtype=np.int32)
    columns = {"index": index, "type": element_type, **_momenta(event, "element")}
    columns |= {name: event[f"element_{name}"] for name in ("charge", "layer", "depth")}
    is_track = np.isin(element_type, TRACKS)
    pt = np.where(is_track, columns["pt"], 0.0)  # clusters fly nowhere
    paths = fly(pt, columns["eta"], columns["phi"], columns["charge"], _track_vertices(event))
    measured = np.stack([event[f"element_{axis}"] for axis in ("px", "py", "pz")], axis=1)
    measured[is_track] = 0.0  # momenta
    return Objects(columns, paths, paths.ends(cluster_positions(element_type, columns["eta"], columns["phi"], measured)))


def _track_vertices(event: Events) -> np.ndarray:
    """``(N, 3)`` reference points of the elements [cm], 0 of all but tracks and where the file has none."""
    vertices = np.stack([event[f"element_v{axis}"] for axis in "xyz"], axis=1)
    return np.where(np.isin(event["element_type"], TRACKS)[:, None], vertices, 0.0)


def particles_of(columns: dict[str, np.ndarray], links: Links, event: Events | None) -> Objects:
    """True particles or candidates; those linked to a track fly from its reference point, all others from the centre of the detector.

    Args:
        columns: of `Objects`, with ``charge``.
        links: elements to particles.
        event: that the elements are of.
    """
    vertices = np.zeros((len(columns["pt"]), 3))
    if event is not None:
        tracks = np.isin(event["element_type"][links.first], TRACKS)
        vertices[links.second[tracks]] = _track_vertices(event)[links.first[tracks]]
    paths = fly(columns["pt"], columns["eta"], columns["phi"], columns["charge"], vertices)
    return Objects(columns, paths, paths.ends(fronts(columns["eta"], columns["phi"], np.abs(columns["eta"]) > MAX_CENTRAL_ETA)))


def jets_of(event: Events, min_pt: float) -> Objects:
    """Generated jets above ``min_pt`` [GeV], hardest first, with the rims of their cones."""
    columns = _momenta(event, "genjet")
    with np.errstate(invalid="ignore"):
        kept = np.flatnonzero(columns["pt"] >= min_pt)
    kept = kept[np.argsort(-columns["pt"][kept], kind="stable")]
    columns = {"index": kept.astype(np.int32), **{name: values[kept] for name, values in columns.items()}}
    drawable = can_be_drawn(*(columns[name] for name in ("pt", "eta", "phi", "energy")))
    paths = rims(np.where(drawable, columns["eta"], np.nan), columns["phi"], JET_RADIUS)
    return Objects(columns, paths, paths.points[paths.offsets[:-1]])


def rule_based_of(event: Events) -> tuple[Objects, Links]:
    """Candidates of rule-based particle flow and the elements that they are made of."""
    if event.layout is DATASET:
        return _per_element(event, "candidate", {})
    links = Links(event["element_to_candidate.first"], event["element_to_candidate.second"], NO_LINKS.weight)
    pdgid = event["pfcandidate_pdgid"]
    columns = {"index": np.arange(len(pdgid), dtype=np.int32), "pdgid": pdgid, **_momenta(event, "pfcandidate"), "charge": charge_of_pdgid(pdgid)}
    return particles_of(columns, links, event), links


def targets_of(event: Events) -> tuple[Objects, Links]:
    """Targets of a dataset's event and their elements, with the energy fraction from pileup."""
    return _per_element(event, "target", {"pileup": event["target_ispu"]})


def _per_element(event: Events, prefix: str, others: dict[str, np.ndarray]) -> tuple[Objects, Links]:
    """Targets or candidates of a dataset: columns of its elements, and a particle wherever the class is not 0."""
    element = np.flatnonzero(event[f"{prefix}_class"]).astype(np.int32)
    pid, charge = event[f"{prefix}_pid"][element], event[f"{prefix}_charge"][element]
    columns = {
        "index": event["element_index"][element],
        "pdgid": np.where(pid < 0, pid, signed_pdgid(pid, charge)),  # one policy has signed ones
        "class": event[f"{prefix}_class"][element],
        "pt": event[f"{prefix}_pt"][element],
        "eta": event[f"{prefix}_eta"][element],
        "phi": np.arctan2(event[f"{prefix}_sin_phi"][element], event[f"{prefix}_cos_phi"][element]),
        "energy": event[f"{prefix}_energy"][element],
        "charge": charge,
        **{name: values[element] for name, values in others.items()},
    }
    links = Links(element, np.arange(len(element), dtype=np.int32), NO_LINKS.weight)
    return particles_of(columns, links, event), links


def predicted_of(candidates: Events, event: Events | None, source: str) -> tuple[Objects, Links]:
    """A model's candidates of the event and the elements that they are made of.

    Args:
        candidates: one event of `schema.CANDIDATES`.
        event: the event that the elements are of; None: only the candidates are known.
        source: of the candidates, for messages.

    Raises:
        MlpfError: a candidate's element is not in the event.
    """
    names = ("pdgid", "pt", "eta", "phi", "energy", "charge", "score", "pileup")
    columns = {name: candidates[f"mlpfcandidate_{name}"] for name in names}
    columns = {"index": np.arange(len(columns["pt"]), dtype=np.int32), "element": candidates["mlpfcandidate_element"], **columns}
    if event is None:
        return particles_of(columns, NO_LINKS, None), NO_LINKS
    index = event["element_index"] if event.layout is DATASET else np.arange(event.size("element"))
    row_of = np.full(max(int(values.max(initial=-1)) for values in (index, columns["element"])) + 1, -1, dtype=np.int32)
    row_of[index] = np.arange(len(index))
    row = np.where(columns["element"] >= 0, row_of[columns["element"]], -1)
    if (row < 0).any():
        lost = int(columns["element"][np.argmax(row < 0)])
        raise MlpfError(f"{source}: a candidate is made of element {lost}, which the event of {event.source} does not have; were they made of another file?")
    links = Links(row, columns["index"], NO_LINKS.weight)
    return particles_of(columns, links, event), links
