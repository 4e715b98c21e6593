import itertools

import numpy as np
import pytest
from scipy.stats import norm

from mlpf.metrics.binning import FINE_RESPONSE, bin_index
from mlpf.metrics.sums import CountSums, FractionSums, MeanSums, SpreadSums
from mlpf.metrics.uncertainty import COVERAGE, fraction, mean, spread

EDGES = {"pt": np.array([0.0, 1.0, 2.0, 5.0])}


def entries(n, seed=0):
    """Values, bins, categories and pt."""
    rng = np.random.default_rng(seed)
    pt = rng.uniform(-1.0, 6.0, n)
    return rng.normal(1.0, 0.1, n), {"pt": bin_index(pt, EDGES["pt"])}, rng.integers(0, 2, n), pt


@pytest.fixture
def filled():
    """All three kinds of sums, of the same entries."""

    def fill(values, bins, category):
        sums = {"fraction": FractionSums(2, EDGES), "spread": SpreadSums(2, EDGES, FINE_RESPONSE, np.linspace(0, 2, 5)), "mean": MeanSums(2, EDGES)}
        sums["fraction"].add(values > 1.0, bins, category)
        sums["spread"].add(values, bins, category)
        sums["mean"].add(values, bins, category)
        return sums

    return fill


def close(estimate, expected, **tolerance):
    return [estimate[key] for key in ("value", "low", "high", "n")] == pytest.approx([float(number) for number in expected], **tolerance)


def test_sums_say_what_the_entries_say(filled):
    values, bins, category, pt = entries(900)
    sums = {name: s.to_json(("pt",)) for name, s in filled(values, bins, category).items()}
    for c in range(2):
        of = {name: summaries[c] for name, summaries in sums.items()}
        assert_same(of["fraction"]["all"], of["mean"]["all"], of["spread"]["all"], values[category == c])
        for i, (low, high) in enumerate(itertools.pairwise(EDGES["pt"])):
            spreads = {quantity: of_bins[i] for quantity, of_bins in of["spread"]["pt"].items()}
            assert_same(of["fraction"]["pt"][i], of["mean"]["pt"][i], spreads, values[(category == c) & (pt >= low) & (pt < high)])
        assert of["spread"]["histogram"] == np.histogram(values[category == c], np.linspace(0, 2, 5))[0].tolist()


def assert_same(passed, average, widths, values):
    """As from the values themselves."""
    assert close(passed, fraction(np.count_nonzero(values > 1.0), len(values)))
    assert close(average, mean(values), abs=1e-6)
    exact = spread(values)
    assert close(widths["median"], exact["median"], abs=2e-4)
    assert close(widths["iqr"], exact["iqr"], abs=1e-3)


def test_entries_outside_all_bins_count_overall_only(filled):
    sums = filled(np.array([1.0, 2.0]), {"pt": bin_index(np.array([-3.0, np.nan]), EDGES["pt"])}, np.zeros(2, dtype=np.int64))
    numbers = sums["fraction"].to_json(("pt",))[0]
    assert numbers["all"]["n"] == 2
    assert [entry["n"] for entry in numbers["pt"]] == [0, 0, 0]


def test_no_entries_are_undefined_not_an_error(filled):
    nothing = np.zeros(0, dtype=np.int64)
    sums = filled(np.zeros(0), {"pt": nothing}, nothing)
    undefined = {"value": None, "low": None, "high": None, "n": 0}
    assert sums["fraction"].to_json(("pt",))[1]["pt"] == [undefined] * 3
    assert sums["mean"].to_json(())[0]["all"] == undefined
    assert sums["spread"].to_json(())[0]["all"] == dict.fromkeys(("median", "iqr", "iqr_over_median", "tails"), undefined)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_and_any_chunks_give_the_same_bits(filled, seed):
    values, bins, category, _ = entries(500, seed)
    once = filled(values, bins, category)
    rng = np.random.default_rng(seed)
    parts = np.split(rng.permutation(500), np.sort(rng.integers(0, 500, 4)))
    chunks = [filled(values[part], {"pt": bins["pt"][part]}, category[part]) for part in parts]
    for name, total in once.items():
        summed = chunks[-1][name]
        for chunk in chunks[:-1]:
            summed += chunk[name]
        assert summed.to_json(("pt",)) == total.to_json(("pt",))
        arrays = summed.arrays()
        assert arrays.keys() == total.arrays().keys()
        for key, expected in total.arrays().items():
            np.testing.assert_array_equal(arrays[key], expected)


