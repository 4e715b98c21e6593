"""Figures of a training: what validation batches counted, and the curves of the losses."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mlpf.plotting.style import BLUE, CLASS_TITLES, ORANGE, label, new_grid

RESPONSE_RANGE = (0.0, 2.0)
RESPONSE_BINS = 50


def draw_class_response(edges: np.ndarray, counts: np.ndarray, quantiles: np.ndarray, classes: Sequence[str]) -> Figure:
    """Distribution of predicted pt / true pt of each class that occurs, its median and quartiles.

    Args:
        edges: ``(n + 1,)`` of the fine bins.
        counts: ``(C, n)`` entries by class.
        quantiles: ``(C, 3)`` lower quartile, median, upper quartile.
        classes: C names, see `CLASS_TITLES`.
    """
    shown = [c for c in range(len(classes)) if counts[c].any()]
    figure, panels = new_grid(max(1, -(-len(shown) // 4)), max(1, min(4, len(shown))))
    centres = np.sqrt(edges[1:] * edges[:-1])
    for axes, c in zip(panels.ravel(), shown, strict=False):
        histogram, bins = np.histogram(centres, RESPONSE_BINS, RESPONSE_RANGE, weights=counts[c] / counts[c].sum())
        low, median, high = quantiles[c]
        axes.axvspan(low, high, color=BLUE, alpha=0.2, linewidth=0)
        axes.axvline(median, color=BLUE, linewidth=1.0)
        axes.axvline(1.0, color="black", linewidth=0.8, linestyle=":")
        axes.stairs(histogram, bins, color=BLUE, linewidth=1.4)
        axes.set_xlim(*RESPONSE_RANGE)
        axes.set_ylim(0, 1.1 * max(histogram.max(), 1e-9))
        axes.set_xlabel(r"predicted $p_\mathrm{T}$ / true $p_\mathrm{T}$")
        axes.set_ylabel("share of elements")
        label(axes, CLASS_TITLES[classes[c]])
        text = f"{counts[c].sum():.0f} elements\nmedian {median:.3f}\nIQR / median {(high - low) / median:.3f}"
        axes.text(0.97, 0.95, text, transform=axes.transAxes, ha="right", va="top", fontsize="x-small")
    for axes in panels.ravel()[len(shown) :]:
        axes.set_visible(False)
    return figure


def draw_learning_curves(table: Mapping[str, Sequence[float]]) -> Figure:
    """Losses of training and validation against the step, one panel for the total, then one for each term; the decisions' accuracies last.

    Args:
        table: columns ``step``, ``train/NAME`` and ``validation/NAME``, one value per validation.
    """
    names = names_of_curves([table])
    figure, panels = new_grid(max(1, -(-len(names) // 4)), min(4, max(1, len(names))))
    for axes, name in zip(panels.ravel(), names, strict=False):
        for stage, color in (("train", ORANGE), ("validation", BLUE)):
            if f"{stage}/{name}" in table:
                axes.plot(table["step"], table[f"{stage}/{name}"], marker=".", color=color, label=stage)
        axes.set_xlabel("step")
        axes.set_title(name.replace("_", " "), loc="right", pad=6, fontsize="small")
        if needs_logarithm([value for stage in ("train", "validation") for value in table.get(f"{stage}/{name}", ())]):
            axes.set_yscale("log")
    for axes in panels.ravel()[len(names) :]:
        axes.set_visible(False)
    if names:
        label(panels[0, 0], names[0])
        panels[0, 0].legend()
    return figure


def names_of_curves(tables: Iterable[Mapping[str, Sequence[float | None]]]) -> list[str]:
    """Losses that any of the tables has: the total first, accuracies last, without terms that are switched off (always 0)."""
    columns = [name for table in tables for name, values in table.items() if name.startswith("validation/") and any(values)]
    names = dict.fromkeys(name.removeprefix("validation/") for name in columns)
    return sorted(names, key=lambda name: (name != "total", name.endswith("accuracy")))


def needs_logarithm(values: Sequence[float]) -> bool:
    """Whether values span more than a factor of 5."""
    finite = [value for value in values if np.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) > 5 * min(finite)
