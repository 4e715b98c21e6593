"""Figures of the scores of a model: ROC curves, working points, calibration."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpf.metrics.systems import RULE_BASED
from mlpf.plotting.summary.classes import panels_of_classes
from mlpf.plotting.summary.content import Results, Summary, columns, pick
from mlpf.plotting.summary.marks import draw_line, draw_markers, set_ratio_range
from mlpf.plotting.summary.panels import MAIN, RATIO, Panel, logarithmic_y, unity
from mlpf.plotting.summary.systems import models_of

ALL = "all"  # the bin of all elements
LOWEST = 1e-5  # misidentification that is shown
MAX_STEP = 0.05  # of efficiency, between points of a curve that are joined by a line
BETWEEN = np.concatenate([[0.0], np.geomspace(1e-4, 0.9, 25)])  # where longer steps get points


def draw_roc(summary: Summary) -> Figure | None:
    """Misidentification against efficiency of each class, working points marked; and rule-based PF's point."""
    classes = _by_class(summary)
    shown = {name: systems for name, systems in classes.items() if pick(systems, "roc")}
    if not shown:
        return None
    systems = [system for system in summary.titles if any(system in content for content in shown.values())]
    figure, panels = panels_of_classes(summary, list(shown), [MAIN, RATIO], systems, models_of(systems))
    for name, (panel,) in panels.items():
        _draw_curves(summary, panel, shown[name])
        panel.lowest.set_xlabel("efficiency")
        panel.axes.set_ylabel("misidentification")
    return figure


def _draw_curves(summary: Summary, panel: Panel, systems: Results) -> None:
    axes = panel.axes
    logarithmic_y(axes)
    axes.set_xlim(-0.02, 1.02)
    curves = {system: _with_long_steps(curve) for system, curve in pick(systems, "roc").items()}
    points = {
        system: [columns([point[quantity] for point in points.values()])[0] for quantity in ("efficiency", "misidentification")]
        for system, points in pick(systems, "working_points").items()
    }
    drawn = np.concatenate([*(curve["misidentification"] for curve in curves.values()), *(y for _, y in points.values())])
    lowest = max(drawn.min(initial=1.0, where=drawn > 0) / 2, LOWEST)
    axes.set_ylim(lowest, 1.5)
    for system, curve in curves.items():
        seen = curve["misidentification"] > 0
        draw_line(axes, summary, system, curve["efficiency"][seen], curve["misidentification"][seen])
    for system, (x, y) in points.items():
        draw_markers(axes, summary, system, x, np.maximum(y, lowest))
    if panel.ratio is not None:
        _draw_ratios(summary, panel.ratio, curves)


def _with_long_steps(curve: Results) -> Results:
    """A curve whose long steps have points on the way: of elements with the same score a share is taken, which is a straight line on linear axes only."""
    number = len(curve["efficiency"])
    is_long = np.diff(curve["efficiency"], append=curve["efficiency"][-1]) > MAX_STEP
    place = np.concatenate([i + (BETWEEN if is_long[i] else BETWEEN[:1]) for i in range(number)])
    return {quantity: np.interp(place, np.arange(number), curve[quantity]) for quantity in ("efficiency", "misidentification")}


def _draw_ratios(summary: Summary, axes: Axes, curves: Results) -> None:
    """Misidentification over that of the reference at the same efficiency."""
    unity(axes)
    reference = summary.reference_among(curves)
    shown = [np.zeros(0)]
    for system, curve in curves.items():
        if reference is not None and system != reference:
            efficiency, ratio = ratio_of_curves(curve, curves[reference])
            draw_line(axes, summary, system, efficiency, ratio)
            shown.append(ratio)
    set_ratio_range(axes, np.concatenate(shown))


def ratio_of_curves(curve: Results, reference: Results) -> tuple[np.ndarray, np.ndarray]:
    """Efficiencies of the reference at which both have misidentifications, and the ratio of those; between points of the curve its logarithm is linear."""
    with np.errstate(divide="ignore"):
        own, other = np.log(curve["misidentification"]), np.log(reference["misidentification"])
    efficiency, wanted = np.array(curve["efficiency"]), np.array(reference["efficiency"])
    order, known = np.argsort(efficiency, kind="stable"), np.isfinite(other)
    order = order[np.isfinite(own[order])]
    known &= (wanted >= efficiency[order].min(initial=np.inf)) & (wanted <= efficiency[order].max(initial=-np.inf))
    if not known.any():
        return np.zeros(0), np.zeros(0)
    return wanted[known], np.exp(np.interp(wanted[known], efficiency[order], own[order]) - other[known])


def draw_calibration(summary: Summary) -> Figure | None:
    """Share of elements that are what the score says, against the score; the diagonal is perfect."""
    classes = _by_class(summary)
    shown = {name: pick(systems, "calibration") for name, systems in classes.items() if pick(systems, "calibration")}
    if not shown:
        return None
    systems = [system for system in summary.titles if any(system in content for content in shown.values())]
    figure, panels = panels_of_classes(summary, list(shown), [MAIN], systems)
    for name, (panel,) in panels.items():
        panel.axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":", zorder=1)
        for system, calibration in shown[name].items():
            _draw_reliability(summary, panel.axes, system, calibration)
        panel.axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="mean score", ylabel="observed share")
    return figure


def _draw_reliability(summary: Summary, axes: Axes, system: str, calibration: Results) -> None:
    predicted = np.array([np.nan if value is None else value for value in calibration["predicted"]], dtype=np.float64)
    observed, error = columns(calibration["observed"])
    known = np.isfinite(predicted) & np.isfinite(observed)
    draw_line(axes, summary, system, predicted[known], observed[known])
    draw_markers(axes, summary, system, predicted[known], observed[known], error[:, known])


def _by_class(summary: Summary) -> dict[str, Results]:
    """What each class's systems have in the bin of all elements; without classes that no element has."""
    classes = summary.classification.get(ALL, {})
    occurring = {name for name, systems in classes.items() if any(content.get("num_signal") for content in systems.values())}
    return {
        name: {s: systems[s] for s in summary.titles if s in systems and (s == RULE_BASED or "roc" in systems[s])}
        for name, systems in classes.items()
        if name in occurring
    }
