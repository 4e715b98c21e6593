"""Figures with panels for each class of particles."""

from collections.abc import Iterable, Sequence

from matplotlib.figure import Figure

from mlpf.plotting.style import CLASS_TITLES
from mlpf.plotting.summary.content import Summary
from mlpf.plotting.summary.panels import Panel, linear_x, logarithmic_x, new_panels, pileup_x, title

MAX_SIDE_BY_SIDE = 4
TITLES = {**CLASS_TITLES, "any": "any particle", "pileup": "pileup"}
VARIABLES = {"pt": r"$p_\mathrm{T}$ [GeV]", "eta": r"$\eta$"}


def panels_of_classes(
    summary: Summary, classes: Sequence[str], stack: Sequence[float], systems: Iterable[str], compared: Iterable[str] | None = None
) -> tuple[Figure, dict[str, list[Panel]]]:
    """A figure with a stack of panels for each class, some classes side by side; arguments as those of `new_panels`."""
    rows = -(-len(classes) // MAX_SIDE_BY_SIDE)
    figure, grid = new_panels(summary, [stack] * -(-len(classes) // rows), systems, rows, len(classes), compared=compared)
    panels = dict(zip(classes, (own for row in grid for own in row), strict=True))
    for name, own in panels.items():
        title(own[0].axes, TITLES[name])
    return figure, panels


def make_axis(summary: Summary, panels: Sequence[Panel], variable: str, whose: str) -> None:
    """The horizontal axis of a stack: of a property of particles (``pt``, ``eta``) or of events (``vertices``)."""
    if variable == "vertices":
        pileup_x(panels[-1], summary)
        return
    edges = summary.edges(edges_of(variable))
    if variable == "pt":
        logarithmic_x(panels[0].axes, edges, (1, 10, 100))
    else:
        linear_x(panels[0].axes, edges)
    panels[-1].lowest.set_xlabel(f"{whose} {VARIABLES[variable]}")


def edges_of(variable: str) -> str:
    """Name of the bins of a variable of particles."""
    return variable if variable == "vertices" else f"particle_{variable}"
