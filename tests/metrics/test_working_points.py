import numpy as np
import pytest

from mlpf.metrics.roc import Separation, Weights
from mlpf.metrics.uncertainty import fraction
from mlpf.metrics.working_points import EFFICIENCIES, Cuts, highest_cut, loosest_cuts, one_score, two_scores

EDGES = np.linspace(0.0, 1.0, 101)
NAMES = ("first", "second")


def plane(background, signal, edges=EDGES):
    """``(2, K, K)`` counts of entries ``(n, 2)``."""
    return np.array([np.histogram2d(*values.T, bins=(edges, edges))[0] for values in (background, signal)])


def totals(counts):
    return tuple(Weights(values.sum(), values.sum()) for values in counts)


def toys(rng, correlation=0.6):
    """Two scores of 4000 backgrounds and 3000 signals."""
    samples = []
    for n, mean in ((4000, -1.0), (3000, 1.0)):
        x = rng.multivariate_normal([mean, 0.7 * mean], [[1, correlation], [correlation, 1]], n)
        samples.append(1.0 / (1.0 + np.exp(-x)))
    return samples


def test_the_threshold_of_one_score_is_the_highest_edge_that_keeps_the_wanted_share():
    rng = np.random.default_rng(1)
    background, signal = (values[:, 0] for values in toys(rng))
    sums = np.array([np.histogram(values, EDGES)[0] for values in (background, signal)], dtype=np.float64)
    points = one_score(Separation.of(sums, sums), EDGES, "threshold")
    assert list(points) == ["0.80", "0.90", "0.95", "0.99"]
    for wanted, point in zip(EFFICIENCIES, points.values(), strict=True):
        passing = [np.mean(signal >= edge) for edge in EDGES]
        best = max(k for k in range(100) if passing[k] >= wanted)
        assert point["threshold"] == EDGES[best]
        for name, values in (("efficiency", signal), ("misidentification", background)):
            assert point[name] == pytest.approx(fraction(np.sum(values >= EDGES[best]), len(values)).to_json())


def by_sorted_scores(signal, wanted, loosest, edges=EDGES):
    """The thresholds by the recipe, on the scores themselves: quantiles among the signal that passes the other's, until nothing moves; edges below them."""

    def threshold(values, share):
        return max(edge for edge in edges[:-1] if np.mean(values >= edge) >= share)

    cuts = [0.0, 0.0]
    while True:
        first = threshold(signal[signal[:, 1] >= cuts[1], 0], loosest)
        moved = [first, threshold(signal[signal[:, 0] >= first, 1], loosest)]
        if moved == cuts:
            return threshold(signal[signal[:, 1] >= cuts[1], 0], wanted), threshold(signal[signal[:, 0] >= cuts[0], 1], wanted)
        cuts = moved


@pytest.mark.parametrize("correlation", [-0.9, -0.3, 0.0, 0.6, 0.95])
def test_the_thresholds_of_two_scores_are_quantiles_among_those_that_pass_the_loosest_of_the_other(correlation):
    background, signal = toys(np.random.default_rng(2), correlation)
    counts = plane(background, signal)
    points = two_scores(counts, totals(counts), EDGES, NAMES)
    for wanted, point in zip(EFFICIENCIES, points.values(), strict=True):
        thresholds = np.array([point[name] for name in NAMES])
        assert thresholds == pytest.approx(by_sorted_scores(signal, wanted, 0.99), abs=1e-12)
        for name, values in (("efficiency", signal), ("misidentification", background)):
            assert point[name] == pytest.approx(fraction((values >= thresholds).all(axis=1).sum(), len(values)).to_json())


def test_the_loosest_cuts_each_keep_the_wanted_share_of_what_passes_the_other():
    _, signal = toys(np.random.default_rng(3), 0.9)
    counts = plane(signal, signal)[1]
    for wanted in (0.5, 0.9, 0.99):
        first, second = loosest_cuts(counts, wanted)
        passing = counts[first:, second:].sum()
        assert passing >= wanted * counts[:, second:].sum()
        assert passing >= wanted * counts[first:].sum()
        assert counts[first + 1 :, second:].sum() < wanted * counts[:, second:].sum()
        assert counts[first:, second + 1 :].sum() < wanted * counts[first:].sum()


def test_independent_scores_reach_the_product_of_the_efficiencies():
    rng = np.random.default_rng(4)
    edges = np.linspace(0.0, 1.0, 201)
    counts = plane(rng.random((1000, 2)), rng.random((400_000, 2)), edges)
    for wanted, point in two_scores(counts, totals(counts), edges, NAMES).items():
        assert [point[name] for name in NAMES] == pytest.approx(2 * [1.0 - float(wanted)], abs=0.0051)
        assert point["efficiency"]["value"] == pytest.approx(float(wanted) ** 2, abs=0.015)


def test_it_ends_where_the_cuts_go_in_circles():
    signal = np.array([[4, 0, 5, 0], [0, 0, 1, 0], [4, 0, 1, 0], [0, 4, 5, 0]])  # (2, 1) asks for (3, 2), and that for (2, 1)
    assert loosest_cuts(signal, 0.5) == Cuts(2, 1)


def test_two_thresholds_of_a_score_that_all_signal_has_take_nothing_away():
    counts = np.zeros((2, 4, 4))
    counts[1, 3, 3], counts[0, 0, 0] = 20, 50
    edges = np.array([0.0, 0.2, 0.4, 0.6, 1.0])
    for point in two_scores(counts, totals(counts), edges, NAMES).values():
        assert (point["first"], point["second"]) == (0.6, 0.6)
        assert (point["efficiency"]["value"], point["misidentification"]["value"]) == (1.0, 0.0)


def test_without_signal_there_are_no_working_points_and_without_background_no_misidentification():
    counts = np.zeros((2, 4, 4))
    counts[0, 1, 1] = 3
    edges = np.array([0.0, 0.2, 0.4, 0.6, 1.0])
    assert two_scores(counts, totals(counts), edges, NAMES) == {}
    assert one_score(Separation.of(counts.sum(axis=2), counts.sum(axis=2)), edges, "threshold") == {}
    point = two_scores(counts[::-1], totals(counts[::-1]), edges, NAMES)["0.90"]
    assert point["misidentification"] == {"value": None, "low": None, "high": None, "n": 0}
    assert highest_cut(np.zeros(5), 0.9) == 0
    assert loosest_cuts(np.zeros((5, 5)), 0.9) == Cuts(0, 0)
