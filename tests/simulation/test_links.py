import numpy as np
import pytest

from mlpf.simulation.calorimeter.geometry import LAYER_EB, LAYER_PS1
from mlpf.simulation.calorimeter.moments import ClusterHits
from mlpf.simulation.calorimeter.readout import Deposits, Hits
from mlpf.simulation.links import Links, particle_cluster_links, sum_links, without_faint


def test_links_agree_with_a_loop_over_everything():
    rng = np.random.default_rng(2)
    true_energy = rng.exponential(1.0, (6, 40)) * (rng.random((6, 40)) < 0.3)  # particle, cell
    deposits = Deposits(*np.nonzero(true_energy), true_energy[true_energy > 0])
    read = np.flatnonzero((true_energy.sum(axis=0) > 0) & (rng.random(40) < 0.8))
    hits = Hits(read, true_energy.sum(axis=0)[read] + rng.normal(0, 0.05, len(read)), true_energy.sum(axis=0)[read])
    fraction = rng.random((5, len(read))) * (rng.random((5, len(read))) < 0.5)  # cluster, hit
    cluster, hit = np.nonzero(fraction)
    cluster_hits = ClusterHits(np.searchsorted(cluster, np.arange(6)), hit, fraction[fraction > 0])

    energy, summed = np.zeros((6, 5)), np.zeros((6, 5))
    for p in range(6):
        for c in range(5):
            for h, cell in enumerate(read):
                share = true_energy[p, cell] / true_energy[:, cell].sum()
                energy[p, c] += hits.energy[h] * fraction[c, h] * share
                summed[p, c] += fraction[c, h] * share
    links = particle_cluster_links(deposits, hits, cluster_hits)
    dense, dense_fraction = np.zeros((6, 5)), np.zeros((6, 5))
    dense[links.first, links.second], dense_fraction[links.first, links.second] = links.energy, links.fraction
    assert dense == pytest.approx(energy)
    assert dense_fraction == pytest.approx(summed)
    assert len(links.first) == np.sum(summed > 0)
    assert links.energy.sum() == pytest.approx((hits.energy * fraction.sum(axis=0)).sum())


def test_equal_links_are_summed_and_ordered():
    links = sum_links(Links(np.array([2, 0, 2, 2]), np.array([1, 3, 0, 1]), np.array([1.0, 2.0, 4.0, 8.0]), np.ones(4)))
    assert links.first.tolist() == [0, 2, 2]
    assert links.second.tolist() == [3, 0, 1]
    assert links.energy.tolist() == [2.0, 4.0, 9.0]
    assert links.fraction.tolist() == [1.0, 1.0, 2.0]


def test_links_below_one_mev_are_left_out_and_below_ten_kev_in_the_preshower():
    links = Links(np.arange(4), np.arange(4), np.array([0.0009, 0.0011, 9e-6, 11e-6]), np.ones(4))
    assert without_faint(links, np.array([LAYER_EB, LAYER_EB, LAYER_PS1, LAYER_PS1])).first.tolist() == [1, 3]


def test_an_event_without_deposits_has_no_links():
    nothing = np.zeros(0, dtype=np.int64)
    links = particle_cluster_links(
        Deposits(nothing, nothing, np.zeros(0)), Hits(nothing, np.zeros(0), np.zeros(0)), ClusterHits(np.zeros(1, dtype=np.int64), nothing, np.zeros(0))
    )
    assert len(links.first) == 0
