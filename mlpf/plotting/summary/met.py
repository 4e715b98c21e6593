"""Figures of the missing transverse momentum."""

from matplotlib.figure import Figure

from mlpf.plotting.summary.content import Summary, has_values, pick
from mlpf.plotting.summary.marks import draw_histograms, draw_points
from mlpf.plotting.summary.panels import MAIN, RATIO, Panel, logarithmic_x, new_panels, pileup_x, unity

COMPONENTS = r"$p_{x,y}^\mathrm{miss}$"


def draw_met(summary: Summary) -> Figure | None:
    """Distribution and IQR of the residuals of the components, and the median ratio."""
    met = summary.section("met")
    if not has_values({system: [residual["median"]] for system, residual in pick(met, "residual", "all").items()}):
        return None
    figure, (((distribution,), (width,), (ratio,)),) = new_panels(summary, ([MAIN], [MAIN, RATIO], [MAIN]), met)
    edges = summary.edges("met")
    draw_histograms(distribution.axes, summary, summary.edges("residual"), pick(met, "residual"))
    distribution.axes.set_xlabel(f"{COMPONENTS} \N{MINUS SIGN} generated [GeV]")
    distribution.axes.set_ylabel("share of components")
    for panel in (width, ratio):
        logarithmic_x(panel.axes, edges, (10, 20, 40, 100, 200))
        panel.lowest.set_xlabel(r"generated $p_\mathrm{T}^\mathrm{miss}$ [GeV]")
    draw_points(width, summary, edges, pick(met, "residual", "genmet", "iqr"))
    draw_points(ratio, summary, edges, pick(met, "ratio", "genmet", "median"))
    _label(width, ratio)
    return figure


def draw_met_vertices(summary: Summary) -> Figure | None:
    """IQR of the residuals of the components, and the median ratio, against the number of pileup collisions."""
    met = summary.section("met")
    widths = pick(met, "residual", "vertices", "iqr")
    if not has_values(widths):
        return None
    figure, (((width,), (ratio,)),) = new_panels(summary, ([MAIN, RATIO], [MAIN]), widths)
    edges = summary.edges("vertices")
    for panel in (width, ratio):
        pileup_x(panel, summary)
    draw_points(width, summary, edges, widths)
    draw_points(ratio, summary, edges, pick(met, "ratio", "vertices", "median"))
    _label(width, ratio)
    return figure


def _label(width: Panel, ratio: Panel) -> None:
    width.axes.set_ylabel(f"IQR of {COMPONENTS} residual [GeV]")
    width.axes.set_ylim(bottom=0)
    ratio.axes.set_ylabel(r"median $p_\mathrm{T}^\mathrm{miss}$ / generated")
    unity(ratio.axes)
