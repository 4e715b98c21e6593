"""How wide a response is: by its quartiles, and by the Gaussian core inside its tails."""

import math

import numba
import numpy as np

from mlpf.evaluation.detector.statements import scaled
from mlpf.metrics.uncertainty import COVERAGE, MIN_FOR_INTERVAL, Estimate, mean, spread

IQR_OF_GAUSSIAN = 1.349  # IQR / sigma
CORE = 2.0  # standard deviations either side that belong to the core of a distribution
STD_INSIDE_CORE = 0.8796  # standard deviation of a Gaussian cut at +- 2 sigma, in sigma
CORE_ITERATIONS, CORE_REPLICAS = 10, 100


def width(values: np.ndarray) -> dict[str, Estimate]:
    """Of a response: ``mean``, ``median``, ``resolution`` (IQR / 1.349 / median), ``core`` (Gaussian width of the core over its mean)."""
    spreads = spread(values)
    resolution = scaled(spreads["iqr_over_median"], 1.0 / IQR_OF_GAUSSIAN)
    return {"mean": mean(values), "median": spreads["median"], "resolution": resolution, "core": relative_core_width(values)}


def gaussian_core(values: np.ndarray) -> tuple[float, float]:
    """Mean and sigma of the Gaussian that the values within two of its sigma follow, found by iteration from median and IQR; NaN of fewer than five values."""
    if len(values) < MIN_FOR_INTERVAL:
        return np.nan, np.nan
    first, centre, third = np.quantile(values.astype(np.float64), (0.25, 0.5, 0.75))
    return _core(values.astype(np.float64), np.ones(len(values), dtype=np.int64), centre, (third - first) / IQR_OF_GAUSSIAN)


@numba.njit(cache=True)
def _core(values: np.ndarray, counts: np.ndarray, centre: float, sigma: float) -> tuple[float, float]:
    """Iterate mean and sigma from a first guess; each value counts as often as ``counts`` says."""
    for _ in range(CORE_ITERATIONS):
        number, total, squares = 0, 0.0, 0.0
        for i in range(len(values)):
            distance = values[i] - centre
            if abs(distance) <= CORE * sigma:
                number += counts[i]
                total += counts[i] * distance
                squares += counts[i] * distance**2
        if number < MIN_FOR_INTERVAL:
            return np.nan, np.nan
        shift = total / number
        centre, sigma = centre + shift, math.sqrt(max(squares / number - shift**2, 0.0)) / STD_INSIDE_CORE
    return centre, sigma


@numba.njit(cache=True)
def _bootstrap_cores(values: np.ndarray, centre: float, sigma: float, seed: int) -> np.ndarray:
    """``(replicas,)`` sigma over mean of the cores of samples drawn with replacement."""
    np.random.seed(seed)  # numba's own generator  # noqa: NPY002
    found, counts = np.empty(CORE_REPLICAS), np.empty(len(values), dtype=np.int64)
    for r in range(CORE_REPLICAS):
        counts[:] = 0
        for _ in range(len(values)):
            counts[np.random.randint(len(values))] += 1  # noqa: NPY002
        mean_of_core, sigma_of_core = _core(values, counts, centre, sigma)
        found[r] = sigma_of_core / mean_of_core
    return found


def relative_core_width(values: np.ndarray, seed: int = 0) -> Estimate:
    """Sigma over mean of the core, with a bootstrap interval."""
    centre, sigma = gaussian_core(values)
    if not sigma > 0.0 or not centre > 0.0:
        return Estimate(np.nan, np.nan, np.nan, len(values))
    replicas = _bootstrap_cores(values.astype(np.float64), centre, sigma, seed)
    replicas = replicas[replicas > 0.0]
    if len(replicas) < 0.9 * CORE_REPLICAS:  # so few values that the core is lost now and then
        return Estimate(sigma / centre, np.nan, np.nan, len(values))
    low, high = np.quantile(replicas, (0.5 - COVERAGE / 2, 0.5 + COVERAGE / 2))
    return Estimate(sigma / centre, low, high, len(values))
