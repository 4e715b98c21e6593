"""Figures of `metrics.json`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpf.plotting.style import CLASS_TITLES, COLOR_OF_SYSTEM, MARKER_OF_SYSTEM, label, logarithmic, new_figure, new_grid, style

Results = dict[str, Any]
MAX_SIDE_BY_SIDE = 4


def draw_summary(results: Results, folder: str | Path) -> list[str]:
    """Draw every figure as PNG and SVG.

    Args:
        results: content of `metrics.json`.
        folder: where to; made if missing.

    Returns:
        names of the figures (files without suffix).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Callable[[Results], Figure]] = {
        "jets": draw_jets,
        "jet_matching": draw_jet_matching,
        "met": draw_met,
        "particles_pt": lambda r: draw_efficiency(r, "particles", "pt"),
        "particles_eta": lambda r: draw_efficiency(r, "particles", "eta"),
        "elements_pt": lambda r: draw_efficiency(r, "elements", "pt"),
        "elements_eta": lambda r: draw_efficiency(r, "elements", "eta"),
        "response": draw_response,
        "resolution": draw_resolution,
        "confusion": draw_confusion,
        "multiplicity": draw_multiplicity,
    }
    for name, draw in figures.items():
        with style():
            figure = draw(results)
            figure.savefig(folder / f"{name}.png")
            figure.set_layout_engine("none")  # keep the layout just made
            figure.savefig(folder / f"{name}.svg", transparent=True, metadata={"Date": None})
    return list(figures)


