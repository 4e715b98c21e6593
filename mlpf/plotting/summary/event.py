"""Figures of whole events: how many candidates, and how far their energy is from that of the truth."""

import numpy as np
from matplotlib.figure import Figure

from mlpf.plotting.style import CLASS_TITLES
from mlpf.plotting.summary.content import Results, Summary, has_values, pick
from mlpf.plotting.summary.marks import draw_points
from mlpf.plotting.summary.panels import MAIN, RATIO, Panel, Size, logarithmic_y, new_panels, pileup_x

EMD = {"all": "mean EMD [GeV]", "normalised": r"mean EMD / true sum of $p_\mathrm{T}$"}


def draw_multiplicity(summary: Summary) -> Figure | None:
    """Mean number of candidates per event and class; mean and spread of its difference to the targets."""
    systems, classes = summary.section("multiplicity"), summary.classes()
    numbers = _of_classes(systems, classes, "number")
    if not has_values(numbers):
        return None
    figure, (((number,), (mean,), (spread,)),) = new_panels(summary, ([MAIN, RATIO], [MAIN], [MAIN]), systems, size=Size(3.3, bottom=0.95))
    logarithmic_y(number.axes)
    draw_points(number, summary, _bins(number, [CLASS_TITLES[name] for name in classes]), numbers)
    number.axes.set_ylabel("candidates per event")
    for panel, quantity, label in ((mean, "mean", "mean"), (spread, "iqr", "IQR")):
        curves = {system: curve for system, curve in _of_classes(systems, classes, "difference", quantity).items() if system != "targets"}
        draw_points(panel, summary, _bins(panel, [CLASS_TITLES[name] for name in classes]), curves)
        panel.axes.set_ylabel(f"{label} of candidates \N{MINUS SIGN} targets")
    mean.axes.axhline(0.0, color="black", linewidth=0.8, linestyle=":", zorder=1)
    spread.axes.set_ylim(bottom=0)
    return figure


def draw_emd(summary: Summary) -> Figure | None:
    """Mean energy mover's distance to the truth, as it is, as share of the true momentum, and against the number of pileup collisions."""
    emd = summary.section("emd")
    quantities = [quantity for quantity in EMD if any(estimate["value"] is not None for estimate in pick(emd, quantity).values())]
    vertices = pick(emd, "vertices")
    if not quantities:
        return None
    with_vertices = has_values(vertices)
    figure, (row,) = new_panels(summary, [[MAIN]] * (len(quantities) + with_vertices), emd, size=Size() if with_vertices else Size(bottom=0.15))
    panels = [panel for (panel,) in row]
    for panel, quantity in zip(panels, quantities, strict=False):
        for place, (system, estimate) in enumerate(pick(emd, quantity).items()):
            draw_points(panel, summary, np.array([place, place + 1.0]), {system: [estimate]})
        panel.axes.set_xlim(0, len(emd))
        panel.axes.set_ylim(bottom=0)
        panel.axes.has_numbers_below = panel.axes.has_ticks = False
        panel.axes.set_ylabel(EMD[quantity])
    if with_vertices:
        _draw_against_vertices(summary, panels[-1], vertices)
    return figure


def _draw_against_vertices(summary: Summary, panel: Panel, vertices: Results) -> None:
    draw_points(panel, summary, summary.edges("vertices"), vertices)
    pileup_x(panel, summary)
    panel.axes.set_ylim(bottom=0)
    panel.axes.set_ylabel(EMD["all"])


def _of_classes(systems: Results, classes: list[str], *place: str) -> Results:
    return {system: [estimate for name in classes for estimate in pick({system: content}, name, *place).values()] for system, content in systems.items()}


def _bins(panel: Panel, names: list[str]) -> np.ndarray:
    """A bin for each name."""
    panel.lowest.name_x(names, rotation=30)
    panel.axes.has_ticks = False
    return np.arange(len(names) + 1) - 0.5
