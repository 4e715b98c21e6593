"""EDM4hep files: by hand on made-up collections in the layouts of two versions of podio, and real files where there are any."""

import math
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from mlpf.errors import NtupleError
from mlpf.io.edm4hep import Edm4hepChunk, Edm4hepFile
from mlpf.io.edm4hep_collections import find_collections
from mlpf.io.foreign_chunk import TRUTH_COLUMNS
from mlpf.schema import ElementType

REAL = sorted((Path(__file__).parents[3] / "shared" / "data").glob("*edm4hep*.root"))
TYPES = {
    "Particle": "MCParticle",
    "PFOs": "ReconstructedParticle",
    "MoreTracks": "Track",
    "Tracks": "Track",
    "ECalClusters": "Cluster",
    "HCalClusters": "Cluster",
    "Links": "RecoMCParticleLink",
    "EventHeader": "EventHeader",
}
NUMBERS = {name: 11 * i for i, name in enumerate(TYPES)}
OLD_NAMES = {  # of relations, in the order in which the data type has them
    "_PFOs_clusters": "PFOs#0",
    "_PFOs_tracks": "PFOs#1",
    "_Particle_parents": "Particle#0",
    "_Links_from": "Links#0",
    "_Links_to": "Links#1",
    "_Tracks_trackStates": "Tracks_1",
}


class Branch:
    """What the reader asks of a branch, of a member of one and of a tree."""

    def __init__(self, name, events=None, typename="", branches=()):
        self.name, self.events, self.typename, self.branches = name, events, typename, branches

    def array(self, entry_start=None, entry_stop=None):
        return self.events[entry_start:entry_stop]

    def keys(self, recursive):
        assert not recursive
        return [branch.name for branch in self.branches]

    def __getitem__(self, path):
        name, _, member = path.partition("/")
        branch = next(branch for branch in self.branches if branch.name == name)
        return branch[member] if member else branch


def tree_of(old_names=False, **collections):
    """A tree of collections and relations: lists of objects for each event."""
    branches = []
    for name, events in collections.items():
        members = next((objects[0] for objects in events if objects), {"index": 0, "collectionID": 0})
        arrays = {
            member: ak.Array([np.array([row[member] for row in objects], dtype=np.asarray(members[member]).dtype) for objects in events]) for member in members
        }
        stored = OLD_NAMES.get(name, name) if old_names else name
        typename = f"vector<edm4hep::{TYPES[name]}Data>" if name in TYPES else "vector<podio::ObjectID>"
        branches.append(Branch(stored, typename=typename, branches=[Branch(f"{stored}.{member}", array) for member, array in arrays.items()]))
    return Branch("events", branches=branches)


def particle(pdg, energy, eta=0.0, charge=0, status=1, parents=(0, 0)):
    pt = energy / math.cosh(eta)
    row = {"momentum.x": pt, "momentum.y": 0.0, "momentum.z": pt * math.sinh(eta), "mass": 0.0, "PDG": pdg, "charge": float(charge)}
    return {**row, "generatorStatus": status, "simulatorStatus": 0, "parents_begin": parents[0], "parents_end": parents[1]}


def candidate(pdg, energy, tracks=(0, 0), clusters=(0, 0), charge=0.0, mass=0.0):
    row = {"PDG": pdg, "momentum.x": 0.0, "momentum.y": energy, "momentum.z": 0.0, "energy": energy, "charge": charge, "mass": mass}
    return {**row, "tracks_begin": tracks[0], "tracks_end": tracks[1], "clusters_begin": clusters[0], "clusters_end": clusters[1]}


def cluster(energy, x=0.0, y=0.0, z=0.0):
    return {"type": 0, "energy": energy, "energyError": 0.1, "position.x": x, "position.y": y, "position.z": z}


def ids(*pairs):
    return [{"index": index, "collectionID": NUMBERS[name]} for name, index in pairs]


def state(tan_lambda):
    row = {"D0": 10.0, "Z0": 20.0, "phi": 0.0, "omega": 1.0, "tanLambda": tan_lambda}
    return {**row, "referencePoint.x": 1.0, "referencePoint.y": 2.0, "referencePoint.z": 3.0, "covMatrix.values[21]": np.arange(21.0) ** 2}


