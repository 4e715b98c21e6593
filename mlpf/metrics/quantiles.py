"""Quantiles of streams: counts in fine bins that add up, so that memory is flat and any cut into chunks gives the same numbers.

Of each fine bin the number of its entries, the smallest and the largest are kept. The k-th of the n entries of a bin is taken to lie at ``smallest +
(k - 1) / (n - 1) (largest - smallest)``: exact for one or two entries and for any number of equal ones, and else within the width of the bin, far less than the
statistical error where the bin is narrow against the distribution: that of a quantile is about ``1.25 s sqrt(1 / n)`` for a width s, and the order of the
entries of a bin of width w, which is what is forgotten, adds about ``0.6 sqrt(w / s)`` of it in quadrature (1 % of the error for w = s / 20).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numba
import numpy as np

_HUGE = 1e100  # what infinite values (candidates of absurd pt) count as, so that differences of quantiles are numbers


class Grid(NamedTuple):
    """Fine bins, equally wide in ``asinh((x - center) / scale)``; a bin of its own for exactly the center.

    Attributes:
        center: where the bins are narrowest, about ``step * scale`` wide.
        scale: further away from the center than this, their width is ``step`` times the distance.
        largest: what lies further away than this falls into the first or the last bin.
        step: width of the bins in the transformed variable.
    """

    center: float
    scale: float
    largest: float
    step: float

    @property
    def num_each_side(self) -> int:
        """Bins below the center, and above."""
        return math.ceil(math.asinh(self.largest / self.scale) / self.step) + 1

    @property
    def num_bins(self) -> int:
        """Bins in all."""
        return 2 * self.num_each_side + 1

    def position(self, values: np.ndarray) -> np.ndarray:
        """``(N,) int64`` bin of each value, ascending with it; infinite ones have one, NaN has none."""
        assert not np.isnan(values).any(), "quantiles of values that are no numbers"
        side = self.num_each_side
        transformed = np.arcsinh((np.asarray(values, dtype=np.float64) - self.center) / self.scale) / self.step
        return np.clip(np.copysign(np.ceil(np.abs(transformed)), transformed), -side, side).astype(np.int64) + side


class BinnedSample(NamedTuple):
    """One sample, as the bins that have entries; a `mlpf.metrics.uncertainty.Sample`.

    Attributes:
        edges: ``(K + 1,)`` number of entries before each bin, and of all.
        smallest, largest: ``(K,)``.
    """

    edges: np.ndarray
    smallest: np.ndarray
    largest: np.ndarray

    def size(self) -> int:
        """Entries."""
        return int(self.edges[-1])

    def at(self, rank: np.ndarray) -> np.ndarray:
        """Entries number ``rank`` (from 0), the smallest first."""
        index = np.searchsorted(self.edges, rank, side="right") - 1
        gaps = np.maximum(self.edges[index + 1] - self.edges[index] - 1, 1)
        low, high = self.smallest[index], self.largest[index]
        return low + (high - low) * ((rank - self.edges[index]) / gaps)

    def num_outside(self, low: float, high: float) -> int:
        """Entries below ``low`` or above ``high``."""
        return self._num_below(low) + self.size() - self._num_below(np.nextafter(high, np.inf))

    def _num_below(self, limit: float) -> int:
        counts = np.diff(self.edges)
        whole, cut = self.largest < limit, (self.smallest < limit) & (self.largest >= limit)
        low, high = self.smallest[cut], self.largest[cut]
        # entries at low + k (high - low) / (n - 1) < limit <= high; where all are equal they are not below
        share = np.ceil((limit - low) / (high - low) * (counts[cut] - 1)).astype(np.int64)
        return int(counts[whole].sum() + share.sum())


class BinnedSamples:
    """Samples of G groups.

    Args:
        grid: fine bins.
        num_groups: G.

    Attributes:
        count: ``(G, K) int64`` entries.
        smallest, largest: ``(G, K)``, undefined where there is no entry: memory that nobody wrote to costs nothing.
    """

    def __init__(self, grid: Grid, num_groups: int) -> None:
        self.grid = grid
        shape = (num_groups, grid.num_bins)
        self.count = np.zeros(shape, dtype=np.int64)
        self.smallest, self.largest = np.empty(shape), np.empty(shape)

    def add(self, group: np.ndarray, position: np.ndarray, values: np.ndarray) -> None:
        """Add entries.

        Args:
            group: ``(N,)`` 0 to G - 1.
            position: ``(N,)`` what `Grid.position` says of the values.
            values: ``(N,)``.
        """
        values = np.clip(np.asarray(values, dtype=np.float64), -_HUGE, _HUGE)
        _merge(group * self.grid.num_bins + position, np.ones(len(values), dtype=np.int64), values, values, *self._flat())

    def __iadd__(self, other: "BinnedSamples") -> "BinnedSamples":
        self.restore(other.arrays())
        return self

    def _flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.count.ravel(), self.smallest.ravel(), self.largest.ravel()

    def sample(self, group: int) -> BinnedSample:
        """The entries of a group."""
        filled = np.flatnonzero(self.count[group])
        edges = np.concatenate([[0], np.cumsum(self.count[group, filled])])
        return BinnedSample(edges, self.smallest[group, filled], self.largest[group, filled])

    def arrays(self) -> dict[str, np.ndarray]:
        """What has to be kept to `restore` it: the bins with entries, as few are."""
        index = np.flatnonzero(self.count)
        return {"index": index, **{name: values[index] for name, values in zip(("count", "smallest", "largest"), self._flat(), strict=True)}}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Add what `arrays` gave."""
        index = arrays["index"]
        if len(index) and not 0 <= index.min() <= index.max() < self.count.size:
            raise IndexError(f"bin {index.max()} of {self.count.size}")
        _merge(index, arrays["count"], arrays["smallest"], arrays["largest"], *self._flat())


@numba.njit(cache=True)
def _merge(index: np.ndarray, more: np.ndarray, low: np.ndarray, high: np.ndarray, count: np.ndarray, smallest: np.ndarray, largest: np.ndarray) -> None:
    """Add entries to bins: how many, their smallest and their largest."""
    for k, i in enumerate(index):
        smallest[i] = low[k] if count[i] == 0 else min(smallest[i], low[k])
        largest[i] = high[k] if count[i] == 0 else max(largest[i], high[k])
        count[i] += more[k]
