"""What is claimed: a measured number, what it should be and who says so."""

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from mlpf.metrics.uncertainty import COVERAGE, MIN_FOR_INTERVAL, Estimate, mean, spread

IQR_OF_GAUSSIAN = 1.349  # IQR / sigma
CORE = 2.0  # standard deviations either side that belong to the core of a distribution
STD_INSIDE_CORE = 0.8796  # standard deviation of a Gaussian cut at +- 2 sigma, in sigma
CORE_ITERATIONS, CORE_REPLICAS = 10, 100
STATISTICAL_TOLERANCE = 2.0  # standard deviations of the measurement by which a number may lie outside before it counts as outside


class Check(NamedTuple):
    """A number that is held against an expectation.

    Attributes:
        topic: which table it belongs to.
        quantity: what was measured; its row.
        where: the bin; its column.
        measured: the number and its 68 % interval.
        low, high: what is tolerated.
        source: of the expectation.
    """

    topic: str
    quantity: str
    where: str
    measured: Estimate
    low: float
    high: float
    source: str

    @property
    def is_measured(self) -> bool:
        """Whether there were events enough for a number and its interval."""
        return bool(np.isfinite(np.array(self.measured[:3], dtype=np.float64)).all())

    @property
    def inside(self) -> bool:
        """Whether the number is tolerated: inside the limits or, of statistics alone, no further than two standard deviations outside."""
        value, low, high = (float(number) for number in self.measured[:3])
        return bool(value + STATISTICAL_TOLERANCE * (high - value) >= self.low and value - STATISTICAL_TOLERANCE * (value - low) <= self.high)

    def to_json(self) -> dict[str, Any]:
        """Everything, for `validation.json`."""
        return {
            "topic": self.topic,
            "quantity": self.quantity,
            "where": self.where,
            "measured": self.measured.to_json(),
            "tolerated": [None if np.isinf(bound) else float(bound) for bound in (self.low, self.high)],
            "source": self.source,
            "inside": self.inside,
        }


class Findings(NamedTuple):
    """What a part of the validation found.

    Attributes:
        curves: for the figures, as JSON.
        checks: for the tables.
    """

    curves: dict[str, Any]
    checks: list[Check]


def checks_of(
    topic: str, quantity: str, estimates: Estimate, edges: np.ndarray, tolerated: tuple[float, float], source: str, unit: str = "", first: float = -np.inf
) -> list[Check]:
    """A row of checks, one per bin that starts at ``first`` or above."""
    columns = (np.asarray(column) for column in estimates)
    single = (Estimate(*numbers) for numbers in zip(*columns, strict=True))
    bins = zip(edges[:-1], edges[1:], single, strict=True)
    return [Check(topic, quantity, f"{low:g} to {high:g}{unit}", estimate, *tolerated, source) for low, high, estimate in bins if low >= first]


def scaled(estimate: Estimate, factor: np.ndarray | float) -> Estimate:
    """An estimate times exact numbers."""
    value, low, high = (np.asarray(number) * factor for number in estimate[:3])
    return Estimate(value, low, high, estimate.n)


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


def curve(edges: np.ndarray, estimates: dict[str, Estimate], **expected: np.ndarray) -> dict[str, Any]:
    """Numbers in bins, for `validation.json`: ``edges``, one list per name, and what was expected in each bin."""
    return {
        "edges": [float(edge) for edge in edges],
        **{name: estimate.to_json() for name, estimate in estimates.items()},
        **{name: [float(number) if np.isfinite(number) else None for number in values] for name, values in expected.items()},
    }
