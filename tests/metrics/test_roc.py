import numpy as np
import pytest
from scipy.stats import norm

from mlpf.metrics.roc import MAX_POINTS, Separation, Weights, auc, roc_curve, weighted_fraction
from mlpf.metrics.uncertainty import fraction

EDGES = np.linspace(-8.0, 10.0, 4001)


def separation(background, signal, background_weight=None, signal_weight=None, edges=EDGES):
    """Samples in bins."""
    both = []
    for values, weight in ((background, background_weight), (signal, signal_weight)):
        weight = np.ones(len(values)) if weight is None else weight
        both.append(Weights(np.histogram(values, edges, weights=weight)[0].astype(float), np.histogram(values, edges, weights=weight**2)[0].astype(float)))
    return Separation(*both)


def structural_components(background, signal):
    """DeLong's V10 and V01, pair by pair."""
    order = (signal[:, None] > background) + 0.5 * (signal[:, None] == background)
    return order.mean(axis=1), order.mean(axis=0)


def test_the_area_and_its_error_are_those_of_all_pairs():
    rng = np.random.default_rng(1)
    for _ in range(5):
        background, signal = (np.round(rng.normal(mu, 1.0, n), 1) for mu, n in ((0.0, 400), (1.0, 150)))  # with ties
        edges = np.arange(-8.05, 10.0, 0.1)  # each value its own bin
        estimate = auc(separation(background, signal, edges=edges))
        v10, v01 = structural_components(background, signal)
        assert estimate.value == pytest.approx(v10.mean(), rel=1e-12)
        error = np.sqrt(v10.var(ddof=1) / 150 + v01.var(ddof=1) / 400)
        logit = np.log(v10.mean() / (1 - v10.mean()))
        width = error / (v10.mean() * (1 - v10.mean()))
        assert estimate.low == pytest.approx(1 / (1 + np.exp(width - logit)), rel=1e-9)
        assert estimate.high == pytest.approx(1 / (1 + np.exp(-width - logit)), rel=1e-9)
        assert estimate.n == 550


def test_narrow_bins_do_not_move_the_area():
    rng = np.random.default_rng(2)
    background, signal = rng.normal(0.0, 1.0, 2000), rng.normal(1.5, 1.0, 1000)
    assert auc(separation(background, signal)).value == pytest.approx(structural_components(background, signal)[0].mean(), abs=1e-5)


def test_a_whole_weight_is_that_many_entries_in_the_area():
    rng = np.random.default_rng(3)
    background, signal, weight = rng.normal(0.0, 1.0, 300), rng.normal(1.0, 1.0, 200), rng.integers(0, 4, 200)
    weighted = auc(separation(background, signal, signal_weight=weight.astype(float)))
    repeated = auc(separation(background, np.repeat(signal, weight)))
    assert weighted.value == pytest.approx(repeated.value, rel=1e-12)
    assert weighted.high - weighted.low > repeated.high - repeated.low  # but they fluctuate together


def test_a_common_factor_of_weights_changes_nothing():
    rng = np.random.default_rng(4)
    background, signal = rng.normal(0.0, 1.0, 300), rng.normal(1.0, 1.0, 200)
    expected = auc(separation(background, signal))
    found = auc(separation(background, signal, np.full(300, 7.0), np.full(200, 0.01)))
    assert [pytest.approx(number, rel=1e-9) for number in expected] == list(found)


@pytest.mark.parametrize(("area", "num_signal", "num_background"), [(0.5, 5, 2000), (0.8, 20, 20), (0.95, 200, 20), (0.95, 20, 2000), (0.99, 200, 2000)])
def test_the_interval_of_the_area_covers_68_percent_of_toys(area, num_signal, num_background):
    rng = np.random.default_rng(5)
    shift = np.sqrt(2.0) * norm.ppf(area)
    hits = 0
    for _ in range(300):
        estimate = auc(separation(rng.normal(0, 1, num_background), rng.normal(shift, 1, num_signal)))
        hits += estimate.low <= area <= estimate.high
    assert 0.6 < hits / 300 < 0.8


