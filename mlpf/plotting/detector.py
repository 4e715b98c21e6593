"""Figures of the validation of the simulated detector, from the content of `validation.json`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter

from mlpf.plotting.style import BLUE, CLASS_TITLES, GREY, ORANGE, PURPLE, RED, VIOLET, label, new_figure, new_grid, style
from mlpf.plotting.summary import columns

Curve = dict[str, Any]
DPI = 120
COLORS, MARKERS = (BLUE, ORANGE, RED, PURPLE, GREY), ("o", "s", "D", "^", "v")
COLOR_OF_SHARE = {"charged_hadron": BLUE, "photon": ORANGE, "neutral_hadron": RED, "lepton": GREY}
SAMPLE_TITLES = {"ttbar": r"$t\bar{t}$", "ttbar pileup": r"$t\bar{t}$, pileup 55 to 75", "qcd": r"dijets, flat $\hat{p}_\mathrm{T}$"}
ENERGY, ABS_ETA, ETA, PT = "true energy [GeV]", r"$|\eta|$", r"$\eta$", r"$p_\mathrm{T}$ [GeV]"
JET_PT = r"generated jet $p_\mathrm{T}$ [GeV]"
CMS_RESOLUTION = "CMS, arXiv:1607.03663"
# Candidates per event of one public CMS sample with pileup
PUBLIC_NUMBERS = {"charged_hadron": 803.0, "hf_hadron": 453.0, "photon": 246.0, "hf_em": 226.0, "neutral_hadron": 89.0, "muon": 2.4, "electron": 0.2}


def draw_validation(results: dict[str, Any], folder: str | Path) -> list[str]:
    """Draw every figure as PNG.

    Args:
        results: content of `validation.json`.
        folder: where to; must exist.

    Returns:
        names of the figures (files without suffix).
    """
    curves = results["curves"]
    figures: dict[str, Callable[[], Figure]] = {
        "photons_electrons": lambda: draw_electromagnetic(curves["calorimeters"]),
        "hadrons": lambda: draw_hadrons(curves["calorimeters"]),
        "tracks": lambda: draw_tracks(curves["tracks"]),
        "tracks_in_collisions": lambda: draw_tracks_in_collisions(curves["tracks"]),
        "material": lambda: draw_material(curves["material"]),
        "closure": lambda: draw_closure(curves["closure"]),
        "composition": lambda: draw_composition(curves["jets"]["composition"]),
        "jets": lambda: draw_jets(curves["jets"]),
        "elements": lambda: draw_elements(curves["content"]),
        "candidates": lambda: draw_candidates(curves["content"]),
        "taus_met": lambda: draw_taus_and_met(curves["taus"], curves["jets"]["met"]),
    }
    for name, draw in figures.items():
        with style():
            draw().savefig(Path(folder) / f"{name}.png", dpi=DPI)
    return list(figures)


def draw_electromagnetic(curves: dict[str, Any]) -> Figure:
    """Photons that do not convert, all photons, electrons: response above, width of its core below; against energy, in the end against eta."""
    figure, panels = new_grid(2, 4)
    shots = {
        "photons, unconverted": "photons that do not convert, calibrated ECAL clusters",
        "photons, all": "photons, all candidates",
        "electrons": "electrons, all candidates",
    }
    for column, (title, name) in enumerate(shots.items()):
        _by_region(panels[:, column], curves["energy"][name], title, (0.9, 1.1), "core")
        panels[1, column].set_yscale("log")
        panels[1, column].legend(loc="lower left")
    _against_eta(panels[:, 3], {title: curves["eta"][name] for title, name in shots.items()}, (0.9, 1.1))
    label(panels[0, 0], "photons, unconverted")
    return figure


def draw_hadrons(curves: dict[str, Any]) -> Figure:
    """Neutral hadrons, charged pions in the calorimeters alone and with their tracks: response, resolution and what is not seen; the first also against eta."""
    figure, panels = new_grid(3, 3)
    shots = {
        "neutral hadrons": "neutral hadrons that do not interact before, seen",
        "pions, calorimeters": "charged pions that do not interact before, calorimeters",
        "pions, with tracks": "charged pions, all candidates",
    }
    for column, (title, name) in enumerate(shots.items()):
        _by_region(panels[:2, column], curves["energy"][name], title, (0.6, 1.4), "resolution")
        panels[1, column].set_ylim(0, 0.8)
    for i, (region, curve) in enumerate(curves["energy"]["neutral hadrons, all candidates"].items()):
        _points(panels[2, 0], curve, "lost", region, i)
    _energy_axis(panels[2, 0], curve["edges"])
    panels[2, 0].set_ylabel("not seen")
    panels[2, 0].set_ylim(bottom=0)
    _against_eta(panels[2, 1:], {title: curves["eta"][name] for title, name in shots.items()}, (0.6, 1.4), "resolution")
    panels[2, 2].set_ylim(0, 0.6)
    label(panels[0, 0], "neutral hadrons")
    return figure


def _by_region(panels: np.ndarray, curves: dict[str, Curve], title: str, range_: tuple[float, float], width: str) -> None:
    """Mean response and its width against energy, one colour per region, the formulas put in as dashed lines."""
    above, below = panels
    for i, (region, curve) in enumerate(curves.items()):
        _points(above, curve, "mean", region, i)
        _points(below, curve, width, region, i)
        if "expected" in curve:
            below.plot(_centres(curve["edges"]), _numbers(curve["expected"]), color=COLORS[i], linestyle="--", linewidth=1.0)
    above.set_title(title, loc="right", fontsize="small")
    _unity(above, range_)
    above.set_ylabel("mean response")
    below.set_ylabel("width / mean")
    below.plot([], [], color="black", linestyle="--", linewidth=1.0, label="put in")
    below.legend()
    for axes in panels:
        _energy_axis(axes, curve["edges"])


def _against_eta(panels: np.ndarray, curves: dict[str, Curve], range_: tuple[float, float], width: str = "core") -> None:
    for i, (title, curve) in enumerate(curves.items()):
        _points(panels[0], curve, "mean", title, i)
        _points(panels[1], curve, width, title, i)
    _unity(panels[0], range_)
    panels[0].set_title(r"$p_\mathrm{T}$ 15 to 25 GeV", loc="right", fontsize="small")
    panels[0].set_ylabel("mean response")
    panels[1].set_ylabel("width / mean")
    panels[1].set_ylim(bottom=0)
    panels[1].legend()
    for axes in panels:
        axes.set_xlabel(ABS_ETA)


def draw_tracks(curves: dict[str, Any]) -> Figure:
    """Efficiency against pt in two regions and against eta; resolution of 1/pt against pt of each kind of particle, with the tables put in."""
    figure, panels = new_grid(2, 3)
    for i, (title, efficiency) in enumerate(curves["efficiency"].items()):
        for axes, region in zip(panels[0], [name for name in efficiency if name != "eta"] + ["eta"], strict=True):
            _points(axes, efficiency[region], "efficiency", title, i)
            axes.set_ylabel("track efficiency")
            axes.set_ylim(0.4, 1.02)
            if region == "eta":
                axes.set_xlabel(ETA)
                axes.set_title("1 to 100 GeV", loc="right", fontsize="small")
            else:
                _logarithmic(axes, efficiency[region]["edges"], (0.3, 1, 10, 100), PT)
                axes.set_title(_mathematical(region), loc="right", fontsize="small")
    panels[0, 0].legend(loc="lower right")
    for axes, (title, resolution) in zip(panels[1], curves["resolution"].items(), strict=True):
        for i, (region, curve) in enumerate(resolution.items()):
            _points(axes, curve, "core", _mathematical(region), i)
            axes.plot(_centres(curve["edges"]), _numbers(curve["expected"]), color=COLORS[i], linestyle="--", linewidth=1.0)
        _logarithmic(axes, curve["edges"], (0.3, 1, 10, 100), PT)
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(4e-3, 1.0)
        axes.set_ylabel(r"$\sigma(1/p_\mathrm{T}) \cdot p_\mathrm{T}$")
        axes.set_title(title, loc="right", fontsize="small")
    panels[1, 0].legend(fontsize="x-small", loc="upper left")
    panels[1, 2].plot([], [], color="black", linestyle="--", linewidth=1.0, label="put in")
    panels[1, 2].legend(loc="upper left")
    label(panels[0, 0], r"$|\eta| < 1.5$")
    return figure


def draw_tracks_in_collisions(curves: dict[str, Any]) -> Figure:
    """Efficiency towards the axes of jets, fake rates."""
    figure, panels = new_grid(1, 3)
    for i, name in enumerate(curves["dense"]):
        _points(panels[0, 0], curves["dense"][name], "efficiency", SAMPLE_TITLES[name], i)
        _points(panels[0, 1], curves["fakes"][name], "rate", SAMPLE_TITLES[name], i)
        _points(panels[0, 2], curves["fakes_eta"][name], "rate", SAMPLE_TITLES[name], i)
    dense, fakes, fakes_eta = panels[0]
    dense.set(xlabel=r"$\Delta R$ to the axis of a jet above 80 GeV", ylabel="track efficiency", xlim=(0, 0.4))
    _logarithmic(fakes, curves["fakes"][name]["edges"], (0.2, 1, 10, 50), PT)
    fakes.set_ylabel("fake rate")
    fakes_eta.set(xlabel=ETA, ylabel="fake rate")
    fakes_eta.set_title(r"$p_\mathrm{T} > 1$ GeV", loc="right", fontsize="small")
    for axes in (fakes, fakes_eta):
        axes.set_ylim(bottom=0)
    label(dense, "charged hadrons > 1 GeV")
    dense.legend()
    return figure


def draw_material(curves: dict[str, Any]) -> Figure:
    """What happens in the tracker's material, with what its thickness lets expect; number of BREM elements."""
    figure, panels = new_grid(2, 2)
    for axes, (title, curve) in zip(panels.ravel(), curves.items(), strict=True):
        _points(axes, curve, "fraction" if "fraction" in curve else "number", "measured", 0)
        if "expected" in curve:
            axes.plot(_centres(curve["edges"], False), _numbers(curve["expected"]), color=ORANGE, linestyle="--", label="by the thickness put in")
            axes.set_ylim(0, 1)
        axes.set_xlabel(ABS_ETA)
        axes.set_ylabel("fraction" if "fraction" in curve else "elements per electron")
        axes.set_title(title, loc="right", fontsize="small")
    panels[0, 0].legend(loc="upper left")
    label(panels[0, 0], next(iter(curves)))
    return figure


