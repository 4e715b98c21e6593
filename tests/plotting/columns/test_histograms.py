import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.plotting.columns.binning import Binning, choose_binning
from mlpf.plotting.columns.figures import ratio, shares
from mlpf.plotting.columns.histograms import Histogram, PairHistogram

EDGES = np.array([-1.0, 0.0, 0.5, 2.0, 7.0])
values_near_edges = st.lists(
    st.one_of(st.sampled_from([-1.0, 0.0, 0.5, 2.0, 7.0, -2.0, 9.0, np.nan, np.inf, -np.inf]), st.floats(-3, 10, width=32)), max_size=60
)


def filled(*pieces):
    histogram = Histogram.empty(Binning(EDGES))
    for piece in pieces:
        histogram.fill(np.array(piece, dtype=np.float32))
    return histogram


@given(values_near_edges)
def test_counts_are_those_of_numpy(values):
    histogram, finite = filled(values), np.array([value for value in values if np.isfinite(value)], dtype=np.float32)
    np.testing.assert_array_equal(histogram.counts[1:-1], np.histogram(finite, EDGES)[0])
    assert histogram.counts[0] == (finite < -1).sum()
    assert histogram.counts[-1] == (finite > 7).sum()
    assert (histogram.number, histogram.not_finite, histogram.zeros) == (len(finite), len(values) - len(finite), (finite == 0).sum())
    if len(finite):
        assert histogram.mean == pytest.approx(np.mean(finite, dtype=np.float64), abs=1e-9)
        assert histogram.std == pytest.approx(np.std(finite, dtype=np.float64), abs=1e-6)


@given(values_near_edges, values_near_edges, values_near_edges)
def test_pieces_one_after_the_other_or_added_up_are_the_whole(a, b, c):
    whole, pieces, added = filled(a + b + c), filled(a, b, c), filled(a)
    added.add(filled(b, c))
    for other in (pieces, added):
        np.testing.assert_array_equal(other.counts, whole.counts)
        assert (other.number, other.not_finite, other.zeros) == (whole.number, whole.not_finite, whole.zeros)
        assert other.mean == pytest.approx(whole.mean, abs=1e-9)
        assert other.squares == pytest.approx(whole.squares, abs=1e-6)


def test_the_spread_of_large_numbers_is_not_lost():
    histogram = Histogram.empty(Binning(EDGES))
    for offset in (0, 1, 2):
        histogram.fill(np.array([1e9 + offset, 1e9 + offset]))
    assert histogram.std == pytest.approx(np.sqrt(2 / 3))


def test_kinds_are_counted_by_value():
    histogram = Histogram.empty(choose_binning("element_type", np.array([1.0])))
    histogram.fill(np.array([1, 1, 4, 0, 77], dtype=np.int32))
    assert histogram.counts[1 + 1] == 2
    assert histogram.counts[1 + 4] == 1
    assert histogram.counts[-1] == 1
    assert "mean" not in histogram.to_json(weighted=False)


