"""Counts in bins, one and two columns at a time, that can be filled piece by piece and added up; an entry counts its weight, 1 unless there are weights."""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from mlpf.plotting.columns.binning import Binning


@numba.njit(cache=True)
def _bin(value: float, edges: np.ndarray) -> int:
    """0: below the first edge, 1 to n: the bins, n + 1: above the last edge, which itself belongs to bin n."""
    n = len(edges) - 1
    if value < edges[0]:
        return 0
    if value > edges[n]:
        return n + 1
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        if value < edges[middle]:
            high = middle
        else:
            low = middle
    return low + 1


@numba.njit(cache=True)
def _fill(
    values: np.ndarray, weights: np.ndarray | None, edges: np.ndarray, counts: np.ndarray, variances: np.ndarray
) -> tuple[int, float, float, float, float]:
    """Count finite values; returns their number, total weight, mean, weighted sum of squared distances from it, and the weight of those that are 0."""
    number, total, mean, squares, zeros = 0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(values)):
        value = values[i]
        weight = 1.0 if weights is None else float(weights[i])
        if not np.isfinite(value) or weight == 0.0:
            continue
        position = _bin(value, edges)
        counts[position] += weight
        variances[position] += weight * weight
        number += 1
        total += weight
        zeros += weight * (value == 0)
        distance = value - mean
        mean += distance * weight / total
        squares += weight * distance * (value - mean)
    return number, total, mean, squares, zeros


@numba.njit(cache=True)
def _fill_pair(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, x_edges: np.ndarray, y_edges: np.ndarray, counts: np.ndarray) -> int:
    """Count pairs of finite values; returns their number."""
    number = 0
    for i in range(len(x)):
        if np.isfinite(x[i]) and np.isfinite(y[i]):
            counts[_bin(x[i], x_edges), _bin(y[i], y_edges)] += 1.0 if weights is None else float(weights[i])
            number += 1
    return number


@dataclass
class Histogram:
    """Entries of one column of one sample; entries of one event are not independent of each other, so the error sqrt(sum of squared weights) is the least.

    Attributes:
        binning: its n bins.
        counts: ``(n + 2,) float64``, sums of weights below, in, and above them.
        variances: ``(n + 2,) float64``, sums of squared weights.
        number, total, mean, squares: finite entries, their weight, their mean, and the weighted sum of their squared distances from it.
        zeros: weight of those that are 0.
        not_finite: NaN and infinite entries.
    """

    binning: Binning
    counts: np.ndarray
    variances: np.ndarray
    number: int = 0
    total: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    zeros: float = 0.0
    not_finite: int = 0

    @classmethod
    def empty(cls, binning: Binning) -> "Histogram":
        """Without entries."""
        return cls(binning, np.zeros(len(binning.edges) + 1), np.zeros(len(binning.edges) + 1))

    @property
    def std(self) -> float:
        """Standard deviation of the finite entries; 0 if there are none."""
        return float(np.sqrt(self.squares / self.total)) if self.total else 0.0

    def fill(self, values: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add entries; those of no weight do not count."""
        positions = self.binning.positions(values)
        self._add_moments(*_fill(positions, weights, self.binning.edges, self.counts, self.variances))
        self.not_finite += int(np.count_nonzero(~np.isfinite(positions)))

    def add(self, other: "Histogram") -> None:
        """Add another one of the same bins."""
        self.counts += other.counts
        self.variances += other.variances
        self._add_moments(other.number, other.total, other.mean, other.squares, other.zeros)
        self.not_finite += other.not_finite

    def _add_moments(self, number: int, total: float, mean: float, squares: float, zeros: float) -> None:
        """Chan, Golub, LeVeque, The American Statistician 37 (1983) 242, eq. 2.1, with weights in the place of numbers."""
        both = self.total + total
        if number:
            distance = mean - self.mean
            self.mean += distance * total / both
            self.squares += squares + distance**2 * self.total * total / both
        self.number += number
        self.total = both
        self.zeros += zeros

    def to_json(self, weighted: bool) -> dict[str, Any]:
        """Everything; the bins are with the column."""
        below, *counts, above = _plain(self.counts, weighted)
        content = {"entries": self.number, "below": below, "counts": counts, "above": above, "not_finite": self.not_finite}
        if weighted:
            content["variances_with_below_and_above"] = self.variances.tolist()
        return content | ({} if self.binning.categories is not None else {"mean": self.mean, "std": self.std, "zeros": self.zeros})


@dataclass
class PairHistogram:
    """Entries of two columns of one sample.

    Attributes:
        x, y: their n and m bins.
        counts: ``(n + 2, m + 2) float64``, sums of weights, the outermost are below and above the bins.
        number: entries whose values are both finite.
        not_finite: all others.
    """

    x: Binning
    y: Binning
    counts: np.ndarray
    number: int = 0
    not_finite: int = 0

    @classmethod
    def empty(cls, x: Binning, y: Binning) -> "PairHistogram":
        """Without entries."""
        return cls(x, y, np.zeros((len(x.edges) + 1, len(y.edges) + 1)))

    @property
    def inside(self) -> np.ndarray:
        """``(n, m)`` sums of weights in the bins."""
        return self.counts[1:-1, 1:-1]

    @property
    def share_outside(self) -> float:
        """Part of all weight that is not in the bins."""
        edge = np.ones(self.counts.shape, dtype=bool)
        edge[1:-1, 1:-1] = False
        return float(self.counts[edge].sum() / self.counts.sum()) if self.number else 0.0

    def fill(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add entries."""
        number = _fill_pair(self.x.positions(x), self.y.positions(y), weights, self.x.edges, self.y.edges, self.counts)
        self.number += number
        self.not_finite += len(x) - number

    def add(self, other: "PairHistogram") -> None:
        """Add another one of the same bins."""
        self.counts += other.counts
        self.number += other.number
        self.not_finite += other.not_finite

    def to_json(self, weighted: bool) -> dict[str, Any]:
        """Everything; the bins are with the columns."""
        return {"entries": self.number, "not_finite": self.not_finite, "counts_with_below_and_above": _plain(self.counts, weighted)}


def _plain(counts: np.ndarray, weighted: bool) -> list[Any]:
    """Numbers of entries are integers."""
    return (counts if weighted else counts.astype(np.int64)).tolist()