def columns(estimates: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Values ``(n,)`` and distances to the ends of their intervals ``(2, n)``; NaN where undefined."""
    value, low, high = (np.array([np.nan if e[key] is None else e[key] for e in estimates], dtype=np.float64) for key in ("value", "low", "high"))
    return value, np.stack([value - low, high - value])


def _points(axes: Axes, system: str, edges: Sequence[float], estimates: Sequence[dict[str, Any]], results: Results) -> None:
    """Points with error bars, hollow where there is no interval; all bars are one broken line, which keeps SVG files ten times smaller than `Axes.errorbar`."""
    value, error = columns(estimates)
    left, right, gap = np.array(edges[:-1]), np.array(edges[1:]), np.full(len(value), np.nan)
    place = list(results["systems"]).index(system) + 1.0
    centre = left + (right - left) * (0.2 + 0.6 * place / (len(results["systems"]) + 1))  # side by side, not on top of each other
    x = np.stack([left, right, gap, centre, centre, gap], axis=1)
    y = np.stack([value, value, gap, value - error[0], value + error[1], gap], axis=1)
    axes.plot(x.ravel(), y.ravel(), color=COLOR_OF_SYSTEM[system], linewidth=1.2)
    marker, color, known = MARKER_OF_SYSTEM[system], COLOR_OF_SYSTEM[system], np.isfinite(error[0])
    axes.plot(centre, np.where(known, value, np.nan), marker, color=color, label=results["systems"][system])
    axes.plot(centre, np.where(known, np.nan, value), marker, color=color, markerfacecolor="none")


def _title(axes: Axes, results: Results) -> None:
    label(axes, f"{results['num_events']} events")


def _jet_pt_axis(axes: Axes, results: Results) -> None:
    edges = results["bins"]["jet_pt"]
    logarithmic(axes, edges, edges)
    axes.set_xlabel(r"generated jet $p_\mathrm{T}$ [GeV]")


def draw_jets(results: Results) -> Figure:
    """Median and IQR / median of the jet response against generated pt, and its distribution; central and forward jets."""
    figure, panels = new_grid(2, 3)
    for row, (region, range_) in zip(panels, {"central": r"$|\eta| < 2.5$", "forward": r"$2.5 < |\eta| < 5$"}.items(), strict=True):
        for system, jets in results["jets"].items():
            response = jets[region]["response"]
            _points(row[0], system, results["bins"]["jet_pt"], response["pt"]["median"], results)
            _points(row[1], system, results["bins"]["jet_pt"], response["pt"]["iqr_over_median"], results)
            _steps(row[2], system, results["bins"]["response"], response, results)
        row[0].axhline(1.0, color="black", linewidth=0.8, linestyle=":")
        row[0].set_ylabel("median jet response")
        row[1].set_ylabel("jet response IQR / median")
        row[1].set_ylim(bottom=0)
        row[2].set_xlabel(r"jet $p_\mathrm{T}$ response")
        row[2].set_ylabel("share of jets")
        for axes in row[:2]:
            _jet_pt_axis(axes, results)
        for axes in row:
            axes.set_title(range_, loc="right", fontsize="small")
    label(panels[0, 0], r"$|\eta| < 2.5$")
    panels[0, 2].legend(loc="upper right", fontsize="x-small")
    return figure


def draw_jet_matching(results: Results) -> Figure:
    """Matched fraction and purity against pt, central jets."""
    figure, panels = new_grid(1, 2)
    for axes, quantity, title in zip(panels[0], ("matched", "purity"), ("matched generated jets", "pure reconstructed jets"), strict=True):
        for system, jets in results["jets"].items():
            _points(axes, system, results["bins"]["jet_pt"], jets["central"][quantity]["pt"], results)
        _jet_pt_axis(axes, results)
        axes.set_ylabel(title)
        axes.set_ylim(top=1.02)
        axes.set_title(r"$|\eta| < 2.5$", loc="right", fontsize="small")
        if quantity == "purity":
            axes.set_xlabel(r"reconstructed jet $p_\mathrm{T}$ [GeV]")
            axes.legend()
        else:
            label(axes, r"$|\eta| < 2.5$")
    return figure


def draw_met(results: Results) -> Figure:
    """Distribution and IQR of the residuals of the missing momentum's components, and the median ratio."""
    figure, panels = new_grid(1, 3)
    distribution, width, ratio = panels[0]
    edges = results["bins"]["met"]
    for system, met in results["met"].items():
        _steps(distribution, system, results["bins"]["residual"], met["residual"], results)
        _points(width, system, edges, met["residual"]["genmet"]["iqr"], results)
        _points(ratio, system, edges, met["ratio"]["genmet"]["median"], results)
    distribution.set_xlabel(r"$p_{x,y}^\mathrm{miss}$ - generated [GeV]")
    distribution.set_ylabel("share of components")
    width.set_ylabel(r"IQR of $p_{x,y}^\mathrm{miss}$ residual [GeV]")
    width.set_ylim(bottom=0)
    ratio.set_ylabel(r"median $p_\mathrm{T}^\mathrm{miss}$ / generated")
    ratio.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    for axes in (width, ratio):
        axes.set_xlabel(r"generated $p_\mathrm{T}^\mathrm{miss}$ [GeV]")
        logarithmic(axes, edges, (10, 20, 40, 100, 200))
    _title(distribution, results)
    ratio.legend()
    return figure


def draw_efficiency(results: Results, per: str, variable: str) -> Figure:
    """Efficiency and, below it, fake rate of each class, per particle or per element, against pt or eta."""
    classes = _classes(results)
    figure, panels = _panels_per_class(classes, 2)
    edges = results["bins"][f"particle_{variable}"]
    for name, pair in panels.items():
        for axes, quantity, whose in zip(pair, ("efficiency", "fake_rate"), ("target", "candidate"), strict=True):
            for system, measured in results[per].items():
                _points(axes, system, edges, measured[quantity][name][variable], results)
            axes.set_ylim(-0.03, 1.03)
            axes.set_ylabel(f"{quantity.replace('_', ' ')} per {per.removesuffix('s')}")
            if variable == "pt":
                logarithmic(axes, edges, (1, 10, 100))
            else:
                axes.set_xlim(edges[0], edges[-1])
            axes.set_xlabel(f"{whose} " + (r"$p_\mathrm{T}$ [GeV]" if variable == "pt" else r"$\eta$"))
    panels[classes[0]][1].legend()
    return figure


def draw_response(results: Results) -> Figure:
    """Distribution of the pt response of matched particles of each class."""
    classes = _classes(results)
    figure, panels = _panels_per_class(classes, 1)
    for name, (axes,) in panels.items():
        for system, measured in results["particles"].items():
            _steps(axes, system, results["bins"]["response"], measured["residuals"][name]["pt_response"], results)
        axes.set_xlabel(r"$p_\mathrm{T}$ / target $p_\mathrm{T}$")
        axes.set_ylabel("share of matched particles")
    panels[classes[0]][0].legend()
    return figure


def draw_resolution(results: Results) -> Figure:
    """Median and, below it, IQR / median of the pt response of matched particles of each class against pt."""
    classes = _classes(results)
    figure, panels = _panels_per_class(classes, 2)
    edges = results["bins"]["particle_pt"]
    for name, pair in panels.items():
        for axes, quantity, title in zip(pair, ("median", "iqr_over_median"), (r"median $p_\mathrm{T}$ response", "IQR / median"), strict=True):
            for system, measured in results["particles"].items():
                _points(axes, system, edges, measured["residuals"][name]["pt_response"]["pt"][quantity], results)
            logarithmic(axes, edges, (1, 10, 100))
            axes.set_ylabel(title)
            axes.set_xlabel(r"target $p_\mathrm{T}$ [GeV]")
        pair[0].axhline(1.0, color="black", linewidth=0.8, linestyle=":")
        low, high = pair[0].get_ylim()
        pair[0].set_ylim(min(low, 0.5), max(high, 1.5))
        pair[1].set_ylim(bottom=0)
    panels[classes[0]][1].legend()
    return figure


def draw_confusion(results: Results) -> Figure:
    """Predicted class of the elements of each target class, in per cent of the row, and how many elements that is."""
    figure = new_figure(5.4 * len(results["elements"]), 4.6)
    panels = figure.subplots(1, len(results["elements"]), squeeze=False)[0]
    for axes, (system, measured) in zip(panels, results["elements"].items(), strict=True):
        confusion = np.array(measured["confusion"], dtype=np.float64)
        names = [CLASS_TITLES[name] for name in measured["classes"]]
        used = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
        confusion = confusion[np.ix_(used, used)]
        percent = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        axes.imshow(percent, cmap="Blues", vmin=0, vmax=130)  # white to mid blue: black numbers stay readable
        for i, j in np.ndindex(percent.shape):
            if confusion[i, j]:
                axes.text(j, i, f"{percent[i, j]:.0f}" if percent[i, j] >= 0.5 else "<1", ha="center", va="center", fontsize="small", color="#101010")
        axes.set_xticks(range(len(used)), [names[c] for c in used], rotation=40, ha="right")
        axes.set_yticks(range(len(used)), [f"{names[c]} ({number:.0f})" for c, number in zip(used, confusion.sum(axis=1), strict=True)])
        axes.tick_params(which="both", length=0)
        axes.minorticks_off()
        axes.set_xlabel("candidate class")
        axes.set_ylabel("target class")
        label(axes, f"{results['systems'][system]}, % of row")
    return figure


def draw_multiplicity(results: Results) -> Figure:
    """Mean number of candidates per event and class."""
    classes = _classes(results)
    figure = new_figure(7.5, 3.6)
    axes = figure.subplots()
    systems = list(results["multiplicity"])
    width = 0.8 / len(systems)
    for i, system in enumerate(systems):
        value, error = columns([results["multiplicity"][system][name]["number"] for name in classes])
        position = np.arange(len(classes)) + (i - (len(systems) - 1) / 2) * width
        axes.bar(position, value, width, yerr=error, color=COLOR_OF_SYSTEM[system], label=results["systems"][system], error_kw={"elinewidth": 1})
    axes.set_xticks(range(len(classes)), [CLASS_TITLES[name] for name in classes], rotation=15)
    axes.tick_params(axis="x", which="both", length=0)
    axes.minorticks_off()
    axes.set_ylabel("candidates per event")
    _title(axes, results)
    axes.legend()
    return figure


def _panels_per_class(classes: Sequence[str], rows: int) -> tuple[Figure, dict[str, list[Axes]]]:
    """A figure with ``rows`` panels below each other for each class, some classes side by side."""
    blocks = -(-len(classes) // MAX_SIDE_BY_SIDE)
    side_by_side = -(-len(classes) // blocks)
    figure, grid = new_grid(rows * blocks, side_by_side)
    panels = {}
    for i in range(blocks * side_by_side):
        block, column = divmod(i, side_by_side)
        own = list(grid[block * rows : (block + 1) * rows, column])
        if i >= len(classes):
            for axes in own:
                axes.set_visible(False)
            continue
        label(own[0], CLASS_TITLES[classes[i]])
        panels[classes[i]] = own
    return figure, panels


def _classes(results: Results) -> list[str]:
    """Classes that occur among the targets (all of them where there are no targets)."""
    numbers = results["multiplicity"]["targets"]
    return [name for name, number in numbers.items() if number["number"]["value"]] or list(numbers)


def _steps(axes: Axes, system: str, edges: Sequence[float], measured: Results, results: Results) -> None:
    """The histogram of a quantity as shares of all its entries, also of those outside the edges."""
    share = np.array(measured["histogram"]) / max(measured.get("all", measured)["median"]["n"], 1)
    axes.stairs(share, edges, color=COLOR_OF_SYSTEM[system], label=results["systems"][system], linewidth=1.4)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, max(axes.get_ylim()[1], 1.1 * share.max()))