def two_events(old_names=False):
    """A charged pion with a track and a cluster, a photon, a neutron whose link goes to what it made in the detector; an event with a muon."""
    empty = []
    return tree_of(
        old_names,
        EventHeader=[[{"eventNumber": 7, "runNumber": 3}], [{"eventNumber": 8, "runNumber": 3}]],
        Particle=[
            [particle(211, 10.0, charge=1), particle(22, 5.0), particle(2112, 30.0), particle(2212, 9.0, charge=1, status=0, parents=(0, 1))],
            [particle(13, 40.0, charge=-1), particle(12, 5.0)],
        ],
        _Particle_parents=[ids(("Particle", 2)), empty],
        PFOs=[
            [candidate(211, 10.5, tracks=(0, 1), clusters=(0, 1), charge=1.0), candidate(22, 5.5, clusters=(1, 2)), candidate(0, 28.0, clusters=(2, 3))],
            [candidate(0, 41.0, tracks=(0, 2), charge=-1.0, mass=0.1057)],
        ],
        _PFOs_tracks=[ids(("Tracks", 1)), ids(("Tracks", 0), ("Tracks", 1))],
        _PFOs_clusters=[ids(("HCalClusters", 1), ("ECalClusters", 0), ("HCalClusters", 0)), empty],
        Tracks=[[{"type": 0, "trackStates_begin": i, "trackStates_end": i + 1} for i in range(2)]] * 2,
        _Tracks_trackStates=[[state(0.0), state(1.0)], [state(2.0), state(0.0)]],
        MoreTracks=[empty, [{"type": 0, "trackStates_begin": 0, "trackStates_end": 0}]],
        ECalClusters=[[cluster(5.5)], empty],
        HCalClusters=[[cluster(28.0, x=1000.0, z=1000.0), cluster(9.0, y=1500.0)], empty],
        Links=[[{"weight": 0.0}] * 3, [{"weight": 0.0}]],
        _Links_from=[ids(("PFOs", 0), ("PFOs", 1), ("PFOs", 2)), ids(("PFOs", 0))],
        _Links_to=[ids(("Particle", 0), ("Particle", 1), ("Particle", 3)), ids(("Particle", 0))],
    )


def events_of(tree, file):
    columns = [f"element_{name}" for name in ("type", "pt", "eta", "phi", "energy", "charge", "muon_type", "vx", "vy", "vz", "theta", "pterror", "px", "pz")]
    columns += [f"pfcandidate_{name}" for name in ("pt", "energy", "pdgid")] + ["element_to_candidate.first", "element_to_candidate.second"]
    chunk = Edm4hepChunk(tree, find_collections(file, tree, "made up"), "made up", 0, 2)
    return chunk.events(["event", "run", "lumi", *columns, *TRUTH_COLUMNS], "made up", 0)


def id_table():
    members = {"m_names": [list(NUMBERS)], "m_collectionIDs": [list(NUMBERS.values())]}
    table = Branch("events___idTable", branches=[Branch(name, ak.Array(values)) for name, values in members.items()])
    return {"podio_metadata": Branch("podio_metadata", branches=[table])}


@pytest.mark.parametrize("old_names", [False, True])
@pytest.mark.parametrize("file", [id_table(), {}], ids=["numbers in a table", "numbers by elimination"])
def test_objects_and_truth_become_columns_whatever_podio_wrote_them(old_names, file):
    events = events_of(two_events(old_names), file)
    events.validate()
    assert (events["event"].tolist(), events["run"].tolist(), "lumi" in events) == ([7, 8], [3, 3], False)
    assert events["element_type"].tolist() == [ElementType.TRACK, ElementType.ECAL, ElementType.HCAL, ElementType.HCAL, ElementType.TRACK]
    assert events["element_energy"].tolist() == pytest.approx([10.5, 5.5, 28.0, 9.0, 41.0])
    assert events["element_eta"].tolist() == pytest.approx([0.0, 0.0, math.asinh(1.0), 0.0, 0.0])
    assert events["element_pt"].tolist() == pytest.approx([10.5, 5.5, 28.0 / math.sqrt(2.0), 9.0, 41.0])
    assert events["element_pz"].tolist() == pytest.approx([0.0, 0.0, 100.0, 0.0, 0.0])  # cm
    assert events["pfcandidate_pdgid"].tolist() == [211, 22, 130, 13]
    assert events["element_muon_type"].tolist() == [0, 0, 0, 0, 2]
    link = [
        list(zip(events[f"{n}.first"].tolist(), events[f"{n}.second"].tolist(), strict=True)) for n in ("trackingparticle_to_element", "element_to_candidate")
    ]
    assert link == [[(0, 0), (0, 0)], [(0, 0), (1, 1), (2, 2), (3, 0), (0, 0)]]