def draw_closure(curves: dict[str, Any]) -> Figure:
    """Shares of the generated energy, one row of bars per item, one colour per kind of particle; linear below 1 % and logarithmic above."""
    figure = new_figure(7.5, 5.0)
    axes = figure.subplots()
    items = [item for item in next(iter(curves.values())) if any(abs(shares[item]["value"] or 0.0) > 1e-5 for shares in curves.values())]
    height = 0.8 / len(curves)
    for i, (title, shares) in enumerate(curves.items()):
        value, error = columns([shares[item] for item in items])
        y = np.arange(len(items)) + (i - (len(curves) - 1) / 2) * height
        axes.barh(y, 100 * value, height, xerr=100 * np.maximum(np.nan_to_num(error), 0.0), color=COLORS[i], label=title, error_kw={"elinewidth": 0.8})
    axes.set_xscale("symlog", linthresh=1.0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks(range(len(items)), [item.replace("_", " ") for item in items])
    axes.tick_params(axis="y", which="both", length=0)
    axes.invert_yaxis()
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel("share of the generated energy [%]")
    axes.legend(fontsize="x-small")
    label(axes)
    return figure


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
                _points(axes, curve, quantity, SAMPLE_TITLES[name], i, logarithmic=against == "pt")
            if against == "pt":
                _logarithmic(axes, curve["edges"], (20, 50, 100, 200, 400), JET_PT)
                axes.set_title(r"$|\eta| < 2.5$", loc="right", fontsize="small")
            else:
                axes.set_xlabel(r"generated jet $|\eta|$")
                axes.set_title(r"$p_\mathrm{T}$ 30 to 80 GeV", loc="right", fontsize="small")
            axes.set_ylabel(title)
    for axes in panels[:, 0]:
        _unity(axes, (0.7, 1.3))
    for axes in panels[:, 1]:
        axes.set_ylim(0, 0.4)
    for axes in panels[:, 2]:
        axes.set_ylim(0.5, 1.02)
    curve = next(iter(curves["pt"].values()))
    panels[0, 1].plot(_centres(curve["edges"]), _numbers(curve["expected"]), color="black", linestyle="--", linewidth=1.0, label=CMS_RESOLUTION)
    panels[0, 1].legend(handles=panels[0, 1].lines[-1:], fontsize="x-small")
    panels[0, 0].legend(fontsize="x-small", loc="upper right")
    label(panels[0, 0], r"$|\eta| < 2.5$")
    return figure


def draw_elements(curves: dict[str, Any]) -> Figure:
    """Mean number of elements of each type, the distribution of their sum, and candidates of each class beside the public sample."""
    figure, panels = new_grid(1, 3)
    bars, distribution, candidates = panels[0]
    types = list(dict.fromkeys(kind for content in curves.values() for kind in content["elements"]))
    width = 0.8 / len(curves)
    for i, (name, content) in enumerate(curves.items()):
        value = columns([content["elements"].get(kind, {"value": None, "low": None, "high": None}) for kind in types])[0]
        bars.bar(np.arange(len(types)) + (i - (len(curves) - 1) / 2) * width, value, width, color=COLORS[i], label=SAMPLE_TITLES[name])
        distribution.stairs(content["histogram"]["share"], content["histogram"]["edges"], color=COLORS[i], linewidth=1.4)
    bars.set_yscale("log")
    bars.set_xticks(range(len(types)), types, rotation=60, fontsize="x-small")
    bars.tick_params(axis="x", which="both", length=0)
    bars.set_ylabel("elements per event")
    bars.set_ylim(top=100 * bars.get_ylim()[1])
    bars.legend(fontsize="x-small")
    distribution.set(xlabel="elements in an event", ylabel="share of events", xscale="log")
    for axes in panels[0]:
        axes.minorticks_off()
    _draw_candidate_numbers(candidates, curves)
    figure.subplots_adjust(bottom=0.3)
    label(bars)
    return figure


def _draw_candidate_numbers(axes: Axes, curves: dict[str, Any]) -> None:
    """Candidates per event and class of every sample, and those of the public one as black diamonds."""
    samples = {name: content for name, content in curves.items() if name in SAMPLE_TITLES}
    classes = list(dict.fromkeys(category for content in samples.values() for category in content["candidates"]))
    width = 0.8 / len(samples)
    for i, content in enumerate(samples.values()):
        value = [content["candidates"][name]["number"]["value"] if name in content["candidates"] else np.nan for name in classes]
        axes.bar(np.arange(len(classes)) + (i - (len(samples) - 1) / 2) * width, value, width, color=COLORS[i])
    axes.plot(range(len(classes)), [PUBLIC_NUMBERS.get(name, np.nan) for name in classes], "kD", markersize=4, label="public CMS sample, pileup")
    axes.set_yscale("log")
    axes.set_xticks(range(len(classes)), [CLASS_TITLES[name] for name in classes], rotation=40, ha="right", fontsize="x-small")
    axes.tick_params(axis="x", which="both", length=0)
    axes.minorticks_off()
    axes.set_ylabel("candidates per event")
    axes.set_ylim(top=20 * axes.get_ylim()[1])
    axes.legend(fontsize="x-small")


def draw_candidates(curves: dict[str, Any]) -> Figure:
    """Spectra of pt of the candidates of every class."""
    figure, panels = new_grid(1, len(curves))
    colors = dict(zip(CLASS_TITLES, ("black", BLUE, RED, PURPLE, VIOLET, ORANGE, "#3f90da", GREY, "black"), strict=True))
    for axes, (name, content) in zip(panels[0], curves.items(), strict=True):
        for category, candidates in content["candidates"].items():
            axes.stairs(candidates["spectrum"], content["pt_edges"], color=colors[category], label=CLASS_TITLES[category], linewidth=1.3)
        _logarithmic(axes, content["pt_edges"], (0.1, 1, 10, 100), PT)
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
        _points(resolution, curve, "resolution", SAMPLE_TITLES[name], i, logarithmic=False)
    resolution.set(xlabel=r"$\sum p_\mathrm{T}$ of the candidates [GeV]", ylabel=r"$\sigma(p_{x,y}^\mathrm{miss})$ [GeV]")
    resolution.set_ylim(bottom=0)
    for axes in (mass, response, resolution):
        axes.legend(fontsize="x-small")
    label(mass, r"$Z \to \tau\tau$")
    return figure


def _points(axes: Axes, curve: Curve, quantity: str, title: str, place: int, logarithmic: bool | None = None) -> None:
    """Points with error bars in the middle of the bins, moved a little aside by their place among the curves of a panel."""
    value, error = columns(curve[quantity])
    edges = np.array(curve["edges"])
    shift = 0.5 + 0.12 * ((place + 1) // 2) * (-1) ** place
    x = edges[:-1] ** (1 - shift) * edges[1:] ** shift if _is_logarithmic(edges, logarithmic) else edges[:-1] * (1 - shift) + edges[1:] * shift
    axes.errorbar(
        x, value, np.maximum(np.nan_to_num(error), 0.0), fmt=MARKERS[place], color=COLORS[place], label=title, markersize=3.5, elinewidth=1.0, linewidth=0
    )


def _is_logarithmic(edges: np.ndarray, wanted: bool | None) -> bool:
    return bool(edges[0] > 0 and edges[-1] / edges[0] > 10) if wanted is None else wanted


def _centres(edges: Sequence[float], logarithmic: bool = True) -> np.ndarray:
    edge = np.array(edges)
    return np.sqrt(edge[:-1] * edge[1:]) if logarithmic else 0.5 * (edge[:-1] + edge[1:])


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _unity(axes: Axes, range_: tuple[float, float]) -> None:
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    axes.set_ylim(*range_)


def _energy_axis(axes: Axes, edges: Sequence[float]) -> None:
    _logarithmic(axes, edges, (2, 5, 10, 20, 50, 100, 200, 500), ENERGY)


def _logarithmic(axes: Axes, edges: Sequence[float], ticks: Sequence[float], title: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(title)


def _mathematical(region: str) -> str:
    """``1.5 < abs(eta) < 2.5`` as a formula."""
    return "$" + region.replace("abs(eta)", r"|\eta|\ ").replace(" to ", r"\ \mathrm{to}\ ") + "$"
