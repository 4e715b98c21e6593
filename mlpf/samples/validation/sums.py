"""Sums over events from which every test follows: they are added up chunk by chunk, in any number of processes, and forget the events.

Per part of the dataset only the contents are kept; how much they fluctuate, and how the elements of an event hang together, is summed over all parts, which
have it in common where they are samples of one distribution.
"""

from dataclasses import dataclass
from typing import Self

import numba
import numpy as np

from mlpf.samples.validation.config import COARSE, Binning

SQUARES = ("squares", "products", "coarse_squares", "coarse_products", "total_squares")
"""Of `HistogramSums`: what is quadratic in the entries of an event."""


@dataclass
class CountSums:
    """Sums over events of c, the event's entries in each of K categories.

    Attributes:
        counts: ``(P, K)`` sum of c in each part.
        events: ``(P,)`` all events.
        weights: ``(2, K + 1)`` sum of weights and of their squares, of the events with entries in each category, then of all, over all parts.
        products: ``(K, K)`` sum of c c^T over all parts.
    """

    counts: np.ndarray
    events: np.ndarray
    weights: np.ndarray
    products: np.ndarray

    @classmethod
    def empty(cls, num_parts: int, num_categories: int) -> Self:
        """No events yet."""
        return cls(*(np.zeros(shape) for shape in ((num_parts, num_categories), num_parts, (2, num_categories + 1), (num_categories, num_categories))))

    def add(self, part: np.ndarray, event: np.ndarray, category: np.ndarray, weight: np.ndarray) -> None:
        """Add B events with N entries.

        Args:
            part: ``(B,)`` part of each event.
            event, category: ``(N,)`` of each entry.
            weight: ``(B,)`` of each event.
        """
        num_categories = self.counts.shape[1]
        entries = np.bincount(event * num_categories + category, minlength=len(part) * num_categories).reshape(len(part), num_categories)
        weighted = entries * weight[:, None]
        np.add.at(self.counts, part, weighted)
        np.add.at(self.events, part, 1)
        self.weights += np.stack([weight, weight**2]) @ np.column_stack([entries > 0, np.ones(len(part))])
        self.products += weighted.T @ weighted

    def merge(self, other: Self, first_part: int) -> None:
        """Add sums whose parts are ours from ``first_part`` on."""
        parts = slice(first_part, first_part + len(other.events))
        self.counts[parts] += other.counts
        self.events[parts] += other.events
        self.weights += other.weights
        self.products += other.products


@dataclass
class HistogramSums:
    """Sums over events of histograms of T bins in each of S strata. n: the event's entries in a stratum, c(t): those of them in bins up to t.

    Attributes:
        histogram: ``(P, S, T)`` entries of each part.
        events: ``(P, S)`` events with entries.
        squares, products: ``(S, T)`` sum of c^2 and of c n over all parts.
        coarse_squares, coarse_products: ``(S, C)`` the same of the contents of coarse bins in the place of c, see `coarse`.
        total_squares: ``(S,)`` sum of n^2.
        weights: ``(2, S)`` sum of weights and of their squares, of the events with entries, over all parts.
    """

    histogram: np.ndarray
    events: np.ndarray
    squares: np.ndarray
    products: np.ndarray
    coarse_squares: np.ndarray
    coarse_products: np.ndarray
    total_squares: np.ndarray
    weights: np.ndarray

    @classmethod
    def empty(cls, num_parts: int, num_strata: int, binning: Binning) -> Self:
        """No events yet."""
        num_bins, num_coarse = binning.num_bins + 2, binning.num_bins // COARSE + 2
        fine, rough = (num_strata, num_bins), (num_strata, num_coarse)
        shapes = ((num_parts, *fine), (num_parts, num_strata), fine, fine, rough, rough, (num_strata,), (2, num_strata))
        return cls(*(np.zeros(shape) for shape in shapes))

    def add(self, part: np.ndarray, offsets: np.ndarray, stratum: np.ndarray, bins: np.ndarray, weight: np.ndarray) -> None:
        """Add B events with N entries.

        Args:
            part: ``(B,)`` part of each event.
            offsets: ``(B + 1,)`` first entry of each event.
            stratum: ``(N,)`` of each entry, below 0: none.
            bins: ``(N,)`` of each entry, see `bin_numbers`.
            weight: ``(B,)`` of each event.
        """
        _add_events(part, offsets, stratum, bins, weight, self.histogram, self.events, self.weights, tuple(getattr(self, name) for name in SQUARES))

    def merge(self, other: Self, first_part: int) -> None:
        """Add sums whose parts are ours from ``first_part`` on."""
        parts = slice(first_part, first_part + len(other.events))
        self.histogram[parts] += other.histogram
        self.events[parts] += other.events
        for name in (*SQUARES, "weights"):
            getattr(self, name)[...] += getattr(other, name)

    def of_stratum(self, stratum: int) -> Self:
        """The sums of one stratum (views)."""
        only = slice(stratum, stratum + 1)
        squares = {name: getattr(self, name)[only] for name in SQUARES}
        return type(self)(histogram=self.histogram[:, only], events=self.events[:, only], weights=self.weights[:, only], **squares)


