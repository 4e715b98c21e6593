"""Calorimeter cells: the dimensions of the detectors, the numbers of their cells, and which cell a place belongs to.

All detectors share one numbering, so one clustering serves all: *sites* are what is clustered (ECAL crystals, HCAL towers, HF and HO cells, preshower strips),
*cells* are what is read out (a site, or one depth of a tower). `cells.geometry` builds their positions and neighbours.
"""

import math

import numba
import numpy as np

from mlpf.simulation.propagation import ECAL_BARREL_ETA, ECAL_Z, HCAL_BARREL_ETA

SECTION_EB, SECTION_EE, SECTION_HCAL, SECTION_HFEM, SECTION_HFHAD, SECTION_PS1, SECTION_PS2 = range(7)
# reco::PFLayer
LAYER_PS2, LAYER_PS1, LAYER_EE, LAYER_EB, LAYER_HB, LAYER_HO, LAYER_HE, LAYER_HFEM, LAYER_HFHAD = -12, -11, -2, -1, 1, 2, 3, 11, 12
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
# HO: towers of the barrel behind the coil (1.4 nuclear lengths), |eta| < 1.26, r = 407 cm; with it the calorimeters are 11.8 nuclear lengths deep, of which
# 1.1 are the ECAL (JINST 3 S08004, section 5.4)
HO_EDGES = np.concatenate([0.087 * np.arange(15), [1.26]])
HO_RADIUS, HO_DEPTH = 407.0, 4
HO_START, HO_END = 5.8 + 1.4, 11.8 - 1.1
# Preshower: two planes of silicon strips in front of the endcaps, 1.9 mm x 6.1 cm, the first across x, the second across y (JINST 3 S08004, section 4.5), on
# grids with a border that is never hit
PS_PITCH, PS_STRIPS, PS_ROWS = 0.19, 1408, 44  # a row is as long as 32 strips are wide
PS_ROW_LENGTH = PS_PITCH * PS_STRIPS / PS_ROWS
PS_Z = (303.2, 307.1)  # cm
PS_MIN_ETA, PS_MAX_ETA = 1.653, 2.6

NUM_EB = EB_RINGS * EB_PHI
NUM_EE = EE_SIDE * EE_SIDE  # each side
HCAL_RINGS, HF_RINGS, HO_RINGS = 2 * (len(HCAL_EDGES) - 1), 2 * (len(HF_EDGES) - 1), 2 * (len(HO_EDGES) - 1)
NUM_TOWERS, NUM_HF, NUM_HO = HCAL_RINGS * HCAL_PHI, HF_RINGS * HF_PHI, HO_RINGS * HCAL_PHI
NUM_PS = PS_STRIPS * PS_ROWS  # each plane of each side
FIRST_TOWER = NUM_EB + 2 * NUM_EE
FIRST_HFEM = FIRST_TOWER + NUM_TOWERS
FIRST_HFHAD = FIRST_HFEM + NUM_HF
FIRST_HO = FIRST_HFHAD + NUM_HF
FIRST_PS1 = FIRST_HO + NUM_HO
FIRST_PS2 = FIRST_PS1 + 2 * NUM_PS
NUM_SITES = FIRST_PS2 + 2 * NUM_PS
EXTRA_DEPTHS = NUM_TOWERS * (NUM_DEPTHS - 1)  # from the HF on, a cell's number is its site's plus this
FIRST_HFEM_CELL = FIRST_HFEM + EXTRA_DEPTHS
NUM_CELLS = NUM_SITES + EXTRA_DEPTHS


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
def _locate_crystal(eta: float, phi: float) -> int:
    """Crystal of the endcaps."""
    rho = ECAL_Z / math.sinh(max(abs(eta), 1e-3))
    if not EE_MIN_RADIUS < rho < EE_MAX_RADIUS:
        return -1
    column = math.floor(rho * math.cos(phi) / EE_WIDTH + EE_SIDE / 2)
    row = math.floor(rho * math.sin(phi) / EE_WIDTH + EE_SIDE / 2)
    return NUM_EB + (NUM_EE if eta > 0.0 else 0) + column * EE_SIDE + row


@numba.njit(cache=True)
def _locate_tower(eta: float, phi: float, depth: float) -> int:
    """A depth of an HCAL tower, or the HO behind it."""
    is_barrel = abs(eta) < HCAL_BARREL_ETA
    if is_barrel and HO_START <= depth < HO_END:
        ring = _signed_ring(eta, HO_EDGES)
        return FIRST_HO + EXTRA_DEPTHS + ring * HCAL_PHI + _phi_bin(phi, HCAL_PHI) if ring >= 0 else -1
    ring = _signed_ring(eta, HCAL_EDGES)
    slices = HB_DEPTHS if is_barrel else HE_DEPTHS
    layer = int(np.searchsorted(slices, depth, side="right")) - 1
    if ring < 0 or layer < 0 or layer >= len(slices) - 1:
        return -1
    tower = ring * HCAL_PHI + _phi_bin(phi, HCAL_PHI if abs(eta) < HCAL_FINE_ETA else HCAL_PHI // 2)
    return FIRST_TOWER + tower * NUM_DEPTHS + layer


@numba.njit(cache=True)
def _locate_strip(plane: int, eta: float, phi: float) -> int:
    """Strip of the preshower; plane 0 measures x, plane 1 y."""
    if not PS_MIN_ETA < abs(eta) < PS_MAX_ETA:
        return -1
    rho = PS_Z[plane] / math.sinh(abs(eta))
    across, along = (rho * math.cos(phi), rho * math.sin(phi)) if plane == 0 else (rho * math.sin(phi), rho * math.cos(phi))
    strip, row = math.floor(across / PS_PITCH + PS_STRIPS / 2), math.floor(along / PS_ROW_LENGTH + PS_ROWS / 2)
    first = FIRST_PS1 if plane == 0 else FIRST_PS2
    return first + EXTRA_DEPTHS + (NUM_PS if eta > 0.0 else 0) + strip * PS_ROWS + row


@numba.njit(cache=True)
def _locate(section: int, eta: float, phi: float, depth: float) -> int:
    """Cell at a place, -1 where there is none; see `locate`."""
    if section == SECTION_EB:
        ring = math.floor((eta + ECAL_BARREL_ETA) / EB_STEP)
        return ring * EB_PHI + _phi_bin(phi, EB_PHI) if 0 <= ring < EB_RINGS else -1
    if section == SECTION_EE:
        return _locate_crystal(eta, phi)
    if section == SECTION_HCAL:
        return _locate_tower(eta, phi, depth)
    if section in (SECTION_PS1, SECTION_PS2):
        return _locate_strip(section - SECTION_PS1, eta, phi)
    ring = _signed_ring(eta, HF_EDGES)
    first = FIRST_HFEM_CELL + (NUM_HF if section == SECTION_HFHAD else 0)
    return first + ring * HF_PHI + _phi_bin(phi, HF_PHI) if ring >= 0 else -1


@numba.njit(cache=True)
def locate(section: np.ndarray, eta: np.ndarray, phi: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """``(N,) int64`` cells at the places, -1 where there is none (gaps, beyond the edges, in the coil, behind the last depth).

    Args:
        section: ``SECTION_EB`` ... of each place; the HCAL includes the HO behind it.
        eta, phi: seen from the centre of the detector, on the front of the section.
        depth: nuclear lengths behind the front at normal incidence (HCAL only).
    """
    cells = np.empty(len(section), dtype=np.int64)
    for i in range(len(section)):
        cells[i] = _locate(section[i], eta[i], phi[i], depth[i])
    return cells
