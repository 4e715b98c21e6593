import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.calorimeter.cells import geometry
from mlpf.simulation.calorimeter.clusters import find_topological_clusters
from mlpf.simulation.calorimeter.sharing import MAX_ITERATIONS, MIN_FRACTION, POSITION_TOLERANCE, distance_across, share_by_gaussians

DETECTOR = geometry()
FIRST_SITE = {"barrel": 0, "endcap": g.NUM_EB, "towers": g.FIRST_TOWER, "forward": g.FIRST_HFEM, "strips": g.FIRST_PS1}


def squared_distances(positions, centers):
    """``(M, K)`` without the part along the line of sight to the M positions, infinite behind the origin."""
    difference = centers[None] - positions[:, None]
    direction = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    along = np.einsum("mka,ma->mk", difference, direction)
    squared = np.sum(difference**2, axis=2) - along**2
    return np.where(positions @ centers.T > 0, squared, np.inf)


def dense_shares(energy, position, threshold, seeds, width):
    """``(M, K)`` fractions: every site looks at every seed."""
    centers, amplitude = position[seeds].copy(), energy[seeds].copy()
    for _ in range(MAX_ITERATIONS):
        score = np.log(amplitude) - 0.5 * squared_distances(position, centers) / width**2
        fraction = np.exp(score - score.max(axis=1, keepdims=True))
        fraction[fraction <= MIN_FRACTION] = 0.0
        fraction /= fraction.sum(axis=1, keepdims=True)
        fraction[seeds] = np.eye(len(seeds))
        shared = fraction * energy[:, None]
        amplitude = shared.sum(axis=0)
        weight = np.where(shared > threshold[:, None], np.log(np.maximum(shared / threshold[:, None], 1e-300)), 0.0)
        total = weight.sum(axis=0)
        moved_to = np.where(total[:, None] > 0, weight.T @ position / np.maximum(total, 1e-300)[:, None], position[seeds])
        moved, centers = np.max(np.abs(moved_to - centers)), moved_to
        if moved < POSITION_TOLERANCE:
            return fraction
    return fraction


def busy_sites(name, seed, occupancy):
    """Sites of one detector with energy: a steep spectrum over several orders of magnitude, many of them connected."""
    rng = np.random.default_rng(seed)
    first = FIRST_SITE[name]
    last = first + {"barrel": g.NUM_EB // 4, "endcap": g.NUM_EE, "towers": g.NUM_TOWERS, "forward": g.NUM_HF, "strips": g.NUM_PS}[name]
    site = first + np.flatnonzero(rng.random(last - first) < occupancy)
    site = site[np.isin(site, DETECTOR.cell_site[DETECTOR.cell_exists])]
    return site, DETECTOR.threshold[site] * (1.0 + rng.pareto(1.0, len(site)))


@pytest.mark.parametrize(("name", "occupancy"), [("barrel", 0.2), ("endcap", 0.3), ("towers", 0.5), ("forward", 0.8), ("strips", 0.3)])
def test_lists_of_candidates_share_as_the_dense_matrix_does(name, occupancy):
    site, energy = busy_sites(name, 1, occupancy)
    is_seed, offsets, member = find_topological_clusters(site, energy, DETECTOR.neighbors, DETECTOR.num_competitors, DETECTOR.seed_threshold)
    own = site[member]
    columns = is_seed[member], energy[member], DETECTOR.position[own], DETECTOR.threshold[own], DETECTOR.shower_width[own]
    seeds, cluster, shared_site, fraction = share_by_gaussians(offsets, *columns)
    assert np.array_equal(seeds, np.flatnonzero(is_seed[member]))
    assert np.max(np.diff(offsets)) > 20  # something to share
    is_seed, energy, position, threshold, width = columns
    for t in np.argsort(-np.diff(offsets))[:30]:
        part = slice(offsets[t], offsets[t + 1])
        local_seeds = np.flatnonzero(is_seed[part])
        expected = dense_shares(energy[part], position[part], threshold[part], local_seeds, width[offsets[t]])
        inside = (shared_site >= offsets[t]) & (shared_site < offsets[t + 1])
        found = np.zeros_like(expected)
        found[shared_site[inside] - offsets[t], cluster[inside] - np.searchsorted(seeds, offsets[t])] = fraction[inside]
        assert found == pytest.approx(expected, abs=1e-6)


@given(st.floats(-1.4, 1.4), st.floats(-3.1, 3.1), st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_distance_across_is_that_of_a_point_from_the_line_of_sight(eta, phi, d_eta, d_phi):
    a, b = (129.0 * np.array([np.cos(p), np.sin(p), np.sinh(e)]) for e, p in ((eta, phi), (eta + d_eta, phi + d_phi)))
    line_distance = np.linalg.norm(np.cross(a, b)) / np.linalg.norm(a)
    assert distance_across(*a, *b) == pytest.approx(line_distance**2, abs=1e-6)


def test_what_lies_behind_the_origin_is_infinitely_far():
    assert distance_across(100.0, 0.0, 0.0, -100.0, 0.0, 0.0) == np.inf
