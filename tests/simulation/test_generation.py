import sys

import numpy as np
import pytest

from mlpf.errors import ConfigError, MissingDependencyError
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.generator import PythiaGenerator, _trace_decays
from mlpf.simulation.gun import KINDS, gun_event
from mlpf.simulation.particles import DECAY_IN_FLIGHT, NEUTRINOS, origins
from mlpf.simulation.randomness import event_rng, pythia_seed


@pytest.fixture(scope="module")
def ttbar():
    pytest.importorskip("pythia8mc")
    return PythiaGenerator(SimulationConfig(process="ttbar"))


@pytest.mark.parametrize("particle", list(KINDS))
def test_guns_shoot_inside_their_range_and_on_the_mass_shell(particle):
    gun = GunConfig(particle=particle, number=500, min_pt=2.0, max_pt=50.0, min_abs_eta=1.0, max_abs_eta=2.0)
    record, particles = gun_event(SimulationConfig(process="gun", gun=gun), 1, 0)
    px, py, pz, energy = (values[:500] for values in (record.px, record.py, record.pz, record.energy))
    pt = np.hypot(px, py)
    assert ((pt >= 2.0 * (1 - 1e-9)) & (pt <= 50.0 * (1 + 1e-9))).all()
    eta = np.abs(np.arcsinh(pz / pt))
    assert ((eta > 1.0) & (eta < 2.0)).all()
    assert energy**2 - pt**2 - pz**2 == pytest.approx(KINDS[particle][1] ** 2, abs=1e-6)
    assert np.median(np.log(pt)) == pytest.approx(np.log(10), abs=0.15)  # flat in log pt: the median is the geometric mean
    if KINDS[particle][2]:
        assert 200 < np.sum(record.charge == 1) < 300
        assert np.array_equal(np.sign(record.pdgid) * np.sign(KINDS[particle][0]), record.charge)
    assert (particles.parent == -1).all()


def test_photons_of_a_neutral_pion_add_up_to_it():
    record, particles = gun_event(SimulationConfig(process="gun", gun=GunConfig(particle="pi0", number=50)), 3, 7)
    assert record.pdgid.tolist() == [111] * 50 + [22] * 100
    assert record.status.tolist() == [2] * 50 + [1] * 100
    assert particles.pdgid.tolist() == [22] * 100
    for values in (record.px, record.py, record.pz, record.energy):
        assert values[50:100] + values[100:] == pytest.approx(values[:50])
    assert record.energy**2 == pytest.approx(record.px**2 + record.py**2 + record.pz**2 + np.where(record.pdgid == 111, 0.13498**2, 0.0), abs=1e-6, rel=1e-9)


def test_gun_settings_out_of_order_are_refused():
    with pytest.raises(ValueError, match="must not exceed"):
        GunConfig(min_pt=5.0, max_pt=1.0)


def test_events_and_streams_are_independent():
    draws = {float(event_rng(seed, event, stream).random()) for seed in range(3) for event in range(3) for stream in range(2)}
    assert len(draws) == 18
    seeds = [pythia_seed(5, event) for event in range(10_000)]
    assert len(set(seeds)) == 10_000
    assert 1 <= min(seeds) <= max(seeds) < 900_000_000


def test_four_momentum_is_conserved_from_the_record_to_the_detector(ttbar):
    """Stable particles of the record carry the energy of the beams; their decay products fly through the detector with the same."""
    record, particles = ttbar.event(1, 0)
    stable = record.status == 1
    assert record.energy[stable].sum() == pytest.approx(13600.0, rel=1e-4)
    assert record.px[stable].sum() == pytest.approx(0.0, abs=0.1)
    final = ~particles.ends
    assert particles.energy[final].sum() == pytest.approx(13600.0, rel=1e-4)
    assert record.charge[stable].sum() == 2


def test_decay_products_know_their_origin(ttbar):
    for event in range(5):
        record, particles = ttbar.event(2, event)
        secondary = particles.parent >= 0
        assert (particles.parent < np.arange(len(secondary))).all()
        assert np.sum(~secondary) == np.sum(record.status == 1)
        origin = origins(particles.parent)
        assert np.isin(np.abs(particles.pdgid[origin[secondary]]), DECAY_IN_FLIGHT).all()
        for first in np.unique(origin[secondary]):
            children = secondary & (origin == first) & ~particles.ends
            assert particles.energy[children].sum() == pytest.approx(particles.energy[first], rel=1e-6)
        radius = np.hypot(particles.x, particles.y)
        assert np.median(radius[secondary]) > 1.0
        assert radius.max() < 110.1


def test_the_record_holds_top_quarks_and_stable_particles(ttbar):
    record, _ = ttbar.event(3, 0)
    assert np.sum(np.abs(record.pdgid) == 6) >= 2
    assert {1, 2, 22} <= set(record.status.tolist())
    assert not np.isin(np.abs(record.pdgid[record.status == 1]), (1, 2, 3, 4, 5, 6, 21)).any()


def test_an_event_depends_on_its_seed_and_number_only(ttbar):
    first = ttbar.event(1, 4).record.energy
    assert not np.array_equal(ttbar.event(1, 5).record.energy, first)
    assert np.array_equal(ttbar.event(1, 4).record.energy, first)
    assert np.array_equal(PythiaGenerator(SimulationConfig(process="ttbar")).event(1, 4).record.energy, first)


def test_chains_of_decays_lead_to_their_first_particle():
    # beam, Xi- (decays) -> Lambda (decays) pi-; Lambda -> p pi-; a prompt photon; a pi0 -> photons
    pdgid = np.array([90, 3312, 3122, -211, 2212, -211, 22, 111, 22, 22])
    status = np.array([-11, -83, -91, 91, 91, 91, 62, -83, 91, 91])
    mother = np.array([0, 0, 1, 1, 2, 2, 0, 0, 7, 7])
    flies, parent = _trace_decays(pdgid, status, mother, np.asarray(DECAY_IN_FLIGHT))
    assert flies.tolist() == [False, True, True, True, True, True, True, False, True, True]
    assert parent[flies].tolist() == [-1, 1, 1, 2, 2, -1, -1, -1]


@pytest.mark.parametrize("process", ["qcd", "minbias"])
def test_other_processes_generate(process):
    pytest.importorskip("pythia8mc")
    record, _ = PythiaGenerator(SimulationConfig(process=process)).event(1, 0)
    visible = (record.status == 1) & ~np.isin(np.abs(record.pdgid), NEUTRINOS)
    assert visible.sum() > 2


def test_settings_that_pythia_does_not_know_are_named():
    pytest.importorskip("pythia8mc")
    with pytest.raises(ConfigError, match="Tune:qq = 1"):
        PythiaGenerator(SimulationConfig(pythia_settings=("Tune:qq = 1",)))


def test_without_pythia_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(MissingDependencyError, match=r"pip install mlpf\[simulate\]"):
        PythiaGenerator(SimulationConfig())
