"""A picture of one event for papers and talks: the detector from two sides, and (eta, phi) planes with elements, true particles and candidates."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.files import atomic_file
from mlpf.plotting.event_particles import Points, generated_jets, model_particles, rule_based_particles, true_particles
from mlpf.plotting.event_views import MAX_RADIUS, MAX_Z, draw_views
from mlpf.plotting.looks import ELEMENT_STYLES, FAINT, JET_RADIUS, MIN_JET_PT, PARTICLE_STYLES
from mlpf.plotting.style import style

SUFFIXES = (".png", ".pdf", ".svg")
MAX_ETA = 5.2
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 12.0, 0.75, 0.15, 0.7, 0.55  # inches: the page and its margins
ACROSS, ABOVE = 0.3, 0.45  # inches, between panels, and above each row for its titles
LEGEND = 2.3  # inches
DPI = 200
MANY_POINTS = 1500  # of a panel; more become pixels in files of vectors, whose size and speed they would spoil
RIM = 8.0  # points squared, by which true particles are larger than candidates of the same pt
PALE = 0.25  # opacity of what comes from pileup
_NOTE: dict[str, Any] = {"zorder": 5, "color": FAINT, "fontsize": "x-small", "path_effects": [withStroke(linewidth=2.0, foreground="white")]}
_LABEL = np.array([0.85, 0.3])  # of a jet's pt: width in eta, height in phi


def draw_event(event: Events, path: str | Path, candidates: Mapping[str, Events] | None = None, min_pt: float = 0.5) -> None:
    """Draw an event into a file.

    Args:
        event: one event of an ntuple or of a dataset.
        path: ``.png``, ``.pdf`` or ``.svg``.
        candidates: of the same event (`schema.CANDIDATES`) by name; a panel each. If none are given, those of rule-based particle flow that the file holds.
        min_pt: elements, true particles and candidates below are not drawn [GeV]; the bars of the views hold all clusters.

    Raises:
        MlpfError: another suffix.
    """
    check_format(path)
    truth = true_particles(event)
    found = {name: model_particles(values) for name, values in (candidates or {}).items()} or {"rule-based PF": rule_based_particles(event)}
    with style(), mpl.rc_context({"pdf.fonttype": 42}), atomic_file(path) as temporary:  # TrueType: what journals ask for
        figure, transverse, longitudinal, legend, planes = _new_page(1 + len(found))
        draw_views(transverse, longitudinal, event, min_pt)
        size = (planes[0].bbox.width / figure.dpi / 5.0) ** 2  # markers shrink with the planes
        draw_elements(planes[0], event, min_pt, size)
        titles = ["PF elements"]
        for plane, (name, points) in zip(planes[1:], found.items(), strict=True):
            draw_particles(plane, truth.above(min_pt), points.above(min_pt), size)
            titles.append(f"truth (open), {name} (filled)" if len(points.pt) else "truth")
        jets = generated_jets(event).above(MIN_JET_PT)
        for plane, title in zip(planes, titles, strict=True):
            draw_jets(plane, jets, size)
            plane.set_title(title, loc="left", fontsize="small", pad=5)
        _draw_legend(legend, [truth.above(min_pt), *(points.above(min_pt) for points in found.values())], len(jets.pt) > 0)
        _write_identity(figure, event, min_pt)
        figure.savefig(temporary, dpi=DPI)


def check_format(path: str | Path) -> None:
    """Raise `MlpfError` where a picture cannot be written in the format that the name asks for."""
    if Path(path).suffix not in SUFFIXES:
        raise MlpfError(f"{path}: unknown format '{Path(path).suffix}'; name the picture {', '.join(SUFFIXES)}")


def _new_page(num_planes: int) -> tuple[Figure, Axes, Axes, Axes, list[Axes]]:
    """The page, the panels of both views and of the legend above, and the planes below, two or three in a row."""
    columns = 3 if num_planes % 3 == 0 else 2
    rows = -(-num_planes // columns)
    width = (WIDTH - LEFT - RIGHT - (columns - 1) * ACROSS) / columns
    height = width * np.pi / MAX_ETA
    around = (WIDTH - LEFT - RIGHT - LEGEND - 2 * ACROSS) / (1 + MAX_Z / MAX_RADIUS)
    page = np.array([WIDTH, TOP + around + rows * (ABOVE + height) + BOTTOM])
    figure = Figure(figsize=tuple(page))

    def panel(x: float, y: float, panel_width: float, panel_height: float) -> Axes:
        """Inches, from the upper left corner."""
        return figure.add_axes((x / page[0], 1 - (y + panel_height) / page[1], panel_width / page[0], panel_height / page[1]))

    transverse = panel(LEFT, TOP, around, around)
    longitudinal = panel(LEFT + around + ACROSS, TOP, around * MAX_Z / MAX_RADIUS, around)
    legend = panel(WIDTH - RIGHT - LEGEND, TOP, LEGEND, around)
    planes = []
    for i in range(num_planes):
        row, column = divmod(i, columns)
        plane = panel(LEFT + column * (width + ACROSS), TOP + around + ABOVE + row * (ABOVE + height), width, height)
        plane.set(xlim=(-MAX_ETA, MAX_ETA), ylim=(-np.pi, np.pi))
        plane.set_yticks([-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi], [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"] if column == 0 else [])
        plane.set_xlabel(r"$\eta$" if i + columns >= num_planes else "")
        plane.set_ylabel(r"$\phi$ [rad]" if column == 0 else "", labelpad=0)
        planes.append(plane)
    return figure, transverse, longitudinal, legend, planes


def draw_elements(axes: Axes, event: Events, min_pt: float, size: float = 1.0) -> None:
    """Elements above a pt [GeV] in the (eta, phi) plane, in areas proportional to pt; ``size`` scales them."""
    pt, eta, phi = (event[f"element_{name}"] for name in ("pt", "eta", "phi"))
    hard = pt > min_pt
    for look in ELEMENT_STYLES:
        own = hard & np.isin(event["element_type"], look.types)
        filled: dict[str, Any] = {"color": look.color, "alpha": 0.75, "linewidths": 0}
        axes.scatter(eta[own], phi[own], size * _area(pt[own]), marker=look.marker, rasterized=hard.sum() > MANY_POINTS, **filled)


def draw_particles(axes: Axes, truth: Points, candidates: Points, size: float = 1.0) -> None:
    """Particles in the (eta, phi) plane, in areas proportional to pt: true ones open, candidates filled, what comes from pileup pale.

    A true particle that was found is a filled marker with a rim; one that was not is empty, and a fake has no rim. ``size`` scales areas.
    """
    many = len(truth.pt) + len(candidates.pt) > MANY_POINTS
    for pileup, look in itertools.product((True, False), PARTICLE_STYLES):
        opacity = PALE if pileup else 1.0
        true, found = (points.select(np.isin(points.category, look.classes) & ((points.pileup > 0.5) == pileup)) for points in (truth, candidates))
        filled: dict[str, Any] = {"color": look.color, "alpha": 0.75 * opacity, "linewidths": 0}
        axes.scatter(found.eta, found.phi, size * _area(found.pt), marker=look.marker, rasterized=many, **filled)
        rim: dict[str, Any] = {"facecolors": "none", "edgecolors": look.color, "alpha": opacity, "linewidths": 0.9 * np.sqrt(size)}
        axes.scatter(true.eta, true.phi, size * (_area(true.pt) + RIM), marker=look.marker, rasterized=many, **rim)


def _area(pt: np.ndarray) -> np.ndarray:
    """Area of a marker [points squared]: proportional to pt, with an end on either side so that all can be seen."""
    return np.clip(5.0 * pt, 3.5, 350.0)


def draw_jets(axes: Axes, jets: Points, size: float = 1.0) -> None:
    """Rings around jets, again at phi +- 2 pi where they cross the edge, and their pt where there is room, the hardest first."""
    for eta, phi in zip(jets.eta.tolist(), jets.phi.tolist(), strict=True):
        for turn in (-2 * np.pi, 0.0, 2 * np.pi):
            axes.add_patch(Circle((eta, phi + turn), JET_RADIUS, fill=False, edgecolor=FAINT, linestyle="--", linewidth=0.9, zorder=0.5))
    taken: list[np.ndarray] = []
    box = _LABEL / np.sqrt(size)
    centres = np.stack([jets.eta, jets.phi], axis=1)
    for number, pt in enumerate(jets.pt.tolist()):
        for place in centres[number] + np.array([(0, 1), (0, -1), (1, 0), (-1, 0)]) * (JET_RADIUS + 0.5 * box):
            inside = (np.abs(place) + 0.5 * box < (MAX_ETA, np.pi)).all()
            off_jets = (np.abs(np.delete(centres, number, axis=0) - place) > (0.5 * box[0], JET_RADIUS)).any(axis=1).all()
            if inside and off_jets and all((np.abs(place - other) > box).any() for other in taken):
                axes.text(float(place[0]), float(place[1]), f"{pt:.0f} GeV", ha="center", va="center", **_NOTE)
                taken.append(place)
                break


def _draw_legend(axes: Axes, drawn: list[Points], jets: bool) -> None:
    """What elements, and the kinds of particles that were drawn, look like, one below the other."""
    axes.set_axis_off()
    elements = [Line2D([], [], color=look.color, marker=look.marker, linestyle="none", label=look.title) for look in ELEMENT_STYLES]
    seen = {look.title for look in PARTICLE_STYLES for points in drawn if np.isin(points.category, look.classes).any()}
    particles = [Line2D([], [], color=look.color, marker=look.marker, linestyle="none", label=look.title) for look in PARTICLE_STYLES if look.title in seen]
    if any((points.pileup > 0.5).any() for points in drawn):
        particles.append(Line2D([], [], color=FAINT, alpha=PALE, marker="o", linestyle="none", label="pale: from pileup"))
    if jets:
        particles.append(Line2D([], [], color=FAINT, linestyle="--", linewidth=0.9, label=f"generated jet > {MIN_JET_PT:g} GeV"))
    common: dict[str, Any] = {"handletextpad": 0.5, "labelspacing": 0.3, "borderaxespad": 0.0, "alignment": "left", "title_fontproperties": {"size": "small"}}
    axes.add_artist(axes.legend(handles=elements, title="elements", loc="upper left", **common))
    axes.legend(handles=particles, title="particles, candidates", loc="lower left", **common)


def _write_identity(figure: Figure, event: Events, min_pt: float) -> None:
    width, height = figure.get_size_inches()
    top = 1 - 0.2 / height
    figure.text(LEFT / width, top, r"$\mathbf{mlpf}$ $\mathit{simulation}$", va="center")
    identity = ", ".join(f"{name} {int(event[name][0])}" for name in schema.IDENTITY)
    figure.text(1 - RIGHT / width, top, rf"{identity}; all above $p_\mathrm{{T}}$ = {min_pt:g} GeV", va="center", ha="right", fontsize="small")
