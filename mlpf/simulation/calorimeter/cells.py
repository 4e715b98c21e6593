"""The detector's cells as tables: positions, neighbours, noise and thresholds."""

import functools
from typing import NamedTuple

import numpy as np

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.calorimeter.neighbors import MAX_NEIGHBORS, fill_grid_neighbors, fill_ring_neighbors
from mlpf.simulation.propagation import ECAL_BARREL_ETA, ECAL_RADIUS, ECAL_Z, HCAL_BARREL_ETA, HCAL_RADIUS, HCAL_Z, HF_Z


class Readout(NamedTuple):
    """Of one layer.

    Attributes:
        noise, zero_suppression: of a cell [GeV].
        threshold, seed_threshold: of a site [GeV].
        shower_width: of the clustering [cm].
        competitors: how many of the neighbours compete for seeds: 8, the 4 at the edges, or 0 (every site above the seed threshold is a seed).
        corners: whether clusters grow over corners.
    """

    noise: float
    zero_suppression: float
    threshold: float
    seed_threshold: float
    shower_width: float
    competitors: int
    corners: bool


# ECAL and HCAL thresholds and the widths: CMS particle flow (arXiv:1706.04965, table 2), which sums no depths; HF, HO, preshower and neighbours: the
# particleFlowCluster*_cfi of RecoParticleFlow/PFClusterProducer (HO: those of its middle ring).
# Noise: ECAL 40 MeV a crystal (CMS TDR), endcap half a threshold; HCAL below its zero suppression; a preshower strip a tenth of a MIP. Ours if unnamed.
READOUT = {
    g.LAYER_EB: Readout(0.04, 0.08, 0.08, 0.23, 1.5, 8, True),
    g.LAYER_EE: Readout(0.15, 0.3, 0.3, 0.6, 1.5, 8, True),
    g.LAYER_HB: Readout(0.05, 0.1, 0.8, 0.8, 10.0, 4, True),
    g.LAYER_HE: Readout(0.05, 0.1, 0.8, 1.1, 10.0, 4, True),
    g.LAYER_HO: Readout(0.15, 0.5, 0.5, 1.0, 10.0, 4, True),
    g.LAYER_HFEM: Readout(0.3, 0.8, 0.8, 1.4, 10.0, 0, False),
    g.LAYER_HFHAD: Readout(0.3, 0.8, 0.8, 1.4, 10.0, 0, False),
    g.LAYER_PS1: Readout(8e-6, 6e-5, 6e-5, 1.2e-4, 0.3, 4, False),
    g.LAYER_PS2: Readout(8e-6, 6e-5, 6e-5, 1.2e-4, 0.3, 4, False),
}

EE_SEED_ET = 0.15  # GeV, transverse energy of a seed in the ECAL endcaps (particleFlowClusterECAL)


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
        cell_site, cell_depth: ``(C,)`` site of a cell; depth: 0 ECAL and preshower, 1 to 7 HCAL, 4 HO, 1 HFEM, 2 HFHAD.
        cell_scale: ``(C,)`` distance of the cell's centre from the origin, relative to its site's.
        cell_noise, cell_threshold: ``(C,)`` GeV.
        cell_exists: ``(C,) bool``; coarse rings of towers, depths of the barrel and the round endcaps leave numbers unused.
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
    cell_exists: np.ndarray


@functools.cache
def geometry() -> Geometry:
    """The detector; built once (about 0.2 s)."""
    eta, phi = _directions()
    layer = _layers(eta)
    noise, zero_suppression, threshold, seed_threshold, shower_width, competitors, grows_over_corners = _readout(layer)
    neighbors, num_edges = _neighbors()
    corners = np.arange(MAX_NEIGHBORS) >= num_edges[:, None]
    neighbors[corners & (grows_over_corners == 0)[:, None]] = -1
    num_neighbors = np.sum(neighbors >= 0, axis=1)
    cell_site, cell_depth = _cells()
    beyond_barrel = (layer[cell_site] == g.LAYER_HB) & (cell_depth >= len(g.HB_DEPTHS))
    return Geometry(
        position=_positions(eta, phi, layer),
        eta=eta,
        phi=phi,
        layer=layer,
        neighbors=neighbors,
        num_competitors=np.select([competitors == 8, competitors == 4], [num_neighbors, num_edges], 0),
        threshold=threshold,
        seed_threshold=np.where(layer == g.LAYER_EE, np.maximum(seed_threshold, EE_SEED_ET * np.cosh(eta)), seed_threshold),
        shower_width=shower_width,
        cell_site=cell_site,
        cell_depth=cell_depth,
        cell_scale=_cell_scales(layer[cell_site], cell_depth),
        cell_noise=noise[cell_site],
        cell_threshold=zero_suppression[cell_site],
        cell_exists=_sites_exist(eta, layer)[cell_site] & ~beyond_barrel,
    )


