"""Figures of the validation: single particles, tracks, material, energy closure."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from mlpf.plotting.detector_axes import ABS_ETA, COLORS, ETA, PT, SAMPLE_TITLES, Curve, centres, energy_axis, mathematical, numbers, points, unity
from mlpf.plotting.style import ORANGE, label, logarithmic, new_figure, new_grid
from mlpf.plotting.summary import columns


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
        points(panels[2, 0], curve, "lost", region, i)
    energy_axis(panels[2, 0], curve["edges"])
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
        points(above, curve, "mean", region, i)
        points(below, curve, width, region, i)
        if "expected" in curve:
            below.plot(centres(curve["edges"]), numbers(curve["expected"]), color=COLORS[i], linestyle="--", linewidth=1.0)
    above.set_title(title, loc="right", fontsize="small")
    unity(above, range_)
    above.set_ylabel("mean response")
    below.set_ylabel("width / mean")
    below.plot([], [], color="black", linestyle="--", linewidth=1.0, label="put in")
    below.legend()
    for axes in panels:
        energy_axis(axes, curve["edges"])


def _against_eta(panels: np.ndarray, curves: dict[str, Curve], range_: tuple[float, float], width: str = "core") -> None:
    for i, (title, curve) in enumerate(curves.items()):
        points(panels[0], curve, "mean", title, i)
        points(panels[1], curve, width, title, i)
    unity(panels[0], range_)
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
            points(axes, efficiency[region], "efficiency", title, i)
            axes.set_ylabel("track efficiency")
            axes.set_ylim(0.4, 1.02)
            if region == "eta":
                axes.set_xlabel(ETA)
                axes.set_title("1 to 100 GeV", loc="right", fontsize="small")
            else:
                logarithmic(axes, efficiency[region]["edges"], (0.3, 1, 10, 100))
                axes.set_xlabel(PT)
                axes.set_title(mathematical(region), loc="right", fontsize="small")
    panels[0, 0].legend(loc="lower right")
    for axes, (title, resolution) in zip(panels[1], curves["resolution"].items(), strict=True):
        for i, (region, curve) in enumerate(resolution.items()):
            points(axes, curve, "core", mathematical(region), i)
            axes.plot(centres(curve["edges"]), numbers(curve["expected"]), color=COLORS[i], linestyle="--", linewidth=1.0)
        logarithmic(axes, curve["edges"], (0.3, 1, 10, 100))
        axes.set_xlabel(PT)
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
        points(panels[0, 0], curves["dense"][name], "efficiency", SAMPLE_TITLES[name], i)
        points(panels[0, 1], curves["fakes"][name], "rate", SAMPLE_TITLES[name], i)
        points(panels[0, 2], curves["fakes_eta"][name], "rate", SAMPLE_TITLES[name], i)
    dense, fakes, fakes_eta = panels[0]
    dense.set(xlabel=r"$\Delta R$ to the axis of a jet above 80 GeV", ylabel="track efficiency", xlim=(0, 0.4))
    logarithmic(fakes, curves["fakes"][name]["edges"], (0.2, 1, 10, 50))
    fakes.set_xlabel(PT)
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
        points(axes, curve, "fraction" if "fraction" in curve else "number", "measured", 0)
        if "expected" in curve:
            axes.plot(centres(curve["edges"], False), numbers(curve["expected"]), color=ORANGE, linestyle="--", label="by the thickness put in")
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