def test_tracks_have_the_first_state_of_their_own():
    events = events_of(two_events(), id_table())
    assert events["element_theta"][[0, 4]].tolist() == pytest.approx([math.pi / 4, math.pi / 2 - math.atan(2.0)])
    assert events["element_vx"][0] == pytest.approx(0.1)  # mm -> cm; the impact parameter is along y for a track along x
    assert events["element_vy"][0] == pytest.approx(1.2)
    assert events["element_vz"][0] == pytest.approx(2.3)
    assert events["element_pterror"][0] == pytest.approx(10.5 * 5.0)  # the square root of covariance number 5, relative to omega = 1


def test_links_go_to_the_stable_particle_that_things_come_from():
    events = events_of(two_events(), id_table())
    assert events["caloparticle_pid"].tolist() == [211, 22, 2112, 13]
    names = ("caloparticle_to_element.first", "caloparticle_to_element.second", "caloparticle_to_element_cmp")
    found = sorted(zip(*(events[name].tolist() for name in names), strict=True))
    assert found == [(0, 3, 9.0), (1, 1, 5.5), (2, 2, 28.0)]


def test_a_relation_that_points_outside_its_collection_is_named():
    tree = two_events()
    tree["_PFOs_tracks"].branches[0].events = ak.Array([[2], [0, 1]])
    with pytest.raises(NtupleError, match=r"^made up: events 0 to 1: _PFOs_tracks: points outside its collection; damaged\?$"):
        events_of(tree, id_table())


def test_numbers_that_several_collections_could_have_are_not_guessed():
    tree = two_events()
    tree.branches = [branch for branch in tree.branches if branch.name != "MoreTracks"] + [tree_of(MoreTracks=[[{"type": 0}] * 2] * 2)["MoreTracks"]]
    with pytest.raises(
        NtupleError, match=r"^made up: _PFOs_tracks: cannot tell which of Tracks, MoreTracks collections it means; keep the tree podio_metadata$"
    ):
        events_of(tree, {})


def test_a_file_without_reconstructed_particles_is_refused():
    with pytest.raises(NtupleError, match=r"^made up: no collection of ReconstructedParticleData; needed are reconstructed particles"):
        events_of(tree_of(Particle=[[particle(22, 1.0)]]), {})


@pytest.mark.skipif(not REAL, reason="no real EDM4hep file is here")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_a_real_file_has_truth_that_agrees_with_its_elements(path):
    with Edm4hepFile(path) as file:
        (events,) = file.iterate()
        pieces = list(file.iterate(chunk_bytes=file._bytes // 3))
    events.validate()
    assert not events.non_finite()
    assert sum(len(piece) for piece in pieces) == len(events)
    assert np.array_equal(np.concatenate([piece["caloparticle_to_element_cmp"] for piece in pieces]), events["caloparticle_to_element_cmp"])
    event = np.repeat(np.arange(len(events)), events.counts("trackingparticle_to_element"))
    first = events["trackingparticle_to_element.first"] + events.collection_offsets("trackingparticle")[event]
    second = events["trackingparticle_to_element.second"] + events.collection_offsets("element")[event]
    assert np.array_equal(np.sign(events["trackingparticle_charge"][first]), events["element_charge"][second])
    assert np.median(np.abs(events["trackingparticle_pt"][first] / events["element_pt"][second] - 1)) < 0.02
