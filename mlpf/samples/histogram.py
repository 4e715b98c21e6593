"""Quantiles of values that were counted in bins of the leading bits of a float32: exact to merge, a few per cent wide at any magnitude.

The idea of DDSketch (arXiv:1908.10693) with bins that cost no logarithm: sign, exponent and `MANTISSA_BITS` of the mantissa name a bin, so that it is at
most 2^-5 of its lower edge wide. 0 has a bin of its own; magnitudes below 2^-24 share one with the smallest.
"""

import numpy as np

from mlpf.samples.feature_kernels import BINS_PER_SIGN, MANTISSA_BITS, NUM_BINS, OCTAVES_BELOW, ZERO_BIN


def bin_edges() -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edges ``(NUM_BINS,) float64`` of the bins, in increasing order of value; those of 0 are both 0."""
    steps = np.arange(BINS_PER_SIGN + 1)
    edges = np.ldexp(1.0 + (steps % 2**MANTISSA_BITS) / 2**MANTISSA_BITS, steps // 2**MANTISSA_BITS - OCTAVES_BELOW)
    edges[0] = 0.0
    lower, upper = np.zeros(NUM_BINS), np.zeros(NUM_BINS)
    lower[ZERO_BIN + 1 :], upper[ZERO_BIN + 1 :] = edges[:-1], edges[1:]
    lower[:ZERO_BIN], upper[:ZERO_BIN] = -edges[:0:-1], -edges[-2::-1]
    return lower, upper


def bin_values(minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
    """A value ``(..., NUM_BINS)`` for every bin: its middle, but none outside of ``minimum`` and ``maximum (...)`` of the values."""
    lower, upper = bin_edges()
    return np.clip((lower + upper) / 2, minimum[..., None], maximum[..., None])


def quantiles(histogram: np.ndarray, probabilities: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
    """Quantiles of binned values, which are taken as evenly spread over their bin.

    Args:
        histogram: ``(..., NUM_BINS)`` counts.
        probabilities: ``(Q,)``.
        minimum, maximum: ``(...)`` of the values; no quantile is outside.

    Returns:
        ``(..., Q)``, within a bin's width of one of the two values next to the quantile; NaN without values.
    """
    lower, upper = bin_edges()
    result = np.full((*histogram.shape[:-1], len(probabilities)), np.nan)
    for place in np.ndindex(histogram.shape[:-1]):
        filled = np.flatnonzero(histogram[place])
        if len(filled) == 0:
            continue
        counts = histogram[place][filled]
        after = np.cumsum(counts)
        rank = probabilities * (after[-1] - 1)  # of the sorted values, counted from 0
        at = np.searchsorted(after, rank, side="right")
        inside = (rank - (after - counts)[at] + 0.5) / counts[at]
        values = lower[filled[at]] + np.minimum(inside, 1.0) * (upper - lower)[filled[at]]
        result[place] = np.clip(values, minimum[place], maximum[place])
    return result
