"""One figure of what a model gains on rule-based particle flow: jets, missing momentum, and neutral particles at the same fake rate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpf.metrics.systems import MODEL, RULE_BASED, TARGETS, TITLES
from mlpf.plotting.style import BLUE, CLASS_TITLES, GREY, ORANGE, PANEL, PANEL_HEIGHT, logarithmic, new_figure

LOOKS = {RULE_BASED: (ORANGE, "s"), MODEL: (BLUE, "o"), TARGETS: (GREY, "^")}
NEUTRAL = ("photon", "neutral_hadron")
TICKS = (0.5, 2, 10, 50, 200)  # GeV


def draw_gains(metrics: Mapping[str, Any], points: Mapping[str, Any], model: str) -> Figure:
    """A column for each sample: jet resolution, MET resolution, efficiency of photons and neutral hadrons at the fake rate of rule-based particle flow.

    Args:
        metrics: the datasets' parts of `metrics.json`, by name.
        points: what `mlpf.evaluation.operating` gives of them.
        model: the model's name.
    """
    rows = 2 + len(NEUTRAL)
    figure = new_figure(PANEL * len(metrics), PANEL_HEIGHT * rows)
    axes = figure.subplots(rows, len(metrics), squeeze=False, sharey="row")
    systems = {RULE_BASED: RULE_BASED, MODEL: model, TARGETS: TARGETS}
    for (jets, met, *neutral), (name, entry) in zip(axes.T, metrics.items(), strict=True):
        jets.set_title(name.replace("_", " "))
        _draw(jets, entry["bins"]["jet_pt"], {look: entry["jets"][own]["central"]["response"]["pt"]["iqr_over_median"] for look, own in systems.items()})
        jets.set_xlabel("jet $p_T$ [GeV]")
        _draw(met, entry["bins"]["met"], {look: entry["met"][own]["residual"]["genmet"]["iqr"] for look, own in systems.items()})
        met.set_xlabel("true MET [GeV]")
        for panel, category in zip(neutral, NEUTRAL, strict=True):
            own = points[name][category]
            edges = [row["pt"][0] for row in own] + [own[-1]["pt"][1]]
            _draw(panel, edges, {RULE_BASED: [row["efficiency"] for row in own], MODEL: [row["model"] for row in own]})
            panel.set_xlabel(f"{CLASS_TITLES[category]} $p_T$ [GeV]")
            panel.set_ylim(0.0, 1.05)
    for panel, title in zip(axes[:, 0], ("jet response: IQR / median", "MET px, py: IQR [GeV]", *["efficiency at PF's fake rate"] * len(NEUTRAL)), strict=True):
        panel.set_ylabel(title)
    for panel in axes[:2].flat:
        panel.set_ylim(0.0, None)
    axes[0, 0].legend()
    return figure


def _draw(axes: Axes, edges: Sequence[float], curves: Mapping[str, Sequence[Mapping[str, Any] | None]]) -> None:
    """Points with errors in the middle of their bins, on a logarithmic axis; none where a number is undefined."""
    middle = np.sqrt(np.multiply(edges[:-1], edges[1:]))
    for (system, estimates), shift in zip(curves.items(), np.linspace(0.96, 1.04, len(curves)), strict=True):
        color, marker = LOOKS[system]
        value, low, high = (np.array([np.nan if e is None or e[key] is None else e[key] for e in estimates], dtype=float) for key in ("value", "low", "high"))
        errors = [np.maximum(value - low, 0.0), np.maximum(high - value, 0.0)]
        axes.errorbar(middle * shift, value, errors, fmt=marker, color=color, label=TITLES[system])
    logarithmic(axes, edges, TICKS)
