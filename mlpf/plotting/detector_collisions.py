"""Figures of the validation: jets, missing momentum, elements, candidates, taus."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mlpf.plotting.detector_axes import COLORS, PT, SAMPLE_TITLES, centres, numbers, points, unity
from mlpf.plotting.style import BLUE, CLASS_TITLES, GREY, ORANGE, PURPLE, RED, VIOLET, label, logarithmic, new_grid
from mlpf.plotting.summary import columns

COLOR_OF_SHARE = {"charged_hadron": BLUE, "photon": ORANGE, "neutral_hadron": RED, "lepton": GREY}
JET_PT = r"generated jet $p_\mathrm{T}$ [GeV]"
CMS_RESOLUTION = "CMS, arXiv:1607.03663"


def draw_composition(curves: dict[str, Any]) -> Figure:
    """Shares of the classes in the energy of jets, in pairs of bars: generated and reconstructed; dashed what CMS says."""
    figure, panels = new_grid(1, len(curves))
    for axes, (name, of_sample) in zip(panels[0], curves.items(), strict=True):
        for place, curve in enumerate(of_sample.values()):
            edges, bottom = curve["edges"], np.zeros(len(curve["edges"]) - 1)
            x = np.arange(len(bottom)) + (-0.21, 0.21)[place]
            for share, color in COLOR_OF_SHARE.items():
                value = np.nan_to_num(columns(curve[share])[0])
                axes.bar(x, value, 0.38, bottom, color=color, alpha=(0.45, 1.0)[place], linewidth=0)
                bottom = bottom + value
        for boundary in (0.65, 0.90):
            axes.axhline(boundary, color="black", linestyle="--", linewidth=0.9)
        axes.set_xticks(np.arange(len(edges)) - 0.5, [f"{edge:g}" for edge in edges])
        axes.set(xlabel=r"jet $p_\mathrm{T}$ [GeV]", ylabel="share of energy", xlim=(-0.5, len(edges) - 1.5), ylim=(0, 1))
        axes.minorticks_off()
        axes.set_title(SAMPLE_TITLES[name], loc="right", fontsize="small")
    handles = [Patch(color=color, label=share.replace("_", " ")) for share, color in COLOR_OF_SHARE.items()]
    handles.append(Patch(color=GREY, alpha=0.45, label="pale: generated"))
    figure.subplots_adjust(bottom=0.27)
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), fontsize="small", frameon=False, columnspacing=1.2)
    label(panels[0, 0], SAMPLE_TITLES[next(iter(curves))])
    return figure


def draw_jets(curves: dict[str, Any]) -> Figure:
    """Response, resolution and matched fraction of jets against pt and against eta."""
    figure, panels = new_grid(2, 3)
    titles = {"median": "median response", "resolution": "resolution (IQR / 1.349 / median)", "matched": r"matched, $\Delta R < 0.1$"}
    for row, (against, of_samples) in zip(panels, (("pt", curves["pt"]), ("eta", curves["eta"])), strict=True):
        for axes, (quantity, title) in zip(row, titles.items(), strict=True):
            for i, (name, curve) in enumerate(of_samples.items()):
                points(axes, curve, quantity, SAMPLE_TITLES[name], i, logarithmic=against == "pt")
            if against == "pt":
                logarithmic(axes, curve["edges"], (20, 50, 100, 200, 400))
                axes.set_xlabel(JET_PT)
                axes.set_title(r"$|\eta| < 2.5$", loc="right", fontsize="small")
            else:
                axes.set_xlabel(r"generated jet $|\eta|$")
                axes.set_title(r"$p_\mathrm{T}$ 30 to 80 GeV", loc="right", fontsize="small")
            axes.set_ylabel(title)
    for axes in panels[:, 0]:
        unity(axes, (0.7, 1.3))
    for axes in panels[:, 1]:
        axes.set_ylim(0, 0.4)
    for axes in panels[:, 2]:
        axes.set_ylim(0.5, 1.02)
    curve = next(iter(curves["pt"].values()))
    panels[0, 1].plot(centres(curve["edges"]), numbers(curve["expected"]), color="black", linestyle="--", linewidth=1.0, label=CMS_RESOLUTION)
    panels[0, 1].legend(handles=panels[0, 1].lines[-1:], fontsize="x-small")
    panels[0, 0].legend(fontsize="x-small", loc="upper right")
    label(panels[0, 0], r"$|\eta| < 2.5$")
    return figure


def draw_elements(curves: dict[str, Any], public: dict[str, float]) -> Figure:
    """Mean number of elements of each type, the distribution of their sum, and candidates of each class beside the public sample."""
    figure, panels = new_grid(1, 3)
    bars, distribution, candidates = panels[0]
    types = list(dict.fromkeys(kind for content in curves.values() for kind in content["elements"]))
    _bars(bars, {name: [content["elements"][kind]["value"] if kind in content["elements"] else np.nan for kind in types] for name, content in curves.items()})
    for color, content in zip(COLORS, curves.values(), strict=False):
        distribution.stairs(content["histogram"]["share"], content["histogram"]["edges"], color=color, linewidth=1.4)
    bars.set_xticks(range(len(types)), types, rotation=60, fontsize="x-small")
    bars.set_ylabel("elements per event")
    bars.set_ylim(top=100 * bars.get_ylim()[1])
    bars.legend(fontsize="x-small")
    distribution.set(xlabel="elements in an event", ylabel="share of events", xscale="log")
    distribution.minorticks_off()
    _draw_candidate_numbers(candidates, curves, public)
    figure.subplots_adjust(bottom=0.3)
    label(bars)
    return figure


def _bars(axes: Axes, numbers_of: dict[str, list[float]]) -> None:
    """Groups of bars on a logarithmic scale, one bar per sample."""
    width = 0.8 / len(numbers_of)
    for i, (sample, values) in enumerate(numbers_of.items()):
        axes.bar(np.arange(len(values)) + (i - (len(numbers_of) - 1) / 2) * width, values, width, color=COLORS[i], label=SAMPLE_TITLES[sample])
    axes.set_yscale("log")
    axes.tick_params(axis="x", which="both", length=0)
    axes.minorticks_off()


def _draw_candidate_numbers(axes: Axes, samples: dict[str, Any], public: dict[str, float]) -> None:
    """Candidates per event and class of every sample, and those of the public one as black diamonds."""
    classes = list(dict.fromkeys(category for content in samples.values() for category in content["candidates"]))
    found = {sample: content["candidates"] for sample, content in samples.items()}
    _bars(axes, {sample: [of_class[name]["number"]["value"] if name in of_class else np.nan for name in classes] for sample, of_class in found.items()})
    axes.plot(range(len(classes)), [public.get(name, np.nan) for name in classes], "kD", markersize=4, label="public CMS sample, pileup")
    axes.set_xticks(range(len(classes)), [CLASS_TITLES[name] for name in classes], rotation=40, ha="right", fontsize="x-small")
    axes.set_ylabel("candidates per event")
    axes.set_ylim(top=20 * axes.get_ylim()[1])
    axes.legend(handles=axes.lines, fontsize="x-small")


def draw_candidates(curves: dict[str, Any]) -> Figure:
    """Spectra of pt of the candidates of every class."""
    figure, panels = new_grid(1, len(curves))
    colors = dict(zip(CLASS_TITLES, ("black", BLUE, RED, PURPLE, VIOLET, ORANGE, "#3f90da", GREY, "black"), strict=True))
    for axes, (name, content) in zip(panels[0], curves.items(), strict=True):
        for category, candidates in content["candidates"].items():
            axes.stairs(candidates["spectrum"], content["pt_edges"], color=colors[category], label=CLASS_TITLES[category], linewidth=1.3)
        logarithmic(axes, content["pt_edges"], (0.1, 1, 10, 100))
        axes.set_xlabel(PT)
        axes.set_yscale("log")
        axes.set_ylim(bottom=1e-3)
        axes.set_ylabel("candidates per event and bin")
        axes.set_title(SAMPLE_TITLES[name], loc="right", fontsize="small")
    figure.subplots_adjust(bottom=0.27)
    figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=7, fontsize="small", frameon=False, columnspacing=1.2, handlelength=1.2)
    label(panels[0, 0], SAMPLE_TITLES[next(iter(curves))])
    return figure


def draw_taus_and_met(taus: dict[str, Any], met: dict[str, Any]) -> Figure:
    """Hadronic tau decays: visible mass, prongs, response; resolution of the missing momentum."""
    figure, panels = new_grid(2, 2)
    mass, prongs, response, resolution = panels.ravel()
    edges = np.arange(len(next(iter(taus["prongs"].values()))) + 1) - 0.5
    for i, name in enumerate(taus["mass"]):
        mass.stairs(taus["mass"][name], taus["mass_edges"], color=COLORS[i], label=name, linewidth=1.4)
        prongs.stairs(taus["prongs"][name], edges, color=COLORS[i], linewidth=1.4)
    for i, (name, shares) in enumerate(taus["response"].items()):
        response.stairs(shares, taus["response_edges"], color=COLORS[i], label=name, linewidth=1.4)
    mass.axvline(1.777, color="black", linestyle=":", linewidth=0.9)
    mass.set(xlabel="visible mass [GeV]", ylabel="share of taus")
    prongs.set(xlabel="charged particles above 1 GeV", ylabel="share of taus")
    response.set(xlabel=r"visible $p_\mathrm{T}$, candidates over generated", ylabel="share of taus")
    for i, (name, curve) in enumerate(met.items()):
        points(resolution, curve, "resolution", SAMPLE_TITLES[name], i, logarithmic=False)
    resolution.set(xlabel=r"$\sum p_\mathrm{T}$ of the candidates [GeV]", ylabel=r"$\sigma(p_{x,y}^\mathrm{miss})$ [GeV]")
    resolution.set_ylim(bottom=0)
    for axes in (mass, response, resolution):
        axes.legend(fontsize="x-small")
    label(mass, r"$Z \to \tau\tau$")
    return figure
