"""Block metrics against counting of all pairs, and against arithmetic by hand."""

import itertools

import networkx as nx
import numpy as np
import pytest

from mlpf.events import Events
from mlpf.metrics.blocks import TRUTH_COLUMNS, adjusted_rand_index, compare_blocks, compare_candidates, compare_links, listed_pairs, summarise, true_blocks
from mlpf.random_ntuple import random_events


def rand_by_pairs(a, b):
    """The adjusted Rand index from the four kinds of pairs of elements."""
    kinds = [(x == y, u == v) for (x, u), (y, v) in itertools.combinations(zip(a, b, strict=True), 2)]
    both, only_a, only_b, neither = (kinds.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False)))
    below = (both + only_a) * (only_a + neither) + (both + only_b) * (only_b + neither)
    return 2 * (both * neither - only_a * only_b) / below if below else 1.0


def test_adjusted_rand_index_is_that_of_counted_pairs():
    rng = np.random.default_rng(1)
    sizes = [0, 1, 2, 5, 30, 60, 0, 40]
    offsets = np.cumsum([0, *sizes])
    a, b = (rng.integers(0, 8, offsets[-1]) + 100 * np.repeat(np.arange(len(sizes)), sizes) for _ in range(2))
    b = np.where(rng.random(len(b)) < 0.5, a, b)
    found = adjusted_rand_index(offsets, a, b)
    for event, (first, last) in enumerate(itertools.pairwise(offsets)):
        expected = rand_by_pairs(a[first:last], b[first:last]) if last > first else np.nan
        assert found[event] == pytest.approx(expected, nan_ok=True, abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [([0, 0, 1, 1], [5, 5, 7, 7], 1.0), ([0, 0, 1, 2], [0, 0, 1, 1], 4 / 7), ([0, 0, 0], [0, 1, 2], 0.0), ([0, 1], [0, 1], 1.0), ([0, 0], [0, 0], 1.0)],
)
def test_adjusted_rand_index_of_small_partitions(a, b, expected):
    # 4 / 7: 1 shared pair, 1 and 2 pairs of 6: (1 - 2 / 6) / (3 / 2 - 2 / 6)
    assert adjusted_rand_index(np.array([0, len(a)]), np.array(a), np.array(b)) == pytest.approx(expected)


def test_random_partitions_have_an_index_around_0():
    rng = np.random.default_rng(2)
    offsets = 50 * np.arange(401)
    a, b = (rng.integers(0, 5, offsets[-1]) + 5 * np.repeat(np.arange(400), 50) for _ in range(2))
    index = adjusted_rand_index(offsets, a, b)
    assert abs(index.mean()) < 4 * index.std() / 20


def test_true_blocks_are_the_components_of_elements_and_candidates():
    events = random_events(np.random.default_rng(3), 20, 40)
    found = true_blocks(events)
    for event in range(len(events)):
        one = events.slice(event, event + 1)
        graph = nx.Graph()
        graph.add_nodes_from(range(one.size("element")))
        graph.add_edges_from((e, f"candidate {c}") for e, c in zip(one["element_to_candidate.first"], one["element_to_candidate.second"], strict=True))
        first, last = events.offsets["element"][event : event + 2]
        expected = np.arange(last - first)
        for members in nx.connected_components(graph):
            elements = [node for node in members if not isinstance(node, str)]
            expected[elements] = min(elements, default=0)
        np.testing.assert_array_equal(found[first:last] - first, expected)


def test_blocks_by_particles_join_elements_of_which_a_particle_made_a_large_share():
    """Particle 0 has a track, all of cluster 1 and .4 of cluster 2, of which particle 1 gave .4 and particle 2 .2; cluster 3 is of particle 2; 4 of nobody."""
    links = [(0, 1, 5.0), (0, 2, 4.0), (1, 2, 4.0), (2, 2, 2.0), (2, 3, 1.0)]
    columns = {name: np.zeros(0) for name in TRUTH_COLUMNS["particles"]}
    columns |= {"element_type": [1, 4, 5, 4, 2], "element_energy": [9.0, 5.0, 10.0, 1.0, 1.0], "trackingparticle_to_element_cmp": [0.8]}
    columns |= {f"element_{name}": np.zeros(5) for name in ("pt", "eta", "phi")}
    columns |= {f"caloparticle_{name}": np.zeros(3) for name in ("pt", "eta", "phi", "energy", "pid", "charge")}
    columns |= {"caloparticle_idx_trackingparticle": [0, -1, -1], "trackingparticle_pt": [9.0]}
    columns |= {"trackingparticle_to_element.first": [0], "trackingparticle_to_element.second": [0]}
    columns |= {f"caloparticle_to_element{part}": [link[k] for link in links] for k, part in enumerate((".first", ".second", "_cmp"))}
    sizes = {"element": 5, "caloparticle": 3, "trackingparticle": 1, "simcluster": 0}
    sizes |= {"trackingparticle_to_element": 1, "caloparticle_to_element": 5, "simcluster_to_element": 0}
    events = Events({name: np.asarray(values) for name, values in columns.items()}, {name: np.array([0, size]) for name, size in sizes.items()}, 1)
    assert true_blocks(events, "particles").tolist() == [0, 0, 0, 3, 4]
    columns["caloparticle_to_element_cmp"] = [5.0, 2.0, 4.0, 4.0, 1.0]  # particles 1 and 2 share cluster 2: its .2 of particle 0 no longer joins the track
    events = Events({name: np.asarray(values) for name, values in columns.items()}, events.offsets, 1)
    assert true_blocks(events, "particles").tolist() == [0, 0, 2, 2, 4]


