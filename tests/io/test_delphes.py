"""Delphes files: by hand on made-up objects, and on a real file against loops over the objects that uproot makes of it."""

import importlib.util
import math
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from mlpf.errors import NtupleError
from mlpf.events import concatenate
from mlpf.io.delphes import DelphesChunk, DelphesFile
from mlpf.io.deposits import deposited_fraction
from mlpf.io.foreign_chunk import TRUTH_COLUMNS
from mlpf.schema import ElementType

REAL = Path(__file__).parents[3] / "shared" / "data" / "delphes_tracks_eflow.root"
_spec = importlib.util.spec_from_file_location("test_root_references", Path(__file__).with_name("test_root_references.py"))
references = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(references)
needs_real_file = pytest.mark.skipif(not REAL.is_file(), reason="the real Delphes file is not here")


class Branch:
    """What a chunk asks of a branch: its values, or the bytes of its reference arrays."""

    def __init__(self, events):
        self.events = events

    def array(self, interpretation=None, entry_start=None, entry_stop=None):
        events = self.events[entry_start:entry_stop]
        if interpretation is not None:
            events = [np.frombuffer(b"".join(references.reference_array(numbers) for numbers in event), dtype=np.uint8) for event in events]
        return ak.Array(events)


def particle(uid, pid, energy, eta=0.0, phi=0.0, charge=0, status=1, pileup=0):
    pt = energy / math.cosh(eta)
    momentum = {"Px": pt * math.cos(phi), "Py": pt * math.sin(phi), "Pz": pt * math.sinh(eta)}
    return {"fUniqueID": uid, "PID": pid, "E": energy, "PT": pt, "Eta": eta, "Phi": phi, "Charge": charge, "Status": status, "IsPU": pileup, **momentum}


def track(uid, pt, charge, pid=211, eta=0.0, phi=0.0):
    return {"Particle": {"ref": uid}, "PT": pt, "Eta": eta, "Phi": phi, "Charge": charge, "PID": pid, "EtaOuter": eta + 0.1, "PhiOuter": phi - 0.2}


def tower(particles, em=0.0, had=0.0, eta=0.0, phi=0.0):
    edges = [eta - 0.1, eta + 0.1, phi - 0.1, phi + 0.1]
    return {"Particles": particles, "Eem": em, "Ehad": had, "Eta": eta, "Phi": phi, "T": 1e-8, "Edges[4]": edges}


def chunk(**collections):
    """A chunk of as many events as each collection has lists of objects."""
    branches = {}
    for name, events in collections.items():
        members = next(objects[0] for objects in events if objects)
        branches[name] = {member: Branch([[row[member] for row in objects] for objects in events]) for member in members}
    num_events = len(next(iter(collections.values())))
    return DelphesChunk(branches, "made up", 0, num_events)


def events_of(delphes_chunk):
    """All that a chunk of these objects can give."""
    names = ("type", "pt", "eta", "phi", "energy", "charge", "eta_ecal", "phi_ecal", "time", "muon_type")
    candidates = ("pt", "eta", "phi", "energy", "pdgid")
    columns = [*(f"element_{name}" for name in names), *(f"pfcandidate_{name}" for name in candidates), *TRUTH_COLUMNS]
    return delphes_chunk.events([*columns, "element_to_candidate.first", "element_to_candidate.second"], "made up", 0)


def links(events, name):
    """Event, first, second and weight of every link, the weight to 1e-6 GeV."""
    event = np.repeat(np.arange(len(events)), events.counts(name)).tolist()
    weight = np.round(events[f"{name}_cmp"].astype(float), 6) if f"{name}_cmp" in events else np.ones(len(event))
    return sorted(zip(event, events[f"{name}.first"].tolist(), events[f"{name}.second"].tolist(), weight.tolist(), strict=True))


PARTICLES = [
    particle(6, 211, 10.0, charge=1),
    particle(7, 111, 99.0, status=2),
    particle(8, 22, 5.0),
    particle(9, 12, 50.0),
    particle(10, 130, 20.0),
    particle(11, 310, 10.0, pileup=1),
    particle(12, -13, 30.0, charge=1),
]


