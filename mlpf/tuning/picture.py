"""A study in one figure: its history, which keys matter, the metric along each of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mlpf.io.files import atomic_file
from mlpf.plotting.style import BLUE, GREY, ORANGE, RED, new_grid, style
from mlpf.tuning.config import Dimension, TuneConfig
from mlpf.tuning.study import TrialRow

COLUMNS = 3
MAX_SLICES = 7  # keys with a panel, the most important ones


def draw_study(rows: Sequence[TrialRow], config: TuneConfig, importances: Mapping[str, float], path: str | Path) -> None:
    """Draw a study.

    Args:
        rows: its trials, at least one of them complete.
        config: the search.
        importances: share of each key, largest first; empty where nothing is known.
        path: the figure, ``.png``, ``.pdf`` or ``.svg``.
    """
    keys = [*importances, *(key for key in config.search if key not in importances)][:MAX_SLICES]
    num_rows = -(-(2 + len(keys)) // COLUMNS)
    limits = _limits([row.value for row in rows if row.value is not None and row.state == "complete"])
    with style(), atomic_file(path) as temporary:
        figure, panels = new_grid(num_rows, COLUMNS)
        history, bars, *slices = panels.ravel()
        _draw_history(history, rows, config, limits)
        _draw_importances(bars, importances)
        for axes, key in zip(slices, keys, strict=False):
            _draw_slice(axes, rows, key, config.search[key], limits)
        for axes in slices[len(keys) :]:
            axes.set_axis_off()
        figure.savefig(temporary)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Of the axis of the metric: what complete trials reached; an early value of a pruned one may be far off."""
    margin = 0.08 * (max(values) - min(values)) or 0.1 * abs(values[0]) or 1.0
    return min(values) - margin, max(values) + margin


def _draw_history(axes: Axes, rows: Sequence[TrialRow], config: TuneConfig, limits: tuple[float, float]) -> None:
    low, high = limits
    for state, color, marker in (("complete", BLUE, "o"), ("pruned", GREY, "x")):
        chosen = [(row.number, min(max(row.value, low), high)) for row in rows if row.state == state and row.value is not None]
        axes.plot([number for number, _ in chosen], [value for _, value in chosen], marker, color=color, label=state, clip_on=False)
    failed = [row.number for row in rows if row.state == "failed"]
    if failed:
        axes.plot(failed, [high] * len(failed), "v", color=RED, label="failed", clip_on=False)
    pick = min if config.direction == "minimize" else max
    complete = [(row.number, row.value) for row in rows if row.state == "complete" and row.value is not None]
    best = [pick(value for _, value in complete[: i + 1]) for i in range(len(complete))]
    axes.step([number for number, _ in complete], best, where="post", color=ORANGE, label="best so far")
    axes.set_ylim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_title(config.metric, pad=6)
    axes.legend(loc="best")


def _draw_importances(axes: Axes, importances: Mapping[str, float]) -> None:
    axes.set_title("importance (PED-ANOVA)", pad=6)
    axes.yaxis.set_ticks([])
    if not importances:
        axes.text(0.5, 0.5, "too few trials to tell", ha="center", va="center", transform=axes.transAxes)
        axes.xaxis.set_ticks([])
        return
    keys = list(importances)
    axes.barh(range(len(keys)), list(importances.values()), color=BLUE, alpha=0.5)
    for place, key in enumerate(keys):
        axes.text(0.02, place, key, va="center", fontsize="small", transform=axes.get_yaxis_transform())
    axes.invert_yaxis()
    axes.set_xlabel("share")


def _draw_slice(axes: Axes, rows: Sequence[TrialRow], key: str, dimension: Dimension, limits: tuple[float, float]) -> None:
    low, high = limits
    place = {str(choice): i for i, choice in enumerate(dimension.choices or ())}
    for state, color, marker in (("pruned", GREY, "x"), ("complete", BLUE, "o")):
        chosen = [row for row in rows if row.state == state and row.value is not None]
        where = [place[str(row.values[key])] if place else float(row.values[key] or 0.0) for row in chosen]
        axes.plot(where, [min(max(row.value or 0.0, low), high) for row in chosen], marker, color=color, clip_on=False)
    if place:
        axes.set_xticks(range(len(place)), list(place))
        axes.set_xlim(-0.5, len(place) - 0.5)
    elif dimension.log:
        axes.set_xscale("log")
        axes.set_xlim(dimension.low, dimension.high)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=dimension.is_whole))
        axes.set_xlim(dimension.low, dimension.high)
    axes.set_ylim(low, high)
    axes.set_title(key, pad=6)
