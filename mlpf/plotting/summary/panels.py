"""Figures made of panels: a header says whose numbers they are, a legend below it which system is which.

All distances are fixed: measuring the texts would take most of the drawing time.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter

from mlpf.plotting.summary.axes import PlainAxes
from mlpf.plotting.summary.content import Summary
from mlpf.plotting.summary.systems import group_id

# Inches
MAIN, RATIO, GAP = 1.9, 0.72, 0.08  # heights of panels and what is between those of a stack
RIGHT, ABOVE = 0.15, 0.26
HEADER, LEGEND_LINE, MARGIN = 0.3, 0.21, 0.15
LETTER, HANDLE = 0.075, 0.6  # of the legend: mean width of a letter, width of a sample and the gaps
NAME = 0.4  # width of the project's name
STEPS = (1, 2, 2.5, 5, 10)  # between numbers of an axis, times a power of ten
LABEL = 0.24  # from the outer end of a label to the inner one


class Size(NamedTuple):
    """Width of a stack of panels, and the space for labels at its left and below it."""

    width: float = 2.55
    left: float = 0.72
    bottom: float = 0.52


USUAL = Size()


class Panel(NamedTuple):
    """Axes, and those for ratios below them."""

    axes: PlainAxes
    ratio: PlainAxes | None = None

    @property
    def lowest(self) -> PlainAxes:
        """The axes that carry the label of x."""
        return self.axes if self.ratio is None else self.ratio


Grid = list[list[list[Panel]]]  # by row and column: a stack of panels


def new_panels(
    summary: Summary,
    stacks: Sequence[Sequence[float]],
    systems: Iterable[str],
    rows: int = 1,
    number: int | None = None,
    size: Size = USUAL,
    compared: Iterable[str] | None = None,
    about: str | None = None,
) -> tuple[Figure, Grid]:
    """A figure of stacks of panels with a common horizontal axis.

    Args:
        summary: what is shown.
        stacks: heights of the panels of each column, from the top; `RATIO` is one for the ratios of the panel above it, left out where nothing can be compared.
            The first panel grows to what the highest stack needs.
        systems: those in the legend.
        rows: of stacks.
        number: of stacks, the last row may have fewer; by default all.
        size: of a stack.
        compared: systems among which ratios are taken; by default all.
        about: what the header says of the sample; by default the dataset and its number of events.
    """
    systems = list(systems)
    reference = summary.reference_among(systems if compared is None else compared)
    has_ratios = reference is not None and any(RATIO in stack for stack in stacks)
    stacks = [[height for height in stack if reference is not None or height != RATIO] for stack in stacks]
    height = max(sum(stack) + GAP * (len(stack) - 1) for stack in stacks)
    step = size.left + size.width + RIGHT
    legend = _legend_rows(summary, systems, len(stacks) * step)
    top = rows * (ABOVE + height + size.bottom)
    figure = Figure(figsize=(len(stacks) * step, top + HEADER + LEGEND_LINE * len(legend)))
    note = f"ratios to {summary.titles[reference]}" if has_ratios and reference is not None else ""
    about = ", ".join(text for text in (summary.dataset, f"{summary.entry['num_events']} events", note) if text) if about is None else about
    _draw_header(figure, summary, legend, about)
    grid: Grid = []
    for row in range(rows):
        used = len(stacks) if number is None else min(len(stacks), number - row * len(stacks))
        upper = top - row * (ABOVE + height + size.bottom) - ABOVE
        grid.append([_add_stack(figure, column * step + size.left, upper, height, stacks[column], size) for column in range(used)])
    return figure, grid


def _add_stack(figure: Figure, left: float, top: float, height: float, stack: Sequence[float], size: Size) -> list[Panel]:
    first = height - sum(stack[1:]) - GAP * (len(stack) - 1)
    panels: list[Panel] = []
    above: PlainAxes | None = None
    for own in (first, *stack[1:]):
        axes = _add_axes(figure, (left, top - own, size.width, own), size, above)
        if own == RATIO and above is not None:
            axes.set_ylabel("ratio", fontsize="small")
            panels[-1] = Panel(panels[-1].axes, axes)
        else:
            panels.append(Panel(axes))
        top -= own + GAP
        above = axes
    return panels


def _add_axes(figure: Figure, box: tuple[float, float, float, float], size: Size, above: PlainAxes | None) -> PlainAxes:
    """Axes at ``left, bottom, width, height`` below others of the same stack, their labels at fixed distances."""
    total = figure.get_size_inches()
    left, bottom, width, height = box
    axes = PlainAxes(figure, (left / total[0], bottom / total[1], width / total[0], height / total[1]), sharex=above)
    figure.add_axes(axes)
    axes.xaxis.set_label_coords(0.5, -(size.bottom - LABEL) / height)
    axes.yaxis.set_label_coords(-(size.left - LABEL) / width, 0.5)
    if above is None:
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    else:
        above.has_numbers_below = False
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=STEPS, prune="upper"))
    return axes


def _legend_rows(summary: Summary, systems: Iterable[str], width: float) -> list[list[str]]:
    """Systems in the lines of a legend."""
    rows: list[list[str]] = []
    used = np.inf
    for system in systems:
        own = _legend_width(summary, system)
        if used + own > width - MARGIN:
            rows.append([])
            used = 0.0
        rows[-1].append(system)
        used += own
    return rows


def _legend_width(summary: Summary, system: str) -> float:
    return HANDLE + LETTER * len(summary.titles[system])


def _draw_header(figure: Figure, summary: Summary, legend: Sequence[Sequence[str]], about: str) -> None:
    width, height = figure.get_size_inches()
    y = 1 - 0.2 / height
    figure.text(MARGIN / width, y, "mlpf", weight="bold")
    figure.text((MARGIN + NAME) / width, y, "simulation", style="italic")
    figure.text(1 - RIGHT / width, y, about, ha="right", fontsize="small")
    for row, systems in enumerate(legend):
        x, line = MARGIN, 1 - (HEADER + LEGEND_LINE * (row + 0.4)) / height
        for system in systems:
            look, gid = summary.looks[system], group_id(system)
            places = [x / width, (x + 0.17) / width, (x + 0.34) / width]
            sample = Line2D(places, [line] * 3, color=look.color, linestyle=look.line, marker=look.marker, markevery=[1], gid=gid)
            sample.set_transform(figure.transFigure)
            figure.add_artist(sample)
            figure.text((x + 0.42) / width, line, summary.titles[system], va="center_baseline", fontsize="small", gid=gid)
            x += _legend_width(summary, system)


def title(axes: Axes, text: str) -> None:
    """What a panel shows, above its right end; at a fixed height, which is not measured."""
    axes.set_title(text, loc="right", y=1.0, pad=4, fontsize="small")


def logarithmic_x(axes: Axes, edges: np.ndarray, ticks: Sequence[float]) -> None:
    """Make the horizontal axis logarithmic, from the first edge to the last, with plain numbers at some ticks."""
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(plain_number)
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def logarithmic_y(axes: Axes, at: Sequence[float] = (1.0,)) -> None:
    """Make the vertical axis logarithmic, with plain numbers at powers of ten, times each of ``at``."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=at, numticks=6))
    axes.yaxis.set_major_formatter(plain_number)


def plain_number(value: float, _: object = None) -> str:
    """A number of an axis; without a power of ten, which would be a formula and takes longer to draw."""
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def linear_x(axes: Axes, edges: np.ndarray) -> None:
    """A linear horizontal axis from the first edge to the last."""
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS))


def pileup_x(panel: Panel, summary: Summary) -> None:
    """The horizontal axis of the number of pileup collisions; no bin ends on the frame."""
    low, high = summary.pileup_range()
    margin = 0.04 * (high - low)
    linear_x(panel.axes, np.array([low - margin, high + margin]))
    panel.lowest.set_xlabel("pileup collisions")


def unity(axes: Axes) -> None:
    """A line at 1."""
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":", zorder=1)
