import numpy as np
import pytest

from mlpf.evaluation.detector.samples import Sample, collect, energy_gun, gun
from mlpf.simulation.config import SimulationConfig


def numbers(_, num_events, seed, first_event):
    return {"event": np.arange(first_event, first_event + num_events), "seed": np.full(num_events, seed)}


def failing(*_):
    raise ValueError("broken")


def test_samples_are_the_same_for_any_number_of_processes():
    samples = [Sample("a", 10, numbers, SimulationConfig(process="gun"), 3), Sample("b", 4, numbers, SimulationConfig(process="gun"), 3)]
    done = []
    alone, together = collect(samples, 5, 1, lambda *job: done.append(job)), collect(samples, 5, 2)
    for name, expected in (("a", 10), ("b", 4)):
        assert alone[name]["event"].tolist() == together[name]["event"].tolist() == list(range(expected))
        assert np.array_equal(alone[name]["seed"], together[name]["seed"])
    assert sum(number for _, number in done) == 14


def test_samples_have_random_numbers_of_their_own():
    samples = [Sample(name, 1, numbers, SimulationConfig(process="gun")) for name in "ab"]
    tables = collect(samples, 5, 1)
    assert tables["a"]["seed"][0] != tables["b"]["seed"][0]


def test_an_error_in_a_process_arrives():
    with pytest.raises(ValueError, match="broken"):
        collect([Sample("a", 100, failing, SimulationConfig(process="gun"), 1)], 1, 2)


def test_the_energy_gun_covers_its_energies_at_every_eta():
    config = energy_gun("gamma", (5.0, 500.0), (1.0, 2.0)).gun
    assert config.min_pt * np.cosh(2.0) == pytest.approx(5.0)
    assert config.max_pt * np.cosh(1.0) == pytest.approx(500.0)
    assert gun("pi", (1.0, 2.0), (0.0, 1.0), 10).gun.number == 10
