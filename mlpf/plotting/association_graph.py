"""A picture of an association graph: true particles, elements and candidates in columns, the links between them, and the same in the (eta, phi) plane."""

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

from mlpf import schema
from mlpf.io.files import atomic_file
from mlpf.kinematics import delta_phi
from mlpf.plotting.association_layout import MAX_NODES, positions, shown
from mlpf.plotting.event import check_format
from mlpf.plotting.event_particles import true_class
from mlpf.plotting.looks import DARK, FAINT, PARTICLE_STYLES, ParticleStyle
from mlpf.plotting.style import GREY, style
from mlpf.postprocess.event_graph import Node
from mlpf.schema import CandidateClass, ElementType

TITLES = {
    "part": "parts of the particle",
    "particle": r"true particles, $p_\mathrm{T}$",
    "element": "PF elements, energy",
    "candidate": r"candidates, $p_\mathrm{T}$",
}
BOX, BOX_HEIGHT, GAP, ROW = 1.75, 0.23, 1.5, 0.28  # inches: a node, the space between columns, the height of a row
LEFT, BOTTOM, TOP, BETWEEN, RIGHT = 0.45, 0.95, 0.75, 1.05, 0.2  # inches: around and between the two views
PLANE = 4.8  # inches, side of the (eta, phi) plane
MIN_WIDTH, MAX_WIDTH = 0.8, 3.5  # points, of a link; the latter from an element's only particle
MAX_FRAMED = 5  # selected nodes; more would be no news
PALE = "#cdd0d6"
_PREFIX = {"trackingparticle": "TP ", "simcluster": "SC "}

# pdgId -> sign and charge, Review of Particle Physics
_SYMBOLS = {
    11: ("e", "-"), 13: (r"\mu", "-"), 15: (r"\tau", "-"), 12: (r"\nu_e", ""), 14: (r"\nu_\mu", ""), 16: (r"\nu_\tau", ""), 22: (r"\gamma", ""),
    111: (r"\pi", "0"), 130: ("K_L", "0"), 310: ("K_S", "0"), 311: ("K", "0"), 211: (r"\pi", "+"), 321: ("K", "+"), 2112: ("n", ""), 2212: ("p", "+"),
    3122: (r"\Lambda", ""), 3112: (r"\Sigma", "-"), 3212: (r"\Sigma", "0"), 3222: (r"\Sigma", "+"), 3312: (r"\Xi", "-"), 3322: (r"\Xi", "0"),
    3334: (r"\Omega", "-"),
}  # fmt: skip
_BARRED = (12, 14, 16, 311)  # antiparticles of their own that a flipped charge does not tell; so are all baryons
_OPPOSITE = {"+": "-", "-": "+"}
_LEGEND = {
    "charged hadron": "charged hadron, track",
    "photon": "photon, ECAL",
    "neutral hadron": "neutral hadron, HCAL",
    "electron": "electron, GSF",
    "HF particle": "HF",
}
# elements look like the particles that mostly make them; all others (PS1, BREM, SC ...) like other particles
_CLASS_OF_ELEMENT = {
    ElementType.TRACK: CandidateClass.CHARGED_HADRON, ElementType.ECAL: CandidateClass.PHOTON, ElementType.HCAL: CandidateClass.NEUTRAL_HADRON,
    ElementType.HO: CandidateClass.NEUTRAL_HADRON, ElementType.GSF: CandidateClass.ELECTRON, ElementType.HFEM: CandidateClass.HF_EM,
    ElementType.HFHAD: CandidateClass.HF_HADRON,
}  # fmt: skip
_CANDIDATE_SYMBOLS = {211: "$h^+$", -211: "$h^-$", 130: "$h^0$", 1: r"$h_\mathrm{HF}$", 2: r"$\gamma_\mathrm{HF}$"}


def draw_association_graph(graph: nx.DiGraph, path: str | Path, max_nodes: int = MAX_NODES) -> list[str]:
    """Draw a graph of `mlpf.postprocess.association_graph` into a file.

    Args:
        graph: usually a `neighbourhood`; its selected nodes are framed, and the (eta, phi) plane is centred on them.
        path: ``.png``, ``.pdf`` or ``.svg``.
        max_nodes: particles, elements and candidates that are drawn; what is weakest is left out.

    Returns:
        what was left out, in words.

    Raises:
        MlpfError: another suffix.
    """
    check_format(path)
    drawn, hidden = shown(graph, max_nodes)
    place = positions(drawn)
    num_columns = 1 + max((column for column, _ in place.values()), default=0)
    width = max(num_columns, 3) * (BOX + GAP) - GAP  # of at least three columns, for the legend's sake
    height = max(ROW * (1 + max((row for _, row in place.values()), default=0.0)), PLANE)
    with style(), atomic_file(path) as temporary:
        page = np.array([LEFT + width + BETWEEN + PLANE + RIGHT, BOTTOM + height + TOP])
        figure = Figure(figsize=tuple(page))
        columns = figure.add_axes((LEFT / page[0], BOTTOM / page[1], width / page[0], height / page[1]))
        draw_columns(columns, drawn, place, width, height)
        plane = figure.add_axes(((LEFT + width + BETWEEN) / page[0], (BOTTOM + height - PLANE) / page[1], PLANE / page[0], PLANE / page[1]))
        draw_plane(plane, drawn)
        _annotate(figure, page, drawn, hidden)
        figure.savefig(temporary, dpi=170)
    return hidden