def test_towers_are_shared_by_what_particles_leave_in_their_calorimeter():
    events = events_of(
        chunk(
            Particle=[PARTICLES, [particle(6, 22, 1.0)]],
            Track=[[track(6, 10.5, 1), track(12, 30.0, 1, pid=-13)], []],
            Tower=[[tower([8, 11], em=16.0), tower([6, 10, 11], had=74.0, eta=3.5)], [tower([6, 999], em=2.0, had=0.5, eta=-4.0)]],
        )
    )
    assert events["element_type"].tolist() == [ElementType.TRACK] * 2 + [ElementType.ECAL, ElementType.HFHAD, ElementType.HFEM, ElementType.HFHAD]
    assert events.counts("element").tolist() == [4, 2]
    assert events["caloparticle_pid"].tolist() == [211, 22, 130, 310, -13, 22]
    assert events["caloparticle_ev"].tolist() == [0, 0, 0, 1, 0, 0]
    # Electromagnetic: 5 GeV of the photon and 0.3 of the K0S's 10, in a tower that measured twice that. Hadronic: 10, 20 and 0.7 of 10.
    em, had = [(0, 1, 2, 10.0), (0, 3, 2, 6.0)], [(0, 0, 3, 20.0), (0, 2, 3, 40.0), (0, 3, 3, 14.0)]
    # A photon leaves nothing in the hadronic part; where nobody does, all energies decide. Number 999 is not in the event.
    assert links(events, "caloparticle_to_element") == sorted([*em, *had, (1, 0, 0, 2.0), (1, 0, 1, 0.5)])
    assert links(events, "simcluster_to_element") == links(events, "caloparticle_to_element")
    assert links(events, "trackingparticle_to_element") == [(0, 0, 0, 1.0), (0, 1, 1, 1.0)]
    assert events["caloparticle_idx_trackingparticle"].tolist() == [0, -1, -1, -1, 1, -1]
    events.validate()


def test_pileup_is_truth_of_elements_but_no_part_of_the_hard_event():
    events = chunk(Particle=[PARTICLES], Tower=[[tower([11], had=7.0)]]).events(["gen_pdgid", "gen_energy", *TRUTH_COLUMNS], "made up", 0)
    assert events["gen_pdgid"].tolist() == [211, 111, 22, 12, 130, -13]  # 310 is from pileup: not in generator jets, nor in missing momentum
    assert links(events, "caloparticle_to_element") == [(0, 3, 0, 7.0)]
    assert events["caloparticle_pid"][3] == 310


def test_what_tracks_explain_has_no_share_of_an_e_flow_tower_unless_it_is_alone_there():
    events = events_of(
        chunk(
            Particle=[PARTICLES],
            Track=[[track(6, 10.0, 1)]],
            EFlowTrack=[[track(6, 10.0, 1)]],
            EFlowNeutralHadron=[[tower([6, 10], had=18.0), tower([6], had=3.0, phi=1.0)]],
        )
    )
    assert links(events, "caloparticle_to_element") == [(0, 0, 2, 3.0), (0, 2, 1, 18.0)]


def test_candidates_are_linked_to_the_track_of_their_particle_and_to_the_tower_of_their_edges():
    scaled_to_nothing = {**track(12, 0.0, 1, pid=-13), "Eta": 999.9}
    events = events_of(
        chunk(
            Particle=[[particle(1, 22, 3.0)], PARTICLES],
            Track=[[], [track(12, 30.0, 1, pid=-13), track(6, 10.0, -1, pid=-321)]],
            Tower=[[tower([1], em=3.0)], [tower([10], had=7.0), tower([8], em=5.0, eta=4.0), tower([8], em=6.0)]],
            EFlowTrack=[[], [track(6, 9.0, -1, pid=-321), scaled_to_nothing]],
            EFlowPhoton=[[tower([1], em=3.0)], [tower([8], em=4.0, eta=4.0), tower([8], em=6.0)]],
            EFlowNeutralHadron=[[], [tower([10], had=7.0)]],
        )
    )
    assert events["pfcandidate_pdgid"].tolist() == [22, -211, 2, 22, 130]
    assert events["element_type"].tolist() == [ElementType.ECAL, *[ElementType.TRACK] * 2, ElementType.HFEM, ElementType.ECAL, ElementType.HCAL]
    assert links(events, "element_to_candidate") == [(0, 0, 0, 1.0), (1, 1, 0, 1.0), (1, 2, 1, 1.0), (1, 3, 2, 1.0), (1, 4, 3, 1.0)]
    assert events["pfcandidate_energy"][1] == pytest.approx(math.hypot(9.0, 0.13957))


def test_elements_have_the_units_of_the_ntuple():
    events = events_of(chunk(Particle=[PARTICLES], Track=[[track(12, 3.0, -1, pid=13, eta=1.0, phi=0.5)]], Tower=[[tower([10], had=10.0, eta=1.0)]]))
    assert events["element_energy"].tolist() == pytest.approx([3.0 * math.cosh(1.0), 10.0])
    assert events["element_pt"].tolist() == pytest.approx([3.0, 10.0 / math.cosh(1.0)])
    assert events["element_eta_ecal"].tolist() == pytest.approx([1.1, 0.0])
    assert events["element_phi_ecal"].tolist() == pytest.approx([0.3, 0.0])
    assert events["element_time"].tolist() == pytest.approx([0.0, 10.0])  # 1e-8 s
    assert events["element_muon_type"].tolist() == [2, 0]


def test_events_without_numbers_are_counted_and_towers_without_particles_have_no_truth():
    towers = [[{name: value for name, value in tower([6], had=1.0).items() if name != "Particles"}]]
    made = chunk(Particle=[PARTICLES], Tower=towers)
    assert made.scalars["event"].tolist() == [0]
    assert links(events_of(made), "caloparticle_to_element") == []