def test_sums_go_on_from_what_was_kept(filled):
    values, bins, category, _ = entries(300)
    half = values[:150], {"pt": bins["pt"][:150]}, category[:150]
    for name, total in filled(values, bins, category).items():
        sums = filled(values[150:], {"pt": bins["pt"][150:]}, category[150:])[name]
        sums.restore(filled(*half)[name].arrays())
        assert sums.to_json(("pt",)) == total.to_json(("pt",))


def test_differences_have_no_relative_width():
    sums = SpreadSums(1, {}, FINE_RESPONSE, relative=False)
    sums.add(np.ones(3), {}, np.zeros(3, dtype=np.int64))
    assert sums.to_json(()) == [{"all": {name: entry for name, entry in sums.to_json(())[0]["all"].items() if name != "iqr_over_median"}}]


def test_means_of_large_small_and_negative_values():
    values = np.array([1e6, 1e6 - 1.0, -3.25, 1e-5, 0.0])
    sums = MeanSums(1, {})
    sums.add(values, {}, np.zeros(5, dtype=np.int64))
    assert close(sums.to_json(())[0]["all"], mean(values), rel=1e-9)
    constant = MeanSums(1, {})
    constant.add(np.full(7, 0.1), {}, np.zeros(7, dtype=np.int64))
    assert close(constant.to_json(())[0]["all"], (0.1, 0.1, 0.1, 7), abs=1e-6)


def test_values_that_are_no_numbers_are_left_out(filled):
    values, bins, category, _ = entries(50)
    undefined = np.arange(50) % 7 == 0
    some = np.where(undefined, np.nan, values)
    kept = {"pt": bins["pt"][~undefined]}
    ours, expected = filled(some, bins, category), filled(values[~undefined], kept, category[~undefined])
    for name in ("spread", "mean"):
        assert ours[name].to_json(("pt",)) == expected[name].to_json(("pt",))


@pytest.mark.parametrize("value", [-1e6, 999_999.999999, 0.999999, -1e-6, 1234.5])
def test_means_of_a_hundred_million_events_do_not_overflow(value):
    values = np.array([value, value - 0.5])
    sums = MeanSums(1, {})
    sums.add(values, {}, np.zeros(2, dtype=np.int64))
    for _ in range(26):
        sums += sums
    estimate = sums.to_json(())[0]["all"]
    assert estimate["n"] == 2**27
    assert estimate["value"] == pytest.approx(values.clip(-1e6).mean(), rel=1e-12, abs=1e-6)
    if abs(value) < 1e5:  # of larger ones, rounding of the mean square hides so small a width
        assert (estimate["high"] - estimate["value"]) * 2**13.5 == pytest.approx(0.25, rel=1e-5)


def test_means_take_values_beyond_their_range_as_its_end():
    sums = MeanSums(1, {})
    sums.add(np.array([np.inf, -np.inf, 1e300]), {}, np.zeros(3, dtype=np.int64))
    assert sums.to_json(())[0]["all"]["value"] == pytest.approx(1e6 / 3)


@pytest.mark.parametrize("size", [4, 1])
def test_counts_of_other_shape_do_not_add(size):
    with pytest.raises(ValueError, match="a: shape"):
        CountSums({"a": np.zeros(3)}).restore({"a": np.zeros(size)})


@pytest.mark.parametrize(("quantity", "truth"), [("median", 1.0), ("iqr", 0.02 * norm.ppf(0.75)), ("iqr_over_median", 0.02 * norm.ppf(0.75))])
def test_intervals_from_bins_cover_the_truth_in_68_percent_of_toys(quantity, truth):
    num_toys, n = 1000, 200
    sums = SpreadSums(num_toys, {}, FINE_RESPONSE)
    values = np.random.default_rng(11).normal(1.0, 0.01, (num_toys, n))
    sums.add(values.ravel(), {}, np.repeat(np.arange(num_toys), n))
    estimates = [toy["all"][quantity] for toy in sums.to_json(())]
    covered = np.mean([estimate["low"] <= truth <= estimate["high"] for estimate in estimates])
    assert covered == pytest.approx(COVERAGE, abs=0.045)  # 3 sigma of 1000 toys
