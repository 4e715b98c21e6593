"""An event in the detector: the view along the beam and the one beside it, with tracks bent by the solenoid and the energy in the calorimeters."""

import itertools
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Circle, Rectangle

from mlpf.events import Events
from mlpf.plotting.display.objects import TRACKS
from mlpf.plotting.display.paths import fly
from mlpf.plotting.looks import ELEMENT_STYLES
from mlpf.plotting.style import BLUE, GREY
from mlpf.simulation.propagation import ECAL_BARREL_ETA, ECAL_RADIUS, ECAL_Z, MAX_HF_ETA

LONGEST = 70.0  # cm, length of the highest bar
MAX_RADIUS, MAX_Z = ECAL_RADIUS + LONGEST + 6.0, ECAL_Z + LONGEST + 6.0  # cm, what is seen
NUM_PHI_BINS, NUM_ETA_BINS = 72, 120  # about an HCAL tower of CMS, 0.087 x 0.087
MANY_TRACKS = 300  # drawn thinner, and as pixels in files of vectors
CLUSTER_STYLES = tuple(look for look in ELEMENT_STYLES if not set(look.types).intersection(TRACKS))


class Deposits(NamedTuple):
    """Transverse energy of clusters in bins of an angle.

    Attributes:
        angle: ``(A + 1,)`` edges of the bins in the plane of the view [rad], counted from its horizontal axis.
        energy: ``(A, S)`` sums [GeV] per style of clusters.
    """

    angle: np.ndarray
    energy: np.ndarray


def draw_views(transverse: Axes, longitudinal: Axes, event: Events, min_pt: float) -> None:
    """Both views, with bars of one scale.

    Args:
        transverse: the view along the beam, of what flies to the barrel.
        longitudinal: the view from the side; what flies upwards is above the beam, what flies downwards below.
        event: one event of an ntuple or of a dataset.
        min_pt: tracks below are not drawn [GeV].
    """
    around, (above, below) = transverse_deposits(event), longitudinal_deposits(event)
    highest = max(float(deposits.energy.sum(axis=1).max(initial=0.0)) for deposits in (around, above, below))
    length = LONGEST / (highest or 1.0)
    _draw_bars(transverse, around, np.full(len(around.angle), ECAL_RADIUS), length)
    for deposits in (above, below):
        with np.errstate(divide="ignore"):
            front = np.minimum(ECAL_RADIUS / np.abs(np.sin(deposits.angle)), ECAL_Z / np.abs(np.cos(deposits.angle)))
        _draw_bars(longitudinal, deposits, front, length)
    tracks = np.flatnonzero(np.isin(event["element_type"], TRACKS) & (event["element_pt"] > min_pt))
    barrel = tracks[np.abs(event["element_eta"][tracks]) < ECAL_BARREL_ETA]
    _draw_lines(transverse, [path[:, :2] for path in track_paths(event, barrel)])
    _draw_lines(longitudinal, [_from_the_side(path) for path in track_paths(event, tracks)])
    transverse.add_patch(Circle((0, 0), ECAL_RADIUS, fill=False, edgecolor=GREY, linewidth=0.8))
    longitudinal.add_patch(Rectangle((-ECAL_Z, -ECAL_RADIUS), 2 * ECAL_Z, 2 * ECAL_RADIUS, fill=False, edgecolor=GREY, linewidth=0.8))
    longitudinal.axhline(0.0, color=GREY, linewidth=0.6, zorder=0.5)
    for axes, width, title in ((transverse, MAX_RADIUS, "$x$-$y$ of the barrel"), (longitudinal, MAX_Z, r"$\rho$-$z$")):
        axes.set(xlim=(-width, width), ylim=(-MAX_RADIUS, MAX_RADIUS), aspect="equal")
        axes.set_axis_off()
        axes.set_title(title, loc="left", fontsize="small", pad=5)
    if highest > 0:
        longitudinal.set_title(rf"longest bar: $E_\mathrm{{T}}$ = {highest:.3g} GeV", loc="right", fontsize="small", pad=5)


def transverse_deposits(event: Events) -> Deposits:
    """Clusters of the barrel in bins of the azimuth."""
    edges = np.linspace(-np.pi, np.pi, NUM_PHI_BINS + 1)
    barrel = np.abs(event["element_eta"]) < ECAL_BARREL_ETA
    return Deposits(edges, _sums(event, event["element_phi"], edges, barrel))


def longitudinal_deposits(event: Events) -> tuple[Deposits, Deposits]:
    """Clusters above and below the beam in bins of the pseudorapidity, whose edges are turned into angles."""
    edges = np.linspace(-MAX_HF_ETA, MAX_HF_ETA, NUM_ETA_BINS + 1)
    polar = 2.0 * np.arctan(np.exp(-edges))
    upwards = np.sin(event["element_phi"]) >= 0
    eta = event["element_eta"]
    return Deposits(polar, _sums(event, eta, edges, upwards)), Deposits(-polar, _sums(event, eta, edges, ~upwards))


def _sums(event: Events, values: np.ndarray, edges: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """``(A, S)`` transverse energy in bins of some elements' values, per style of clusters."""
    sums = []
    for look in CLUSTER_STYLES:
        own = chosen & np.isin(event["element_type"], look.types)
        sums.append(np.histogram(values[own], edges, weights=event["element_pt"][own].astype(np.float64))[0])
    return np.stack(sums, axis=1)


def _draw_bars(axes: Axes, deposits: Deposits, front: np.ndarray, length: float) -> None:
    """Bars that point away from the centre, the styles one behind the other.

    Args:
        axes: of the view.
        deposits: what to draw.
        front: ``(A + 1,)`` distance from the centre at which bars begin [cm].
        length: of a bar [cm per GeV].
    """
    direction = np.stack([np.cos(deposits.angle), np.sin(deposits.angle)], axis=1)
    inner = np.zeros(len(deposits.energy))
    for column, look in enumerate(CLUSTER_STYLES):
        outer = inner + length * deposits.energy[:, column]
        filled = np.flatnonzero(outer > inner)
        corners = [(filled, inner), (filled + 1, inner), (filled + 1, outer), (filled, outer)]
        bars = np.stack([(front[edge] + height[filled])[:, None] * direction[edge] for edge, height in corners], axis=1)
        axes.add_collection(PolyCollection(list(bars), facecolor=look.color, edgecolor="white", linewidth=0.15))
        inner = outer


def track_paths(event: Events, tracks: np.ndarray) -> list[np.ndarray]:
    """Paths of the elements of some positions from their vertices to the ECAL, ``(P, 3)`` x, y, z [cm] each; none of those that cannot fly."""
    pt, eta, phi, charge, *vertex = (event[f"element_{name}"][tracks] for name in ("pt", "eta", "phi", "charge", "vx", "vy", "vz"))
    points, offsets = fly(pt, eta, phi, charge, np.stack(vertex, axis=1))
    return [points[first:last] for first, last in itertools.pairwise(offsets) if first < last]


def _from_the_side(path: np.ndarray) -> np.ndarray:
    """``(P, 2)`` z and the distance to the beam, negative for what begins downwards."""
    side = 1.0 if path[1, 1] >= 0 else -1.0
    return np.stack([path[:, 2], side * np.hypot(path[:, 0], path[:, 1])], axis=1)


def _draw_lines(axes: Axes, lines: list[np.ndarray]) -> None:
    many = len(lines) > MANY_TRACKS
    axes.add_collection(LineCollection(lines, colors=BLUE, linewidths=0.4 if many else 0.8, alpha=0.4 if many else 0.9, rasterized=many))
