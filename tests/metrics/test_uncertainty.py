import json

import numpy as np
import pytest
from scipy.stats import binom

from mlpf.metrics.uncertainty import (
    COVERAGE,
    bootstrap_quantiles,
    fraction,
    fraction_per_bin,
    mean,
    mean_of_sums,
    mean_per_bin,
    per_bin,
    sorted_values,
    spread,
    spreads,
)


def test_clopper_pearson_of_known_counts():
    # the lower end p solves P(at least k | p) = (1 - coverage) / 2, the upper end P(at most k | p) = the same
    estimate = fraction(7, 20)
    assert estimate.value == 0.35
    assert binom.sf(6, 20, estimate.low) == pytest.approx((1 - COVERAGE) / 2)
    assert binom.cdf(7, 20, estimate.high) == pytest.approx((1 - COVERAGE) / 2)


def test_clopper_pearson_at_the_ends_and_for_nothing():
    estimate = fraction(np.array([0, 5, 0]), np.array([5, 5, 0]))
    tail = ((1 - COVERAGE) / 2) ** 0.2
    assert estimate.low[:2].tolist() == pytest.approx([0.0, tail])
    assert estimate.high[:2].tolist() == pytest.approx([1 - tail, 1.0])
    assert np.isnan([estimate.value[2], estimate.low[2], estimate.high[2]]).all()


@pytest.mark.parametrize("probability", [0.03, 0.4, 0.97])
def test_clopper_pearson_covers_at_least_as_often_as_it_says(probability):
    passed = np.arange(51)
    estimate = fraction(passed, np.full(51, 50))
    covered = (estimate.low <= probability) & (probability <= estimate.high)
    assert binom.pmf(passed, 50, probability)[covered].sum() >= COVERAGE


def test_bootstrap_quantiles_are_distributed_like_those_of_drawn_samples():
    rng = np.random.default_rng(1)
    values = rng.exponential(size=37)
    probabilities = (0.1, 0.25, 0.5, 0.75)
    drawn = np.quantile(rng.choice(values, (100000, 37)), probabilities, axis=1).T
    ours = bootstrap_quantiles(values, probabilities, replicas=100000)
    assert ours.mean(axis=0) == pytest.approx(drawn.mean(axis=0), rel=0.01)
    assert np.cov(ours.T) == pytest.approx(np.cov(drawn.T), rel=0.05)  # spreads and correlations
    assert np.quantile(ours, (0.16, 0.84), axis=0) == pytest.approx(np.quantile(drawn, (0.16, 0.84), axis=0), rel=0.02)


def test_bootstrap_is_reproducible_and_depends_on_the_seed():
    values = np.random.default_rng(0).normal(size=100)
    assert np.array_equal(bootstrap_quantiles(values, (0.5,), seed=3), bootstrap_quantiles(values, (0.5,), seed=3))
    assert not np.array_equal(bootstrap_quantiles(values, (0.5,), seed=3), bootstrap_quantiles(values, (0.5,), seed=4))


@pytest.mark.parametrize(("name", "truth"), [("median", 1.0), ("iqr_over_median", 2 * 0.67449 * 0.2)])
def test_bootstrap_intervals_cover_the_truth_in_68_percent_of_toys(name, truth):
    toys = np.random.default_rng(5).normal(1.0, 0.2, (1000, 300))
    estimates = [spread(toy, seed=i)[name] for i, toy in enumerate(toys)]
    covered = np.mean([e.low <= truth <= e.high for e in estimates])
    assert covered == pytest.approx(COVERAGE, abs=0.045)  # 3 sigma of 1000 toys


