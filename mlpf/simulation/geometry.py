"""Calorimeter cells: where they are, who their neighbours are, what they can see.

All detectors share one numbering, so one clustering serves all: *sites* are what is clustered (ECAL crystals, HCAL towers, HF cells), *cells* are what is
read out (a site, or one depth of a tower).
"""

import functools
import math
from typing import NamedTuple

import numba
import numpy as np

from mlpf.simulation.propagation import ECAL_BARREL_ETA, ECAL_RADIUS, ECAL_Z, HCAL_BARREL_ETA, HCAL_RADIUS, HCAL_Z, HF_Z

SECTION_EB, SECTION_EE, SECTION_HCAL, SECTION_HFEM, SECTION_HFHAD = range(5)
# reco::PFLayer
LAYER_EE, LAYER_EB, LAYER_HB, LAYER_HE, LAYER_HFEM, LAYER_HFHAD = -2, -1, 1, 3, 11, 12
# ECAL barrel: 170 x 360 crystals of 0.0174 (CMS: 1 degree). Endcaps: square crystals of 2.862 cm, 31.6 < r < 171 cm (JINST 3 S08004), on a grid with a
# border that is never hit.
EB_RINGS, EB_PHI = 170, 360
EB_STEP = 2.0 * ECAL_BARREL_ETA / EB_RINGS
EE_SIDE, EE_WIDTH, EE_MIN_RADIUS, EE_MAX_RADIUS = 122, 2.862, 31.6, 171.0
# HCAL towers: 0.087 x 5 degrees up to 1.74, then 10 degrees (JINST 3 S08004, table 5.1)
HCAL_EDGES = np.concatenate([0.087 * np.arange(21), [1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 3.0]])
HCAL_FINE_ETA, HCAL_PHI = 1.74, 72
# HF: 10 degrees throughout (the two outermost CMS rings have 20)
HF_EDGES = np.array([3.0, 3.139, 3.314, 3.489, 3.664, 3.839, 4.013, 4.191, 4.363, 4.538, 4.716, 4.889, 5.191])
HF_PHI = 36
# Lower edges of HCAL depths, and the end, in nuclear lengths at normal incidence: four in the barrel, seven in the endcap, as in CMS Run 3
# (CMS-TDR-010; 17 barrel layers of 0.33); 19 cm of the HCAL are one nuclear length.
NUM_DEPTHS = 7
HB_DEPTHS = np.array([0.0, 0.4, 1.7, 3.3, 5.8])
HE_DEPTHS = np.array([0.0, 0.4, 1.0, 2.0, 3.2, 4.6, 6.4, 10.0])
CM_PER_NUCLEAR_LENGTH = 19.0

NUM_EB = EB_RINGS * EB_PHI
NUM_EE = EE_SIDE * EE_SIDE  # each side
HCAL_RINGS, HF_RINGS = 2 * (len(HCAL_EDGES) - 1), 2 * (len(HF_EDGES) - 1)
NUM_TOWERS, NUM_HF = HCAL_RINGS * HCAL_PHI, HF_RINGS * HF_PHI
FIRST_TOWER = NUM_EB + 2 * NUM_EE
FIRST_HFEM = FIRST_TOWER + NUM_TOWERS
FIRST_HFHAD = FIRST_HFEM + NUM_HF
NUM_SITES = FIRST_HFHAD + NUM_HF
FIRST_HFEM_CELL = FIRST_TOWER + NUM_TOWERS * NUM_DEPTHS
NUM_CELLS = FIRST_HFEM_CELL + 2 * NUM_HF
MAX_NEIGHBORS = 9  # a 10 degree tower beside the 5 degree ones

# Per layer: noise of a cell, its zero suppression, threshold and seed threshold of a site [GeV], shower width of the clustering [cm], and how many of the
# neighbours compete for seeds: 8, 4 (at the edges) or none (in the HF every cell above the threshold is a seed, and corners do not touch).
# ECAL and HCAL thresholds and the widths: CMS particle flow (arXiv:1706.04965, table 2), which sums no depths; HF and nNeighbours: the
# particleFlowCluster*_cfi of RecoParticleFlow/PFClusterProducer.
# Noise: ECAL 40 MeV a crystal (CMS TDR), endcap half a threshold; HCAL below its zero suppression. Ours where no source is named.
_READOUT = {
    LAYER_EB: (0.04, 0.08, 0.08, 0.23, 1.5, 8),
    LAYER_EE: (0.15, 0.3, 0.3, 0.6, 1.5, 8),
    LAYER_HB: (0.05, 0.1, 0.8, 0.8, 10.0, 4),
    LAYER_HE: (0.05, 0.1, 0.8, 1.1, 10.0, 4),
    LAYER_HFEM: (0.3, 0.8, 0.8, 1.4, 10.0, 0),
    LAYER_HFHAD: (0.3, 0.8, 0.8, 1.4, 10.0, 0),
}