@given(st.lists(st.tuples(*[st.one_of(st.sampled_from([-1.0, 0.5, 7.0, np.nan]), st.floats(-3, 10))] * 2), max_size=40))
def test_pairs_are_counted_as_numpy_does(pairs):
    x, y = np.array([p[0] for p in pairs], dtype=np.float64), np.array([p[1] for p in pairs], dtype=np.float64)
    histogram = PairHistogram.empty(Binning(EDGES), Binning(EDGES[1:]))
    histogram.fill(x[: len(x) // 2], y[: len(x) // 2])
    other = PairHistogram.empty(Binning(EDGES), Binning(EDGES[1:]))
    other.fill(x[len(x) // 2 :], y[len(x) // 2 :])
    histogram.add(other)
    good = np.isfinite(x) & np.isfinite(y)
    np.testing.assert_array_equal(histogram.inside, np.histogram2d(x[good], y[good], (EDGES, EDGES[1:]))[0])
    assert histogram.number == good.sum()
    assert histogram.not_finite == (~good).sum()


@given(
    st.lists(st.tuples(st.one_of(st.sampled_from([-1.0, 0.0, 7.0, np.nan]), st.floats(-3, 10, width=32)), st.sampled_from([0.0, 0.5, 1.0, 3.0])), max_size=40)
)
def test_weighted_counts_and_moments_are_those_of_numpy(entries):
    values, weights = np.array([value for value, _ in entries], dtype=np.float32), np.array([weight for _, weight in entries], dtype=np.float64)
    first, second = Histogram.empty(Binning(EDGES)), Histogram.empty(Binning(EDGES))
    first.fill(values[::2], weights[::2])
    second.fill(values[1::2], weights[1::2])
    first.add(second)
    finite = np.isfinite(values)
    x, w = values[finite].astype(np.float64), weights[finite]
    np.testing.assert_allclose(first.counts[1:-1], np.histogram(x, EDGES, weights=w)[0])
    np.testing.assert_allclose(first.variances[1:-1], np.histogram(x, EDGES, weights=w**2)[0])
    assert (first.counts[0], first.counts[-1]) == (w[x < -1].sum(), w[x > 7].sum())
    assert (first.total, first.zeros) == (w.sum(), w[x == 0].sum())
    assert first.not_finite == (~finite).sum()
    if w.sum():
        mean = np.average(x, weights=w)
        assert first.mean == pytest.approx(mean, abs=1e-9)
        assert first.std == pytest.approx(np.sqrt(np.average((x - mean) ** 2, weights=w)), abs=1e-9)


def test_weighted_pairs_are_those_of_numpy():
    rng = np.random.default_rng(3)
    x, y, weights = rng.uniform(-2, 8, 200), rng.uniform(-2, 8, 200), rng.exponential(1.0, 200)
    histogram = PairHistogram.empty(Binning(EDGES), Binning(EDGES[1:]))
    histogram.fill(x, y, weights)
    inside = np.histogram2d(x, y, (EDGES, EDGES[1:]), weights=weights)[0]
    np.testing.assert_allclose(histogram.inside, inside)
    assert histogram.share_outside == pytest.approx(1 - inside.sum() / weights.sum())


def test_small_weights_are_normalised_as_large_ones():
    heights = []
    for scale in (1e-6, 1.0, 1e6):
        histogram = Histogram.empty(Binning(EDGES))
        histogram.fill(np.array([-0.5, 0.2, 0.3, 9.0]), scale * np.array([1.0, 2.0, 3.0, 4.0]))
        heights.append((*shares(histogram, 2 * scale, "entries"), *shares(histogram, 2 * scale, "events")))
    np.testing.assert_allclose(heights[0], heights[1])
    np.testing.assert_allclose(heights[2], heights[1])
    np.testing.assert_allclose(heights[1][0], [0, 0.1, 0.5, 0, 0, 0.4])
    np.testing.assert_allclose(heights[1][1], [0, 0.1, np.sqrt(13) / 10, 0, 0, 0.4])
    np.testing.assert_allclose(heights[1][2], [0, 0.5, 2.5, 0, 0, 2.0])


def test_heights_and_errors_by_hand():
    histogram = filled([-0.5] * 4 + [1.0] * 9 + [100.0] * 3 + [np.nan] * 5)
    height, error = shares(histogram, 8, "entries")
    np.testing.assert_allclose(height, [0, 4 / 16, 0, 9 / 16, 0, 3 / 16])
    np.testing.assert_allclose(error, [0, 2 / 16, 0, 3 / 16, 0, np.sqrt(3) / 16])
    np.testing.assert_allclose(shares(histogram, 8, "events")[0], [0, 4 / 8, 0, 9 / 8, 0, 3 / 8])
    np.testing.assert_allclose(shares(histogram, 8, "no")[0], [0, 4, 0, 9, 0, 3])


def test_errors_of_a_ratio_by_hand():
    value, error = ratio(np.array([8.0, 0.0, 5.0]), np.array([2.0, 0.0, 1.0]), np.array([4.0, 3.0, 0.0]), np.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(value, [2, np.nan, np.nan])
    np.testing.assert_allclose(error, [2 * np.sqrt(0.25**2 + 0.25**2), np.nan, np.nan])


def test_the_error_of_a_ratio_of_counts_covers_as_often_as_it_should():
    rng = np.random.default_rng(0)
    a, b = rng.poisson(400.0, 2000).astype(float), rng.poisson(200.0, 2000).astype(float)
    value, error = ratio(a, np.sqrt(a), b, np.sqrt(b))
    assert np.mean(np.abs(value - 2) < error) == pytest.approx(0.683, abs=0.03)