def test_members_of_different_length_are_named():
    broken = chunk(Particle=[PARTICLES, PARTICLES], Track=[[track(6, 1.0, 1)], []], Tower=[[], [tower([6], had=1.0)]])
    broken._branches["Track"]["Eta"] = Branch([[0.0], [0.0]])
    with pytest.raises(NtupleError, match=r"^made up: Track: event 1: Eta: 1 values, the others have 0; damaged\?$"):
        events_of(broken)


@pytest.mark.parametrize(
    ("pdgid", "em", "had"), [(22, 1, 0), (-11, 1, 0), (211, 0, 1), (2112, 0, 1), (310, 0.3, 0.7), (-3122, 0.3, 0.7), (13, 0, 0), (-14, 0, 0)]
)
def test_deposits_follow_the_cards_of_delphes(pdgid, em, had):
    assert deposited_fraction(np.array([pdgid, pdgid]), np.array([True, False])).tolist() == pytest.approx([em, had])


def objects(path, collection, member):
    """Per event the values of a member, as uproot's own models of TRef and TRefArray read them."""
    with uproot.open(path) as file:
        parent = next(branch for branch in file["Delphes"].branches if branch.name == collection)
        branch = next(branch for branch in parent.branches if branch.name == f"{collection}.{member}")
        if member == "Particle":
            return branch.array()["ref"].tolist()
        values = branch.array(library="np").tolist()
        return [[array.refs.tolist() for array in event] for event in values] if member == "Particles" else [event.tolist() for event in values]


@needs_real_file
def test_a_real_file_has_the_truth_links_that_a_loop_over_its_objects_finds():
    with DelphesFile(REAL) as file:
        (events,) = file.iterate()
    numbers, pdgids, statuses, tracks, photons, hadrons = (
        objects(REAL, *path.split("."))
        for path in (
            *("Particle.fUniqueID", "Particle.PID", "Particle.Status"),
            *("Track.Particle", "EFlowPhoton.Particles", "EFlowNeutralHadron.Particles"),
        )
    )
    found = list(
        zip(
            *(
                np.split(events[f"{name}_to_element.{part}"], events.collection_offsets(f"{name}_to_element")[1:-1])
                for name in ("trackingparticle", "caloparticle")
                for part in ("first", "second")
            ),
            strict=True,
        )
    )
    for event in range(len(events)):
        stable = [i for i, (pid, status) in enumerate(zip(pdgids[event], statuses[event], strict=True)) if status == 1 and abs(pid) not in (12, 14, 16)]
        truth = [numbers[event][i] for i in stable]
        one = events.slice(event, event + 1)
        charged = [number for number, charge in zip(truth, one["caloparticle_charge"].tolist(), strict=True) if charge]
        tp_first, tp_second, cp_first, cp_second = found[event]
        assert sorted(zip(tp_second.tolist(), [charged[i] for i in tp_first], strict=True)) == list(enumerate(tracks[event]))
        listed = [
            (len(tracks[event]) + i, number)
            for i, numbers_of_tower in enumerate(photons[event] + hadrons[event])
            for number in set(numbers_of_tower) - set(tracks[event]) or numbers_of_tower
        ]
        assert sorted(zip(cp_second.tolist(), [truth[i] for i in cp_first], strict=True)) == sorted(listed)
        share = np.bincount(cp_second, one["caloparticle_to_element_cmp"], one.size("element"))
        assert share[len(tracks[event]) :] == pytest.approx(one["element_energy"][len(tracks[event]) :], rel=1e-5)


@needs_real_file
def test_a_real_file_reads_the_same_in_chunks_and_in_columns():
    with DelphesFile(REAL) as file:
        assert (file.num_events, file.version, file.tree_path) == (10, "Delphes", "Delphes")
        assert "genmet_pt" in file.missing
        assert "element_pt" not in file.missing
        (whole,) = file.iterate()
        whole.validate()
        assert not whole.non_finite()
        pieces = list(file.iterate(chunk_bytes=300_000))
        assert len(pieces) > 1
        assert [(p.first_entry, p.first_entry + len(p)) for p in pieces] == file.parts((), 300_000)
        for name in whole.columns:
            assert np.array_equal(whole[name], concatenate(pieces)[name]), name
        (some,) = file.iterate(["event", "element_pt", "genmet_pt"], start=4, stop=6)
        assert list(some.columns) == ["event", "element_pt"]
        assert some["event"].tolist() == [4, 5]
        assert np.array_equal(some["element_pt"], whole.slice(4, 6)["element_pt"])


@needs_real_file
@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_of_a_real_file_never_give_anything_but_an_error_of_ours_or_events(seed, tmp_path):
    data = bytearray(REAL.read_bytes())
    rng = np.random.default_rng(seed)
    for position in rng.integers(len(data) // 20 if seed % 2 else 0, len(data), 20 if seed % 2 else 3):
        data[position] ^= int(rng.integers(1, 256))
    path = tmp_path / "flipped.root"
    path.write_bytes(data)
    try:
        with DelphesFile(path) as file:
            for events in file.iterate():
                events.validate()
    except NtupleError as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)
