import numpy as np
import plane
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from mlpf.errors import MlpfError
from mlpf.graph.knn import knn_graph
from mlpf.graph.radius import radius_graph

RADII = st.sampled_from([0.0, 0.05, 0.25, 0.5, 2.0, 3.5, 8.0, 1e7, 1e200])


def as_list(edges):
    return list(zip(edges.source.tolist(), edges.target.tolist(), edges.distance.tolist(), strict=True))


@settings(deadline=None, max_examples=300)
@given(plane.EVENTS, RADII)
def test_edges_are_those_of_a_double_loop(events, radius):
    points = plane.flat(events)
    edges = radius_graph(*points, radius)
    expected = [pair for pair in plane.pairs_within(points, points, radius) if pair[0] != pair[1]]
    assert as_list(edges) == expected
    assert np.array_equal(np.diff(edges.offsets), np.bincount(edges.source, minlength=points[2][-1]))
    assert as_list(radius_graph(*points, radius, once=True)) == [pair for pair in expected if pair[0] < pair[1]]


@pytest.mark.parametrize("radius", [0.05, 0.1, 0.2, 0.4, 1.0, 4.0])
@pytest.mark.parametrize("pool", [None, 40])
def test_edges_are_those_of_a_periodic_tree(radius, pool):
    eta, phi, offsets = plane.points(np.random.default_rng(1), 700, pool=pool)
    tree = cKDTree(np.stack([eta + 100, phi + np.pi], axis=1), boxsize=(1000, 2 * np.pi))
    edges = radius_graph(eta, phi, offsets, radius, once=True)
    expected = tree.query_pairs(radius, output_type="ndarray")
    assert len(edges.source) == len(expected)
    assert np.array_equal(np.stack([edges.source, edges.target], axis=1), expected[np.lexsort(expected.T[::-1])])


def test_the_radius_counts_even_where_its_square_is_rounded():
    for radius in (0.1, 0.2, 0.3, 0.7):
        assert len(radius_graph(np.array([0.0, radius]), np.zeros(2), np.array([0, 2]), radius).source) == 2
        assert len(radius_graph(np.array([0.0, np.nextafter(radius, 1)]), np.zeros(2), np.array([0, 2]), radius).source) == 0


def test_neighbours_are_found_across_the_seam_of_phi():
    edges = radius_graph(np.zeros(2), np.array([3.1, -3.1]), np.array([0, 2]), 0.1)
    assert edges.source.tolist() == [0, 1]
    assert edges.distance == pytest.approx(2 * np.pi - 6.2)  # 0.083, not 6.2


def test_events_never_mix_and_may_be_empty():
    edges = radius_graph(np.zeros(5), np.zeros(5), np.array([0, 0, 2, 2, 5, 5]), 1.0)
    assert list(zip(edges.source, edges.target, strict=True)) == [(0, 1), (1, 0), (2, 3), (2, 4), (3, 2), (3, 4), (4, 2), (4, 3)]
    for offsets in ([0], [0, 0], [0, 0, 0]):
        assert radius_graph(np.zeros(0), np.zeros(0), np.array(offsets), 1.0).offsets.tolist() == [0]


def test_rotation_and_turns_of_phi_change_nothing_but_rounding():
    eta, phi, offsets = plane.points(np.random.default_rng(3), 200, 300)
    before = radius_graph(eta, phi, offsets, 0.3)
    for angle in (1.0, 2 * np.pi, -40 * np.pi + 0.1):
        after = radius_graph(eta, phi + angle, offsets, 0.3)
        assert np.array_equal(after.source, before.source)
        assert np.array_equal(after.target, before.target)
        np.testing.assert_allclose(after.distance, before.distance, rtol=1e-9)


@pytest.mark.parametrize("absurd", [3e38, -1e308, 2e14])
def test_angles_without_a_direction_left_lie_somewhere_and_disturb_no_others(absurd):
    eta, phi, offsets = plane.points(np.random.default_rng(5), 300, 300)
    kept = np.arange(600) % 7 > 0
    for k, edges in ((0.3, radius_graph), (600, knn_graph)):
        found = edges(eta, np.where(kept, phi, absurd * np.linspace(0.5, 1, 600)), offsets, k)
        expected = edges(eta, phi, offsets, k)
        pairs, right = ({(s, t) for s, t, _ in as_list(e) if kept[s] and kept[t]} for e in (found, expected))
        assert pairs == right


def test_permuting_points_permutes_edges():
    rng = np.random.default_rng(4)
    eta, phi, offsets = plane.points(rng, 400, pool=150)
    order = rng.permutation(400)
    before, after = radius_graph(eta, phi, offsets, 0.4), radius_graph(eta[order], phi[order], offsets, 0.4)
    moved = sorted(zip(order[after.source], order[after.target], after.distance, strict=True))
    assert moved == as_list(before)


@pytest.mark.parametrize(("eta", "phi", "radius", "message"), [
    ([0.0, np.nan], [0.0, 0.0], 0.1, r"eta: 1 non-finite values \(first at point 1\)"),
    ([0.0, 0.0], [np.inf, 0.0], 0.1, r"phi: 1 non-finite values \(first at point 0\)"),
    ([0.0, 0.0], [0.0, 0.0], -0.1, "radius -0.1: must be finite and not negative"),
    ([0.0, 0.0], [0.0, 0.0], np.nan, "radius nan: must be finite"),
    ([0.0, 0.0], [0.0, 0.0], np.inf, "radius inf: must be finite"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(eta, phi, radius, message):
    points = np.array(eta), np.array(phi), np.array([0, 2])
    with pytest.raises(MlpfError, match=message):
        radius_graph(*points, radius)
