"""What calls of ONNX models cost: time against the size of the event, and the operators it goes to."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from mlpf.io.files import atomic_file
from mlpf.plotting.event import check_format
from mlpf.plotting.style import BLUE, GREY, ORANGE, PURPLE, RED, VIOLET, logarithmic, new_figure, style
from mlpf.producer.cost import InferenceCost

COLORS = (BLUE, ORANGE, RED, PURPLE, VIOLET, "#92dadd", "#717581")  # the last two: arXiv:2107.02270, too
MARKERS = "os^Dvx"


def draw_inference(costs: Sequence[InferenceCost], path: str | Path) -> None:
    """Draw time against size on logarithmic axes, and for every model on the CPU the shares of its operators.

    Args:
        costs: models on devices, at least one.
        path: ``.png``, ``.pdf`` or ``.svg``.

    Raises:
        MlpfError: another suffix.
    """
    check_format(path)
    profiled = [cost for cost in costs if cost.operators]
    with style(), atomic_file(path) as temporary:
        columns = 2 if profiled else 1
        rows = -(-(1 + len(profiled)) // columns)
        figure = new_figure(5.2 * columns, 3.5 * rows)
        first, *others = figure.subplots(rows, columns, squeeze=False).flat
        _draw_times(first, costs)
        colors = operator_colors(profiled)
        for axes, cost in zip(others, profiled, strict=False):
            _draw_operators(axes, cost, colors)
        for axes in others[len(profiled) :]:
            axes.set_axis_off()
        figure.savefig(temporary)


def _draw_times(axes: Axes, costs: Sequence[InferenceCost]) -> None:
    """Median and quartiles of a call."""
    for number, cost in enumerate(costs):
        low, median, high = 1e3 * np.quantile(cost.latencies, (0.25, 0.5, 0.75), axis=1)
        label = cost.path.stem if cost.device == "cpu" else f"{cost.path.stem}, {cost.device}"
        color = COLORS[number % len(COLORS)]
        axes.errorbar(cost.sizes, median, (median - low, high - median), color=color, marker=MARKERS[number % len(MARKERS)], capsize=2, label=label)
    sizes = costs[0].sizes
    logarithmic(axes, (0.8 * sizes[0], 1.25 * sizes[-1]), sizes)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("elements")
    axes.set_ylabel("time per event [ms]")
    axes.legend(loc="upper left", frameon=False)


def operator_colors(costs: Sequence[InferenceCost]) -> dict[str, str]:
    """A colour for each of the kinds of operators that matter most, the same for all models: those with the largest shares of their largest events."""
    shares: dict[str, float] = defaultdict(float)
    for cost in costs:
        total = sum(cost.operators[-1].values())
        for name, seconds in cost.operators[-1].items():
            shares[name] += seconds / total
    return dict(zip(sorted(shares, key=lambda name: -shares[name]), COLORS, strict=False))


def _draw_operators(axes: Axes, cost: InferenceCost, colors: Mapping[str, str]) -> None:
    """Microseconds per element, stacked, the longest below: level where time is linear."""
    shown = [name for name in cost.operators[-1] if name in colors]
    positions, bottom = np.arange(len(cost.sizes)), np.zeros(len(cost.sizes))
    for name in (*shown, "others"):
        members, color = (set(cost.operators[-1]) - set(shown), GREY) if name == "others" else ({name}, colors[name])
        height = 1e6 * np.array([sum(found.get(member, 0.0) for member in members) for found in cost.operators]) / cost.sizes
        axes.bar(positions, height, bottom=bottom, color=color, label=name)
        bottom += height
    axes.set_xticks(positions, [str(size) for size in cost.sizes])
    axes.set_xlabel("elements")
    axes.set_ylabel(r"time per element [$\mu$s]")
    axes.set_ylim(0.0, 1.05 * bottom.max())
    axes.set_title(cost.path.stem, pad=6)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