@pytest.mark.parametrize(("area", "num_signal"), [(0.99, 5), (0.999, 20), (0.999, 200)])
def test_the_interval_covers_at_least_as_much_where_nearly_all_are_told_apart(area, num_signal):
    rng = np.random.default_rng(6)
    shift = np.sqrt(2.0) * norm.ppf(area)
    hits = 0
    for _ in range(200):
        estimate = auc(separation(rng.normal(0, 1, 1000), rng.normal(shift, 1, num_signal)))
        hits += estimate.low <= area <= estimate.high
    assert hits / 200 > 0.62


@pytest.mark.parametrize("signal_weight", [None, "random"])
def test_the_interval_covers_toys_with_weights(signal_weight):
    rng = np.random.default_rng(7)
    area = norm.cdf(1.0 / np.sqrt(2.0))
    hits = 0
    for _ in range(300):
        weights = [None if signal_weight is None else rng.exponential(1.0, n) for n in (200, 60)]
        estimate = auc(separation(rng.normal(0, 1, 200), rng.normal(1, 1, 60), *weights))
        hits += estimate.low <= area <= estimate.high
    assert hits / 300 == pytest.approx(0.68, abs=0.08)


def test_perfect_scores_have_area_1_and_still_an_uncertainty():
    for n in (1, 10, 1000):
        estimate = auc(separation(np.full(n, -1.0), np.full(n, 1.0)))
        assert (estimate.value, estimate.high) == (1.0, 1.0)
        assert 1.0 - estimate.low == pytest.approx(1.0 / n, rel=0.6)
        inverted = auc(separation(np.full(n, 1.0), np.full(n, -1.0)))
        assert (inverted.value, inverted.low) == (0.0, 0.0)
        assert inverted.high == pytest.approx(1.0 - estimate.low)


@pytest.mark.parametrize(("num_signal", "num_background", "inverted"), [(10, 10, 0), (3, 200, 0), (40, 40, 5), (5, 1000, 800)])
def test_the_interval_of_a_nearly_perfect_separation_is_newcombes(num_signal, num_background, inverted):
    """At its ends the area is one standard deviation off, V that of Hanley and McNeil (Radiology 143 (1982) 29) with (m + n) / 2 for both sizes."""
    background = np.append(np.full(num_background - inverted, -1.0), np.full(inverted, 1.5))
    estimate = auc(separation(background, np.append(np.full(num_signal - 1, 2.0), 1.0)))
    value = 1.0 - inverted / num_background / num_signal
    assert estimate.value == pytest.approx(value)
    for end in (estimate.low, estimate.high):
        q1, q2 = end / (2.0 - end), 2.0 * end**2 / (1.0 + end)  # a signal above two backgrounds, two signals above one
        size = 0.5 * (num_signal + num_background)
        variance = (end * (1.0 - end) + (size - 1.0) * (q1 - end**2) + (size - 1.0) * (q2 - end**2)) / (num_signal * num_background)
        assert (value - end) ** 2 == pytest.approx(variance, rel=1e-6, abs=1e-12)


def test_no_area_is_beyond_its_interval_or_beyond_1():
    rng = np.random.default_rng(9)
    for _ in range(100):
        cut, sizes = rng.integers(1, 49), 10 ** rng.integers(1, 9, 50)
        low, high = np.where(np.arange(50) < cut, (rng.integers(1, sizes + 1), 0 * sizes), (0 * sizes, rng.integers(1, sizes + 1))).astype(float)
        assert auc(Separation(Weights(low, low), Weights(high, high))).value == 1.0
        assert auc(Separation(Weights(high, high), Weights(low, low))).value == 0.0
        low[rng.integers(0, 50)] += 1.0  # perhaps one on the wrong side
        estimate = auc(Separation(Weights(low, low), Weights(high, high)))
        assert 0.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0


