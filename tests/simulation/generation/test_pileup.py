import numpy as np
import pydantic
import pytest

from mlpf.simulation.config import GunConfig, PileupConfig, SimulationConfig
from mlpf.simulation.generation.generator import PythiaGenerator
from mlpf.simulation.generation.gun import Gun
from mlpf.simulation.generation.pileup import MAX_ABS_ETA, Crossing, PileupPool, draw_crossing, overlay, save_pool
from mlpf.simulation.particles import NEUTRINOS, Particles
from mlpf.simulation.randomness import pool_seed
from mlpf.simulation.simulate import event_generator


def config(gun=None, **pileup):
    return SimulationConfig(process="gun", gun=gun or GunConfig(particle="mu", number=3), pileup=PileupConfig(**pileup))


FEW = {"mean": 8.0, "pool_size": 100}


@pytest.fixture(scope="module")
def pool():
    pytest.importorskip("pythia8mc")
    return PileupPool(config(**FEW))


@pytest.fixture(scope="module")
def minbias():
    pytest.importorskip("pythia8mc")
    return PythiaGenerator(SimulationConfig(process="minbias"))


@pytest.fixture
def new_pool(minbias):
    """Another pool with another Pythia, one that runs already: it takes four seconds to start."""
    pool = PileupPool(config(**FEW))
    pool._generator = minbias
    return pool


def test_minimum_bias_events_have_few_particles_and_no_hard_ones(minbias):
    records = [minbias.event(1, event).record for event in range(20)]
    visible = [(record.status == 1) & ~np.isin(np.abs(record.pdgid), NEUTRINOS) for record in records]
    assert all(kept.sum() > 2 for kept in visible)
    assert 30 < np.mean([kept.sum() for kept in visible]) < 500
    assert np.median([np.hypot(record.px, record.py)[kept].max() for record, kept in zip(records, visible, strict=True)]) < 10.0


def test_a_mean_gives_poisson_numbers():
    numbers = np.array([len(draw_crossing(config(mean=60.0), 1, event).collision) for event in range(3000)])
    assert numbers.mean() == pytest.approx(60.0, abs=4 * np.sqrt(60 / 3000))
    assert numbers.var() == pytest.approx(60.0, rel=0.12)  # as the mean; 4 sigma are 10 %


def test_a_range_gives_each_of_its_numbers_equally_often():
    numbers = [len(draw_crossing(config(min_number=55, max_number=75), 1, event).collision) for event in range(4200)]
    counts = np.bincount(numbers)
    assert counts[:55].sum() == 0
    assert len(counts) == 76
    assert np.sum((counts[55:] - 200.0) ** 2 / 200.0) < 20 + 4 * np.sqrt(40)  # chi squared of 20 degrees of freedom


def test_vertices_spread_in_place_and_time_and_azimuths_are_uniform():
    crossings = [draw_crossing(config(mean=50.0), 1, event) for event in range(400)]
    vertex = np.concatenate([crossing.vertex for crossing in crossings])
    assert vertex.mean(axis=0) / vertex.std(axis=0) == pytest.approx(np.zeros(4), abs=4 / np.sqrt(len(vertex)))
    assert vertex.std(axis=0) == pytest.approx([0.001, 0.001, 5.3, 0.18], rel=0.03)
    assert np.std([crossing.time for crossing in crossings]) == pytest.approx(0.18, rel=0.15)
    azimuth = np.concatenate([crossing.azimuth for crossing in crossings])
    assert np.histogram(azimuth, 8, (-np.pi, np.pi))[0] == pytest.approx(len(azimuth) / 8, rel=0.08)


def test_no_event_draws_a_collision_twice_and_all_are_drawn():
    drawn = [draw_crossing(config(**FEW), 1, event).collision for event in range(300)]
    assert all(len(set(collisions.tolist())) == len(collisions) for collisions in drawn)
    assert set(np.concatenate(drawn).tolist()) == set(range(100))


def test_a_collision_of_the_pool_is_what_pythia_makes_without_what_no_detector_sees(pool, minbias):
    for number in range(5):
        particles, kept = minbias.collision(pool_seed(1, number)).particles, pool.collision(1, number)
        eta = np.arcsinh(particles.pz / np.hypot(particles.px, particles.py))
        visible = (np.abs(eta) < MAX_ABS_ETA) & ~np.isin(np.abs(particles.pdgid), NEUTRINOS)
        made_visible = np.zeros(len(eta), dtype=bool)  # ancestors, the slow way
        for i in np.flatnonzero(visible):
            while i >= 0:
                made_visible[i] = True
                i = particles.parent[i]
        assert kept["energy"].tolist() == particles.energy[made_visible].tolist()
        assert kept["end_z"].tolist() == particles.end_z[made_visible].tolist()
        parent_energy = np.where(kept["parent"] >= 0, kept["energy"][kept["parent"]], 0.0)
        assert parent_energy.tolist() == np.where(particles.parent >= 0, particles.energy[particles.parent], 0.0)[made_visible].tolist()


