"""A picture of one event: the (eta, phi) plane with elements, true particles and candidates, and the view along the beam with tracks and deposits."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Wedge
from matplotlib.patheffects import withStroke

from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.files import atomic_file
from mlpf.metrics.systems import targets
from mlpf.plotting.style import BLUE, GREY, ORANGE, RED, VIOLET, new_figure, style
from mlpf.schema import DATASET, ElementType
from mlpf.simulation.propagation import ECAL_RADIUS, ECAL_Z, HCAL_RADIUS

SUFFIXES = (".png", ".pdf", ".svg")
DARK = "#22262c"
_NOTE: dict[str, Any] = {"zorder": 5, "color": "#5c6370", "fontsize": "x-small", "path_effects": [withStroke(linewidth=2.0, foreground="white")]}
MAX_ETA = 5.2
MIN_JET_PT = 20.0  # GeV; jets below are not drawn
JET_RADIUS = 0.4
CURVATURE = 100.0 / (0.2998 * 3.8)  # cm per GeV of pt: radius of a unit charge's helix in 3.8 T
OUTER_RADIUS = 300.0  # cm, where the drawn calorimeters end
MAX_ECAL_BAR, MAX_HCAL_BAR = 45.0, 100.0  # cm, length of the highest bar


class ElementStyle(NamedTuple):
    """How elements of some types look."""

    title: str
    types: tuple[ElementType, ...]
    color: str
    marker: str


ELEMENT_STYLES = (
    ElementStyle("ECAL cluster", (ElementType.ECAL,), ORANGE, "s"),
    ElementStyle("HCAL cluster", (ElementType.HCAL, ElementType.HO), RED, "s"),
    ElementStyle("HF cluster", (ElementType.HFEM, ElementType.HFHAD), VIOLET, "D"),
    ElementStyle("track", (ElementType.TRACK, ElementType.GSF), BLUE, "^"),
)


class Points(NamedTuple):
    """Particles or jets: ``(P,)`` pt [GeV], eta, phi [rad]."""

    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray


def draw_event(event: Events, path: str | Path, candidates: Events | None = None, min_pt: float = 0.5) -> None:
    """Draw an event into a file.

    Args:
        event: one event of an ntuple or of a dataset.
        path: ``.png``, ``.pdf`` or ``.svg``.
        candidates: of the same event (`schema.CANDIDATES`).
        min_pt: true particles and candidates below are not drawn [GeV].

    Raises:
        MlpfError: another suffix.
    """
    check_format(path)
    with style(), atomic_file(path) as temporary:
        figure = new_figure(15.0, 6.5)
        figure.set_layout_engine("compressed")  # the one that knows of panels with a fixed aspect
        plane, transverse = figure.subplots(1, 2, width_ratios=(MAX_ETA / np.pi, 1.0))
        draw_plane(plane, event, candidates, min_pt)
        draw_transverse(transverse, event)
        identity = f"run {int(event['run'][0])}, lumi {int(event['lumi'][0])}, event {int(event['event'][0])}"
        plane.set_title(r"$\mathbf{mlpf}$ $\mathit{simulation}$", loc="left", pad=8)
        plane.set_title(identity, loc="right", fontsize="small", pad=8)
        figure.savefig(temporary, dpi=170)


def check_format(path: str | Path) -> None:
    """Raise `MlpfError` where a picture cannot be written in the format that the name asks for."""
    if Path(path).suffix not in SUFFIXES:
        raise MlpfError(f"{path}: unknown format '{Path(path).suffix}'; name the picture {', '.join(SUFFIXES)}")


def true_particles(event: Events) -> Points:
    """Targets of a dataset's event; of an ntuple's the CaloParticles (TrackingParticles where there are none) that are linked to an element."""
    if event.layout is DATASET:
        truth = targets(event)
        return Points(truth.pt, truth.eta, truth.phi)
    kind = "caloparticle" if event.size("caloparticle") else "trackingparticle"
    seen = np.zeros(event.size(kind), dtype=bool)
    seen[event[f"{kind}_to_element.first"]] = True
    seen |= f"{kind}_to_element.first" not in event  # all of them where the ntuple has no links
    if kind == "caloparticle":
        tracked = np.isin(event["caloparticle_idx_trackingparticle"], event["trackingparticle_to_element.first"])
        seen |= tracked & (event["caloparticle_idx_trackingparticle"] >= 0)
    return Points(*(event[f"{kind}_{name}"][seen] for name in Points._fields))


def draw_plane(axes: Axes, event: Events, candidates: Events | None, min_pt: float) -> None:
    """The (eta, phi) plane: elements filled, true particles as rings, candidates as dots; areas proportional to pt; generated jets dashed."""
    element_type = event["element_type"]
    for look in ELEMENT_STYLES:
        own = np.isin(element_type, look.types)
        area = _area(event["element_pt"][own])
        axes.scatter(event["element_eta"][own], event["element_phi"][own], area, color=look.color, marker=look.marker, alpha=0.75, linewidths=0)
    truth = _above(true_particles(event), min_pt)
    axes.scatter(truth.eta, truth.phi, 1.6 * _area(truth.pt) + 20, facecolors="none", edgecolors=DARK, linewidths=0.8)
    handles = [Line2D([], [], color=look.color, marker=look.marker, linestyle="none", label=look.title) for look in ELEMENT_STYLES]
    handles.append(Line2D([], [], color=DARK, marker="o", markersize=7, markerfacecolor="none", linestyle="none", label="true particle"))
    if candidates is not None:
        found = _above(Points(*(candidates[f"mlpfcandidate_{name}"] for name in Points._fields)), min_pt)
        axes.scatter(found.eta, found.phi, 16, color=DARK, edgecolors="white", linewidths=0.5)
        handles.append(Line2D([], [], color=DARK, marker="o", linestyle="none", label="candidate"))
    if _draw_jets(axes, event):
        handles.append(Line2D([], [], color=GREY, linestyle="--", label=f"generated jet above {MIN_JET_PT:g} GeV"))
    axes.set(xlim=(-MAX_ETA, MAX_ETA), ylim=(-np.pi, np.pi), aspect="equal", xlabel=r"$\eta$", ylabel=r"$\phi$")
    axes.set_yticks([-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi], [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"])
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.4, handletextpad=0.3)


def _area(pt: np.ndarray) -> np.ndarray:
    """Area of a marker [points squared]: proportional to pt, with an end on either side so that all can be seen."""
    return np.clip(6.0 * pt, 4.0, 400.0)


def _above(points: Points, min_pt: float) -> Points:
    kept = points.pt > min_pt
    return Points(*(values[kept] for values in points))


def _draw_jets(axes: Axes, event: Events) -> bool:
    """Rings around the generated jets, again at phi +- 2 pi where they cross the edge."""
    jets = _above(Points(*(event[f"genjet_{name}"] for name in Points._fields)), MIN_JET_PT)
    for pt, eta, phi in zip(*jets, strict=True):
        for turn in (-2 * np.pi, 0.0, 2 * np.pi):
            axes.add_patch(Circle((eta, phi + turn), JET_RADIUS, fill=False, edgecolor=GREY, linestyle="--", linewidth=1.1, zorder=0.5))
        below = phi > 2.4
        position = (eta, phi - JET_RADIUS - 0.05) if below else (eta, phi + JET_RADIUS + 0.05)
        axes.annotate(f"{pt:.0f} GeV", position, ha="center", va="top" if below else "bottom", clip_on=True, **_NOTE)
    return len(jets.pt) > 0


def draw_transverse(axes: Axes, event: Events) -> None:
    """The view along the beam: tracks bent by the solenoid, ECAL and HCAL clusters as bars of a length proportional to the root of their transverse energy."""
    for inner, outer, color in ((HCAL_RADIUS, OUTER_RADIUS, RED), (ECAL_RADIUS, HCAL_RADIUS, ORANGE)):
        axes.add_patch(Wedge((0, 0), outer, 0, 360, width=outer - inner, facecolor=color, alpha=0.07, linewidth=0))
        axes.add_patch(Circle((0, 0), inner, fill=False, edgecolor=GREY, linewidth=0.6))
    element_type, pt = event["element_type"], event["element_pt"]
    _draw_tracks(axes, event, np.flatnonzero(np.isin(element_type, (ElementType.TRACK, ElementType.GSF))))
    central = np.abs(event["element_eta"]) < 3.0
    highest = float(pt[central & np.isin(element_type, (ElementType.ECAL, ElementType.HCAL))].max(initial=1.0))
    for kind, radius, length, width, color in (
        (ElementType.ECAL, ECAL_RADIUS, MAX_ECAL_BAR, 1.3, ORANGE),
        (ElementType.HCAL, HCAL_RADIUS, MAX_HCAL_BAR, 3.5, RED),
    ):
        own = np.flatnonzero((element_type == kind) & central)
        angle = np.degrees(event["element_phi"][own])
        height = length * np.sqrt(pt[own] / highest)
        bars = [Wedge((0, 0), radius + h, a - width / 2, a + width / 2, width=h) for a, h in zip(angle, height, strict=True)]
        axes.add_collection(PatchCollection(bars, facecolor=color, linewidth=0, alpha=0.9))
    axes.set(xlim=(-OUTER_RADIUS, OUTER_RADIUS), ylim=(-OUTER_RADIUS, OUTER_RADIUS), aspect="equal")
    axes.set_axis_off()
    for radius, title in ((ECAL_RADIUS, "tracker"), (HCAL_RADIUS, "ECAL"), (OUTER_RADIUS, "HCAL")):
        axes.text(0, 6 - radius, title, ha="center", va="bottom", **_NOTE)


def _draw_tracks(axes: Axes, event: Events, tracks: np.ndarray) -> None:
    pt = event["element_pt"][tracks]
    lines = [
        helix(
            *(float(event[f"element_{name}"][i]) for name in ("pt", "eta", "phi", "charge")),
            *(float(event[f"element_{name}"][i]) for name in ("vx", "vy", "vz")),
        )
        for i in tracks
    ]
    widths = np.clip(0.5 + 0.5 * np.log10(np.maximum(pt, 1.0)), 0.5, 1.6)
    axes.add_collection(LineCollection(lines, colors=BLUE, linewidths=widths, alpha=0.9))


def helix(pt: float, eta: float, phi: float, charge: float, vx: float, vy: float, vz: float) -> np.ndarray:
    """Path of a charged particle in 3.8 T along the beam, from its vertex to the ECAL.

    Args:
        pt, eta, phi: momentum at the vertex [GeV, rad].
        charge: its sign bends the path: to smaller phi if positive.
        vx, vy, vz: the vertex [cm].

    Returns:
        ``(P, 2)`` x, y [cm]; half a turn at most.
    """
    radius = CURVATURE * max(pt, 1e-3) / (np.sign(charge) or 1e-6)  # of a neutral one: as good as straight
    turn = np.linspace(0.0, min(np.pi, 2.0 * ECAL_RADIUS / abs(radius) * 1.6), 200)
    direction = phi - np.sign(radius) * turn
    x = vx - radius * (np.sin(direction) - np.sin(phi))
    y = vy + radius * (np.cos(direction) - np.cos(phi))
    z = vz + abs(radius) * turn * np.sinh(eta)
    inside = (np.hypot(x, y) < ECAL_RADIUS) & (np.abs(z) < ECAL_Z)
    end = len(turn) if inside.all() else max(int(np.argmin(inside)), 2)
    return np.stack([x[:end], y[:end]], axis=1)
