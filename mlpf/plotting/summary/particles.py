"""Figures of efficiencies and fake rates, per particle or per element."""

from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from mlpf.plotting.summary.classes import edges_of, make_axis, panels_of_classes
from mlpf.plotting.summary.content import Summary, has_values, pick
from mlpf.plotting.summary.marks import draw_points

QUANTITIES = ("efficiency", "fake_rate")  # the one against properties of targets, the other of candidates
STACK = (1.5, 1.5)


def draw_efficiency(summary: Summary, per: str, variable: str) -> Figure | None:
    """Efficiency and, below it, fake rate of each class.

    Args:
        summary: what is shown.
        per: section: ``particles`` or ``elements``.
        variable: ``pt``, ``eta`` or ``vertices``.
    """
    systems = summary.section(per)
    classes = [*(["any"] if per == "elements" else []), *summary.classes()]
    curves = {name: {quantity: pick(systems, quantity, name, variable) for quantity in QUANTITIES} for name in classes}
    shown = [name for name in classes if any(has_values(curve) for curve in curves[name].values())]
    if not shown:
        return None
    figure, panels = panels_of_classes(summary, shown, STACK, systems)
    for name, pair in panels.items():
        make_axis(summary, pair, variable, "target (candidate)")
        for panel, quantity in zip(pair, QUANTITIES, strict=True):
            draw_points(panel, summary, summary.edges(edges_of(variable)), curves[name][quantity])
            panel.axes.set_ylim(-0.03, 1.03)
            panel.axes.yaxis.set_major_locator(MultipleLocator(0.25))
            panel.axes.set_ylabel(f"{quantity.replace('_', ' ')} per {per.removesuffix('s')}")
    return figure