def _annotate(figure: Figure, page: np.ndarray, graph: nx.DiGraph, hidden: list[str]) -> None:
    """Whose picture, of which event, what its lines mean, and what it leaves out."""
    top = 1 - 0.28 / page[1]
    figure.text(LEFT / page[0], top, r"$\mathbf{mlpf}$ $\mathit{simulation}$", va="center")
    identity = ", ".join(f"{name} {graph.graph[name]}" for name in schema.IDENTITY)
    figure.text(1 - RIGHT / page[0], top, identity, va="center", ha="right", fontsize="small")
    seen = {look(attributes) for _, attributes in graph.nodes(data=True)}
    handles = [
        Line2D([], [], color=DARK, linewidth=2.5, label="chosen"),
        Line2D([], [], color=PALE, linewidth=2.5, label="linked; width: share of the element"),
        *(
            Line2D([], [], color=style_of.color, marker=style_of.marker, linestyle="none", label=_LEGEND.get(style_of.title, style_of.title))
            for style_of in PARTICLE_STYLES
            if style_of in seen
        ),
    ]
    if any(attributes.get("ispu", 0.0) > 0.5 for _, attributes in graph.nodes(data=True)):
        handles.append(Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none", label="from pileup"))
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(LEFT / page[0] - 0.005, 0.3 / page[1]), ncols=len(handles), columnspacing=1.2, handletextpad=0.4
    )
    if hidden:
        figure.text(LEFT / page[0], 0.2 / page[1], f"not drawn: {'; '.join(hidden)}", va="center", fontsize="small", color=FAINT)


def symbol(pid: int, candidate: bool = False) -> str:
    """A particle's sign in mathtext, ``candidate``: that of a class of candidates; the pdgId where it is none of the common ones."""
    if candidate and pid in _CANDIDATE_SYMBOLS:
        return _CANDIDATE_SYMBOLS[pid]
    if abs(pid) not in _SYMBOLS:
        return str(pid)
    name, charge = _SYMBOLS[abs(pid)]
    if pid < 0:
        name = rf"\overline{{{name}}}" if abs(pid) in _BARRED or abs(pid) > 1000 else name
        charge = _OPPOSITE.get(charge, charge)
    return f"${name}^{{{charge}}}$" if charge else f"${name}$"


def draw_columns(axes: Axes, graph: nx.DiGraph, place: dict[Node, tuple[int, float]], width: float, height: float) -> None:
    """Nodes as boxes in columns, links as curves between them; the unit is the inch.

    Args:
        axes: of that size.
        graph: what to draw.
        place: column and row of every node.
        width, height: of the axes.
    """
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    rows = 1 + max((row for _, row in place.values()), default=0.0)
    corner = {node: (column * (BOX + GAP), 0.5 * (height - rows * ROW) + ROW * (row + 0.5)) for node, (column, row) in place.items()}
    selected = [node for node in place if graph.nodes[node].get("selected", False)]
    framed = set(selected if len(selected) <= MAX_FRAMED else [])
    links = [(first, second, link, not framed.isdisjoint((first, second))) for first, second, link in graph.edges(data=True)]
    for first, second, link, near in sorted(links, key=lambda drawn: (drawn[2]["chosen"], drawn[3], drawn[2]["share"])):
        size = max(MIN_WIDTH, MAX_WIDTH * link["share"]) if link["kind"] == "truth" or link["chosen"] else MIN_WIDTH
        color = DARK if link["chosen"] else GREY if near else PALE
        curve = _curve(corner[first], corner[second])
        axes.add_patch(PathPatch(curve, fill=False, edgecolor=color, linewidth=size, capstyle="butt", clip_on=False))
    for node, (x, y) in corner.items():
        _draw_box(axes, graph.nodes[node], x, y, node in framed)
    for role, title in TITLES.items():
        column = next((column for node, (column, _) in place.items() if graph.nodes[node]["role"] == role), None)
        if column is not None:
            axes.text(column * (BOX + GAP) + 0.5 * BOX, min(y for _, y in corner.values()) - ROW, title, ha="center", va="center", fontsize="small")


def _curve(first: tuple[float, float], second: tuple[float, float]) -> Curve:
    """From the right side of the box on the left to the left side of the other; in one column, around their left sides."""
    (x, y), (end_x, end_y) = sorted((first, second))
    if x == end_x:
        return Curve([(x, y), (x - LEFT, y), (x - LEFT, end_y), (x, end_y)], [Curve.MOVETO, *[Curve.CURVE4] * 3])
    x, middle = x + BOX, 0.5 * (x + BOX + end_x)
    return Curve([(x, y), (middle, y), (middle, end_y), (end_x, end_y)], [Curve.MOVETO, *[Curve.CURVE4] * 3])