def test_a_constant_score_is_worth_a_coin():
    estimate = auc(separation(np.zeros(100), np.zeros(50)))
    assert estimate.value == pytest.approx(0.5)
    assert 0.4 < estimate.low < 0.5 < estimate.high < 0.6


def test_without_signal_or_background_there_is_no_area_and_no_curve():
    some, nothing = np.zeros(10), np.zeros(0)
    for scores in (separation(some, nothing), separation(nothing, some), separation(nothing, nothing)):
        assert auc(scores).to_json() == {"value": None, "low": None, "high": None, "n": 0}
        assert roc_curve(scores, EDGES) == {"threshold": [], "efficiency": [], "misidentification": []}


def test_a_curve_of_200_points_has_the_area_and_lies_on_the_whole_one():
    rng = np.random.default_rng(8)
    background, signal = rng.normal(0.0, 1.0, 20_000), rng.normal(3.0, 1.0, 20_000)
    scores = separation(background, signal)
    curve = {name: np.array(values) for name, values in roc_curve(scores, EDGES).items()}
    assert MAX_POINTS // 2 < len(curve["threshold"]) <= MAX_POINTS
    for k in range(0, len(curve["threshold"]), 7):
        assert curve["efficiency"][k] == pytest.approx(np.mean(signal >= curve["threshold"][k]), abs=1e-9)
        assert curve["misidentification"][k] == pytest.approx(np.mean(background >= curve["threshold"][k]), abs=1e-9)
    assert np.trapezoid(curve["efficiency"], curve["misidentification"]) == pytest.approx(auc(scores).value, abs=1e-3)
    assert (np.diff(curve["threshold"]) < 0).all()
    assert all((np.diff(curve[name]) >= 0).all() for name in ("efficiency", "misidentification"))
    assert [curve[name][0] for name in ("efficiency", "misidentification")] == [0, 0]
    assert [curve[name][-1] for name in ("efficiency", "misidentification")] == [1, 1]


def test_points_lie_close_also_where_nearly_no_background_passes():
    rng = np.random.default_rng(10)
    curve = roc_curve(separation(rng.normal(0.0, 1.0, 20_000), rng.normal(0.5, 1.0, 20_000)), EDGES)
    misidentification = np.array(curve["misidentification"])
    assert np.diff(np.log10(misidentification[misidentification > 1e-3])).max() < 0.15  # evenly in the efficiency alone it would be 0.3
    assert np.diff(curve["efficiency"]).max() < 0.02


def test_the_curve_of_a_constant_score_is_its_ends():
    curve = roc_curve(separation(np.zeros(9), np.zeros(5)), EDGES)
    assert (curve["efficiency"][0], curve["efficiency"][-1]) == (0.0, 1.0)
    assert set(curve["efficiency"]) == {0.0, 1.0}
    assert len(curve["threshold"]) <= 4


def test_a_fraction_of_equal_weights_is_one_of_their_number():
    for weight in (1.0, 0.3):
        total = Weights(np.array(20 * weight), np.array(20 * weight**2))
        for passed in (0, 13, 20):
            found, expected = weighted_fraction(np.array(passed * weight), total), fraction(passed, 20)
            assert [float(number) for number in found] == pytest.approx([float(number) for number in expected])


def test_a_few_large_weights_make_a_fraction_uncertain():
    weights = np.array([10.0, *[0.1] * 100])
    total = Weights(weights.sum(), (weights**2).sum())
    estimate = weighted_fraction(np.array(10.0), total)
    assert estimate.value == pytest.approx(0.5)
    assert estimate.n == 4  # 20^2 / 101
    assert (estimate.low, estimate.high) == (pytest.approx(0.5 - 0.34, abs=0.1), pytest.approx(0.5 + 0.34, abs=0.1))
    assert np.isnan(weighted_fraction(np.array(0.0), Weights(np.array(0.0), np.array(0.0))).value)
