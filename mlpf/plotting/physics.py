"""One figure of what a model gains on rule-based particle flow: jets, missing momentum, and neutral particles at the same fake rate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpf.metrics.systems import RULE_BASED, TARGETS
from mlpf.plotting.style import BLUE, GREY, ORANGE, new_figure

LOOKS = {RULE_BASED: ("rule-based PF", ORANGE, "s"), "model": ("model", BLUE, "o"), TARGETS: ("targets (ceiling)", GREY, "^")}
PANEL_SIZE = 3.3, 3.0  # inches


def draw_gains(metrics: Mapping[str, Any], points: Mapping[str, Any], model: str) -> Figure:
    """A column for each sample: jet resolution, MET resolution, efficiency of photons and neutral hadrons at the fake rate of rule-based particle flow.

    Args:
        metrics: the datasets' parts of `metrics.json`, by name.
        points: what `mlpf.evaluation.operating` gives of them.
        model: the model's name.
    """
    rows = 4
    figure = new_figure(PANEL_SIZE[0] * len(metrics), PANEL_SIZE[1] * rows)
    axes = figure.subplots(rows, len(metrics), squeeze=False, sharey="row")
    systems = {RULE_BASED: RULE_BASED, "model": model, TARGETS: TARGETS}
    for column, (name, entry) in zip(axes.T, metrics.items(), strict=True):
        jets, met, *neutral = column
        jets.set_title(name.replace("_", " "))
        _draw(jets, entry["bins"]["jet_pt"], {look: entry["jets"][own]["central"]["response"]["pt"]["iqr_over_median"] for look, own in systems.items()})
        jets.set_xlabel(r"jet $p_\\mathrm{T}$ [GeV]")
        _draw(met, entry["bins"]["met"], {look: entry["met"][own]["residual"]["genmet"]["iqr"] for look, own in systems.items()})
        met.set_xlabel("true MET [GeV]")
        for panel, category in zip(neutral, ("photon", "neutral_hadron"), strict=True):
            own = points[name][category]
            edges = [row["pt"][0] for row in own] + [own[-1]["pt"][1]]
            _draw(panel, edges, {RULE_BASED: [row["efficiency"] for row in own], "model": [row["model"] for row in own]})
            panel.set_xlabel(rf"{category.replace('_', ' ')} $p_\\mathrm{{T}}$ [GeV]")
            panel.set_ylim(0.0, 1.05)
    for panel, title in zip(axes[:, 0], ("jet response: IQR / median", "MET px, py: IQR [GeV]", *["efficiency at PF's fake rate"] * 2), strict=True):
        panel.set_ylabel(title)
    for panel in axes[:2].flat:
        panel.set_ylim(0.0, None)
    axes[0, 0].legend()
    return figure


def _draw(axes: Axes, edges: Sequence[float], curves: Mapping[str, Sequence[Mapping[str, Any] | None]]) -> None:
    """Points with errors in the middle of their bins, on a logarithmic axis."""
    middle = np.sqrt(np.multiply(edges[:-1], edges[1:]))
    for (look, estimates), shift in zip(curves.items(), np.linspace(0.96, 1.04, len(curves)), strict=True):
        title, color, marker = LOOKS[look]
        value, low, high = (np.array([np.nan if e is None or e[key] is None else e[key] for e in estimates], dtype=float) for key in ("value", "low", "high"))
        axes.errorbar(middle * shift, value, [np.maximum(value - low, 0.0), np.maximum(high - value, 0.0)], fmt=marker, color=color, label=title)
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
