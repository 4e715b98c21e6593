"""One figure per pair of columns: a plane per sample, all on one scale of colours."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from mlpf.plotting.columns.binning import Binning
from mlpf.plotting.columns.config import Log, Normalise
from mlpf.plotting.columns.figures import MEANING, Described, Drawn, height_title, name_with_cuts, norm, shared_cuts, shorten
from mlpf.plotting.columns.frame import SOFT, is_crowded, set_ticks
from mlpf.plotting.columns.histograms import PairHistogram

MAX_SIDE_BY_SIDE = 3
PANEL, PANEL_HEIGHT = 3.3, 3.3  # inches
LEFT, LEFT_NAMES, RIGHT, BOTTOM, TOP, GAP = 0.85, 1.6, 1.15, 1.05, 1.05, 0.75  # inches: around the panels, on the left also of names of kinds, and between rows
BETWEEN = 0.32  # inches, of panels side by side
DECADES = 5  # of the colour scale, at most
NAME = 40  # letters above a panel


class _Side:
    """One of the two axes: the bins that are shown, of kinds only those with entries."""

    def __init__(self, column: Described, binning: Binning, counts: np.ndarray) -> None:
        self.column, self.binning = column, binning
        self.shown = np.arange(len(counts)) if binning.categories is None else np.flatnonzero(counts)
        self.edges = binning.edges if binning.categories is None else np.arange(len(self.shown) + 1) - 0.5
        self.names = [] if binning.categories is None else [list(binning.categories.values())[i] for i in self.shown]


def draw_pair(x: Described, y: Described, pairs: Mapping[Drawn, PairHistogram], normalise: Normalise, weighted: bool, log: Log) -> Figure:
    """Draw two columns of some samples against each other, which have equal bins; call inside `mlpf.plotting.style.style`."""
    some, total = next(iter(pairs.values())), np.sum([pair.inside for pair in pairs.values()], axis=0)
    across, up = _Side(x, some.x, total.sum(axis=1)), _Side(y, some.y, total.sum(axis=0))
    shares = {drawn: pair.inside / norm(float(pair.counts.sum()), drawn.num_events, normalise) for drawn, pair in pairs.items()}
    colors = _colors(np.concatenate([share.ravel() for share in shares.values()]), log)
    figure, panels, scale = _panels(len(pairs), bool(up.names))
    (width, height), shared = figure.get_size_inches(), shared_cuts(list(pairs))
    figure.text(0.3 / width, 1 - 0.2 / height, f"{y.name} against {x.name}", weight="bold", va="center")
    if shared:
        figure.text(0.3 / width, 1 - 0.42 / height, shorten(f"cut: {' and '.join(shared)}", MEANING), fontsize="small", color=SOFT, va="center")
    for axes, (drawn, share) in zip(panels.flat, shares.items(), strict=False):
        image = np.ma.masked_equal(share[np.ix_(across.shown, up.shown)].T, 0)
        mesh = axes.pcolormesh(across.edges, up.edges, image, norm=colors, cmap="viridis", rasterized=True)
        _prepare(axes, across, up)
        _describe(axes, drawn, shared, pairs[drawn])
    for axes in panels[:, 0]:
        axes.set_ylabel("" if up.names else y.title)
    for axes in panels[:, 1:].flat:
        axes.tick_params(labelleft=False)
    figure.colorbar(mesh, cax=scale, label=height_title(normalise, weighted))
    return figure


def _colors(shares: np.ndarray, log: Log) -> Normalize:
    """One scale for all samples; logarithmic unless that is not wanted."""
    filled = shares[shares > 0]
    highest, lowest = (float(filled.max()), float(filled.min())) if len(filled) else (1.0, 1.0)
    return Normalize(0.0, highest) if log == "never" else LogNorm(max(lowest, highest / 10**DECADES) * 0.999, highest * 1.001)


def _panels(number: int, names: bool) -> tuple[Figure, np.ndarray, Axes]:
    """A figure with a panel per sample, and the axes of the colour scale."""
    rows, left = -(-number // MAX_SIDE_BY_SIDE), LEFT_NAMES if names else LEFT
    columns = -(-number // rows)
    width = left + columns * PANEL + (columns - 1) * BETWEEN + RIGHT
    height = TOP + rows * PANEL_HEIGHT + (rows - 1) * (GAP + BOTTOM) + BOTTOM
    figure = Figure(figsize=(width, height))
    panels = np.empty((rows, columns), dtype=object)
    for i in range(rows * columns):
        row, column = divmod(i, columns)
        bottom = height - TOP - (row + 1) * PANEL_HEIGHT - row * (GAP + BOTTOM)
        panels[row, column] = figure.add_axes(((left + column * (PANEL + BETWEEN)) / width, bottom / height, PANEL / width, PANEL_HEIGHT / height))
        panels[row, column].set_visible(i < number)
    scale = figure.add_axes((1 - (RIGHT - 0.15) / width, BOTTOM / height, 0.16 / width, 1 - (TOP + BOTTOM) / height))
    return figure, panels, scale


def _prepare(axes: Axes, across: _Side, up: _Side) -> None:
    """Scales, limits and ticks."""
    if across.binning.log:
        axes.set_xscale("log")
    if up.binning.log:
        axes.set_yscale("log")
    axes.set(xlim=across.edges[[0, -1]], ylim=up.edges[[0, -1]])
    set_ticks(axes, across.binning, across.edges, across.names, width=PANEL / 5.3)
    set_ticks(axes, up.binning, up.edges, up.names, vertical=True)
    if not is_crowded(across.names, PANEL / 5.3):
        axes.set_xlabel(across.column.title)


def _describe(axes: Axes, drawn: Drawn, shared: Sequence[str], pair: PairHistogram) -> None:
    """Above the panel: the sample, and what is not in the panel."""
    about = f"{pair.number} entries" + (f", {100 * pair.share_outside:.2g} % outside" if pair.share_outside else "")
    about += f", not finite: {pair.not_finite}" if pair.not_finite else ""
    axes.text(0, 1.08, name_with_cuts(drawn, shared, NAME), transform=axes.transAxes, fontsize="small")
    axes.text(0, 1.02, about, transform=axes.transAxes, fontsize="x-small", color=SOFT)
