"""What is drawn in panels: points with intervals, ratios of them, histograms."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from mlpf.plotting.summary.content import Estimate, Results, Summary, columns
from mlpf.plotting.summary.panels import Panel, unity
from mlpf.plotting.summary.systems import group_id

MIN_RATIO_RANGE, MAX_RATIO_RANGE = 0.05, 1.0  # what is shown on either side of 1
SHOWN = 0.9  # share of the ratios that the range is made for
UP, DOWN = 6, 7  # matplotlib's markers of what is above and below the range
RATIO_STEPS = (0.5, 0.2, 0.1, 0.05, 0.02)  # of ticks


def draw_points(panel: Panel, summary: Summary, edges: np.ndarray, curves: Mapping[str, Sequence[Estimate]]) -> None:
    """Points of each system with their intervals, side by side in their bins; below them, where the panel has room for it, their ratio to the reference."""
    for place, (system, estimates) in enumerate(curves.items()):
        value, error = columns(estimates)
        _points(panel.axes, summary, system, edges, _places(edges, place, len(curves), panel.axes.get_xscale() == "log"), value, error)
    if panel.ratio is not None:
        draw_ratios(panel.ratio, summary, edges, curves)


def draw_ratios(axes: Axes, summary: Summary, edges: np.ndarray, curves: Mapping[str, Sequence[Estimate]]) -> None:
    """Ratio of each system to the reference, which is the line at 1; nothing where there is no reference."""
    unity(axes)
    reference = summary.reference_among(curves)
    places, ratios = {}, {}
    for place, (system, estimates) in enumerate(curves.items()):
        if reference is not None and system != reference:
            ratios[system], error = ratio(*columns(estimates), *columns(curves[reference]))
            places[system] = _places(edges, place, len(curves), axes.get_xscale() == "log")
            _points(axes, summary, system, edges, places[system], ratios[system], error)
    set_ratio_range(axes, np.concatenate([np.zeros(0), *ratios.values()]))
    for system, value in ratios.items():
        _mark_outside(axes, summary, system, places[system], value)


def _mark_outside(axes: Axes, summary: Summary, system: str, x: np.ndarray, value: np.ndarray) -> None:
    """Carets on the frame where values are above or below it."""
    low, high = axes.get_ylim()
    for outside, edge, caret in ((value < low, low, DOWN), (value > high, high, UP)):
        if outside.any():
            axes.plot(x[outside], np.full(int(outside.sum()), edge), marker=caret, linestyle="none", color=summary.looks[system].color, gid=group_id(system))


def set_ratio_range(axes: Axes, values: np.ndarray) -> None:
    """A range around 1 that shows nearly all values; single ones that are far away do not press the others together."""
    away = np.abs(values[np.isfinite(values)] - 1)
    around = np.clip(1.25 * np.quantile(away, SHOWN) if len(away) else 0.0, MIN_RATIO_RANGE, MAX_RATIO_RANGE)
    axes.set_ylim(1 - around, 1 + around)
    step = next(step for step in RATIO_STEPS if step <= 0.9 * around)
    axes.yaxis.set_major_locator(FixedLocator([1 - step, 1, 1 + step]))


def ratio(value: np.ndarray, error: np.ndarray, reference: np.ndarray, reference_error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ratio to a reference and its interval, as if the two were independent: conservative for systems that see the same events.

    Args:
        value, reference: ``(n,)``.
        error, reference_error: ``(2, n)`` distances to the lower and upper end.

    Returns:
        ratio ``(n,)``, and ``(2, n)``: what lowers it are the lower end of the value and the upper end of the reference.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.where(reference != 0, value / reference, np.nan)
        return quotient, np.stack([np.hypot(error[side], quotient * reference_error[1 - side]) / np.abs(reference) for side in (0, 1)])


def _places(edges: np.ndarray, place: int, number: int, logarithmic: bool) -> np.ndarray:
    """Where the points of one of several systems are in their bins: side by side, not on top of each other."""
    share = 0.2 + 0.6 * (place + 1) / (number + 1)
    left, right = edges[:-1], edges[1:]
    return left * (right / left) ** share if logarithmic else left + (right - left) * share


def _points(axes: Axes, summary: Summary, system: str, edges: np.ndarray, x: np.ndarray, value: np.ndarray, error: np.ndarray) -> None:
    """Points with error bars, hollow where there is no interval; all bars are one broken line, which keeps SVG files ten times smaller than `Axes.errorbar`."""
    look, gid = summary.looks[system], group_id(system)
    drawn = np.isfinite(value)
    known = drawn & np.isfinite(error).all(axis=0)
    gap = np.full(len(value), np.nan)
    bars_x = np.stack([edges[:-1], edges[1:], gap, x, x, gap], axis=1)[drawn]
    bars_y = np.stack([value, value, gap, value - error[0], value + error[1], gap], axis=1)[drawn]
    axes.plot(bars_x.ravel(), bars_y.ravel(), color=look.color, linewidth=1.1, gid=gid)
    for some, face in ((known, look.color), (drawn & ~known, "none")):
        if some.any():
            axes.plot(x[some], value[some], look.marker, color=look.color, markerfacecolor=face, label=summary.titles[system], gid=gid)


def draw_markers(
    axes: Axes, summary: Summary, system: str, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, error: np.ndarray | None = None
) -> None:
    """A marker of a system at each place, with vertical error bars ``(2, n)``."""
    look, gid = summary.looks[system], group_id(system)
    if error is not None:
        x, y, gap = np.asarray(x), np.asarray(y), np.full(len(x), np.nan)
        axes.plot(np.stack([x, x, gap], axis=1).ravel(), np.stack([y - error[0], y + error[1], gap], axis=1).ravel(), color=look.color, linewidth=1.1, gid=gid)
    axes.plot(x, y, look.marker, color=look.color, gid=gid)


def draw_histograms(axes: Axes, summary: Summary, edges: np.ndarray, quantities: Results) -> None:
    """Histogram of a quantity of each system, as shares of all its entries, also of those outside the edges."""
    highest = 0.0
    for system, quantity in quantities.items():
        look = summary.looks[system]
        share = np.array(quantity["histogram"]) / max(quantity.get("all", quantity)["median"]["n"], 1)
        axes.stairs(share, edges, color=look.color, linestyle=look.line, linewidth=1.3, label=summary.titles[system], gid=group_id(system))
        highest = max(highest, share.max())
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.1 * highest or 1.0)


def draw_line(axes: Axes, summary: Summary, system: str, x: np.ndarray, y: np.ndarray) -> None:
    """A curve of a system."""
    look = summary.looks[system]
    axes.plot(x, y, color=look.color, linestyle=look.line, label=summary.titles[system], gid=group_id(system))
