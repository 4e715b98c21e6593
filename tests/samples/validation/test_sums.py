import numpy as np
import pytest

from mlpf.samples.validation.config import COARSE, Binning
from mlpf.samples.validation.sums import CountSums, HistogramSums, bin_numbers, coarse, effective

PT = Binning(low=0.1, high=100.0, num_bins=20, logarithmic=True)
ETA = Binning(low=-5.0, high=5.0, num_bins=10)


@pytest.mark.parametrize("binning", [PT, ETA])
def test_bins_are_those_between_the_edges(binning):
    values = np.random.default_rng(0).normal(0.0, 10.0, 1000).astype(np.float32)
    bins, not_finite = bin_numbers(values, binning)
    np.testing.assert_array_equal(bins, np.digitize(values, binning.edges))
    assert not_finite == 0


def test_values_that_are_no_numbers_are_counted_and_lie_outside():
    bins, not_finite = bin_numbers(np.array([np.nan, np.inf, -np.inf, 0.0, 1.0]), PT)
    assert bins.tolist() == [0, 21, 0, 0, 7]
    assert not_finite == 3
    assert bin_numbers(np.array([np.nan, np.inf, -np.inf, 0.0]), ETA)[0].tolist() == [0, 11, 0, 6]


def random_entries(num_events, seed=0):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 8, num_events))])
    return (
        offsets,
        rng.integers(-1, 3, offsets[-1]),
        rng.integers(0, PT.num_bins + 2, offsets[-1]),
        rng.lognormal(0, 1, num_events),
        rng.integers(0, 4, num_events),
    )


def histograms_one_by_one(offsets, stratum, bins, weight, part):
    """The definitions, event by event."""
    sums = HistogramSums.empty(4, 3, PT)
    for event in range(len(part)):
        for s in range(3):
            own = np.zeros(PT.num_bins + 2)
            for i in range(offsets[event], offsets[event + 1]):
                if stratum[i] == s:
                    own[bins[i]] += weight[event]
            if not own.any():
                continue
            sums.histogram[part[event], s] += own
            sums.events[part[event], s] += 1
            sums.squares[s] += np.cumsum(own) ** 2
            sums.products[s] += np.cumsum(own) * own.sum()
            rough = np.array([own[0], *(own[i : i + COARSE].sum() for i in range(1, PT.num_bins, COARSE)), own[-1]])
            sums.coarse_squares[s] += rough**2
            sums.coarse_products[s] += rough * own.sum()
            sums.total_squares[s] += own.sum() ** 2
            sums.weights[:, s] += weight[event], weight[event] ** 2
    return sums


def assert_same(found, expected):
    for name, values in vars(expected).items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-12, atol=1e-12, err_msg=name)


def test_sums_of_histograms_are_those_of_a_loop_over_events():
    offsets, stratum, bins, weight, part = random_entries(60)
    sums = HistogramSums.empty(4, 3, PT)
    sums.add(part, offsets, stratum, bins, weight)
    expected = histograms_one_by_one(offsets, stratum, bins, weight, part)
    assert_same(sums, expected)
    assert_same(
        sums.of_stratum(1),
        HistogramSums(
            expected.histogram[:, 1:2], expected.events[:, 1:2], *(list(vars(expected).values())[i][1:2] for i in range(2, 7)), expected.weights[:, 1:2]
        ),
    )
    np.testing.assert_allclose(coarse(sums.histogram).sum(axis=-1), sums.histogram.sum(axis=-1))


def test_sums_of_pieces_are_the_sums_of_the_whole():
    offsets, stratum, bins, weight, part = random_entries(60)
    part = np.sort(part)
    whole, merged = HistogramSums.empty(4, 3, PT), HistogramSums.empty(4, 3, PT)
    whole.add(part, offsets, stratum, bins, weight)
    for first in range(0, 60, 7):
        last = min(first + 7, 60)
        piece = HistogramSums.empty(part[last - 1] - part[first] + 1, 3, PT)
        entries = slice(offsets[first], offsets[last])
        piece.add(part[first:last] - part[first], offsets[first : last + 1] - offsets[first], stratum[entries], bins[entries], weight[first:last])
        merged.merge(piece, part[first])
    assert_same(merged, whole)


def test_sums_of_counts_are_those_of_a_loop_over_events_in_one_go_and_in_pieces():
    offsets, _, bins, weight, part = random_entries(60)
    event = np.repeat(np.arange(60), np.diff(offsets))
    counts = np.array([np.bincount(bins[event == e] % 3, minlength=3) for e in range(60)])
    sums, merged = CountSums.empty(4, 3), CountSums.empty(4, 3)
    sums.add(part, event, bins % 3, weight)
    np.testing.assert_allclose(sums.counts, [(counts * weight[:, None])[part == p].sum(axis=0) for p in range(4)])
    np.testing.assert_array_equal(sums.events, np.bincount(part))
    for power, found in enumerate(sums.weights, 1):
        np.testing.assert_allclose(found, [*((weight[counts[:, k] > 0] ** power).sum() for k in range(3)), (weight**power).sum()])
    np.testing.assert_allclose(sums.products, sum(w**2 * np.outer(c, c) for c, w in zip(counts, weight, strict=True)))
    for p in range(4):
        piece, chosen = CountSums.empty(1, 3), part == p
        inside = chosen[event]
        piece.add(np.zeros(chosen.sum(), dtype=int), (np.cumsum(chosen) - 1)[event[inside]], bins[inside] % 3, weight[chosen])
        merged.merge(piece, p)
    assert_same(merged, sums)


def test_equal_weights_count_as_what_they_are_and_one_large_one_as_one():
    weights = np.array([[7.0] * 30, [1000.0] + [1e-3] * 29, [2.0, 1.0, 1.0] + [0.0] * 27, [0.0] * 30])
    np.testing.assert_allclose(effective(np.array([weights.sum(axis=1), (weights**2).sum(axis=1)])), [30, 1, 16 / 6, 0], rtol=1e-4)
