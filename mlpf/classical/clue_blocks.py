"""PF blocks by CLUE: elements that belong to one energy deposit, found by density in (eta, phi) instead of pairwise link rules.

| layer | points of weight 1 | points of weight ``track_weight`` |
|---|---|---|
| ECAL and inner | ECAL, PS1, PS2, SC | TRACK, GSF and BREM at the vertex, TRACK and GSF at the ECAL entrance |
| HCAL and outer | HCAL, HO | TRACK and GSF at the HCAL entrance |
| HF | HFEM, HFHAD | |

Each layer is clustered by itself (`clue`, phi periodic). All points of one TRACK or GSF belong together, as do all points of one cluster: blocks are the
connected components. The parameters were tuned on simulated top quark pairs by a study of 2019, which did not wrap phi.
A GSF element holds the directions of its inner and outer momentum instead of entrance points; its track goes on along the helix (`link_rules.gsf_turn`).
"""

from typing import NamedTuple

import numpy as np
from pydantic import Field

from mlpf.classical.blocks import find_blocks
from mlpf.classical.clue import ClueParameters, clue
from mlpf.classical.elements import Elements
from mlpf.classical.link_rules import gsf_turn
from mlpf.classical.links import Links
from mlpf.config import Config
from mlpf.schema import ElementType

TRACKS = (ElementType.TRACK, ElementType.GSF)
INNER = (ElementType.ECAL, ElementType.PS1, ElementType.PS2, ElementType.SC)
OUTER = (ElementType.HCAL, ElementType.HO)
FORWARD = (ElementType.HFEM, ElementType.HFHAD)


class ClueBlockParameters(Config):
    """Reach and threshold of CLUE in the three layers."""

    ecal_rho_c: float = Field(default=0.2, ge=0.0, allow_inf_nan=False)
    """Smallest density of a seed in the ECAL and inside it."""
    ecal_dc: float = Field(default=0.003, ge=1e-6, le=10.0)
    """Distance in (eta, phi) below which points of the ECAL and inside it add up."""
    hcal_rho_c: float = Field(default=0.7, ge=0.0, allow_inf_nan=False)
    """Smallest density of a seed in the HCAL and outside it."""
    hcal_dc: float = Field(default=0.125, ge=1e-6, le=10.0)
    """Distance in (eta, phi) below which points of the HCAL and outside it add up."""
    hf_rho_c: float = Field(default=0.6, ge=0.0, allow_inf_nan=False)
    """Smallest density of a seed in the HF."""
    hf_dc: float = Field(default=0.16, ge=1e-6, le=10.0)
    """Distance in (eta, phi) below which points of the HF add up."""
    track_weight: float = Field(default=0.1, ge=0.0, allow_inf_nan=False)
    """Weight of a point of a track, where that of a cluster is 1."""
    outlier_factor: float = Field(default=2.0, ge=1.0, le=100.0)
    """How far, in dc, a point looks for one of higher density to follow."""


class Layer(NamedTuple):
    """Points of one layer, sorted by element, and how they are clustered.

    Attributes:
        element: ``(P,) int64`` flat index of the element that a point belongs to.
        eta, phi, weight: ``(P,) float64``.
        offsets: ``(B + 1,) int64`` first point of every event.
        parameters: of CLUE.
    """

    element: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    weight: np.ndarray
    offsets: np.ndarray
    parameters: ClueParameters


def clue_blocks(elements: Elements, parameters: ClueBlockParameters | None = None, threads: int = 1) -> np.ndarray:
    """Blocks of all events.

    Args:
        threads: how many cluster; the result does not depend on it.

    Returns:
        ``(N,) int64``: flat index of the first element of the block that each element belongs to; an element of no cluster is its own block.
    """
    first, second = zip(*(_members(layer, threads) for layer in layers(elements, parameters or ClueBlockParameters())), strict=True)
    i, j = np.concatenate(first), np.concatenate(second)
    return find_blocks(Links(i, j, np.zeros(len(i))), len(elements.type))


def layers(elements: Elements, parameters: ClueBlockParameters) -> list[Layer]:
    """The three layers of the table."""
    p, weight = parameters, parameters.track_weight
    at_vertex = _points(_of_types(elements, (*TRACKS, ElementType.BREM)), elements.eta, elements.phi, weight)
    at_ecal, at_hcal = _entrances(elements, weight)
    inner, outer, forward = (_points(_of_types(elements, types), elements.eta, elements.phi, 1.0) for types in (INNER, OUTER, FORWARD))
    return [
        _layer(elements, (at_vertex, at_ecal, inner), p.ecal_rho_c, p.ecal_dc, p.outlier_factor),
        _layer(elements, (at_hcal, outer), p.hcal_rho_c, p.hcal_dc, p.outlier_factor),
        _layer(elements, (forward,), p.hf_rho_c, p.hf_dc, p.outlier_factor),
    ]


_Points = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # element, eta, phi, weight


def _entrances(elements: Elements, weight: float) -> tuple[_Points, _Points]:
    """Points of tracks at the ECAL and at the HCAL; an extrapolation that failed leaves eta and phi at exactly 0, and gives no point."""
    tracks, is_gsf = _of_types(elements, TRACKS), elements.type == ElementType.GSF
    of_gsf = elements.phi_ecal + gsf_turn(elements)
    surfaces = []
    for eta, phi in ((elements.eta_ecal, elements.phi_ecal), (elements.eta_hcal, elements.phi_hcal)):
        reached = tracks[(eta[tracks] != 0.0) | (phi[tracks] != 0.0)]
        surfaces.append(_points(reached, np.where(is_gsf, elements.eta_ecal, eta), np.where(is_gsf, of_gsf, phi), weight))
    return surfaces[0], surfaces[1]


def _of_types(elements: Elements, types: tuple[ElementType, ...]) -> np.ndarray:
    return np.flatnonzero(np.isin(elements.type, types))


def _points(element: np.ndarray, eta: np.ndarray, phi: np.ndarray, weight: float) -> _Points:
    return element, eta[element], phi[element], np.full(len(element), weight)


def _layer(elements: Elements, parts: tuple[_Points, ...], rho_c: float, dc: float, outlier_factor: float) -> Layer:
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    element, eta, phi, weight = (column[order] for column in columns)
    parameters = ClueParameters(dc=dc, rho_c=rho_c, outlier_factor=outlier_factor, periodic=True)
    return Layer(element, eta, phi, weight, np.searchsorted(element, elements.offsets), parameters)


def _members(layer: Layer, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (element, first element of its cluster)."""
    cluster = clue(layer.eta, layer.phi, layer.weight, layer.offsets, layer.parameters, threads).cluster
    element, cluster = layer.element[cluster >= 0], cluster[cluster >= 0]
    _, first, inverse = np.unique(cluster, return_index=True, return_inverse=True)  # points are sorted by element: the first point is the first element's
    return element, element[first][inverse]
