"""Figure of the confusion of classes."""

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from mlpf.plotting.style import BLUE, CLASS_TITLES
from mlpf.plotting.summary.axes import PlainAxes
from mlpf.plotting.summary.content import Results, Summary
from mlpf.plotting.summary.panels import Size, new_panels, title
from mlpf.plotting.summary.systems import group_id

MAX_SIDE_BY_SIDE = 3
FULL = 0.55  # opacity of 100 %: black numbers on white paper and white ones on a dark page stay readable


def draw_confusion(summary: Summary) -> Figure | None:
    """Predicted class of the elements of each target class, in per cent of the row, and how many elements that is."""
    elements = {system: measured for system, measured in summary.section("elements").items() if np.any(measured["confusion"])}
    if not elements:
        return None
    columns = min(MAX_SIDE_BY_SIDE, len(elements))
    rows = -(-len(elements) // columns)
    figure, grid = new_panels(summary, [[2.6]] * columns, (), rows, len(elements), Size(3.1, 1.75, 1.05))
    panels = (panel for row in grid for (panel,) in row)
    for panel, (system, measured) in zip(panels, elements.items(), strict=True):
        panel.axes.set_gid(group_id(system))
        title(panel.axes, f"{summary.titles[system]}, % of row")
        _draw_matrix(panel.axes, measured)
    return figure


def _draw_matrix(axes: PlainAxes, measured: Results) -> None:
    confusion = np.array(measured["confusion"], dtype=np.float64)
    used = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    confusion = confusion[np.ix_(used, used)]
    names = [CLASS_TITLES[measured["classes"][c]] for c in used]
    percent = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    cells = list(zip(*np.nonzero(confusion), strict=True))
    squares = [[(j - 0.5, i - 0.5), (j + 0.5, i - 0.5), (j + 0.5, i + 0.5), (j - 0.5, i + 0.5)] for i, j in cells]
    axes.add_collection(PolyCollection(squares, facecolors=[to_rgba(BLUE, FULL * percent[cell] / 100) for cell in cells], linewidths=0), autolim=False)
    for i, j in cells:
        axes.text(j, i, f"{percent[i, j]:.0f}" if percent[i, j] >= 0.5 else "<1", ha="center", va="center_baseline", fontsize="small")
    axes.name_x(names, rotation=35)
    axes.name_y([f"{name} ({number:.0f})" for name, number in zip(names, confusion.sum(axis=1), strict=True)])
    axes.set_xlabel("candidate class")
    axes.set_ylabel("target class")
