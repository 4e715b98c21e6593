"""Figures of jets."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from mlpf.plotting.summary.content import Results, Summary, has_values, pick
from mlpf.plotting.summary.marks import draw_histograms, draw_points
from mlpf.plotting.summary.panels import MAIN, RATIO, Panel, linear_x, logarithmic_x, new_panels, pileup_x, title, unity

CENTRAL, FORWARD = r"$|\eta| < 2.5$", r"$2.5 < |\eta| < 5$"
REGIONS = {"central": CENTRAL, "forward": FORWARD}
PT, ETA = r"generated jet $p_\mathrm{T}$ [GeV]", r"generated jet $\eta$"
MEDIAN, WIDTH = "median response", "response IQR / median"
RESPONSES = ([MAIN, RATIO], [MAIN, RATIO])  # panels for median and IQR / median
FOUND = {"matched": "matched generated jets", "purity": "pure reconstructed jets"}


def draw_jets(summary: Summary) -> Figure | None:
    """Median and IQR / median of the response against generated pt, and its distribution; central and forward jets."""
    jets = summary.section("jets")
    regions = [region for region in REGIONS if has_values({s: [r["all"]["median"]] for s, r in pick(jets, region, "response").items()})]
    if not regions:
        return None
    figure, grid = new_panels(summary, (*RESPONSES, [MAIN]), jets, rows=len(regions))
    for region, ((median,), (width,), (distribution,)) in zip(regions, grid, strict=True):
        _draw_responses(summary, (median, width), "jet_pt", pick(jets, region, "response", "pt"), lambda panel: _pt_axis(summary, panel))
        draw_histograms(distribution.axes, summary, summary.edges("response"), pick(jets, region, "response"))
        distribution.axes.set_xlabel(r"jet $p_\mathrm{T}$ response")
        distribution.axes.set_ylabel("share of jets")
        for panel in (median, width, distribution):
            title(panel.axes, REGIONS[region])
    return figure


def draw_jets_eta(summary: Summary) -> Figure | None:
    """Median and IQR / median of the response, and the matched fraction, against eta."""
    jets = summary.section("jets")
    response, matched = _both_regions(jets, "response", "eta"), _both_regions(jets, "matched", "eta")
    if not has_values(pick(response, "median")):
        return None
    figure, ((((median,), (width,), (found,))),) = new_panels(summary, (*RESPONSES, [MAIN]), response)
    _draw_responses(summary, (median, width), "jet_eta", response, lambda panel: _eta_axis(summary, panel))
    draw_points(found, summary, summary.edges("jet_eta"), matched)
    _eta_axis(summary, found)
    found.axes.set_ylabel(FOUND["matched"])
    found.axes.set_ylim(top=1.02)
    for panel in (median, width, found):
        title(panel.axes, r"$p_\mathrm{T} > 20$ GeV")
    return figure


def draw_jet_matching(summary: Summary) -> Figure | None:
    """Matched fraction and purity against pt; central and forward jets."""
    jets = summary.section("jets")
    regions = [region for region in REGIONS if has_values(pick(jets, region, "matched", "pt"))]
    if not regions:
        return None
    figure, (row,) = new_panels(summary, [[MAIN]] * 2 * len(regions), jets)
    panels = [panel for (panel,) in row]
    for i, region in enumerate(regions):
        for panel, quantity in zip(panels[2 * i : 2 * i + 2], FOUND, strict=True):
            draw_points(panel, summary, summary.edges("jet_pt"), pick(jets, region, quantity, "pt"))
            _pt_axis(summary, panel)
            panel.axes.set_ylabel(FOUND[quantity])
            panel.axes.set_ylim(top=1.02)
            title(panel.axes, REGIONS[region])
            if quantity == "purity":
                panel.axes.set_xlabel(PT.replace("generated", "reconstructed"))
    return figure


def draw_jets_vertices(summary: Summary) -> Figure | None:
    """Median and IQR / median of the response, matched fraction and purity of central jets against the number of pileup collisions."""
    jets = pick(summary.section("jets"), "central")
    response = pick(jets, "response", "vertices")
    if not has_values(pick(response, "median")):
        return None
    figure, (row,) = new_panels(summary, (*RESPONSES, [MAIN], [MAIN]), response)
    panels = [panel for (panel,) in row]
    _draw_responses(summary, panels[:2], "vertices", response, lambda panel: pileup_x(panel, summary))
    for panel, quantity in zip(panels[2:], FOUND, strict=True):
        draw_points(panel, summary, summary.edges("vertices"), pick(jets, quantity, "vertices"))
        pileup_x(panel, summary)
        panel.axes.set_ylabel(FOUND[quantity])
        panel.axes.set_ylim(top=1.02)
    for panel in panels:
        title(panel.axes, CENTRAL)
    return figure


def _draw_responses(summary: Summary, panels: tuple[Panel, ...] | list[Panel], bins: str, response: Results, make_axis: Callable[[Panel], None]) -> None:
    """Median and IQR / median in the bins of one variable."""
    for panel, quantity, label in zip(panels, ("median", "iqr_over_median"), (MEDIAN, WIDTH), strict=True):
        make_axis(panel)
        draw_points(panel, summary, summary.edges(bins), pick(response, quantity))
        panel.axes.set_ylabel(label)
    unity(panels[0].axes)
    panels[1].axes.set_ylim(bottom=0)


def _both_regions(jets: Results, *place: str) -> Results:
    """Estimates in bins of eta, by system: in each bin those of the region that has entries there."""
    central, forward = pick(jets, "central", *place), pick(jets, "forward", *place)
    return {system: _fuller(central[system], forward[system]) for system in central if system in forward}


def _fuller(first: Any, second: Any) -> Any:
    """Of two trees of estimates, the ones with more entries."""
    if isinstance(first, list):
        return [max(pair, key=lambda estimate: estimate["n"]) for pair in zip(first, second, strict=True)]
    return {name: _fuller(first[name], second[name]) for name in first}


def _pt_axis(summary: Summary, panel: Panel) -> None:
    edges = summary.edges("jet_pt")
    logarithmic_x(panel.axes, edges, edges.tolist())
    panel.lowest.set_xlabel(PT)


def _eta_axis(summary: Summary, panel: Panel) -> None:
    linear_x(panel.axes, summary.edges("jet_eta"))
    panel.lowest.set_xlabel(ETA)
