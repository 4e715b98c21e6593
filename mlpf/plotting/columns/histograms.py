"""Counts in bins, one and two columns at a time, that can be filled piece by piece and added up."""

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
def _fill(values: np.ndarray, edges: np.ndarray, counts: np.ndarray) -> tuple[int, float, float, int]:
    """Count finite values; returns their number, mean, sum of squared distances from it, and how many are 0."""
    number, zeros, mean, squares = 0, 0, 0.0, 0.0
    for value in values:
        if not np.isfinite(value):
            continue
        counts[_bin(value, edges)] += 1
        number += 1
        zeros += value == 0
        distance = value - mean
        mean += distance / number
        squares += distance * (value - mean)
    return number, mean, squares, zeros


@numba.njit(cache=True)
def _fill_pair(x: np.ndarray, y: np.ndarray, x_edges: np.ndarray, y_edges: np.ndarray, counts: np.ndarray) -> int:
    """Count pairs of finite values; returns the number of all others."""
    lost = 0
    for i in range(len(x)):
        if np.isfinite(x[i]) and np.isfinite(y[i]):
            counts[_bin(x[i], x_edges), _bin(y[i], y_edges)] += 1
        else:
            lost += 1
    return lost


@dataclass
class Histogram:
    """Entries of one column of one sample; entries of one event are not independent of each other, so sqrt(N) is the least their error can be.

    Attributes:
        binning: its n bins.
        counts: ``(n + 2,) int64``, below, in, and above them.
        number, mean, squares: finite entries, their mean, and the sum of their squared distances from it.
        zeros: how many of them are 0.
        not_finite: NaN and infinite entries.
    """

    binning: Binning
    counts: np.ndarray
    number: int = 0
    mean: float = 0.0
    squares: float = 0.0
    zeros: int = 0
    not_finite: int = 0

    @classmethod
    def empty(cls, binning: Binning) -> "Histogram":
        """Without entries."""
        return cls(binning, np.zeros(len(binning.edges) + 1, np.int64))

    @property
    def std(self) -> float:
        """Standard deviation of the finite entries; 0 if there are none."""
        return float(np.sqrt(self.squares / max(self.number, 1)))

    def fill(self, values: np.ndarray) -> None:
        """Add entries."""
        positions = self.binning.positions(values)
        number, mean, squares, zeros = _fill(positions, self.binning.edges, self.counts)
        self._add_moments(number, mean, squares)
        self.zeros += zeros if self.binning.categories is None else int(np.count_nonzero(values == 0))
        self.not_finite += len(positions) - number

    def add(self, other: "Histogram") -> None:
        """Add another one of the same bins."""
        self.counts += other.counts
        self._add_moments(other.number, other.mean, other.squares)
        self.zeros += other.zeros
        self.not_finite += other.not_finite

    def _add_moments(self, number: int, mean: float, squares: float) -> None:
        """Chan, Golub, LeVeque, The American Statistician 37 (1983) 242, eq. 2.1."""
        total = self.number + number
        if number:
            distance = mean - self.mean
            self.mean += distance * number / total
            self.squares += squares + distance**2 * self.number * number / total
        self.number = total

    def to_json(self) -> dict[str, Any]:
        """Everything; the bins are with the column."""
        below, *counts, above = self.counts.tolist()
        moments = {} if self.binning.categories is not None else {"mean": self.mean, "std": self.std, "zeros": self.zeros}
        return {"entries": self.number, "below": below, "counts": counts, "above": above, "not_finite": self.not_finite, **moments}


@dataclass
class PairHistogram:
    """Entries of two columns of one sample.

    Attributes:
        x, y: their n and m bins.
        counts: ``(n + 2, m + 2) int64``, the outermost are below and above the bins.
        not_finite: entries of which one or both are NaN or infinite.
    """

    x: Binning
    y: Binning
    counts: np.ndarray
    not_finite: int = 0

    @classmethod
    def empty(cls, x: Binning, y: Binning) -> "PairHistogram":
        """Without entries."""
        return cls(x, y, np.zeros((len(x.edges) + 1, len(y.edges) + 1), np.int64))

    @property
    def number(self) -> int:
        """Entries of finite values."""
        return int(self.counts.sum())

    @property
    def inside(self) -> np.ndarray:
        """``(n, m)`` counts in the bins."""
        return self.counts[1:-1, 1:-1]

    def fill(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add entries."""
        self.not_finite += _fill_pair(self.x.positions(x), self.y.positions(y), self.x.edges, self.y.edges, self.counts)

    def add(self, other: "PairHistogram") -> None:
        """Add another one of the same bins."""
        self.counts += other.counts
        self.not_finite += other.not_finite

    def to_json(self) -> dict[str, Any]:
        """Everything; the bins are with the columns."""
        return {"entries": self.number, "not_finite": self.not_finite, "counts_with_below_and_above": self.counts.tolist()}
