"""Numbers with 68 % intervals: Clopper-Pearson for fractions, bootstrap for medians and widths."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.stats import beta

COVERAGE = math.erf(math.sqrt(0.5))  # 0.6827, one standard deviation
REPLICAS = 500  # bootstrap samples: the interval's ends are then known to about 5 % of its length
# Of fewer values, bootstrap intervals of an IQR would cover 48 % (four), 16 % (three) or 7 % (two) of normal toys instead of 68 %
MIN_FOR_INTERVAL = 5
QUARTILES = (0.25, 0.5, 0.75)
TAIL_IN_IQR = 3.0  # further than this many IQR from the median is a tail (a Gaussian has 5e-5 there)


Number = np.ndarray | np.generic | float


class Estimate(NamedTuple):
    """A number, or one per bin, and its 68 % interval; NaN where it is undefined.

    Attributes:
        value, low, high: floats or arrays of one shape.
        n: how many entries it was made of.
    """

    value: Number
    low: Number
    high: Number
    n: Number

    def to_json(self) -> Any:
        """``{value, low, high, n}``, or a list of them; undefined numbers are None."""
        if np.ndim(self.value):
            columns = (np.asarray(column).tolist() for column in self)
            return [Estimate(*entry).to_json() for entry in zip(*columns, strict=True)]
        value, low, high = (float(number) if math.isfinite(number) else None for number in self[:3])
        return {"value": value, "low": low, "high": high, "n": int(self.n)}


def stack(estimates: Sequence[Estimate]) -> Estimate:
    """Single numbers -> one `Estimate` of arrays."""
    return Estimate(*(np.array([estimate[i] for estimate in estimates]) for i in range(4)))


def fraction(passed: Number, total: Number) -> Estimate:
    """``passed / total`` with the Clopper-Pearson interval (Biometrika 26 (1934) 404); scalars or arrays."""
    passed, total = np.asarray(passed, dtype=np.float64), np.asarray(total, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = passed / total
        low = np.where(passed == 0, 0.0, beta.ppf(0.5 - COVERAGE / 2, passed, total - passed + 1))
        high = np.where(passed == total, 1.0, beta.ppf(0.5 + COVERAGE / 2, passed + 1, total - passed))
    undefined = total == 0
    return Estimate(value, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high), total.astype(np.int64))


def mean(values: np.ndarray) -> Estimate:
    """Arithmetic mean, plus and minus standard deviation / sqrt(n)."""
    n = len(values)
    value = float(np.mean(values)) if n else np.nan
    error = float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else np.nan
    return Estimate(value, value - error, value + error, n)


def mean_of_sums(n: np.ndarray, total: np.ndarray, squares: np.ndarray) -> Estimate:
    """`mean` of entries of which only number, sum and sum of squares are left."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value = total / n
        error = np.sqrt(np.maximum(squares - total * value, 0.0) / (n - 1) / n)
    error = np.where(n > 1, error, np.nan)
    return Estimate(value, value - error, value + error, n.astype(np.int64))


class Sample(Protocol):
    """Values of which the k-th smallest can be told: sorted ones, or `mlpf.metrics.quantiles.BinnedSample`."""

    def size(self) -> int:
        """Entries."""

    def at(self, rank: np.ndarray) -> np.ndarray:
        """Entries number ``rank`` (from 0), the smallest first."""

    def num_outside(self, low: float, high: float) -> int:
        """Entries below ``low`` or above ``high``."""


class SortedValues(NamedTuple):
    """A `Sample` in memory: ``(n,)`` ascending."""

    values: np.ndarray

    def size(self) -> int:
        """See `Sample`."""
        return len(self.values)

    def at(self, rank: np.ndarray) -> np.ndarray:
        """See `Sample`."""
        return self.values[rank]

    def num_outside(self, low: float, high: float) -> int:
        """See `Sample`."""
        return int(np.count_nonzero((self.values < low) | (self.values > high)))


def sorted_values(values: np.ndarray) -> SortedValues:
    """Any values as a `Sample`."""
    return SortedValues(np.sort(np.asarray(values, dtype=np.float64)))


def bootstrap_quantiles(sample: Sample | np.ndarray, probabilities: Sequence[float], seed: int = 0, replicas: int = REPLICAS) -> np.ndarray:
    """Quantiles of bootstrap samples, exactly distributed, without drawing the samples.

    The k-th smallest of n draws with replacement is the sorted value number floor(n U), U the k-th smallest of n uniform numbers; the spacings of those
    are exponential (Devroye, Non-Uniform Random Variate Generation, 1986, V.2), so the few that are needed come from a few gamma numbers.

    Args:
        sample: n > 0 values, in any order if an array.
        probabilities: Q of them.

    Returns:
        ``(replicas, Q)``, with NumPy's linear interpolation.
    """
    sample = sorted_values(sample) if isinstance(sample, np.ndarray) else sample
    n = sample.size()
    position, lower, upper = _neighbors(n, probabilities)
    ranks = np.unique(np.concatenate([lower, upper]))
    spacings = np.random.default_rng(seed).standard_gamma(np.diff(ranks + 1, prepend=0, append=n + 1), size=(replicas, len(ranks) + 1))
    uniform = np.cumsum(spacings, axis=1)
    drawn = sample.at(np.minimum((uniform[:, :-1] / uniform[:, -1:] * n).astype(np.int64), n - 1))
    below, above = drawn[:, np.searchsorted(ranks, lower)], drawn[:, np.searchsorted(ranks, upper)]
    return below + (position - lower) * (above - below)


