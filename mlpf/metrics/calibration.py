"""Whether a score is the probability that it claims to be."""

from typing import Any

import numpy as np
from scipy.stats import norm

from mlpf.metrics.roc import Separation, Weights, weighted_fraction
from mlpf.metrics.uncertainty import Estimate

NUM_BINS = 20  # of equal width in the score


def calibration(scores: Separation, predicted: np.ndarray) -> dict[str, Any]:
    """Mean score and share of signal in 20 bins of the score, without those that are empty, and the expected calibration error.

    Args:
        scores: in K bins, each within one of the 20.
        predicted: ``(K,)`` mean score of each.
    """
    index = np.minimum((predicted * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    both = Weights(*(signal + background for signal, background in zip(scores.signal, scores.background, strict=True)))
    columns = (scores.signal.sum, both.sum, both.squares, both.sum * predicted)
    signal, weight, squares, score = (np.bincount(index, values, minlength=NUM_BINS).astype(np.float64) for values in columns)
    filled = weight > 0
    total = Weights(weight[filled], squares[filled])
    score = score[filled] / weight[filled]
    return {
        "calibration": {"predicted": score.tolist(), "observed": weighted_fraction(signal[filled], total).to_json()},
        "calibration_error": _error(signal[filled] / weight[filled], score, total).to_json(),
    }


def _error(observed: np.ndarray, predicted: np.ndarray, weights: Weights) -> Estimate:
    """Mean over all entries of abs(observed - predicted) of their bin (arXiv:1706.04599 eq. 3), without the bias of its noise.

    The absolute value of a noisy difference is too large (arXiv:2012.08668). Here the sign comes from one random half of a bin's entries and the difference
    from the other; with d the observed difference and s its standard deviation, the mean over all halves is ``d (2 Phi(d / s) - 1) - 2 s phi(d / s)``.
    """
    if not len(observed):
        return Estimate(np.nan, np.nan, np.nan, 0)
    effective = np.asarray(weights.effective())
    rate = (observed * effective + predicted) / (effective + 1.0)  # 0 of a few is no certainty: an entry more, as predicted
    deviation = np.sqrt(rate * (1.0 - rate) / effective).clip(min=np.finfo(np.float64).tiny)
    pull = (observed - predicted) / deviation
    size = deviation * (pull * (2.0 * norm.cdf(pull) - 1.0) - 2.0 * norm.pdf(pull))
    share = weights.sum / weights.sum.sum()
    value, error = float((share * size).sum()), float(np.sqrt((share**2 * deviation**2).sum()))
    return Estimate(max(value, 0.0), max(value - error, 0.0), max(value + error, 0.0), round(float(weights.total().effective())))