def test_collisions_of_the_pool_differ_from_each_other_and_from_hard_events_of_the_same_seed(pool, minbias):
    energies = [tuple(pool.collision(seed, number)["energy"].tolist()) for seed in (1, 2) for number in range(5)]
    hard = minbias.event(1, 0).particles.energy
    assert len(set(energies)) == 10
    assert not any(set(energies[number]) & set(hard.tolist()) for number in range(5))


def test_overlay_turns_and_shifts_each_collision_and_leaves_the_hard_event_alone(pool):
    hard = Gun(config(**FEW)).event(1, 0)
    crossing = Crossing(0.3, np.array([4, 7]), np.array([0.5, -2.0]), np.array([[0.1, 0.2, 4.0, 0.05], [-0.1, 0.0, -8.0, -0.2]]))
    both = overlay(hard, crossing, pool, 1)
    particles = both.particles
    assert both.record is hard.record
    for before, after, name in zip(hard.particles, particles, Particles._fields, strict=True):
        assert np.array_equal(after[:3], before + (0.3 if name == "time" else 0)), name
    assert (particles.parent < np.arange(len(particles.parent))).all()
    for i in range(2):
        (own,) = np.nonzero(particles.collision == i + 1)
        original = pool.collision(1, crossing.collision[i])
        turned = (original["px"] + 1j * original["py"]) * np.exp(1j * crossing.azimuth[i])
        assert particles.px[own] + 1j * particles.py[own] == pytest.approx(turned)
        assert np.array_equal(particles.pz[own], original["pz"])
        assert np.array_equal(particles.energy[own], original["energy"])
        place = (original["x"] + 1j * original["y"]) * np.exp(1j * crossing.azimuth[i])
        assert particles.x[own] + 1j * particles.y[own] == pytest.approx(place + crossing.vertex[i, 0] + 1j * crossing.vertex[i, 1])
        assert particles.z[own] == pytest.approx(original["z"] + crossing.vertex[i, 2])
        assert particles.time[own] == pytest.approx(original["time"] + crossing.vertex[i, 3])


def test_decay_products_are_made_where_their_parent_ends(pool):
    particles = event_generator(config(mean=20.0, pool_size=100), pool)(1, 0).particles
    secondary = particles.parent >= 0
    parent = particles.parent[secondary]
    assert secondary.sum() > 20
    assert particles.ends[parent].all()
    assert (particles.collision[parent] == particles.collision[secondary]).all()
    for axis in "xyz":
        end, start = getattr(particles, f"end_{axis}"), getattr(particles, axis)
        gap = np.abs(end[parent] - start[secondary])
        assert np.median(gap) < 1e-9
        assert not end[~particles.ends].any()


def test_an_event_depends_on_its_seed_and_number_only(pool, new_pool):
    settings = config(**FEW)
    event = event_generator(settings, new_pool)(1, 7).particles
    elsewhere = event_generator(settings, pool)
    elsewhere(1, 6)
    for a, b in zip(event, elsewhere(1, 7).particles, strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(event.energy, elsewhere(2, 7).particles.energy)


def test_a_saved_pool_is_read_as_it_was(pool, tmp_path):
    numbers = [3, 50, 4]
    collisions = [pool.collision(1, number) for number in numbers]
    save_pool(tmp_path, [*numbers, 60], [*collisions, collisions[0][:0]])
    other = PileupPool(config(**FEW))
    other.load(tmp_path, 1)
    for number, collision in zip(numbers, collisions, strict=True):
        assert np.array_equal(other.collision(1, number), collision)
    assert len(other.collision(1, 60)) == 0


def test_without_pileup_nothing_is_added():
    settings = SimulationConfig(process="gun", gun=GunConfig(number=2))
    crossing = draw_crossing(settings, 1, 0)
    particles = event_generator(settings)(1, 0).particles
    assert len(particles.pdgid) == 2
    assert particles.time == pytest.approx(crossing.time)
    assert not particles.collision.any()


def test_an_event_of_a_range_from_zero_may_have_no_pileup():
    assert len(draw_crossing(config(min_number=0, max_number=0), 1, 0).collision) == 0


@pytest.mark.parametrize(
    ("pileup", "message"),
    [
        ({}, "give either mean or both min_number and max_number"),
        ({"mean": 10, "min_number": 5, "max_number": 6}, "give either mean or both"),
        ({"min_number": 5}, "give either mean or both"),
        ({"min_number": 6, "max_number": 5}, r"min_number \(6\) must not exceed max_number \(5\)"),
        ({"mean": 60, "pool_size": 100}, r"pool_size \(100\) is too small: .* use at least 240"),
        ({"mean": -1}, "greater than 0"),
    ],
)
def test_impossible_pileup_is_refused(pileup, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        PileupConfig(**pileup)
