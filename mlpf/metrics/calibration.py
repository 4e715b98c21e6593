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
        scores: in K bins, each of which counts in the one of the 20 where its mean score is.
        predicted: ``(K,)`` mean score of each, above 0 and below 1.
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

    A noisy difference d of standard deviation s is too large in absolute value (arXiv:2012.08668): by about ``f(d) - |d|``, f(d) the mean absolute value of
    a normal number of mean d and deviation s. Where the truth is 0 this takes away too little, so that the lower end starts from an estimate that is right
    there and too small elsewhere: the sign from one random half of the entries, the difference from the other. The mean of those over all halves is
    ``f(d) - 4 s phi(d / s)``. The interval covers 68 % of toys or more.
    """
    if not len(observed):
        return Estimate(np.nan, np.nan, np.nan, 0)
    effective = np.asarray(weights.effective())
    rate = (observed * effective + predicted) / (effective + 1.0)  # 0 of a few is no certainty: an entry more, as predicted
    deviation = np.sqrt(rate * (1.0 - rate) / effective).clip(min=np.finfo(np.float64).eps)
    pull = np.abs(observed - predicted) / deviation
    folded = pull * (2.0 * norm.cdf(pull) - 1.0) + 2.0 * norm.pdf(pull)
    scale = weights.sum / weights.sum.sum() * deviation
    value, lowest = (float((scale * size).sum()) for size in (2.0 * pull - folded, folded - 4.0 * norm.pdf(pull)))
    error = float(np.sqrt((scale**2).sum()))
    low = min(lowest, value) - error
    return Estimate(max(value, 0.0), max(low, 0.0), max(value + error, 0.0), round(float(weights.total().effective())))
