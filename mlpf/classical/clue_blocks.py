"""PF blocks by CLUE: elements that belong to one energy deposit, found by density in (eta, phi) instead of pairwise link rules.

| layer | points of weight 1 | points of weight ``track_weight`` |
|---|---|---|
| ECAL and inner | ECAL, PS1, PS2, SC | TRACK, GSF and BREM at the vertex, TRACK and GSF at the ECAL entrance |
| HCAL and outer | HCAL, HO | TRACK and GSF at the HCAL entrance |
| HF | HFEM, HFHAD | |

Each layer is clustered by itself (`clue`, phi periodic). All points of one TRACK or GSF belong together, as do all points of one cluster: blocks are the
connected components. The parameters were tuned on simulated top quark pairs by a study of 2019, which did not wrap phi.
A GSF element holds the directions of its inner and outer momentum instead of entrance points; on a helix the point between has about their mean azimuth.
"""

from typing import NamedTuple

import numpy as np
from pydantic import Field

from mlpf.classical.blocks import find_blocks
from mlpf.classical.clue import ClueParameters, clue
from mlpf.classical.elements import Elements
from mlpf.classical.links import Links
from mlpf.config import Config
from mlpf.kinematics import delta_phi
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


class _Points(NamedTuple):
    """Points of one layer, sorted by element."""

    element: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    weight: np.ndarray


def clue_blocks(elements: Elements, parameters: ClueBlockParameters | None = None) -> np.ndarray:
    """Blocks of all events.

    Returns:
        ``(N,) int64``: flat index of the first element of the block that each element belongs to; an element of no cluster is its own block.
    """
    chosen = parameters or ClueBlockParameters()
    first, second = zip(*(_members(elements, *layer, chosen.outlier_factor) for layer in _layers(elements, chosen)), strict=True)
    i, j = np.concatenate(first), np.concatenate(second)
    return find_blocks(Links(i, j, np.zeros(len(i))), len(elements.type))


def _layers(elements: Elements, parameters: ClueBlockParameters) -> list[tuple[_Points, float, float]]:
    """Points, threshold and reach of every layer."""
    weight = parameters.track_weight
    tracks = np.flatnonzero(np.isin(elements.type, TRACKS))
    at_vertex = _points(np.flatnonzero(np.isin(elements.type, (*TRACKS, ElementType.BREM))), elements.eta, elements.phi, weight)
    at_ecal, at_hcal = _entrances(elements, tracks, weight)
    inner, outer, forward = (_points(np.flatnonzero(np.isin(elements.type, types)), elements.eta, elements.phi, 1.0) for types in (INNER, OUTER, FORWARD))
    return [
        (_together(at_vertex, at_ecal, inner), parameters.ecal_rho_c, parameters.ecal_dc),
        (_together(at_hcal, outer), parameters.hcal_rho_c, parameters.hcal_dc),
        (forward, parameters.hf_rho_c, parameters.hf_dc),
    ]


def _entrances(elements: Elements, tracks: np.ndarray, weight: float) -> tuple[_Points, _Points]:
    """Points of tracks at the ECAL and at the HCAL; an extrapolation that failed leaves eta and phi at exactly 0, and gives no point."""
    is_gsf = elements.type == ElementType.GSF
    between = elements.phi_ecal + 0.5 * delta_phi(elements.phi_hcal, elements.phi_ecal)
    surfaces = []
    for eta, phi in ((elements.eta_ecal, elements.phi_ecal), (elements.eta_hcal, elements.phi_hcal)):
        reached = tracks[(eta[tracks] != 0.0) | (phi[tracks] != 0.0)]
        surfaces.append(_points(reached, np.where(is_gsf, elements.eta_ecal, eta), np.where(is_gsf, between, phi), weight))
    return surfaces[0], surfaces[1]


def _points(element: np.ndarray, eta: np.ndarray, phi: np.ndarray, weight: float) -> _Points:
    return _Points(element, eta[element], phi[element], np.full(len(element), weight))


def _together(*parts: _Points) -> _Points:
    joined = _Points(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    order = np.argsort(joined.element, kind="stable")
    return _Points(*(column[order] for column in joined))


def _members(elements: Elements, points: _Points, rho_c: float, dc: float, outlier_factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (element, first element of its cluster)."""
    parameters = ClueParameters(dc=dc, rho_c=rho_c, outlier_factor=outlier_factor, periodic=True)
    cluster = clue(points.eta, points.phi, points.weight, np.searchsorted(points.element, elements.offsets), parameters).cluster
    element, cluster = points.element[cluster >= 0], cluster[cluster >= 0]
    _, first, inverse = np.unique(cluster, return_index=True, return_inverse=True)  # points are sorted by element: the first point is the first element's
    return element, element[first][inverse]
