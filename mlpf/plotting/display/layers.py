"""What can be switched on and off, and how it looks: element types, particles and jets. Colours are safe for the colour-blind; symbols tell them apart, too."""

from typing import NamedTuple

import numpy as np

from mlpf.plotting.display.event import ELEMENT, JET, RULE_BASED, TRUTH, Display
from mlpf.plotting.style import BLUE, GREY, ORANGE, PURPLE, RED, VIOLET
from mlpf.schema import ElementType

INK = "ink"  # the page's colour of text
# Further colours of arXiv:2107.02270, for what is laid over elements
BROWN, SAND, SLATE = "#a96b59", "#b9ac70", "#717581"
TEAL = "#2aa7a9"  # its "#92dadd", dark enough for white paper


class Look(NamedTuple):
    """How objects of a kind are drawn.

    Attributes:
        color: ``#rrggbb`` or `INK`.
        symbol: in the (eta, phi) plane, a plotly name.
        symbol_3d: in space, where there are eight.
        shape: in space: ``track``, ``particle`` (path with a marker at its end), ``tower``, ``point`` or ``cone``.
        size: of a tower's base [cm].
        dashed: of a track.
    """

    color: str
    symbol: str
    symbol_3d: str = "circle"
    shape: str = "point"
    size: float = 0.0
    dashed: bool = False


class Layer(NamedTuple):
    """Objects that are switched together.

    Attributes:
        key: unique.
        title, group: for people.
        objects: key of their collection.
        rows: ``(L,) int32`` positions in it.
        look: how they are drawn.
        shown: at first.
        has_threshold: those with small pt are hidden; off for kinds whose pt says nothing.
    """

    key: str
    title: str
    group: str
    objects: str
    rows: np.ndarray
    look: Look
    shown: bool
    has_threshold: bool = True


_ELEMENTS = {  # sizes: two crystals of the ECAL, towers of the HCAL and the HF
    "TRACK": ("tracks", (ElementType.TRACK,), Look(BLUE, "triangle-up", shape="track")),
    "GSF": ("GSF tracks", (ElementType.GSF,), Look(PURPLE, "triangle-down", shape="track", dashed=True)),
    "ECAL": ("ECAL clusters", (ElementType.ECAL,), Look(ORANGE, "square", shape="tower", size=5.0)),
    "HCAL": ("HCAL clusters", (ElementType.HCAL,), Look(RED, "hexagon", shape="tower", size=13.0)),
    "HO": ("HO clusters", (ElementType.HO,), Look(RED, "hexagon-open", shape="tower", size=30.0)),
    "HFEM": ("HF clusters, EM", (ElementType.HFEM,), Look(VIOLET, "diamond-tall", shape="tower", size=7.0)),
    "HFHAD": ("HF clusters, had.", (ElementType.HFHAD,), Look(PURPLE, "diamond-wide", shape="tower", size=10.0)),
    "SC": ("superclusters", (ElementType.SC,), Look(ORANGE, "square-open", "square-open")),
    "BREM": ("bremsstrahlung", (ElementType.BREM,), Look(PURPLE, "x-thin-open", "x")),
    "PS": ("preshower clusters", (ElementType.PS1, ElementType.PS2), Look(GREY, "cross-thin-open", "cross")),
}
_HIDDEN = ("SC", "BREM", "PS")  # they repeat what others show, and their pt is none of their own
_TRUTH = Look(INK, "circle-open", "circle-open", "particle")
_RULE_BASED = Look(BROWN, "x-thin-open", "x", "particle")
_MODELS = (
    Look(TEAL, "star-open", "diamond", "particle"),
    Look(SAND, "bowtie-open", "cross", "particle"),
    Look(SLATE, "triangle-left-open", "square", "particle"),
)
_JETS = Look(INK, "circle-open", shape="cone")


def make_layers(display: Display) -> list[Layer]:
    """All layers of an event; those of nothing are left out."""
    layers = []
    if ELEMENT in display.objects:
        element_type = display.objects[ELEMENT].columns["type"]
        for key, (title, types, look) in _ELEMENTS.items():
            shown = key not in _HIDDEN
            layers.append(Layer(key, title, "Elements", ELEMENT, _rows(np.isin(element_type, types)), look, shown, has_threshold=shown))
    looks = {TRUTH: _TRUTH, RULE_BASED: _RULE_BASED}
    models = [key for key in display.systems if key not in looks]
    looks |= {key: _MODELS[i % len(_MODELS)] for i, key in enumerate(models)}
    layers.extend(_whole(display, key, "Particles", looks[key], shown=key in models) for key in display.systems)
    if JET in display.objects:
        layers.append(_whole(display, JET, "Jets", _JETS, shown=True, has_threshold=False))
    return [layer for layer in layers if len(layer.rows)]


def _whole(display: Display, key: str, group: str, look: Look, shown: bool, has_threshold: bool = True) -> Layer:
    """A collection that is one layer."""
    rows = np.arange(len(display.objects[key]), dtype=np.int32)
    return Layer(key, display.titles[key], group, key, rows, look, shown, has_threshold)


def _rows(mask: np.ndarray) -> np.ndarray:
    return np.flatnonzero(mask).astype(np.int32)
