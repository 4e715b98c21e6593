import numpy as np
import pytest

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.calorimeter.cells import geometry
from mlpf.simulation.calorimeter.clusters import cluster_hits
from mlpf.simulation.calorimeter.geometry import locate
from mlpf.simulation.calorimeter.moments import cluster_hit_list, cluster_moments
from mlpf.simulation.calorimeter.readout import Hits

DETECTOR = geometry()


def moments_of(cells, energy):
    order = np.argsort(cells)
    hits = Hits(np.asarray(cells)[order], np.asarray(energy, dtype=float)[order], np.asarray(energy, dtype=float)[order])
    clusters = cluster_hits(hits, DETECTOR)
    return cluster_moments(cluster_hit_list(clusters, hits, DETECTOR), hits, DETECTOR)


def weighted_deviation(x, w):
    """TMath::StdDev with weights, spelled out."""
    mean = sum(w * x) / sum(w)
    return np.sqrt(sum(w * (x - mean) ** 2) * sum(w) / (sum(w) ** 2 - sum(w**2)))


def test_a_tower_with_three_depths():
    eta, phi = np.full(3, 0.75), np.full(3, 2.0)
    cells = locate(np.full(3, g.SECTION_HCAL), eta, phi, np.array([0.2, 1.0, 2.0]))
    energy = np.array([1.0, 2.0, 5.0])
    moments = moments_of(cells, energy)
    assert moments.energy == pytest.approx([8.0])
    assert moments.depth == pytest.approx([(1 + 4 + 15) / 8])
    assert moments.num_hits == [3]
    assert moments.energy_spread == pytest.approx([np.std(energy, ddof=1)])
    assert moments.eta_spread == pytest.approx([0.0])
    site = DETECTOR.cell_site[cells[0]]
    radius = np.linalg.norm(DETECTOR.position[site]) * (DETECTOR.cell_scale[cells] @ energy) / 8
    assert np.linalg.norm(moments.position[0]) == pytest.approx(radius)
    x = DETECTOR.position[site, 0] * DETECTOR.cell_scale[cells]
    assert moments.position_spread[0, 0] == pytest.approx(weighted_deviation(x, energy))


def test_crystals_around_a_seed():
    seed = 100 * g.EB_PHI + 200
    cells = np.array([seed, seed + 1, seed - 1, seed + g.EB_PHI])
    energy = np.array([5.0, 1.0, 0.5, 0.3])
    moments = moments_of(cells, energy)
    weight = np.log(energy / 0.08)
    assert moments.position[0] == pytest.approx(weight @ DETECTOR.position[cells] / weight.sum())
    assert moments.eta_spread == pytest.approx([np.std(DETECTOR.eta[cells], ddof=1)])
    assert moments.phi_spread == pytest.approx([np.std(DETECTOR.phi[cells], ddof=1)])
    assert moments.eta_spread_by_depth[0] == pytest.approx([0, 0, 0, weighted_deviation(DETECTOR.eta[cells], energy)])
    assert moments.phi_spread_by_depth[0] == pytest.approx([0, 0, 0, weighted_deviation(DETECTOR.phi[cells], energy)])


def test_spread_in_azimuth_is_small_across_phi_zero():
    cells = 100 * g.EB_PHI + np.array([359, 0, 1])
    assert moments_of(cells, [1.0, 3.0, 1.0]).phi_spread[0] == pytest.approx(np.pi / 180)


def test_a_single_hit_has_no_spread():
    moments = moments_of([100 * g.EB_PHI], [1.0])
    assert moments.position[0] == pytest.approx(DETECTOR.position[100 * g.EB_PHI])
    for spread in (moments.energy_spread, moments.eta_spread, moments.phi_spread, moments.phi_spread_by_depth, moments.position_spread):
        assert not spread.any()


def test_hits_of_shared_sites_are_listed_in_both_clusters():
    first = 100 * g.EB_PHI
    moments = moments_of(first + np.arange(3), [2.0, 1.0, 2.0])
    assert moments.num_hits.tolist() == [2, 2]
    assert moments.energy == pytest.approx([2.5, 2.5])


def test_no_hits_make_no_clusters():
    assert len(moments_of(np.zeros(0, dtype=np.int64), []).energy) == 0
