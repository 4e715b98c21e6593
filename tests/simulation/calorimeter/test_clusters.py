import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.calorimeter.cells import geometry
from mlpf.simulation.calorimeter.clusters import cluster_hits
from mlpf.simulation.calorimeter.readout import Hits
from mlpf.simulation.calorimeter.sharing import distance_across

DETECTOR = geometry()


def barrel(ring, phi):
    return (ring + 85) * g.EB_PHI + phi % g.EB_PHI


def cluster(energy_of_site):
    """Cluster a dictionary of site -> energy (for sections with one cell per site)."""
    cells = np.array(sorted(energy_of_site), dtype=np.int64)
    energy = np.array([energy_of_site[c] for c in cells.tolist()])
    return cluster_hits(Hits(cells, energy, energy), DETECTOR)


def random_patch(seed, size=12):
    """A block of barrel crystals, half of them with energy."""
    rng = np.random.default_rng(seed)
    return {barrel(r, 355 + p): rng.exponential(0.3) + 0.1 for r in range(size) for p in range(size) if rng.random() < 0.5}


def brute_force_seeds(energy_of_site):
    seeds = set()
    for site, energy in energy_of_site.items():
        ring, phi = divmod(site, g.EB_PHI)
        around = [(ring + dr) * g.EB_PHI + (phi + dp) % g.EB_PHI for dr in (-1, 0, 1) for dp in (-1, 0, 1) if (dr, dp) != (0, 0)]
        if energy >= 0.23 and all(energy > energy_of_site.get(other, 0.0) for other in around):
            seeds.add(site)
    return seeds


@given(st.integers(0, 10_000))
def test_every_site_is_shared_out_completely_and_seeds_belong_to_their_own_cluster(seed):
    patch = random_patch(seed)
    clusters = cluster(patch)
    total = np.bincount(clusters.site, clusters.fraction, minlength=g.NUM_SITES)
    used = total > 0
    assert total[used] == pytest.approx(1.0)
    assert ((clusters.fraction > 0) & (clusters.fraction <= 1)).all()
    assert set(clusters.seed_site.tolist()) == brute_force_seeds(patch)
    for c, site in enumerate(clusters.seed_site):
        own = slice(clusters.offsets[c], clusters.offsets[c + 1])
        assert clusters.fraction[own][clusters.site[own] == site] == [1.0]


@given(st.integers(0, 10_000))
def test_clusters_reach_all_sites_connected_to_a_seed_and_no_others(seed):
    patch = random_patch(seed)
    reached, front = set(), list(brute_force_seeds(patch))
    while front:
        site = front.pop()
        if site in reached:
            continue
        reached.add(site)
        ring, phi = divmod(site, g.EB_PHI)
        front += [s for dr in (-1, 0, 1) for dp in (-1, 0, 1) if (s := (ring + dr) * g.EB_PHI + (phi + dp) % g.EB_PHI) in patch]
    assert set(cluster(patch).site.tolist()) == reached


def test_a_crystal_halfway_between_equal_seeds_is_shared_equally():
    clusters = cluster({barrel(0, 10): 2.0, barrel(0, 11): 1.0, barrel(0, 12): 2.0})
    middle = clusters.fraction[clusters.site == barrel(0, 11)]
    assert middle == pytest.approx([0.5, 0.5])


def test_sharing_follows_the_gaussians_of_the_final_clusters():
    """At rest, the fractions reproduce themselves: energy times exp(-d^2 / 2 s^2) with s = 1.5 cm, around log-weighted positions."""
    energy = {barrel(0, 10): 3.0, barrel(0, 11): 0.7, barrel(1, 11): 0.4, barrel(0, 12): 0.5, barrel(0, 13): 1.5}
    clusters = cluster(energy)
    sites = np.array(sorted(energy))
    fraction = np.zeros((2, len(sites)))
    for c in range(2):
        own = slice(clusters.offsets[c], clusters.offsets[c + 1])
        fraction[c, np.searchsorted(sites, clusters.site[own])] = clusters.fraction[own]
    shared = fraction * [energy[s] for s in sites]
    weight = np.log(np.maximum(shared / 0.08, 1.0))
    center = weight @ DETECTOR.position[sites] / weight.sum(axis=1, keepdims=True)
    for s in (barrel(0, 11), barrel(1, 11), barrel(0, 12)):
        k = np.searchsorted(sites, s)
        expected = np.array([shared[c].sum() * np.exp(-0.5 * distance_across(*DETECTOR.position[s], *center[c]) / 1.5**2) for c in range(2)])
        assert fraction[:, k] == pytest.approx(expected / expected.sum(), abs=1e-3)


def test_distance_across_is_that_on_the_barrel_front():
    a, b = barrel(60, 10), barrel(61, 12)
    expected = 129.0**2 * ((DETECTOR.eta[a] - DETECTOR.eta[b]) ** 2 + (DETECTOR.phi[a] - DETECTOR.phi[b]) ** 2)
    assert distance_across(*DETECTOR.position[a], *DETECTOR.position[b]) == pytest.approx(expected, rel=0.03)


def test_of_equal_neighbours_one_is_the_seed():
    assert len(cluster({barrel(0, 10): 1.0, barrel(0, 11): 1.0}).seed_site) == 1


def test_clusters_cross_phi_zero():
    assert len(cluster({barrel(0, 359): 1.0, barrel(0, 0): 0.5, barrel(0, 1): 0.2}).seed_site) == 1


def test_seeds_of_the_hcal_compete_with_neighbours_at_edges_only():
    tower = g.FIRST_TOWER + 28 * g.HCAL_PHI
    first_cell = g.FIRST_TOWER + (tower - g.FIRST_TOWER) * g.NUM_DEPTHS
    diagonal = first_cell + (g.HCAL_PHI + 1) * g.NUM_DEPTHS
    assert len(cluster({first_cell: 3.0, diagonal: 2.0}).seed_site) == 2
    assert len(cluster({first_cell: 3.0, first_cell + g.NUM_DEPTHS: 2.0}).seed_site) == 1


def test_every_cell_of_the_hf_above_the_seed_threshold_is_a_cluster_and_the_others_are_shared():
    cell, beside, outside = (g.FIRST_HFEM_CELL + 30 * g.HF_PHI + phi for phi in (5, 6, 7))
    clusters = cluster({cell: 50.0, beside: 1.5, outside: 1.3})
    assert clusters.seed_site.tolist() == [g.FIRST_HFEM + 30 * g.HF_PHI + phi for phi in (5, 6)]
    last = clusters.site == clusters.site.max()
    assert clusters.fraction[~last].tolist() == [1.0, 1.0]
    assert clusters.fraction[last].sum() == pytest.approx(1.0)
    assert len(cluster({cell: 50.0, beside + g.HF_PHI: 1.3}).site) == 1  # at a corner


def test_depths_of_a_tower_add_up_to_pass_the_threshold():
    first_cell = g.FIRST_TOWER + 28 * g.HCAL_PHI * g.NUM_DEPTHS
    assert len(cluster({first_cell: 0.5}).seed_site) == 0
    assert len(cluster({first_cell: 0.5, first_cell + 1: 0.5}).seed_site) == 1


def test_without_seeds_there_are_no_clusters():
    for energies in ({}, {barrel(0, 0): 0.2}, {barrel(0, 0): 0.05}):
        clusters = cluster(energies)
        assert len(clusters.seed_site) == 0
        assert clusters.offsets.tolist() == [0]
