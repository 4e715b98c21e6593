"""Figure of how the models were trained."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpf.plotting.summary.content import Results, Summary
from mlpf.plotting.summary.panels import MAIN, logarithmic_y, new_panels, title
from mlpf.plotting.summary.systems import group_id
from mlpf.plotting.training import names_of_curves, needs_logarithm

MAX_SIDE_BY_SIDE = 4
ABOUT = "each model on its own training and validation events"


def draw_training(summary: Summary) -> Figure | None:
    """Losses of training (thin) and validation (with points) of all models against the step."""
    tables = {model: content["training"] for model, content in summary.section("models").items() if content.get("training")}
    names = names_of_curves(tables.values())
    if not names:
        return None
    columns = min(MAX_SIDE_BY_SIDE, len(names))
    figure, grid = new_panels(summary, [[MAIN]] * columns, tables, -(-len(names) // columns), len(names), about=ABOUT)
    for panel, name in zip((panel for row in grid for (panel,) in row), names, strict=True):
        for model, table in tables.items():
            _draw_curve(summary, panel.axes, model, table, name)
        title(panel.axes, name.replace("_", " "))
        panel.axes.set_xlabel("step")
        panel.axes.set_xlim(left=0)
        values = np.concatenate([line.get_ydata() for line in panel.axes.lines])
        if needs_logarithm(values.tolist()):
            logarithmic_y(panel.axes, at=(1.0, 2.0, 5.0) if values.max() < 100 * values.min() else (1.0,))
    return figure


def _draw_curve(summary: Summary, axes: Axes, model: str, table: Results, name: str) -> None:
    look = summary.looks[model]
    step = np.array(table["step"], dtype=np.float64)
    for stage, width, marker in (("train", 0.7, "none"), ("validation", 1.3, look.marker)):
        if f"{stage}/{name}" in table:
            value = np.array([np.nan if value is None else value for value in table[f"{stage}/{name}"]], dtype=np.float64)
            known = np.isfinite(value)
            axes.plot(
                step[known],
                value[known],
                color=look.color,
                linestyle=look.line if stage == "validation" else "-",
                linewidth=width,
                marker=marker,
                markersize=3.5,
                label=f"{summary.titles[model]}, {stage}",
                gid=group_id(model),
            )
