import time

import numpy as np
import plane
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from mlpf.errors import MlpfError
from mlpf.graph.knn import knn_graph


def as_list(edges):
    return list(zip(edges.source.tolist(), edges.target.tolist(), edges.distance.tolist(), strict=True))


@settings(deadline=None, max_examples=400)
@given(plane.EVENTS, st.sampled_from([0, 1, 2, 3, 8, 50]))
def test_edges_are_those_of_a_sorted_list_of_all(events, k):
    points = plane.flat(events)
    edges = knn_graph(*points, k)
    assert as_list(edges) == plane.nearest(*points, k)
    assert np.array_equal(np.diff(edges.offsets), np.repeat(np.minimum(k, np.diff(points[2]) - 1), np.diff(points[2])))


@pytest.mark.parametrize("k", [1, 4, 16, 32])
@pytest.mark.parametrize("pool", [None, 50])
def test_edges_are_right_for_many_points_and_for_many_at_the_same_places(k, pool):
    points = plane.points(np.random.default_rng(k), 300, 0, 1, 5, 700, pool=pool)
    assert as_list(knn_graph(*points, k)) == plane.nearest(*points, k)


@pytest.mark.parametrize("k", [1, 8, 32])
def test_distances_are_those_of_a_periodic_tree(k):
    eta, phi, offsets = plane.points(np.random.default_rng(2), 3000)
    eta[:1500], phi[:1500] = 1 + 1e-3 * eta[:1500], np.pi + 1e-3 * phi[:1500]  # half of them in a spot on the seam
    tree = cKDTree(np.stack([eta + 100, np.mod(phi + np.pi, 2 * np.pi)], axis=1), boxsize=(1000, 2 * np.pi))
    expected, _ = tree.query(np.stack([eta + 100, np.mod(phi + np.pi, 2 * np.pi)], axis=1), k + 1)
    np.testing.assert_allclose(knn_graph(eta, phi, offsets, k).distance.reshape(3000, k), expected[:, 1:], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("change", [lambda eta: 0 * eta, lambda eta: 50 + eta, lambda eta: np.where(np.arange(len(eta)) == 7, -1e30, eta)])
def test_edges_are_right_whatever_the_range_of_eta(change):
    eta, phi, offsets = plane.points(np.random.default_rng(3), 400)
    points = change(eta), phi, offsets
    assert as_list(knn_graph(*points, 8)) == plane.nearest(*points, 8)


def test_equally_near_points_are_taken_by_index():
    edges = knn_graph(np.zeros(4), np.array([0.5, 0.0, -0.5, 0.5]), np.array([0, 4]), 2)
    assert as_list(edges)[2:4] == [(1, 0, 0.5), (1, 2, 0.5)]
    same_place = knn_graph(np.ones(6), np.ones(6), np.array([0, 6]), 2)
    assert same_place.target.reshape(6, 2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


def test_rotation_keeps_the_neighbours_and_permutation_permutes_them():
    rng = np.random.default_rng(4)
    eta, phi, offsets = plane.points(rng, 500)
    before = knn_graph(eta, phi, offsets, 8)
    assert np.array_equal(knn_graph(eta, phi + 2.5, offsets, 8).target, before.target)
    order = rng.permutation(500)
    after = knn_graph(eta[order], phi[order], offsets, 8)
    assert np.array_equal(order[after.target].reshape(500, 8), before.target.reshape(500, 8)[order])


def cpu_seconds(eta, phi):
    knn_graph(eta, phi, np.array([0, len(eta)]), 16)
    times = []
    for _ in range(3):
        start = time.process_time()
        knn_graph(eta, phi, np.array([0, len(eta)]), 16)
        times.append(time.process_time() - start)
    return min(times)


def test_crowds_cost_no_more_than_a_few_times_the_same_number_spread_out():
    rng = np.random.default_rng(5)
    eta, phi, _ = plane.points(rng, 20_000)
    spread = cpu_seconds(eta, phi)
    assert cpu_seconds(np.zeros(20_000), np.zeros(20_000)) < 3 * spread  # all at one place; 50 times slower if every pair were looked at
    assert cpu_seconds(eta[rng.integers(0, 300, 20_000)], np.zeros(20_000)) < 3 * spread
    assert cpu_seconds(np.where(np.arange(20_000) < 10_000, 1e-3 * eta, eta), 1e-3 * phi) < 10 * spread  # in a spot, all at places of their own


def test_a_point_that_is_nowhere_and_a_negative_number_are_refused():
    with pytest.raises(MlpfError, match=r"phi: 1 non-finite values \(first at point 1\)"):
        knn_graph(np.zeros(2), np.array([0.0, np.nan]), np.array([0, 2]), 1)
    with pytest.raises(MlpfError, match=r"k = -1: the number of neighbours must not be negative"):
        knn_graph(np.zeros(2), np.zeros(2), np.array([0, 2]), -1)