class Geometry(NamedTuple):
    """Constant properties of sites and cells.

    Attributes:
        position: ``(S, 3)`` front centre of a site [cm].
        eta, phi: ``(S,)`` of it.
        layer: ``(S,)`` PFLayer.
        neighbors: ``(S, 9) int64`` sites that touch it, those that compete for seeds first, -1 where there are fewer.
        num_competitors: ``(S,)`` how many compete for seeds.
        threshold, seed_threshold: ``(S,)`` GeV.
        shower_width: ``(S,)`` width of the Gaussian that clusters share energy by [cm].
        cell_site, cell_depth: ``(C,)`` site of a cell; depth: 0 ECAL, 1 to 7 HCAL, 1 HFEM, 2 HFHAD.
        cell_scale: ``(C,)`` distance of the cell's centre from the origin, relative to its site's.
        cell_noise, cell_threshold: ``(C,)`` GeV.
    """

    position: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    layer: np.ndarray
    neighbors: np.ndarray
    num_competitors: np.ndarray
    threshold: np.ndarray
    seed_threshold: np.ndarray
    shower_width: np.ndarray
    cell_site: np.ndarray
    cell_depth: np.ndarray
    cell_scale: np.ndarray
    cell_noise: np.ndarray
    cell_threshold: np.ndarray


@numba.njit(cache=True)
def _phi_bin(phi: float, bins: int) -> int:
    return math.floor(phi / (2.0 * math.pi) * bins) % bins


@numba.njit(cache=True)
def _signed_ring(eta: float, edges: np.ndarray) -> int:
    """Ring counted from the most negative eta; edges are those of positive eta. -1 outside."""
    ring = int(np.searchsorted(edges, abs(eta), side="right")) - 1
    rings = len(edges) - 1
    if ring < 0 or ring >= rings:
        return -1
    return rings + ring if eta >= 0.0 else rings - 1 - ring