def _draw_box(axes: Axes, node: dict[str, Any], x: float, y: float, framed: bool) -> None:
    """Marker, name, pt or energy, and index of a node, in a box whose left side is at x and its middle at y."""
    _, _, color, marker = look(node)
    pad, corner = 0.06, (x + 0.06, y - 0.5 * BOX_HEIGHT + 0.06)
    edge: dict[str, Any] = {"edgecolor": DARK, "linewidth": 2.0} if framed else {"edgecolor": color, "linewidth": 0.8}
    box = FancyBboxPatch(corner, BOX - 2 * pad, BOX_HEIGHT - 2 * pad, f"round,pad={pad}", facecolor="white", zorder=3, clip_on=False, **edge)
    axes.add_patch(box)
    filled = "white" if node.get("ispu", 0.0) > 0.5 else color
    axes.plot([x + 0.15], [y], marker, color=color, markerfacecolor=filled, markersize=_marker_size(node), zorder=4)
    if node["role"] == "element":
        text = f"{node['type']} {_number(node['energy'])} GeV"
    else:
        text = f"{_PREFIX.get(node['kind'], '')}{symbol(node['pid'], node['role'] == 'candidate')} {_number(node['pt'])} GeV"
    axes.text(x + 0.3, y, text, va="center_baseline", fontsize="x-small", zorder=5)
    axes.text(x + BOX - 0.07, y, str(node["index"]), va="center_baseline", ha="right", fontsize=6.5, color=FAINT, zorder=5)


def look(node: dict[str, Any]) -> ParticleStyle:
    """How a node looks: by the class of a particle, and as such an element by its type."""
    if node["role"] == "element":
        category = int(_CLASS_OF_ELEMENT.get(ElementType[node["type"]], CandidateClass.NONE))
    elif node["role"] == "candidate":
        category = abs(node["pid"])
    else:
        category = int(true_class(*(np.array([node[name]]) for name in ("pid", "charge", "eta")))[0])
    return next(style_of for style_of in PARTICLE_STYLES if category in style_of.classes)


def _marker_size(node: dict[str, Any]) -> float:
    """Diameter [points], growing with the logarithm of pt; superclusters, whose pt is 0, count with that of their energy."""
    return 3.5 + 2.6 * float(np.log10(1.0 + (node["pt"] or node["energy"] / np.cosh(node["eta"]))))


def _number(value: float) -> str:
    """A number with about three digits, never in powers of ten."""
    return f"{value:.0f}" if abs(value) >= 99.5 else f"{value:.1f}" if abs(value) >= 9.95 else f"{value:.2f}"


def draw_plane(axes: Axes, graph: nx.DiGraph) -> None:
    """The drawn nodes in the (eta, phi) plane around the selected ones: elements filled, particles open, candidates as dots, chosen links as lines."""
    nodes = [node for node, attributes in graph.nodes(data=True) if attributes["role"] != "part"]
    centre = [node for node in nodes if graph.nodes[node].get("selected", False)] or nodes
    if centre:
        origin = max(centre, key=lambda node: graph.nodes[node]["energy"])
        eta, phi = (float(graph.nodes[origin][name]) for name in ("eta", "phi"))
        at = {node: (graph.nodes[node]["eta"], phi + float(delta_phi(graph.nodes[node]["phi"], phi))) for node in nodes}
        spread = [max(abs(at[node][0] - eta), abs(at[node][1] - phi)) for node in nodes if graph.nodes[node]["role"] == "element" or node in centre]
        half = max(0.1, 1.15 * max(spread))
        around = min(half, np.pi)
        axes.set(xlim=(eta - half, eta + half), ylim=(phi - around, phi + around))
        _draw_points(axes, graph, at)
        axes.locator_params(nbins=6)
    axes.set(xlabel=r"$\eta$", ylabel=r"$\phi$ [rad]")
    axes.set_title("open: true particles, filled: elements, dots: candidates", fontsize="small", loc="center", pad=8)


def _draw_points(axes: Axes, graph: nx.DiGraph, at: dict[Node, tuple[float, float]]) -> None:
    for first, second, link in graph.edges(data=True):
        if link["chosen"] and first in at:
            axes.plot(*zip(at[first], at[second], strict=True), color=DARK, linewidth=0.8, zorder=2)
    for node, place in at.items():
        attributes = graph.nodes[node]
        _, _, color, marker = look(attributes)
        size = 2 * _marker_size(attributes)
        if attributes["role"] == "element":
            axes.plot(*place, marker, color=color, markersize=size, alpha=0.75, markeredgewidth=0, zorder=3)
        elif attributes["role"] == "particle":
            axes.plot(*place, marker, color=color, markerfacecolor="none", markersize=1.3 * size + 2.0, markeredgewidth=1.3, zorder=4)
        else:
            axes.plot(*place, "o", color=DARK, markersize=5, markeredgecolor="white", markeredgewidth=0.6, zorder=5)