@pytest.mark.parametrize("name", ["median", "iqr", "iqr_over_median"])
def test_bootstrap_intervals_exist_from_five_values_on_where_they_begin_to_cover(name):
    truth = {"median": 1.0, "iqr": 2 * 0.67449 * 0.2, "iqr_over_median": 2 * 0.67449 * 0.2}[name]
    toys = np.random.default_rng(7).normal(1.0, 0.2, (500, 5))
    estimates = [spread(toy, seed=i)[name] for i, toy in enumerate(toys)]
    assert 0.5 < np.mean([e.low <= truth <= e.high for e in estimates]) < 0.8
    four = spread(toys[0, :4])[name]
    assert np.isfinite(four.value)
    assert np.isnan([four.low, four.high]).all()


def test_spread_of_known_numbers():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 30.0, -20.0])
    result = spread(values)
    assert result["median"].value == 3.0
    assert result["iqr"].value == pytest.approx(3.0)  # 1.5 to 4.5
    assert result["iqr_over_median"].value == pytest.approx(1.0)
    assert result["tails"].value == pytest.approx(2 / 7)  # 30 and -20 are further than 9 from 3


def test_spread_of_nothing_and_of_one_value_is_undefined_not_an_error():
    assert np.isnan(spread(np.zeros(0))["median"].value)
    one = spread(np.array([2.0]))
    assert one["median"].value == 2.0
    assert np.isnan([one["median"].low, one["iqr"].value]).all()


def test_undefined_numbers_become_null_in_json():
    assert json.loads(json.dumps(fraction(0, 0).to_json(), allow_nan=False)) == {"value": None, "low": None, "high": None, "n": 0}
    assert json.dumps(spread(np.array([-1.0, 1.0]))["iqr_over_median"].to_json(), allow_nan=False)


def test_bins_are_summarised_apart():
    x = np.array([0.5, 1.5, 1.0, 5.0, -1.0])
    medians = per_bin(np.array([1.0, 2.0, 4.0, 100.0, 100.0]), x, np.array([0.0, 1.0, 2.0, 3.0]))["median"]
    assert medians.value[:2].tolist() == [1.0, 3.0]
    assert np.isnan(medians.value[2])
    assert medians.n.tolist() == [1, 2, 0]
    passed = fraction_per_bin(np.array([True, True, False, True, True]), x, np.array([0.0, 1.0, 2.0]))
    assert passed.value.tolist() == [1.0, 0.5]


def test_means_in_bins_are_those_of_their_entries():
    estimate = mean_per_bin(np.array([1.0, 5.0, 3.0, 100.0]), np.array([0.1, 1.0, 0.2, 2.0]), np.array([0.0, 1.0, 2.0, 3.0, 4.0]))  # the right edge is outside
    np.testing.assert_array_equal(estimate.value, [2.0, 5.0, 100.0, np.nan])
    assert estimate.n.tolist() == [2, 1, 1, 0]


def test_mean_has_the_standard_error():
    estimate = mean(np.array([1, 2, 3, 4]))
    assert estimate.value == 2.5
    assert estimate.high - estimate.value == pytest.approx(np.sqrt(5 / 3) / 2)


def test_the_mean_follows_from_sums():
    values = np.random.default_rng(2).normal(5.0, 2.0, 50)
    ours, expected = mean_of_sums(np.array(50), values.sum(), (values**2).sum()), mean(values)
    assert [*ours] == pytest.approx([*expected])
    nothing = mean_of_sums(np.array([0, 1]), np.array([0.0, 3.0]), np.array([0.0, 9.0]))
    np.testing.assert_array_equal(nothing.value, [np.nan, 3.0])
    assert np.isnan(nothing.low).all()


def test_what_is_said_of_a_sample_does_not_depend_on_the_others():
    rng = np.random.default_rng(6)
    samples = [rng.normal(1.0, 0.2, n) for n in (40, 0, 1, 2, 7)]
    together = spreads([sorted_values(sample) for sample in samples])
    for g, sample in enumerate(samples):
        for name, alone in spread(sample).items():
            np.testing.assert_array_equal([np.asarray(column)[g] for column in together[name]], [*alone])
