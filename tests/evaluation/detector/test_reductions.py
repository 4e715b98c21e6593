"""Tables of simulated events against slow loops over one event at a time."""

import numpy as np
import pytest

from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.evaluation.detector.collisions import JET_RADIUS, MIN_JET_PT, SHARES, collision_tables, generated_classes, tau_table
from mlpf.evaluation.detector.samples import gun
from mlpf.evaluation.detector.singles import own_elements, single_particle_table, single_particles, tracked_particles, tracking_tables
from mlpf.events import Events, concatenate
from mlpf.kinematics import delta_r
from mlpf.schema import CandidateClass, ElementType
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.simulate import simulate

ECAL_ENERGY = {ElementType.ECAL: "ecal", ElementType.HCAL: "hcal", ElementType.HO: "ho", ElementType.HFEM: "hf", ElementType.HFHAD: "hf"}


@pytest.fixture(scope="module")
def shots():
    return rule_based_particle_flow(concatenate(list(simulate(gun("pi", (1.0, 100.0), (0.0, 4.5)), 60, 3))))


@pytest.fixture(scope="module")
def crowds():
    """Ten pions per event, one of the few collisions that need no generator."""
    return rule_based_particle_flow(concatenate(list(simulate(gun("pi", (5.0, 50.0), (0.0, 2.0), 10), 20, 3))))


def test_energies_of_single_particles_are_those_of_linked_elements(shots):
    table = single_particle_table(shots)
    for b in range(len(shots)):
        event = shots.slice(b, b + 1)
        linked = set(event["caloparticle_to_element.second"]) | set(event["trackingparticle_to_element.second"])
        sums = dict.fromkeys(("ecal", "hcal", "ho", "hf"), 0.0)
        for i in linked:
            name = ECAL_ENERGY.get(event["element_type"][i])
            if name:
                sums[name] += event["element_energy"][i]
        assert {name: table[name][b] for name in sums} == pytest.approx(sums)
        pairs = zip(event["element_to_candidate.first"], event["element_to_candidate.second"], strict=True)
        own = {candidate for element, candidate in pairs if element in linked}
        assert table["pf"][b] == pytest.approx(sum(event["pfcandidate_energy"][c] for c in own), rel=1e-6)
        assert table["energy"][b] == event["gen_energy"][0]


def test_a_particle_is_intact_unless_another_left_energy(shots):
    expected = []
    for b in range(len(shots)):
        event = shots.slice(b, b + 1)
        expected.append(event["simcluster_pid"].tolist() in ([], [event["gen_pdgid"][0]]))
    assert 0 < sum(expected) < len(shots)
    assert single_particle_table(shots)["is_intact"].tolist() == expected


def test_what_is_not_linked_is_not_the_particles_own(shots):
    empty = {name: values[:0] if "_to_element" in name else values for name, values in shots.columns.items()}
    offsets = {name: 0 * values if "_to_element" in name else values for name, values in shots.offsets.items()}
    unlinked = Events(empty, offsets, len(shots))
    assert not own_elements(unlinked).any()
    assert not single_particle_table(unlinked)["pf"].any()


def test_tables_do_not_depend_on_how_the_work_is_divided():
    config = gun("gamma", (5.0, 50.0), (0.0, 2.5))
    whole, first, second = single_particles(config, 20, 1, 0), single_particles(config, 12, 1, 0), single_particles(config, 8, 1, 12)
    for name, values in whole.items():
        assert np.array_equal(values, np.concatenate([first[name], second[name]])), name
    assert tracked_particles(config, 3, 1, 0).keys() >= {"particle.pt", "track.is_linked"}


def test_tracks_of_particles_are_those_linked_to_them(crowds):
    table = tracking_tables(crowds)
    rows = []
    for b in range(len(crowds)):
        event = crowds.slice(b, b + 1)
        for tracking_particle, ev in zip(event["caloparticle_idx_trackingparticle"], event["caloparticle_ev"], strict=True):
            if tracking_particle < 0 or ev > 0:
                continue
            linked = event["trackingparticle_to_element.second"][event["trackingparticle_to_element.first"] == tracking_particle]
            tracks = [i for i in linked if event["element_type"][i] == ElementType.TRACK]
            rows.append((b, event["trackingparticle_pt"][tracking_particle], len(tracks)))
    assert list(zip(table["particle.event"], table["particle.pt"], table["particle.num_tracks"], strict=True)) == rows
    found = table["particle.num_tracks"] > 0
    assert np.array_equal(np.isfinite(table["particle.ratio"]), found)
    assert np.median(np.abs(table["particle.ratio"][found] - 1)) < 0.03