def test_blocks_by_particles_never_join_events():
    events = random_events(np.random.default_rng(4), 30, 40)
    event = np.repeat(np.arange(30), np.diff(events.offsets["element"]))
    found = true_blocks(events, "particles")
    np.testing.assert_array_equal(event[found], event)
    assert 30 < len(np.unique(found)) < len(found)


def two_events():
    """Three elements, then four; links 0-1, 1-2 (not linked: negative), 0-1 again the other way round, 2-2; 0-1, 2-3."""
    columns = {
        "element_type": np.ones(7),
        "element_distance_i": [0, 1, 1, 2, 0, 3],
        "element_distance_j": [1, 2, 0, 2, 1, 2],
        "element_distance_d": [0.1, -1.0, 0.1, 0.0, 0.0, 0.2],
        "pfcandidate_eta": [0.0, 1.0, 0.0, 0.0],
        "pfcandidate_phi": [3.13, 1.0, 0.0, 0.04],
    }
    offsets = {"element": [0, 3, 7], "element_distance": [0, 4, 6], "pfcandidate": [0, 2, 4]}
    return Events({name: np.asarray(values) for name, values in columns.items()}, {name: np.asarray(values) for name, values in offsets.items()}, 2)


def test_listed_pairs_are_flat_and_counted_once_without_negative_distances():
    first, second = listed_pairs(two_events())
    assert (first.tolist(), second.tolist()) == ([0, 3, 5], [1, 4, 6])


def test_blocks_are_counted_and_edges_judged_over_the_listed_pairs():
    events = two_events()
    true, predicted = np.array([0, 0, 0, 3, 3, 5, 6]), np.array([0, 0, 2, 3, 3, 3, 3])
    table = compare_blocks(events.offsets["element"], true, predicted, listed_pairs(events))
    assert table["num_true"].tolist() == [1, 3]
    assert table["num_predicted"].tolist() == [2, 1]
    assert table["mean_size_predicted"].tolist() == [1.5, 4]
    assert table["largest_true"].tolist() == [3, 2]
    assert table["edge_precision"].tolist() == [1, 0.5]  # of 3-4 and 5-6, both in one predicted block, 5-6 share no true one
    assert table["edge_recall"].tolist() == [1, 1]


def test_events_without_elements_or_pairs_have_no_numbers_and_do_not_enter_the_means():
    nothing = np.zeros(0, dtype=np.int64)
    table = compare_blocks(np.array([0, 0, 1]), np.array([0]), np.array([0]), (nothing, nothing))
    assert np.isnan(table["mean_size_true"][0])
    assert np.isnan(table["largest_predicted"][0])
    assert np.isnan(table["edge_precision"]).all()
    assert summarise(table)["mean_size_true"].n == 1
    means = summarise({"x": np.array([1.0, np.nan, 3.0])})["x"]
    assert (means.value, means.high) == (2.0, pytest.approx(3.0))  # standard deviation sqrt(2) of two values


def test_candidates_match_one_to_one_across_the_seam_of_phi():
    events = two_events()
    table = compare_candidates(events, np.array([0.0, 0.0, 0.0]), np.array([-3.13, -3.13, 0.02]), np.array([0, 2, 3]))
    assert table["candidates_true"].tolist() == [2, 2]
    assert table["candidates_predicted"].tolist() == [2, 1]
    assert table["candidates_matched"].tolist() == [1, 1]  # two candidates cannot share a partner


def test_links_are_compared_with_those_of_the_ntuple():
    table = compare_links(two_events(), np.array([0, 0, 3]), np.array([1, 2, 4]))
    assert table["link_precision"].tolist() == [0.5, 1.0]
    assert table["link_recall"].tolist() == [1.0, 0.5]
