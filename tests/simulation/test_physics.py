"""What must hold of the simulated detector, with few events; docs/simulation.md has the same with many."""

import numpy as np
import pytest

from mlpf.evaluation.detector import calorimeters, closure, jets, material, tracking
from mlpf.evaluation.detector.collisions import collisions
from mlpf.evaluation.detector.samples import energy_gun
from mlpf.evaluation.detector.singles import single_particles, tracked_particles
from mlpf.metrics.uncertainty import mean
from mlpf.simulation.config import PileupConfig, SimulationConfig

SEED = 11


def shoot(particle, energy, region, number=400):
    return single_particles(energy_gun(particle, energy, calorimeters.REGIONS[region]), number, SEED, 0)


@pytest.fixture(scope="module")
def ttbar():
    pytest.importorskip("pythia8mc")
    return collisions(SimulationConfig(process="ttbar"), 150, SEED, 0)


def assert_near(values, expected, tolerance):
    """The mean is within a tolerance, give or take three of its standard deviations."""
    found = mean(values)
    assert abs(found.value - expected) < tolerance + 3 * (found.high - found.value), found


@pytest.mark.parametrize("region", ["barrel", "endcap"])
@pytest.mark.parametrize("energy", [(10.0, 20.0), (100.0, 200.0)])
def test_photons_have_their_energy(region, energy):
    table = shoot("gamma", energy, region)
    intact = table["is_intact"]
    assert 0.2 < intact.mean() < 0.8
    assert_near(table["ecal_corrected"][intact] / table["energy"][intact], 1.0, 0.02)
    assert_near(table["pf"] / table["energy"], 1.0, 0.05)  # conversions lose some of it


@pytest.mark.parametrize(("region", "energy"), [("barrel", (20.0, 50.0)), ("endcap", (20.0, 50.0)), ("forward", (100.0, 200.0))])
def test_neutral_hadrons_have_their_energy(region, energy):
    table = shoot("K0L", energy, region)
    intact = table["is_intact"]
    assert_near(table["pf"][intact] / table["energy"][intact], 1.0, 0.05)
    assert np.mean(table["pf"] / table["energy"]) > 0.8  # of those that interact before, products are lost


def test_charged_hadrons_have_about_their_energy():
    table = shoot("pi", (20.0, 50.0), "barrel")
    assert_near(np.minimum(table["pf"] / table["energy"], 2.0), 1.0, 0.1)  # what is added by upward fluctuations makes the mean larger than 1
    assert np.median(table["pf"] / table["energy"]) == pytest.approx(1.0, abs=0.03)


def test_electrons_have_their_energy_although_they_radiate_much_of_it():
    table = shoot("e", (20.0, 50.0), "barrel")
    assert_near(table["pf"] / table["energy"], 1.0, 0.05)
    assert table["num_brem"].sum() > 5 * np.sum(table["num_gsf"] > 0) > 0


@pytest.mark.parametrize("particle", tracking.PARTICLES)
def test_tracks_are_found_and_measured_as_the_tables_say(particle):
    sample = next(sample for sample in tracking.samples(0.1) if sample.name == f"tracks {particle}")
    table = tracked_particles(sample.config, sample.num_events, SEED, 0)
    central = (np.abs(table["particle.eta"]) < 1.5) & (table["particle.pt"] > 1.0) & (table["particle.pt"] < 100.0)
    assert np.mean(table["particle.num_tracks"][central] > 0) == pytest.approx(tracking.EFFICIENCY[particle][0], abs=0.1)
    ratio, pulls = table["particle.gsf_ratio" if particle == "e" else "particle.ratio"], []
    for (low, high), (constant, slope) in zip(((0.0, 0.5), (0.5, 1.5), (1.5, 2.5)), tracking.RESOLUTION[particle], strict=True):
        inside = np.isfinite(ratio) & (np.abs(table["particle.eta"]) >= low) & (np.abs(table["particle.eta"]) < high)
        pulls.append((ratio[inside] - 1) / np.hypot(constant, slope * table["particle.pt"][inside]))
    first, third = np.percentile(np.concatenate(pulls), (25, 75))
    assert (third - first) / 1.349 == pytest.approx(1.0, abs=0.5 if particle == "e" else 0.25)  # electrons: a sharp core, and tails


def test_particles_meet_the_material_of_the_tracker():
    electrons = {"num_brem": np.full(10, 12.0), "num_gsf": np.ones(10), "eta": np.zeros(10)}
    findings = material.measure(electrons, 0.2, SEED)
    assert all(check.inside for check in findings.checks), [check for check in findings.checks if not check.inside]


def test_the_energy_of_particles_is_accounted_for():
    for sample in closure.samples(0.02):
        if sample.config.process == "gun":
            table = closure.budgets(sample.config, sample.num_events, SEED, 0)
            assert table["accounted"].sum() == pytest.approx(table["generated"].sum(), rel=0.01)


def test_jets_have_a_sane_response_resolution_and_composition(ttbar):
    chosen = (np.abs(ttbar["genjet.eta"]) < 2.5) & (ttbar["genjet.pt"] > 30) & (ttbar["genjet.pt"] < 100)
    matched = chosen & (ttbar["genjet.delta_r"] < 0.1)
    assert matched.sum() > 0.9 * chosen.sum() > 200
    first, median, third = np.percentile(ttbar["genjet.response"][matched], (25, 50, 75))
    assert 0.85 < median < 1.05
    assert 0.06 < (third - first) / 1.349 / median < 0.22
    found = (np.abs(ttbar["jet.eta"]) < 2.5) & (ttbar["jet.pt"] > 30) & (ttbar["jet.delta_r"] < 0.1)
    for share, (middle, _) in jets.COMPOSITION.items():
        assert ttbar[f"jet.share_{share}"][found].mean() == pytest.approx(middle, abs=0.15)


def test_tracks_are_lost_in_the_cores_of_jets_and_some_are_fakes(ttbar):
    hadron = (np.abs(ttbar["particle.pdgid"]) > 100) & (ttbar["particle.pt"] > 1.0) & (np.abs(ttbar["particle.eta"]) < 2.4)
    core = hadron & (ttbar["particle.jet_pt"] > 80) & (ttbar["particle.delta_r"] < 0.02)
    found = ttbar["particle.num_tracks"] > 0
    assert found[core].mean() < found[hadron & ~core].mean()
    assert 0.0005 < np.mean(~ttbar["track.is_linked"]) < 0.1


@pytest.mark.slow
def test_collisions_with_pileup_have_several_thousand_elements():
    pytest.importorskip("pythia8mc")
    pileup = PileupConfig(min_number=55, max_number=75, pool_size=300)
    table = collisions(SimulationConfig(process="ttbar", pileup=pileup, events_per_chunk=5), 5, SEED, 0)
    without = table["event.num_elements"] - table["event.num_PS1"] - table["event.num_PS2"] - table["event.num_BREM"]
    assert 3000 < without.mean() < 8000
    assert ((table["event.num_collisions"] > 50) & (table["event.num_collisions"] <= 76)).all()
