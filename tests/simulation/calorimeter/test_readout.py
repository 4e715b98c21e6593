import numpy as np
import pytest
from scipy import stats

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.calorimeter.cells import READOUT, geometry
from mlpf.simulation.calorimeter.readout import Deposits, deposit, join_deposits, noise_hits, read_out
from mlpf.simulation.calorimeter.spots import Spots

DETECTOR = geometry()
NOTHING = Deposits(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))


def spots_in(cells, energy):
    """One spot in the middle of each of some barrel crystals, each of its own particle."""
    return Spots(np.arange(len(cells)), np.full(len(cells), g.SECTION_EB), DETECTOR.eta[cells], DETECTOR.phi[cells], np.zeros(len(cells)), energy)


def test_two_particles_in_one_cell_are_kept_apart():
    spots = Spots(np.array([0, 0, 1]), np.full(3, g.SECTION_EB), np.full(3, 0.3), np.full(3, 0.5), np.zeros(3), np.array([1.0, 2.0, 4.0]))
    deposits = deposit(spots)
    assert deposits.particle.tolist() == [0, 1]
    assert deposits.energy.tolist() == [3.0, 4.0]
    assert deposits.cell[0] == deposits.cell[1]


def test_a_spot_of_no_energy_leaves_no_deposit():
    two = Spots(np.array([0, 0]), np.full(2, g.SECTION_EB), np.array([0.3, 0.8]), np.zeros(2), np.zeros(2), np.array([0.0, 1.0]))
    assert deposit(two).energy.tolist() == [1.0]


def test_joined_deposits_are_in_particle_order():
    first, second = Deposits(np.array([0, 2, 2]), np.array([5, 6, 7]), np.ones(3)), Deposits(np.array([1, 2]), np.array([90, 91]), np.full(2, 2.0))
    joined = join_deposits(first, second)
    assert joined.particle.tolist() == [0, 1, 2, 2, 2]
    assert joined.cell.tolist() == [5, 90, 6, 7, 91]
    assert joined.energy.tolist() == [1, 2, 1, 1, 2]
    assert len(join_deposits(NOTHING, NOTHING).cell) == 0


def test_readout_adds_noise_of_the_right_size_and_drops_what_is_below_threshold():
    cells = np.arange(20_000)
    hits = read_out(deposit(spots_in(cells, np.where(cells < 10_000, 2.0, 0.05))), DETECTOR, np.random.default_rng(1))
    high, low = hits.deposited > 1.0, (hits.deposited > 0.0) & (hits.deposited < 1.0)
    assert np.sum(high) == 10_000
    assert np.std(hits.energy[high] - 2.0) == pytest.approx(0.04, rel=0.05)
    assert (hits.energy > DETECTOR.cell_threshold[hits.cell]).all()
    assert np.sum(low) / 10_000 == pytest.approx(0.2266, abs=0.02)  # above 0.08 at 0.05 +- 0.04: P(z > 0.75)
    assert (np.diff(hits.cell) > 0).all()


@pytest.mark.parametrize("layer", list(READOUT))
def test_cells_that_nothing_touched_show_noise_at_the_rate_of_the_gaussian_tail(layer):
    rng, events = np.random.default_rng(3), 40
    found = [cell[DETECTOR.layer[DETECTOR.cell_site[cell]] == layer] for cell, _ in (noise_hits(rng) for _ in range(events))]
    number = np.sum((DETECTOR.layer[DETECTOR.cell_site] == layer) & DETECTOR.cell_exists)
    expected = events * number * stats.norm.sf(READOUT[layer].zero_suppression / READOUT[layer].noise)
    assert sum(map(len, found)) == pytest.approx(expected, abs=4 * np.sqrt(expected) + 1e-3)
    assert all(len(np.unique(cells)) == len(cells) for cells in found)
    assert DETECTOR.cell_exists[np.concatenate(found)].all()


def test_energies_of_noise_follow_the_tail_of_the_gaussian():
    rng = np.random.default_rng(4)
    pairs = [noise_hits(rng) for _ in range(10)]
    cell, energy = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    barrel = energy[DETECTOR.layer[DETECTOR.cell_site[cell]] == g.LAYER_EB]
    assert stats.kstest(barrel / 0.04, stats.truncnorm(2.0, np.inf).cdf).pvalue > 1e-3
    assert (energy > DETECTOR.cell_threshold[cell]).all()


def test_a_cell_that_something_touched_has_no_second_noise():
    """With every crystal of the barrel touched by next to nothing, their rate is that of one Gaussian."""
    cells = np.arange(g.NUM_EB)
    hits = read_out(deposit(spots_in(cells, np.full(g.NUM_EB, 1e-9))), DETECTOR, np.random.default_rng(5))
    expected = g.NUM_EB * stats.norm.sf(2.0)
    assert np.sum(hits.cell < g.NUM_EB) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert len(np.unique(hits.cell)) == len(hits.cell)
