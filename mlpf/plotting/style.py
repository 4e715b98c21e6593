"""One look for all figures: the CMS style of mplhep at the size of a page, without the collaboration's name."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

# Colour-blind safe, arXiv:2107.02270
BLUE, ORANGE, RED, PURPLE, GREY, VIOLET = "#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd"
CLASS_TITLES = {
    "none": "none",
    "charged_hadron": "charged hadron",
    "neutral_hadron": "neutral hadron",
    "hf_hadron": "HF hadronic",
    "hf_em": "HF electromagnetic",
    "photon": "photon",
    "electron": "electron",
    "muon": "muon",
    "tau": "tau",
}

PANEL, PANEL_HEIGHT = 3.3, 2.8  # inches, with the space around

_PARAMETERS: Any = {
    **mplhep.style.CMS,
    "savefig.dpi": 150,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "mlpf",  # the same figure gives the same file
    "xtick.minor.visible": False,  # they take most of the drawing time
    "ytick.minor.visible": False,
    "font.size": 11.0,
    "axes.linewidth": 1.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": "medium",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "legend.fontsize": "small",
    "lines.markersize": 4.5,
    "lines.linewidth": 1.3,
    **{f"{axis}tick.major.{quantity}": size for axis in "xy" for quantity, size in {"size": 6, "width": 0.9, "pad": 4}.items()},
    **{f"{axis}tick.minor.{quantity}": size for axis in "xy" for quantity, size in {"size": 3, "width": 0.7}.items()},
}


@contextmanager
def style() -> Iterator[None]:
    """Make figures inside this block."""
    with mpl.rc_context(_PARAMETERS):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of ``width`` x ``height`` inches whose parts never overlap."""
    return Figure(figsize=(width, height), layout="constrained")


def new_grid(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """A figure of ``rows`` x ``columns`` panels of one size, and the panels.

    The space between them is fixed: measuring the texts, as `new_figure` does, would take most of the drawing time.
    """
    width, height = PANEL * columns, PANEL_HEIGHT * rows
    figure = Figure(figsize=(width, height))
    panels = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(left=0.65 / width, right=1 - 0.15 / width, bottom=0.5 / height, top=1 - 0.3 / height, wspace=0.32, hspace=0.36)
    return figure, panels


def logarithmic(axes: Axes, edges: Sequence[float], ticks: Sequence[float]) -> None:
    """Make the horizontal axis logarithmic, from the first edge to the last, with plain numbers at some ticks."""
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def label(axes: Axes, right: str = "") -> None:
    """Write whose figure it is above the axes, and ``right`` at their right end."""
    axes.set_title(r"$\mathbf{mlpf}$ $\mathit{simulation}$", loc="left", pad=6)
    axes.set_title(right, loc="right", pad=6, fontsize="small")
