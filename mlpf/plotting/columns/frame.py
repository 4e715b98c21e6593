"""The horizontal axis of a distribution."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from mlpf.plotting.columns.binning import Binning

OUTSIDE = 0.04  # of the axis: width of a bin for the entries outside the range
LETTERS = 70  # that fit below the axis of a distribution
MAX_DECADES = 4  # of a logarithmic axis that has short ticks
SOFT = "#505050"


class Frame:
    """The bins that are shown, shaded ones at the ends for entries outside the range where there are some, and their ticks.

    Args:
        binning: all bins; of kinds, those without entries are not shown.
        counts: ``(n + 2,)`` entries of all samples together, or their weights, below, in and above the bins.
        zeros: how many of all entries are 0, or their weight.

    Attributes:
        edges: of the bins that are shown, with those at the ends.
        inner: without those.
    """

    def __init__(self, binning: Binning, counts: np.ndarray, zeros: float = 0.0) -> None:
        self.binning = binning
        self.below, self.above = bool(counts[0]), bool(counts[-1])
        self.name_below = "zero" if np.isclose(counts[0], zeros) else "below"
        self.shown = np.arange(len(counts) - 2)
        if binning.categories is None:
            self.inner, self.names = binning.edges, []
        else:
            self.shown = np.flatnonzero(counts[1:-1])
            self.inner, self.names = np.arange(len(self.shown) + 1) - 0.5, [list(binning.categories.values())[i] for i in self.shown]
        low, high = self._scaled(self.inner[[0, -1]])
        margin = OUTSIDE * (high - low) if binning.categories is None else 1.0
        ends = np.array([low - margin, high + margin])
        self.ends = np.exp(ends) if binning.log else ends
        self.edges = np.concatenate([self.ends[:1][: self.below], self.inner, self.ends[1:][: self.above]])

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        return np.log(values) if self.binning.log else values

    def visible(self, values: np.ndarray) -> np.ndarray:
        """``(n + 2,)`` values of all bins -> of those between `edges`."""
        return np.concatenate([values[:1][: self.below], values[1:-1][self.shown], values[-1:][: self.above]])

    def prepare(self, axes: Axes) -> None:
        """Scale, limits and ticks, and shade what is outside the range."""
        for there, low, high in ((self.below, self.ends[0], self.inner[0]), (self.above, self.inner[-1], self.ends[1])):
            if there:
                axes.axvspan(low, high, facecolor="black", alpha=0.08, linewidth=0)
        if self.binning.log:
            axes.set_xscale("log")
        axes.set_xlim(self.edges[0], self.edges[-1])
        set_ticks(axes, self.binning, self.inner, self.names)

    def label_outside(self, axes: Axes) -> None:
        """Name the shaded bins."""
        middle: Callable[[float, float], float] = (lambda a, b: (a * b) ** 0.5) if self.binning.log else (lambda a, b: (a + b) / 2)
        for there, name, low, high in (
            (self.below, self.name_below, self.ends[0], self.inner[0]),
            (self.above, "above" if self.binning.categories is None else "other", self.inner[-1], self.ends[1]),
        ):
            if there:
                place = middle(low, high), 0.97
                axes.text(*place, name, rotation=90, ha="center", va="top", fontsize="x-small", color=SOFT, transform=axes.get_xaxis_transform())


def set_ticks(axes: Axes, binning: Binning, edges: np.ndarray, names: Sequence[str], vertical: bool = False, width: float = 1.0) -> None:
    """Ticks of an axis: names of kinds, multiples of pi for azimuths, powers, or round numbers."""
    axis = axes.yaxis if vertical else axes.xaxis
    if binning.categories is not None:
        axis.set_ticks(range(len(names)), names)
        if not vertical and is_crowded(names, width):
            for text in axes.get_xticklabels():
                text.set(rotation=35, ha="right", rotation_mode="anchor")
        axis.set_tick_params(which="both", length=0)
    elif binning.log:
        set_log_ticks(axis, edges[0], edges[-1])
    elif np.isclose(abs(edges[[0, -1]]), np.pi).all():
        axis.set_ticks(np.linspace(-np.pi, np.pi, 5), [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"])
    else:
        halves = bool(np.all((edges + 0.5) % 1 == 0))
        axis.set_major_locator(MaxNLocator(8, integer=halves, min_n_ticks=1, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(PlainNumbers())


def set_log_ticks(axis: Axis, low: float, high: float) -> None:
    """Powers of ten; between them short ticks where there is room, as they take a third of the drawing time."""
    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_minor_formatter(NullFormatter())
    if high > low * 10**MAX_DECADES:
        axis.set_minor_locator(NullLocator())


def is_crowded(names: Sequence[str], width: float = 1.0) -> bool:
    """Names of kinds do not fit beside each other below an axis, ``width`` times as wide as that of a distribution; symbols are two letters."""
    letters = [2 if name.startswith("$") else len(name) for name in names]
    return any((a + b) / 2 + 1 > LETTERS * width / len(names) for a, b in pairwise(letters))


class PlainNumbers(ScalarFormatter):
    """Numbers without an offset, with a power of ten beside the axis for very small or large ones. Only that is mathtext, which takes long to set."""

    def __init__(self) -> None:
        super().__init__(useOffset=False, useMathText=False)
        self.set_powerlimits((-3, 5))

    def get_offset(self) -> str:
        """The power of ten."""
        power = super().get_offset().removeprefix("1e").replace("\N{MINUS SIGN}", "-")
        return rf"$\times 10^{{{power}}}$" if power else ""