def test_shares_of_jets_add_up_and_jets_of_pions_are_charged(crowds):
    tables = collision_tables(crowds)
    for collection in ("genjet", "jet"):
        assert (tables[f"{collection}.pt"] > MIN_JET_PT).all()
        assert sum(tables[f"{collection}.share_{name}"] for name in SHARES) == pytest.approx(np.ones(len(tables[f"{collection}.pt"])), abs=1e-5)
    assert tables["genjet.share_charged_hadron"] == pytest.approx(np.ones(len(tables["genjet.pt"])), abs=1e-5)
    assert tables["jet.share_charged_hadron"].mean() > 0.6


def test_counts_and_missing_momentum_are_those_of_each_event(crowds):
    tables = collision_tables(crowds)
    for b in range(len(crowds)):
        event = crowds.slice(b, b + 1)
        assert tables["event.num_elements"][b] == event.size("element")
        assert tables["event.num_TRACK"][b] == sum(event["element_type"] == ElementType.TRACK)
        assert tables["event.num_photon"][b] == sum(event["pfcandidate_pdgid"] == 22)
        assert tables["event.met_x"][b] == pytest.approx(-event["pfcandidate_px"].sum() - event["genmet_pt"][0] * np.cos(event["genmet_phi"][0]), abs=1e-3)
        assert tables["event.sum_pt"][b] == pytest.approx(event["pfcandidate_pt"].sum(), rel=1e-5)
    assert (tables["event.num_collisions"] == 1).all()


def test_particles_know_the_nearest_jet(crowds):
    tables = collision_tables(crowds)
    for i in range(0, len(tables["particle.pt"]), 7):
        event = crowds.slice(tables["particle.event"][i], tables["particle.event"][i] + 1)
        distance = delta_r(tables["particle.eta"][i], tables["particle.phi"][i], event["genjet_eta"], event["genjet_phi"])
        nearest = np.argmin(distance)
        assert distance[nearest] < JET_RADIUS  # pions above 5 GeV are jets
        assert tables["particle.delta_r"][i] == pytest.approx(distance[nearest], abs=1e-6)
        assert tables["particle.jet_pt"][i] == event["genjet_pt"][nearest]


def test_classes_of_generated_particles():
    pdgid, charge = np.array([211, -321, 130, 2112, 22, -11, 13, 14, 3122]), np.array([1, -1, 0, 0, 0, 1, -1, 0, 0])
    assert generated_classes(pdgid, charge).tolist() == [211, 211, 130, 130, 22, 11, 13, 0, 130]


def test_a_tau_is_what_lies_around_it():
    rows = [  # pdgId, status, charge, pt, eta, phi
        (15, 2, -1, 50.0, 0.5, 3.1), (-211, 1, -1, 20.0, 0.52, 3.12), (22, 1, 0, 15.0, 0.48, -3.1), (16, 1, 0, 15.0, 0.5, 3.0), (211, 1, 1, 30.0, 0.9, 3.1),
    ]  # fmt: skip
    pdgid, status, charge, pt, eta, phi = (np.array(column) for column in zip(*rows, strict=True))
    columns = {"gen_pdgid": pdgid, "gen_status": status, "gen_charge": charge, "gen_pt": pt, "gen_eta": eta, "gen_phi": phi, "gen_energy": pt * np.cosh(eta)}
    columns |= {"pfcandidate_pdgid": np.array([CandidateClass.CHARGED_HADRON]), "pfcandidate_pt": np.array([21.0]), "pfcandidate_eta": np.array([0.52])}
    columns |= {"pfcandidate_phi": np.array([3.12]), "pfcandidate_energy": np.array([21.0 * np.cosh(0.52)])}
    table = tau_table(Events(columns, {"gen": np.array([0, 5]), "pfcandidate": np.array([0, 1])}, 1))
    assert table["tau.num_prongs"].tolist() == table["tau.pf_num_prongs"].tolist() == [1]
    assert table["tau.pt"][0] == pytest.approx(35.0, abs=0.1)  # without the neutrino and the pion outside
    angle = np.arccos((np.cos(delta := 3.12 - 2 * np.pi + 3.1) + np.sinh(0.52) * np.sinh(0.48)) / np.cosh(0.52) / np.cosh(0.48))
    assert delta == pytest.approx(-0.063, abs=1e-3)
    massless = 2 * 20.0 * np.cosh(0.52) * 15.0 * np.cosh(0.48) * (1 - np.cos(angle))
    assert table["tau.mass"][0] == pytest.approx(np.sqrt(massless), rel=1e-3)
    assert table["tau.pf_pt"][0] == pytest.approx(21.0)


def test_collisions_without_any_particle_give_empty_tables():
    config = SimulationConfig(process="gun", gun={"number": 0}, vertex_spread_z=0.0)
    tables = collision_tables(rule_based_particle_flow(next(simulate(config, 2, 1))))
    assert len(tables["genjet.pt"]) == len(tables["particle.pt"]) == 0
    assert tables["event.sum_pt"].shape == (2,)
