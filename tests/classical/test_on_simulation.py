"""Rule-based particle flow as a baseline: what it makes of simulated particles and jets."""

import numpy as np
import pytest

from mlpf.classical.calibration import default_calibration, hadron_energies
from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.events import concatenate, event_index
from mlpf.jets import cluster_jets
from mlpf.kinematics import delta_r
from mlpf.schema import ElementType
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.simulate import simulate


def shoot(particle, pt, max_abs_eta=2.3):
    gun = GunConfig(particle=particle, min_pt=pt, max_pt=pt, max_abs_eta=max_abs_eta)
    return rule_based_particle_flow(concatenate(list(simulate(SimulationConfig(process="gun", gun=gun), 200, seed=4))))


def response(events):
    """``(B,)`` energy of all candidates over that of the particle."""
    event = np.repeat(np.arange(len(events)), events.counts("pfcandidate"))
    made = np.bincount(event, events["pfcandidate_energy"], minlength=len(events))
    return made / events["gen_energy"][events.offsets["gen"][:-1]]


def fraction_with(events, pdgid):
    """Fraction of the events with at least one candidate of a class."""
    event = np.repeat(np.arange(len(events)), events.counts("pfcandidate"))
    return len(np.unique(event[np.abs(events["pfcandidate_pdgid"]) == pdgid])) / len(events)


@pytest.mark.parametrize(("particle", "pdgid", "least"), [("pi", 211, 0.85), ("gamma", 22, 0.93), ("e", 11, 0.75), ("mu", 13, 0.85), ("K0L", 130, 0.9)])
def test_single_particles_are_found_as_what_they_are_with_their_energy(particle, pdgid, least):
    # least: efficiency of the simulated track (.85 to .99), of the muon stations (.96), photons that convert, and the rules
    events = shoot(particle, 20.0)
    events.validate()
    assert fraction_with(events, pdgid) > least
    tolerance = 0.1 if particle == "K0L" else 0.03  # the ECAL share of a neutral hadron counts as a photon, without the hadronic calibration
    assert np.median(response(events)) == pytest.approx(1.0, abs=tolerance)


def test_pions_are_seldom_electrons_or_muons():
    events = shoot("pi", 10.0)
    assert fraction_with(events, 11) < 0.01
    assert fraction_with(events, 13) < 0.02


def test_forward_pions_keep_their_energy_as_forward_candidates():
    gun = GunConfig(particle="pi", min_pt=20, max_pt=20, min_abs_eta=3.3, max_abs_eta=4.7)
    events = rule_based_particle_flow(concatenate(list(simulate(SimulationConfig(process="gun", gun=gun), 200, seed=4))))
    forward = np.abs(events["pfcandidate_eta"]) > 3  # elsewhere there is noise
    assert set(np.abs(events["pfcandidate_pdgid"][forward]).tolist()) == {1, 2}
    assert np.mean(response(events)) == pytest.approx(1.0, abs=0.1)


def test_both_fibres_of_a_forward_tower_are_one_hadron():
    gun = GunConfig(particle="pi", min_pt=20, max_pt=20, min_abs_eta=3.3, max_abs_eta=4.7)
    events = rule_based_particle_flow(concatenate(list(simulate(SimulationConfig(process="gun", gun=gun), 100, seed=4))))
    electromagnetic = np.sum(events["element_type"] == ElementType.HFEM)
    assert len(events["element_distance_d"]) > 0.4 * electromagnetic  # no other element is there to be linked
    assert np.sum(np.abs(events["pfcandidate_pdgid"]) == 2) == electromagnetic - len(events["element_distance_d"])


@pytest.mark.parametrize(("low_eta", "high_eta"), [(0.0, 1.3), (1.5, 2.5)])
@pytest.mark.parametrize("energy", [10.0, 50.0, 200.0])
def test_neutral_hadrons_that_reach_the_calorimeters_close_within_five_percent(energy, low_eta, high_eta):
    pt = energy / np.cosh(0.5 * (low_eta + high_eta))
    gun = GunConfig(particle="K0L", min_pt=pt, max_pt=pt, min_abs_eta=low_eta, max_abs_eta=high_eta)
    events = concatenate(list(simulate(SimulationConfig(process="gun", gun=gun), 400, seed=6)))
    link_event = event_index(events.offsets["simcluster_to_element"])
    own = np.unique(events.offsets["element"][link_event] + events["simcluster_to_element.second"])  # the other elements are noise
    ecal, hcal = (summed(events, own[np.isin(events["element_type"][own], kinds)]) for kinds in ((ElementType.ECAL,), (ElementType.HCAL, ElementType.HO)))
    seen = (events.counts("simcluster") == 1) & (hcal > 0)
    found = hadron_energies(ecal, hcal, events["gen_eta"].astype(np.float64), default_calibration())[seen] / events["gen_energy"][seen]
    assert len(found) > 150
    assert np.mean(found) == pytest.approx(1.0, abs=0.05 + 3 * np.std(found) / np.sqrt(len(found)))


def summed(events, elements):
    """``(B,)`` energy of some elements of each event."""
    return np.bincount(event_index(events.offsets["element"])[elements], events["element_energy"][elements], minlength=len(events)).astype(np.float64)


@pytest.mark.slow
def test_jets_of_candidates_have_the_response_and_resolution_of_particle_flow():
    # CMS, arXiv:1706.04965: raw response about .9, resolution 15 to 20 % at 30 GeV
    events = rule_based_particle_flow(concatenate(list(simulate(SimulationConfig(process="ttbar"), 150, seed=5))))
    jets = cluster_jets(*(events[f"pfcandidate_{name}"] for name in ("pt", "eta", "phi", "energy")), events.offsets["pfcandidate"])
    ratios = []
    num_true = 0
    for i in range(len(events)):
        true, made = slice(*events.offsets["genjet"][i : i + 2]), slice(*jets.offsets[i : i + 2])
        wanted = (events["genjet_pt"][true] > 20) & (np.abs(events["genjet_eta"][true]) < 2.5)
        pt, eta, phi = (events[f"genjet_{name}"][true][wanted] for name in ("pt", "eta", "phi"))
        distance = delta_r(eta[:, None], phi[:, None], jets.eta[made], jets.phi[made])
        matched = distance.min(axis=1) < 0.1
        ratios.append((jets.pt[made][distance.argmin(axis=1)] / pt)[matched])
        num_true += len(pt)
    ratio = np.concatenate(ratios)
    low, median, high = np.percentile(ratio, [25, 50, 75])
    assert len(ratio) / num_true > 0.95
    assert 0.85 < median < 1.05
    assert 0.08 < (high - low) / median < 0.2