def quantiles(sample: Sample, probabilities: Sequence[float]) -> np.ndarray:
    """``(Q,)`` quantiles of n > 0 values, with NumPy's linear interpolation."""
    position, lower, upper = _neighbors(sample.size(), probabilities)
    below, above = sample.at(lower), sample.at(upper)
    return below + (position - lower) * (above - below)


def _neighbors(n: int, probabilities: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a quantile lies among n sorted values, and the ranks below and above."""
    position = np.asarray(probabilities) * (n - 1)
    lower = np.floor(position).astype(np.int64)
    return position, lower, np.minimum(lower + 1, n - 1)


def spread(values: np.ndarray, seed: int = 0) -> dict[str, Estimate]:
    """``median``, ``iqr`` (p75 - p25) and ``iqr_over_median`` with bootstrap intervals, ``tails`` (further than 3 IQR from the median) as a fraction.

    One value has a median, but no width; fewer than five have no intervals.
    """
    return {name: Estimate(*(np.asarray(column)[0] for column in estimate)) for name, estimate in spreads([sorted_values(values)], seed).items()}


def spreads(samples: Sequence[Sample], seed: int = 0) -> dict[str, Estimate]:
    """`spread` of each of G samples, as an `Estimate` of ``(G,)`` arrays; what one says does not depend on the others."""
    n = np.array([sample.size() for sample in samples], dtype=np.int64)
    quartiles, replicas = np.full((len(n), 3), np.nan), np.full((len(n), REPLICAS, 3), np.nan)
    for g, sample in enumerate(samples):
        if n[g] > 0:
            quartiles[g] = quantiles(sample, QUARTILES)
        if n[g] >= MIN_FOR_INTERVAL:
            replicas[g] = bootstrap_quantiles(sample, QUARTILES, seed)
    quartiles[n == 1, ::2] = np.nan  # no width
    nominal, of_replicas = _widths(quartiles), _widths(replicas)
    estimates = {name: _intervals(nominal[name], of_replicas[name], n) for name in nominal}
    limit = TAIL_IN_IQR * nominal["iqr"]
    tails = [s.num_outside(m - d, m + d) if np.isfinite(d) else 0 for s, m, d in zip(samples, nominal["median"], limit, strict=True)]
    outside = fraction(np.array(tails), np.where(n > 1, n, 0))
    return {**estimates, "tails": Estimate(*outside[:3], n)}


def _widths(quartiles: np.ndarray) -> dict[str, np.ndarray]:
    """Median, IQR and their ratio of ``(..., 3)`` quartiles."""
    median, iqr = quartiles[..., 1], quartiles[..., 2] - quartiles[..., 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"median": median, "iqr": iqr, "iqr_over_median": iqr / median}


def _intervals(value: np.ndarray, replicas: np.ndarray, n: np.ndarray) -> Estimate:
    finite = np.isfinite(replicas).all(axis=1)  # not finite: too few values, or medians of 0 to divide by
    low, high = np.full((2, len(n)), np.nan)
    if finite.any():
        low[finite], high[finite] = np.quantile(replicas[finite], (0.5 - COVERAGE / 2, 0.5 + COVERAGE / 2), axis=1)
    return Estimate(value, low, high, n)


def per_bin(values: np.ndarray, x: np.ndarray, edges: np.ndarray, summary: Callable[[np.ndarray], dict[str, Estimate]] = spread) -> dict[str, Estimate]:
    """A summary of ``values`` in each bin of ``x`` (``edges[i] <= x < edges[i + 1]``), each entry an `Estimate` of arrays."""
    index = np.digitize(x, edges) - 1
    order = np.argsort(index, kind="stable")
    bounds = np.searchsorted(index[order], np.arange(len(edges)))
    summaries = [summary(values[order[bounds[i] : bounds[i + 1]]]) for i in range(len(edges) - 1)]
    return {name: stack([s[name] for s in summaries]) for name in summaries[0]}


def mean_per_bin(values: np.ndarray, x: np.ndarray, edges: np.ndarray) -> Estimate:
    """Arithmetic mean in each bin of ``x``."""
    return per_bin(values, x, edges, lambda inside: {"mean": mean(inside)})["mean"]


def fraction_per_bin(passed: np.ndarray, x: np.ndarray, edges: np.ndarray) -> Estimate:
    """Share of entries that passed, in each bin of ``x``."""
    return fraction(np.histogram(x[passed], edges)[0], np.histogram(x, edges)[0])
