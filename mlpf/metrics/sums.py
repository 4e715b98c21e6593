"""What streams of entries leave behind: fractions, widths and means of C categories, overall and in bins of variables.

All of it is counts and sums of fixed size that add up: however events are cut into chunks or shared by jobs, the same events give the same numbers, bit by bit.
Entries outside all bins of a variable, and at its last edge, count overall only.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np

from mlpf.metrics.binning import bin_index
from mlpf.metrics.quantiles import BinnedSamples, Grid
from mlpf.metrics.uncertainty import Estimate, fraction, mean_of_sums, spreads

ALL = "all"
_BITS = 20
_UNITS = 2**_BITS  # to 1 in `MeanSums`
_LARGEST_MEAN = 1e6  # in `MeanSums`
Bins = Mapping[str, np.ndarray]  # variable -> (N,) what `bin_index` says of each entry
Edges = Mapping[str, np.ndarray]  # variable -> edges of its bins


class Sums(Protocol):
    """Anything that adds up, and can be kept in a file."""

    def __iadd__(self, other: Self) -> Self:
        """Add those of other events."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What has to be kept to `restore` it."""

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Add what `arrays` gave."""


class CountSums:
    """Named arrays that are added, entry by entry.

    Args:
        counts: they are changed in place.
    """

    def __init__(self, counts: Mapping[str, np.ndarray]) -> None:
        self.counts = dict(counts)

    def __iadd__(self, other: Self) -> Self:
        for name, values in self.counts.items():
            values += other.counts[name]
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """See `Sums`."""
        return self.counts

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """See `Sums`."""
        for name, values in self.counts.items():
            if arrays[name].shape != values.shape:
                raise ValueError(f"{name}: shape {arrays[name].shape}, expected {values.shape}")
            values += arrays[name]


class FractionSums(CountSums):
    """Entries that passed, and that did not.

    Args:
        num_categories: C.
        edges: of the variables' bins.
    """

    def __init__(self, num_categories: int, edges: Edges) -> None:
        super().__init__({name: np.zeros((num_categories, size, 2), dtype=np.int64) for name, size in _num_bins(edges)})

    def add(self, passed: np.ndarray, bins: Bins, category: np.ndarray) -> None:
        """Add entries.

        Args:
            passed: ``(N,) bool``.
            bins: their bin of each variable.
            category: ``(N,)`` 0 to C - 1.
        """
        for name, counts in self.counts.items():
            counts += count_cells(counts.shape, category, _bin_of(name, bins, category), passed)

    def to_json(self, variables: Sequence[str]) -> list[dict[str, Any]]:
        """Per category: share of the passed, ``all`` and in bins of the variables."""
        estimates = {name: fraction(self.counts[name][..., 1], self.counts[name].sum(axis=-1)) for name in (ALL, *variables)}
        return _per_category(estimates)


class SpreadSums:
    """Values of which median, IQR and tails are wanted.

    Args:
        num_categories: C.
        edges: of the variables' bins.
        grid: fine bins of the values.
        histogram: edges of a histogram; none if there are no edges.
        relative: whether IQR / median has a meaning; it has none where the median is near 0.
    """

    def __init__(self, num_categories: int, edges: Edges, grid: Grid, histogram: np.ndarray | None = None, relative: bool = True) -> None:
        self.grid = grid
        self._bins = dict(_num_bins(edges))
        self._samples = {name: BinnedSamples(grid, num_categories * size) for name, size in self._bins.items()}
        self._histogram_edges = histogram
        self._histogram = CountSums({} if histogram is None else {"histogram": np.zeros((num_categories, len(histogram) + 1), dtype=np.int64)})
        self._relative = relative
        self._num_categories = num_categories

    def add(self, values: np.ndarray, bins: Bins, category: np.ndarray) -> None:
        """Add entries.

        Args:
            values: ``(N,)``; NaN are left out.
            bins: their bin of each variable.
            category: ``(N,)`` 0 to C - 1.
        """
        values, bins, category = _numbers(values, bins, category)
        position = self.grid.position(values)
        for name, samples in self._samples.items():
            samples.add(category * self._bins[name] + _bin_of(name, bins, category), position, values)
        if self._histogram_edges is not None:
            counts = self._histogram.counts["histogram"]
            counts += count_cells(counts.shape, category, bin_index(values, self._histogram_edges))

    def __iadd__(self, other: Self) -> Self:
        self._histogram += other._histogram
        for name, samples in self._samples.items():
            samples += other._samples[name]
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """See `Sums`."""
        return self._histogram.arrays() | {f"{name}.{key}": array for name, samples in self._samples.items() for key, array in samples.arrays().items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """See `Sums`."""
        self._histogram.restore(arrays)
        for name, samples in self._samples.items():
            samples.restore({key: arrays[f"{name}.{key}"] for key in ("index", "count", "smallest", "largest")})

    def to_json(self, variables: Sequence[str]) -> list[dict[str, Any]]:
        """Per category: median, IQR, IQR / median (if ``relative``) and tails, ``all`` and in bins of the variables, and the histogram if there is one."""
        estimates: dict[str, dict[str, Estimate]] = {}
        for name in (ALL, *variables):
            num_groups = self._num_categories * self._bins[name]
            for quantity, estimate in spreads([self._samples[name].sample(g) for g in range(num_groups)]).items():
                shape = (self._num_categories, self._bins[name])
                estimates.setdefault(quantity, {})[name] = Estimate(*(np.reshape(column, shape) for column in estimate))
        if not self._relative:
            del estimates["iqr_over_median"]
        by_quantity = {quantity: _per_category(of_variables) for quantity, of_variables in estimates.items()}
        summaries: list[dict[str, Any]] = []
        for c in range(self._num_categories):
            summaries.append({name: {quantity: entries[c][name] for quantity, entries in by_quantity.items()} for name in (ALL, *variables)})
            if self._histogram_edges is not None:
                summaries[c]["histogram"] = self._histogram.counts["histogram"][c, 1:-1].tolist()
        return summaries


class MeanSums(CountSums):
    """Values of which the mean is wanted.

    Sums of float64 numbers depend on the order of events, those of integers do not: values are rounded to 2^-20 (1e-6), whole and fractional parts are summed
    apart, and of their products, all below 2^40, the upper and lower 20 bits: so 2^43 entries fit. Values beyond +-1e6 count as that.

    Args:
        num_categories: C.
        edges: of the variables' bins.
    """

    _PRODUCTS = ("whole_whole", "whole_part", "part_part")
    _MOMENTS = ("n", "whole", "part", *(f"{product}.{bits}" for product in _PRODUCTS for bits in ("upper", "lower")))

    def __init__(self, num_categories: int, edges: Edges) -> None:
        self._shapes = {name: (num_categories, size) for name, size in _num_bins(edges)}
        super().__init__({f"{name}.{moment}": np.zeros(shape, dtype=np.int64) for name, shape in self._shapes.items() for moment in self._MOMENTS})

    def add(self, values: np.ndarray, bins: Bins, category: np.ndarray) -> None:
        """Add entries.

        Args:
            values: ``(N,)``; NaN are left out.
            bins: their bin of each variable.
            category: ``(N,)`` 0 to C - 1.
        """
        values, bins, category = _numbers(values, bins, category)
        values = np.clip(values, -_LARGEST_MEAN, _LARGEST_MEAN)
        whole = np.floor(values).astype(np.int64)
        part = np.rint((values - whole) * _UNITS).astype(np.int64)
        products = (whole * whole, whole * part, part * part)
        entries = (np.ones_like(whole), whole, part, *(bits for product in products for bits in (product >> _BITS, product & (_UNITS - 1))))
        for name in self._shapes:
            for moment, numbers in zip(self._MOMENTS, entries, strict=True):
                np.add.at(self.counts[f"{name}.{moment}"], (category, _bin_of(name, bins, category)), numbers)

    def to_json(self, variables: Sequence[str]) -> list[dict[str, Any]]:
        """Per category: mean with its standard error, ``all`` and in bins of the variables."""
        return _per_category({name: self._estimate(name) for name in (ALL, *variables)})

    def _estimate(self, name: str) -> Estimate:
        n, whole, part, *products = (self.counts[f"{name}.{moment}"] for moment in self._MOMENTS)
        whole_whole, whole_part, part_part = (upper * float(_UNITS) + lower for upper, lower in zip(products[::2], products[1::2], strict=True))
        return mean_of_sums(n, whole + part / _UNITS, whole_whole + 2.0 * whole_part / _UNITS + part_part / _UNITS**2)


def _numbers(values: np.ndarray, bins: Bins, category: np.ndarray) -> tuple[np.ndarray, Bins, np.ndarray]:
    """Entries without those that are NaN.

    Such as the energy response to a target without energy: the truth of a dataset of any origin may be absurd somewhere, which is no reason to lose the rest.
    """
    if not (undefined := np.isnan(values)).any():
        return values, bins, category
    return values[~undefined], {name: index[~undefined] for name, index in bins.items()}, category[~undefined]


def _num_bins(edges: Edges) -> Iterator[tuple[str, int]]:
    """Every variable and its number of bins, those below and above the edges included; ``all`` has one."""
    yield ALL, 1
    for name, values in edges.items():
        yield name, len(values) + 1


def _bin_of(name: str, bins: Bins, category: np.ndarray) -> np.ndarray:
    return np.zeros(len(category), dtype=np.int64) if name == ALL else bins[name]


def count_cells(shape: tuple[int, ...], *index: np.ndarray) -> np.ndarray:
    """How often each cell of an array is pointed at."""
    cells = np.ravel_multi_index(tuple(np.asarray(i, dtype=np.int64) for i in index), shape)
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)


def _per_category(estimates: Mapping[str, Estimate]) -> list[dict[str, Any]]:
    """``(C, bins)`` estimates of each variable -> per category: ``all`` and the bins of each variable, without those below and above the edges."""
    entries = {
        name: [Estimate(*row).to_json() for row in zip(*(np.asarray(column) for column in estimate), strict=True)] for name, estimate in estimates.items()
    }
    num_categories = len(entries[ALL])
    return [{name: rows[c][0] if name == ALL else rows[c][1:-1] for name, rows in entries.items()} for c in range(num_categories)]