@numba.njit(cache=True)
def _locate(section: int, eta: float, phi: float, depth: float) -> int:
    """Cell at a place, -1 where there is none; see `locate`."""
    if section == SECTION_EB:
        ring = math.floor((eta + ECAL_BARREL_ETA) / EB_STEP)
        return ring * EB_PHI + _phi_bin(phi, EB_PHI) if 0 <= ring < EB_RINGS else -1
    if section == SECTION_EE:
        rho = ECAL_Z / math.sinh(max(abs(eta), 1e-3))
        if not EE_MIN_RADIUS < rho < EE_MAX_RADIUS:
            return -1
        column = math.floor(rho * math.cos(phi) / EE_WIDTH + EE_SIDE / 2)
        row = math.floor(rho * math.sin(phi) / EE_WIDTH + EE_SIDE / 2)
        return NUM_EB + (NUM_EE if eta > 0.0 else 0) + column * EE_SIDE + row
    if section == SECTION_HCAL:
        ring = _signed_ring(eta, HCAL_EDGES)
        slices = HB_DEPTHS if abs(eta) < HCAL_BARREL_ETA else HE_DEPTHS
        layer = int(np.searchsorted(slices, depth, side="right")) - 1
        if ring < 0 or layer < 0 or layer >= len(slices) - 1:
            return -1
        tower = ring * HCAL_PHI + _phi_bin(phi, HCAL_PHI if abs(eta) < HCAL_FINE_ETA else HCAL_PHI // 2)
        return FIRST_TOWER + tower * NUM_DEPTHS + layer
    ring = _signed_ring(eta, HF_EDGES)
    first = FIRST_HFEM_CELL + (NUM_HF if section == SECTION_HFHAD else 0)
    return first + ring * HF_PHI + _phi_bin(phi, HF_PHI) if ring >= 0 else -1


@numba.njit(cache=True)
def locate(section: np.ndarray, eta: np.ndarray, phi: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """``(N,) int64`` cells at the places, -1 where there is none (gaps, beyond the edges, behind the last depth).

    Args:
        section: ``SECTION_EB`` ... of each place.
        eta, phi: seen from the centre of the detector, on the front of the section.
        depth: nuclear lengths behind the front at normal incidence (HCAL only).
    """
    cells = np.empty(len(section), dtype=np.int64)
    for i in range(len(section)):
        cells[i] = _locate(section[i], eta[i], phi[i], depth[i])
    return cells


@functools.cache
def geometry() -> Geometry:
    """The detector; built once (about 0.1 s)."""
    hcal_phi = np.where(_ring_centers(HCAL_EDGES) ** 2 < HCAL_FINE_ETA**2, HCAL_PHI, HCAL_PHI // 2)
    hf_phi = np.full(HF_RINGS, HF_PHI)
    eb_eta = -ECAL_BARREL_ETA + EB_STEP * (np.arange(EB_RINGS) + 0.5)
    hf_eta = _ring_centers(HF_EDGES)
    eta_phi = [
        _ring_grid(eb_eta, np.full(EB_RINGS, EB_PHI), EB_PHI),
        _endcap_grid(),
        _ring_grid(_ring_centers(HCAL_EDGES), hcal_phi, HCAL_PHI),
        _ring_grid(hf_eta, hf_phi, HF_PHI),
        _ring_grid(hf_eta, hf_phi, HF_PHI),
    ]
    eta, phi = np.concatenate(eta_phi, axis=1)
    layer = _layers(eta)
    neighbors = np.full((NUM_SITES, MAX_NEIGHBORS), -1, dtype=np.int64)
    num_edges = np.zeros(NUM_SITES, dtype=np.int64)
    _fill_ring_neighbors(neighbors, num_edges, np.full(EB_RINGS, EB_PHI), EB_PHI, 0)
    _fill_square_neighbors(neighbors, num_edges)
    _fill_ring_neighbors(neighbors, num_edges, hcal_phi, HCAL_PHI, FIRST_TOWER)
    for first in (FIRST_HFEM, FIRST_HFHAD):
        for side in range(2):  # the two HFs do not touch
            _fill_ring_neighbors(neighbors, num_edges, hf_phi[: HF_RINGS // 2], HF_PHI, first + side * NUM_HF // 2)
    readout = np.array([_READOUT[value] for value in layer])
    corners = np.arange(MAX_NEIGHBORS) >= num_edges[:, None]
    neighbors[corners & (readout[:, 5] == 0)[:, None]] = -1
    num_neighbors = np.sum(neighbors >= 0, axis=1)
    cell_site, cell_depth = _cells()
    return Geometry(
        position=_positions(eta, phi, layer),
        eta=eta,
        phi=phi,
        layer=layer,
        neighbors=neighbors,
        num_competitors=np.select([readout[:, 5] == 8, readout[:, 5] == 4], [num_neighbors, num_edges], 0),
        threshold=readout[:, 2].copy(),
        seed_threshold=readout[:, 3].copy(),
        shower_width=readout[:, 4].copy(),
        cell_site=cell_site,
        cell_depth=cell_depth,
        cell_scale=_cell_scales(layer[cell_site], cell_depth),
        cell_noise=readout[cell_site, 0],
        cell_threshold=readout[cell_site, 1],
    )


def _ring_centers(positive_edges: np.ndarray) -> np.ndarray:
    centers = 0.5 * (positive_edges[1:] + positive_edges[:-1])
    return np.concatenate([-centers[::-1], centers])


def _ring_grid(ring_eta: np.ndarray, num_phi: np.ndarray, stride: int) -> np.ndarray:
    """``(2, rings * stride)`` eta and phi; ring r uses the first num_phi[r] of its numbers."""
    eta = np.repeat(ring_eta, stride)
    phi = (np.arange(stride)[None, :] + 0.5) * (2.0 * np.pi / num_phi[:, None])
    return np.stack([eta, phi.ravel()])


def _endcap_grid() -> np.ndarray:
    """``(2, 2 * NUM_EE)`` eta and phi of the crystals of both endcaps."""
    center = (np.arange(EE_SIDE) + 0.5 - EE_SIDE / 2) * EE_WIDTH
    x, y = (values.ravel() for values in np.meshgrid(center, center, indexing="ij"))
    eta = np.arcsinh(ECAL_Z / np.hypot(x, y))
    phi = np.arctan2(y, x)
    return np.stack([np.concatenate([-eta, eta]), np.concatenate([phi, phi])])


def _layers(eta: np.ndarray) -> np.ndarray:
    layer = np.empty(NUM_SITES, dtype=np.int64)
    layer[:NUM_EB] = LAYER_EB
    layer[NUM_EB:FIRST_TOWER] = LAYER_EE
    layer[FIRST_TOWER:FIRST_HFEM] = np.where(np.abs(eta[FIRST_TOWER:FIRST_HFEM]) < HCAL_BARREL_ETA, LAYER_HB, LAYER_HE)
    layer[FIRST_HFEM:FIRST_HFHAD] = LAYER_HFEM
    layer[FIRST_HFHAD:] = LAYER_HFHAD
    return layer


def _positions(eta: np.ndarray, phi: np.ndarray, layer: np.ndarray) -> np.ndarray:
    barrel_radius = np.where(layer == LAYER_EB, ECAL_RADIUS, HCAL_RADIUS)
    front_z = np.select([layer == LAYER_EE, layer == LAYER_HE], [ECAL_Z, HCAL_Z], HF_Z)
    is_barrel = (layer == LAYER_EB) | (layer == LAYER_HB)
    rho = np.where(is_barrel, barrel_radius, front_z / np.sinh(np.abs(eta)))
    return np.stack([rho * np.cos(phi), rho * np.sin(phi), rho * np.sinh(eta)], axis=1)


def _fill_ring_neighbors(neighbors: np.ndarray, num_edges: np.ndarray, num_phi: np.ndarray, stride: int, first: int) -> None:
    """Neighbours on a stack of rings, where the number of cells may double or halve from one ring to the next; sharing an edge first, then a corner."""
    for ring, bins in enumerate(num_phi):
        phi = np.arange(bins)
        sites = first + ring * stride + phi
        own = first + ring * stride
        edges = [own + (phi - 1) % bins, own + (phi + 1) % bins]
        corners = []
        for other in (ring - 1, ring + 1):
            if 0 <= other < len(num_phi):
                touching, diagonal = _facing_bins(phi, bins, num_phi[other])
                edges += [first + other * stride + t % num_phi[other] for t in touching]
                corners += [first + other * stride + d % num_phi[other] for d in diagonal]
        num_edges[sites] = len(edges)
        for slot, values in enumerate(edges + corners):
            neighbors[sites, slot] = values


def _facing_bins(phi: np.ndarray, bins: int, other_bins: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Bins of the next ring that share an edge, and those that share only a corner."""
    if other_bins == bins:
        return [phi], [phi - 1, phi + 1]
    if other_bins > bins:
        return [2 * phi, 2 * phi + 1], [2 * phi - 1, 2 * phi + 2]
    return [phi // 2], [np.where(phi % 2 == 0, phi // 2 - 1, phi // 2 + 1)]


def _fill_square_neighbors(neighbors: np.ndarray, num_edges: np.ndarray) -> None:
    """Neighbours on the two endcap grids, but for their borders; numbers outside the ring of crystals exist but hold no energy."""
    inner = np.arange(1, EE_SIDE - 1)
    column, row = (values.ravel() for values in np.meshgrid(inner, inner, indexing="ij"))
    steps = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]
    for first in (NUM_EB, NUM_EB + NUM_EE):
        sites = first + column * EE_SIDE + row
        num_edges[sites] = 4
        for slot, (dx, dy) in enumerate(steps):
            neighbors[sites, slot] = first + (column + dx) * EE_SIDE + row + dy


def _cells() -> tuple[np.ndarray, np.ndarray]:
    """Site and depth of every cell."""
    towers = np.arange(FIRST_TOWER, FIRST_HFEM)
    site = np.concatenate([np.arange(FIRST_TOWER), np.repeat(towers, NUM_DEPTHS), np.arange(FIRST_HFEM, NUM_SITES)])
    tower_depths = np.tile(np.arange(1, NUM_DEPTHS + 1), NUM_TOWERS)
    depth = np.concatenate([np.zeros(FIRST_TOWER, dtype=np.int64), tower_depths, np.ones(NUM_HF, dtype=np.int64), np.full(NUM_HF, 2)])
    return site, depth


def _cell_scales(layer: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depths of a tower lie on one line from the origin, behind each other."""
    scale = np.ones(len(layer))
    for value, slices, front in ((LAYER_HB, HB_DEPTHS, HCAL_RADIUS), (LAYER_HE, HE_DEPTHS, HCAL_Z)):
        middle = np.zeros(NUM_DEPTHS + 1)
        middle[1 : len(slices)] = 0.5 * (slices[1:] + slices[:-1]) * CM_PER_NUCLEAR_LENGTH / front
        scale = np.where(layer == value, 1.0 + middle[depth], scale)
    return scale
