import numpy as np
import pytest

from mlpf.metrics.calibration import NUM_BINS, calibration
from mlpf.metrics.roc import Separation
from mlpf.metrics.uncertainty import fraction

CENTERS = (np.arange(1000) + 0.5) / 1000


def counts(score, signal, weight=1.0):
    sums = [np.histogram(score[chosen], 1000, (0.0, 1.0))[0].astype(float) for chosen in (~signal, signal)]
    return Separation.of(weight * np.array(sums), weight**2 * np.array(sums))


def toys(rng, n, probability):
    """Scores u^2 of uniform numbers u, and entries that are signal with the probability of the score."""
    score = rng.random(n) ** 2
    return score, rng.random(n) < probability(score)


def true_error(probability):
    """Expected calibration error of the toys, in the limit of many."""
    score = ((np.arange(1_000_000) + 0.5) / 1_000_000) ** 2
    index = np.minimum((score * NUM_BINS).astype(int), NUM_BINS - 1)
    return np.abs(np.bincount(index, probability(score) - score)).sum() / len(score)


def test_the_bins_hold_mean_score_and_share_of_signal():
    rng = np.random.default_rng(1)
    score, signal = toys(rng, 3000, lambda s: s)
    found = calibration(counts(score, signal), CENTERS)["calibration"]
    index = (score * NUM_BINS).astype(int)
    for b in range(NUM_BINS):
        inside = index == b
        assert found["predicted"][b] == pytest.approx(score[inside].mean(), abs=5e-4)
        assert found["observed"][b] == pytest.approx(fraction(signal[inside].sum(), inside.sum()).to_json())


def test_empty_bins_are_left_out():
    score = np.array([0.02, 0.03, 0.98])
    found = calibration(counts(score, np.array([False, False, True])), CENTERS)
    assert found["calibration"]["predicted"] == pytest.approx([0.025, 0.98], abs=1e-3)
    assert [observed["value"] for observed in found["calibration"]["observed"]] == [0.0, 1.0]
    nothing = calibration(counts(np.zeros(0), np.zeros(0, dtype=bool)), CENTERS)
    assert nothing == {"calibration": {"predicted": [], "observed": []}, "calibration_error": {"value": None, "low": None, "high": None, "n": 0}}


def test_the_error_of_a_large_sample_is_its_definition():
    rng = np.random.default_rng(2)
    probability = np.sqrt
    score, signal = toys(rng, 200_000, probability)
    index = (score * NUM_BINS).astype(int)
    by_hand = np.abs(np.bincount(index, signal) - np.bincount(index, score)).sum() / len(score)
    error = calibration(counts(score, signal), CENTERS)["calibration_error"]
    assert error["value"] == pytest.approx(by_hand, rel=2e-3)
    assert error["low"] < true_error(probability) < error["high"]
    assert error["n"] == 200_000


@pytest.mark.parametrize("n", [100, 2000, 30_000])
@pytest.mark.parametrize("shift", [0.0, 0.01, 0.05])
def test_the_interval_of_the_error_covers_68_percent_of_toys_or_more(n, shift):
    rng = np.random.default_rng(3)

    def probability(score):
        return score + 4 * shift * score * (1 - score)

    truth = true_error(probability)
    hits = 0
    for _ in range(150):
        error = calibration(counts(*toys(rng, n, probability)), CENTERS)["calibration_error"]
        hits += error["low"] <= truth <= error["high"]
    assert hits / 150 > 0.6
    if shift * np.sqrt(n) > 5.0:  # far from 0 nothing is left to be careful about
        assert hits / 150 < 0.82


def test_noise_is_no_error():
    """Without the correction it would be 0.03 for 2000 entries of a calibrated score."""
    rng = np.random.default_rng(4)
    plain, corrected = [], []
    for _ in range(50):
        score, signal = toys(rng, 2000, lambda s: s)
        index = (score * NUM_BINS).astype(int)
        plain.append(np.abs(np.bincount(index, signal) - np.bincount(index, score)).sum() / 2000)
        corrected.append(calibration(counts(score, signal), CENTERS)["calibration_error"]["value"])
    assert np.mean(corrected) < 0.65 * np.mean(plain)


def test_certain_scores_of_very_many_entries_are_off_by_what_they_leave_open():
    sums = np.array([[0.0], [1e12]])
    error = calibration(Separation.of(sums, sums), np.array([1.0 - 1e-7]))["calibration_error"]
    assert error["value"] == pytest.approx(1e-7)


def test_a_common_weight_changes_nothing():
    score, signal = toys(np.random.default_rng(5), 500, lambda s: s)
    expected, found = (calibration(counts(score, signal, weight), CENTERS)["calibration_error"] for weight in (1.0, 3.0))
    assert found == pytest.approx(expected)
