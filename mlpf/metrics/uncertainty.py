"""Numbers with 68 % intervals: Clopper-Pearson for fractions, bootstrap for medians and widths."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import beta

COVERAGE = math.erf(math.sqrt(0.5))  # 0.6827, one standard deviation
REPLICAS = 500  # bootstrap samples: the interval's ends are then known to about 5 % of its length
# Of fewer values, bootstrap intervals of an IQR would cover 48 % (four), 16 % (three) or 7 % (two) of normal toys instead of 68 %
MIN_FOR_INTERVAL = 5
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
            columns = (np.asarray(column) for column in self)
            return [Estimate(*entry).to_json() for entry in zip(*columns, strict=True)]
        value, low, high = (float(number) if np.isfinite(number) else None for number in self[:3])
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


def bootstrap_quantiles(values: np.ndarray, probabilities: Sequence[float], seed: int = 0, replicas: int = REPLICAS) -> np.ndarray:
    """Quantiles of bootstrap samples, exactly distributed, without drawing the samples.

    The k-th smallest of n draws with replacement is the sorted value number floor(n U), U the k-th smallest of n uniform numbers; the spacings of those
    are exponential (Devroye, Non-Uniform Random Variate Generation, 1986, V.2), so the few that are needed come from a few gamma numbers.

    Args:
        values: ``(n,)``, n > 0.
        probabilities: Q of them.

    Returns:
        ``(replicas, Q)``, with NumPy's linear interpolation.
    """
    n = len(values)
    ordered = np.sort(values)
    position = np.asarray(probabilities) * (n - 1)
    lower = np.floor(position).astype(np.int64)
    upper = np.minimum(lower + 1, n - 1)
    ranks = np.unique(np.concatenate([lower, upper]))
    spacings = np.random.default_rng(seed).standard_gamma(np.diff(ranks + 1, prepend=0, append=n + 1), size=(replicas, len(ranks) + 1))
    uniform = np.cumsum(spacings, axis=1)
    drawn = ordered[np.minimum((uniform[:, :-1] / uniform[:, -1:] * n).astype(np.int64), n - 1)].astype(np.float64)
    below, above = drawn[:, np.searchsorted(ranks, lower)], drawn[:, np.searchsorted(ranks, upper)]
    return below + (position - lower) * (above - below)


def spread(values: np.ndarray, seed: int = 0) -> dict[str, Estimate]:
    """``median``, ``iqr`` (p75 - p25) and ``iqr_over_median`` with bootstrap intervals, ``tails`` (further than 3 IQR from the median) as a fraction.

    One value has a median, but no width; fewer than five have no intervals.
    """
    n = len(values)
    if n < 2:
        undefined = Estimate(np.nan, np.nan, np.nan, n)
        return {"median": Estimate(values[0] if n else np.nan, np.nan, np.nan, n), **dict.fromkeys(("iqr", "iqr_over_median", "tails"), undefined)}
    quantiles = np.quantile(values.astype(np.float64), (0.25, 0.5, 0.75))
    replicas = bootstrap_quantiles(values, (0.25, 0.5, 0.75), seed)
    median, iqr = quantiles[1], quantiles[2] - quantiles[0]
    of_replicas = {"median": replicas[:, 1], "iqr": replicas[:, 2] - replicas[:, 0]}
    with np.errstate(invalid="ignore", divide="ignore"):
        of_replicas["iqr_over_median"] = of_replicas["iqr"] / of_replicas["median"]
        nominal = {"median": median, "iqr": iqr, "iqr_over_median": iqr / median}
    estimates = {name: _interval(nominal[name], of_replicas[name], n) for name in nominal}
    tails = np.count_nonzero(np.abs(values.astype(np.float64) - median) > TAIL_IN_IQR * iqr)
    return {**estimates, "tails": fraction(tails, n)}


def _interval(value: float, replicas: np.ndarray, n: int) -> Estimate:
    if n < MIN_FOR_INTERVAL or not np.isfinite(replicas).all():  # not finite: medians of 0 to divide by
        return Estimate(value, np.nan, np.nan, n)
    low, high = np.quantile(replicas, (0.5 - COVERAGE / 2, 0.5 + COVERAGE / 2))
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
