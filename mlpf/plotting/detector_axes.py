"""What the figures of the validation of the simulated detector share: colours, points with errors, axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mlpf.plotting.style import BLUE, GREY, ORANGE, PURPLE, RED, logarithmic
from mlpf.plotting.summary import columns

Curve = dict[str, Any]
COLORS, MARKERS = (BLUE, ORANGE, RED, PURPLE, GREY), ("o", "s", "D", "^", "v")
ENERGY, ABS_ETA, ETA, PT = "true energy [GeV]", r"$|\eta|$", r"$\eta$", r"$p_\mathrm{T}$ [GeV]"
SAMPLE_TITLES = {"ttbar": r"$t\bar{t}$", "ttbar pileup": r"$t\bar{t}$, pileup 55 to 75", "qcd": r"dijets, flat $\hat{p}_\mathrm{T}$"}


def points(axes: Axes, curve: Curve, quantity: str, title: str, place: int, logarithmic: bool | None = None) -> None:
    """Points with error bars in the middle of the bins, moved a little aside by their place among the curves of a panel."""
    value, error = columns(curve[quantity])
    edges = np.array(curve["edges"])
    shift = 0.5 + 0.12 * ((place + 1) // 2) * (-1) ** place
    x = edges[:-1] ** (1 - shift) * edges[1:] ** shift if _is_logarithmic(edges, logarithmic) else edges[:-1] * (1 - shift) + edges[1:] * shift
    axes.errorbar(
        x, value, np.maximum(np.nan_to_num(error), 0.0), fmt=MARKERS[place], color=COLORS[place], label=title, markersize=3.5, elinewidth=1.0, linewidth=0
    )


def _is_logarithmic(edges: np.ndarray, wanted: bool | None) -> bool:
    return bool(edges[0] > 0 and edges[-1] / edges[0] > 10) if wanted is None else wanted


def centres(edges: Sequence[float], logarithmic: bool = True) -> np.ndarray:
    """Middles of bins, of logarithmic ones unless told otherwise."""
    edge = np.array(edges)
    return np.sqrt(edge[:-1] * edge[1:]) if logarithmic else 0.5 * (edge[:-1] + edge[1:])


def numbers(values: Sequence[float | None]) -> np.ndarray:
    """Numbers of a JSON list, NaN where there is none."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def unity(axes: Axes, range_: tuple[float, float]) -> None:
    """Range of a response, and a line at 1."""
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    axes.set_ylim(*range_)


def energy_axis(axes: Axes, edges: Sequence[float]) -> None:
    """The axis of the true energy."""
    logarithmic(axes, edges, (2, 5, 10, 20, 50, 100, 200, 500))
    axes.set_xlabel(ENERGY)


def mathematical(region: str) -> str:
    """``1.5 < abs(eta) < 2.5`` as a formula."""
    return "$" + region.replace("abs(eta)", r"|\eta|\ ").replace(" to ", r"\ \mathrm{to}\ ") + "$"