def effective(weights: np.ndarray) -> np.ndarray:
    """``(2, ...)`` sum of weights and of their squares -> how many events of equal weight would fluctuate as much (Kish 1965); 0 without any."""
    return np.divide(weights[0] ** 2, weights[1], out=np.zeros(weights.shape[1:]), where=weights[1] > 0)


def coarse(histogram: np.ndarray) -> np.ndarray:
    """``(..., T)`` -> ``(..., C)``: `COARSE` neighbours together, but the first and the last bin, which hold what lies outside, alone."""
    inner = histogram[..., 1:-1]
    inner = inner.reshape(*inner.shape[:-1], -1, COARSE).sum(axis=-1)
    return np.concatenate([histogram[..., :1], inner, histogram[..., -1:]], axis=-1)


def bin_numbers(values: np.ndarray, binning: Binning) -> tuple[np.ndarray, int]:
    """Bins of values ``(N,)``, from 0 (all below, and NaN) to num_bins + 1 (all above), and how many values are not finite."""
    low, high = np.log((binning.low, binning.high)) if binning.logarithmic else (binning.low, binning.high)
    bins = np.empty(len(values), dtype=np.int32)
    return bins, _bin_numbers(values, low, binning.num_bins / (high - low), binning.num_bins, binning.logarithmic, bins)


@numba.njit(cache=True)
def _bin_numbers(values: np.ndarray, low: float, per_unit: float, num_bins: int, logarithmic: bool, bins: np.ndarray) -> int:
    not_finite = 0
    for i in range(len(values)):
        value = float(values[i])
        if not np.isfinite(value):
            not_finite += 1
        if logarithmic and not value > 0:
            bins[i] = 0
            continue
        place = ((np.log(value) if logarithmic else value) - low) * per_unit
        if not place >= 0:  # also NaN
            bins[i] = 0
        elif place >= num_bins:
            bins[i] = num_bins + 1
        else:
            bins[i] = 1 + int(place)
    return not_finite


@numba.njit(cache=True)
def _add_events(
    part: np.ndarray,
    offsets: np.ndarray,
    stratum: np.ndarray,
    bins: np.ndarray,
    weight: np.ndarray,
    histogram: np.ndarray,
    events: np.ndarray,
    weights: np.ndarray,
    sums: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    num_strata, num_bins = sums[0].shape
    own = np.zeros((num_strata, num_bins))
    used, is_used = np.empty(num_strata, np.int64), np.zeros(num_strata, np.bool_)
    for event in range(len(part)):
        num_used = 0
        for i in range(offsets[event], offsets[event + 1]):
            s = stratum[i]
            if s < 0:
                continue
            if not is_used[s]:
                is_used[s] = True
                used[num_used] = s
                num_used += 1
            own[s, bins[i]] += weight[event]
        for k in range(num_used):
            s = used[k]
            histogram[part[event], s] += own[s]
            events[part[event], s] += 1
            weights[0, s] += weight[event]
            weights[1, s] += weight[event] ** 2
            _add_squares(own[s], s, sums)
            own[s] = 0.0
            is_used[s] = False


@numba.njit(cache=True)
def _add_squares(own: np.ndarray, s: int, sums: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> None:
    squares, products, coarse_squares, coarse_products, total_squares = sums
    last = len(own) - 1
    for t in range(last):
        own[t + 1] += own[t]  # cumulative from here on
    total = own[last]
    for t in range(len(own)):  # apart from the sum above, so that it runs on vectors
        squares[s, t] += own[t] * own[t]
        products[s, t] += own[t] * total
    before = 0.0
    for place in range(coarse_squares.shape[1]):
        upto = own[min(place * COARSE, last)]
        content = upto - before
        coarse_squares[s, place] += content * content
        coarse_products[s, place] += content * total
        before = upto
    total_squares[s] += total * total