def _readout(layer: np.ndarray) -> np.ndarray:
    """``(7, S)`` `READOUT` of every site."""
    layers, row = np.unique(layer, return_inverse=True)
    return np.array([READOUT[value] for value in layers.tolist()], dtype=np.float64).T.take(row, axis=1)


def _ring_centers(positive_edges: np.ndarray) -> np.ndarray:
    centers = 0.5 * (positive_edges[1:] + positive_edges[:-1])
    return np.concatenate([-centers[::-1], centers])


EB_RING_ETA = -ECAL_BARREL_ETA + g.EB_STEP * (np.arange(g.EB_RINGS) + 0.5)
TOWERS_OF_RING = np.where(np.abs(_ring_centers(g.HCAL_EDGES)) < g.HCAL_FINE_ETA, g.HCAL_PHI, g.HCAL_PHI // 2)


def _directions() -> np.ndarray:
    """``(2, S)`` eta and phi of all sites, in the order of their numbers."""
    hf = _ring_grid(_ring_centers(g.HF_EDGES), np.full(g.HF_RINGS, g.HF_PHI), g.HF_PHI)
    x, y = _grid_centers(g.EE_SIDE, g.EE_WIDTH, g.EE_SIDE, g.EE_WIDTH)
    across, along = _grid_centers(g.PS_STRIPS, g.PS_PITCH, g.PS_ROWS, g.PS_ROW_LENGTH)
    parts = [
        _ring_grid(EB_RING_ETA, np.full(g.EB_RINGS, g.EB_PHI), g.EB_PHI),
        _both_ends(x, y, ECAL_Z),
        _ring_grid(_ring_centers(g.HCAL_EDGES), TOWERS_OF_RING, g.HCAL_PHI),
        hf,
        hf,
        _ring_grid(_ring_centers(g.HO_EDGES), np.full(g.HO_RINGS, g.HCAL_PHI), g.HCAL_PHI),
        _both_ends(across, along, g.PS_Z[0]),
        _both_ends(along, across, g.PS_Z[1]),
    ]
    return np.concatenate(parts, axis=1)


def _ring_grid(ring_eta: np.ndarray, num_phi: np.ndarray, stride: int) -> np.ndarray:
    """``(2, rings * stride)`` eta and phi; ring r uses the first num_phi[r] of its numbers."""
    eta = np.repeat(ring_eta, stride)
    phi = (np.arange(stride)[None, :] + 0.5) * (2.0 * np.pi / num_phi[:, None])
    return np.stack([eta, phi.ravel()])


def _grid_centers(columns: int, width: float, rows: int, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Both coordinates of the cells of a grid around the beam [cm], column by column."""
    column, row = (np.arange(columns) + 0.5 - columns / 2) * width, (np.arange(rows) + 0.5 - rows / 2) * length
    return np.repeat(column, rows), np.tile(row, columns)


def _both_ends(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
    """``(2, 2 * len(x))`` eta and phi of points at -z, then at z."""
    eta, phi = np.arcsinh(z / np.hypot(x, y)), np.arctan2(y, x)
    return np.stack([np.concatenate([-eta, eta]), np.concatenate([phi, phi])])


def _layers(eta: np.ndarray) -> np.ndarray:
    numbers = (g.NUM_EB, 2 * g.NUM_EE, g.NUM_TOWERS, g.NUM_HF, g.NUM_HF, g.NUM_HO, 2 * g.NUM_PS, 2 * g.NUM_PS)
    layers = (g.LAYER_EB, g.LAYER_EE, g.LAYER_HE, g.LAYER_HFEM, g.LAYER_HFHAD, g.LAYER_HO, g.LAYER_PS1, g.LAYER_PS2)
    layer = np.repeat(layers, numbers)
    layer[(layer == g.LAYER_HE) & (np.abs(eta) < HCAL_BARREL_ETA)] = g.LAYER_HB
    return layer


def _positions(eta: np.ndarray, phi: np.ndarray, layer: np.ndarray) -> np.ndarray:
    barrels = ((g.LAYER_EB, ECAL_RADIUS), (g.LAYER_HB, HCAL_RADIUS), (g.LAYER_HO, g.HO_RADIUS))
    planes = ((g.LAYER_EE, ECAL_Z), (g.LAYER_HE, HCAL_Z), (g.LAYER_PS1, g.PS_Z[0]), (g.LAYER_PS2, g.PS_Z[1]))
    front_z = np.select([layer == value for value, _ in planes], [z for _, z in planes], HF_Z)
    rho = np.select([layer == value for value, _ in barrels], [radius for _, radius in barrels], front_z / np.sinh(np.abs(eta)))
    return np.stack([rho * np.cos(phi), rho * np.sin(phi), rho * np.sinh(eta)], axis=1)


def _sites_exist(eta: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """``(S,) bool``: sites that can be hit."""
    is_tower, is_crystal, is_strip = (np.isin(layer, pair) for pair in ((g.LAYER_HB, g.LAYER_HE), (g.LAYER_EE,), (g.LAYER_PS1, g.LAYER_PS2)))
    ring, slot = np.divmod((np.arange(len(layer)) - g.FIRST_TOWER) * is_tower, g.HCAL_PHI)
    radius, abs_eta = ECAL_Z / np.sinh(np.abs(eta)), np.abs(eta)
    exists = ~is_crystal | ((radius > g.EE_MIN_RADIUS) & (radius < g.EE_MAX_RADIUS))
    exists &= ~is_tower | (slot < TOWERS_OF_RING[ring])
    return exists & (~is_strip | ((abs_eta > g.PS_MIN_ETA) & (abs_eta < g.PS_MAX_ETA)))


def _neighbors() -> tuple[np.ndarray, np.ndarray]:
    """``(S, 9)`` neighbours, ``(S,)`` how many of them share an edge."""
    neighbors = np.full((g.NUM_SITES, MAX_NEIGHBORS), -1, dtype=np.int64)
    num_edges = np.zeros(g.NUM_SITES, dtype=np.int64)
    fill_ring_neighbors(neighbors, num_edges, np.full(g.EB_RINGS, g.EB_PHI), g.EB_PHI, 0)
    fill_ring_neighbors(neighbors, num_edges, TOWERS_OF_RING, g.HCAL_PHI, g.FIRST_TOWER)
    fill_ring_neighbors(neighbors, num_edges, np.full(g.HO_RINGS, g.HCAL_PHI), g.HCAL_PHI, g.FIRST_HO)
    for side in range(2):  # the two ends do not touch
        fill_grid_neighbors(neighbors, num_edges, g.EE_SIDE, g.EE_SIDE, g.NUM_EB + side * g.NUM_EE)
        for first in (g.FIRST_PS1, g.FIRST_PS2):
            fill_grid_neighbors(neighbors, num_edges, g.PS_STRIPS, g.PS_ROWS, first + side * g.NUM_PS)
        for first in (g.FIRST_HFEM, g.FIRST_HFHAD):
            fill_ring_neighbors(neighbors, num_edges, np.full(g.HF_RINGS // 2, g.HF_PHI), g.HF_PHI, first + side * g.NUM_HF // 2)
    return neighbors, num_edges


def _cells() -> tuple[np.ndarray, np.ndarray]:
    """Site and depth of every cell."""
    towers = np.arange(g.FIRST_TOWER, g.FIRST_HFEM)
    site = np.concatenate([np.arange(g.FIRST_TOWER), np.repeat(towers, g.NUM_DEPTHS), np.arange(g.FIRST_HFEM, g.NUM_SITES)])
    tower_depths = np.tile(np.arange(1, g.NUM_DEPTHS + 1), g.NUM_TOWERS)
    behind = np.repeat([1, 2, g.HO_DEPTH, 0], [g.NUM_HF, g.NUM_HF, g.NUM_HO, 4 * g.NUM_PS])
    return site, np.concatenate([np.zeros(g.FIRST_TOWER, dtype=np.int64), tower_depths, behind])


def _cell_scales(layer: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depths of a tower lie on one line from the origin, behind each other."""
    scale = np.ones(len(layer))
    for value, slices, front in ((g.LAYER_HB, g.HB_DEPTHS, HCAL_RADIUS), (g.LAYER_HE, g.HE_DEPTHS, HCAL_Z)):
        middle = np.zeros(g.NUM_DEPTHS + 1)
        middle[1 : len(slices)] = 0.5 * (slices[1:] + slices[:-1]) * g.CM_PER_NUCLEAR_LENGTH / front
        scale = np.where(layer == value, 1.0 + middle[depth], scale)
    return scale
