"""Figures of the response of matched particles."""

from typing import NamedTuple

from matplotlib.figure import Figure

from mlpf.plotting.summary.classes import edges_of, make_axis, panels_of_classes
from mlpf.plotting.summary.content import Summary, has_values, pick
from mlpf.plotting.summary.marks import draw_histograms, draw_points
from mlpf.plotting.summary.panels import MAIN, RATIO, unity


class _Row(NamedTuple):
    """A quantity of a response that has panels of its own."""

    response: str
    quantity: str
    label: str
    stack: tuple[float, ...]


ROWS = (
    _Row("pt_response", "median", r"median $p_\mathrm{T}$ resp.", (1.2,)),
    _Row("pt_response", "iqr_over_median", r"$p_\mathrm{T}$ IQR / median", (1.5, RATIO)),
    _Row("energy_response", "iqr_over_median", r"energy IQR / median", (1.5, RATIO)),
)


def draw_response(summary: Summary) -> Figure | None:
    """Distribution of the pt response of matched particles of each class."""
    systems = summary.section("particles")
    found = {name: pick(systems, "residuals", name, "pt_response") for name in summary.classes()}
    shown = [name for name, response in found.items() if has_values({system: [quantity["median"]] for system, quantity in response.items()})]
    if not shown:
        return None
    figure, panels = panels_of_classes(summary, shown, [MAIN], systems)
    for name, (panel,) in panels.items():
        draw_histograms(panel.axes, summary, summary.edges("response"), found[name])
        panel.axes.set_xlabel(r"$p_\mathrm{T}$ / target $p_\mathrm{T}$")
        panel.axes.set_ylabel("share of matched particles")
    return figure


def draw_resolution(summary: Summary, variable: str) -> Figure | None:
    """Median of the pt response, IQR / median of the pt and energy response of matched particles of each class against pt or eta of the target."""
    systems = summary.section("particles")
    curves = {(name, row): pick(systems, "residuals", name, row.response, variable, row.quantity) for name in summary.classes() for row in ROWS}
    shown = [name for name in summary.classes() if any(has_values(curves[name, row]) for row in ROWS)]
    rows = [row for row in ROWS if any(has_values(curves[name, row]) for name in shown)]
    if not shown:
        return None
    figure, panels = panels_of_classes(summary, shown, [height for row in rows for height in row.stack], systems)
    for name, own in panels.items():
        make_axis(summary, own, variable, "target")
        for panel, row in zip(own, rows, strict=True):
            draw_points(panel, summary, summary.edges(edges_of(variable)), curves[name, row])
            panel.axes.set_ylabel(row.label)
            if row.quantity == "median":
                unity(panel.axes)
                low, high = panel.axes.get_ylim()
                panel.axes.set_ylim(min(low, 0.5), max(high, 1.5))
            else:
                panel.axes.set_ylim(bottom=0)
    return figure
