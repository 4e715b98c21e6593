"""Where particles fly and where clusters are, in the detector's coordinates [cm]."""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.schema import ElementType
from mlpf.simulation.propagation import (
    BARREL,
    CURVATURE,
    ECAL_BARREL_ETA,
    ECAL_RADIUS,
    ECAL_Z,
    FIELD,
    HCAL_BARREL_ETA,
    HCAL_RADIUS,
    HCAL_Z,
    HF_Z,
    MAX_CENTRAL_ETA,
    NOT_REACHED,
    advance,
    length_to_surface,
)

MAX_ETA = 10.0  # beyond the beams' own particles; nothing further out can be drawn
STRAIGHT_PT = 1e4  # GeV; above, the sagitta up to the ECAL is below 0.03 mm
STEP = 0.15  # rad of turning between two points of a path: off the circle by R STEP^2 / 8, 2.5 mm for the widest that turns back
HO_RADIUS, HO_Z = 407.0, 655.0  # cm, outer HCAL (CMS TDR 8.1)
FAR = 2000.0  # cm; outside CMS
_SURFACES = {  # radius and |eta| of the barrel's end, z of the endcaps
    ElementType.HCAL: (HCAL_RADIUS, HCAL_BARREL_ETA, HCAL_Z),
    ElementType.HO: (HO_RADIUS, np.arcsinh(HO_Z / HO_RADIUS), HO_Z),
    ElementType.HFEM: (0.0, 0.0, HF_Z),
    ElementType.HFHAD: (0.0, 0.0, HF_Z),
}
_ECAL_SURFACE = (ECAL_RADIUS, ECAL_BARREL_ETA, ECAL_Z)


class Paths(NamedTuple):
    """Curves of P particles.

    Attributes:
        points: ``(T, 3)`` x, y, z [cm].
        offsets: ``(P + 1,)``; points of particle i are ``offsets[i]`` to ``offsets[i + 1]``, none where it has no path.
    """

    points: np.ndarray
    offsets: np.ndarray

    def ends(self, otherwise: np.ndarray | float = np.nan) -> np.ndarray:
        """``(P, 3)`` last points; ``otherwise`` where there is no path."""
        there = np.diff(self.offsets) > 0
        ends = np.broadcast_to(otherwise, (len(there), 3)).astype(np.float64)
        ends[there] = self.points[self.offsets[1:][there] - 1]
        return ends


def can_be_drawn(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """``(P,) bool``: finite, and not along the beam."""
    return np.isfinite(np.stack([pt, eta, phi, energy])).all(axis=0) & (np.abs(eta) < MAX_ETA)


def fly(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, charge: np.ndarray, vertex: np.ndarray) -> Paths:
    """Paths in 3.8 T from the vertices to the ECAL, beyond |eta| = 3 straight on to the HF.

    A charged particle that does not get there within one turn flies half a turn. One without transverse momentum, with values that are not finite, or from
    outside the ECAL has no path.

    Args:
        pt, eta, phi: ``(P,)`` momenta at the vertices [GeV, rad].
        charge: ``(P,)`` [e]; positive ones bend to smaller phi.
        vertex: ``(P, 3)`` [cm].
    """
    vertex = np.asarray(vertex, dtype=np.float64)
    momentum = np.stack([pt, eta, phi], axis=1).astype(np.float64)
    inside = (np.hypot(vertex[:, 0], vertex[:, 1]) < ECAL_RADIUS) & (np.abs(vertex[:, 2]) < ECAL_RADIUS * np.sinh(ECAL_BARREL_ETA))
    flies = inside & np.isfinite(momentum).all(axis=1) & (momentum[:, 0] > 0) & (np.abs(momentum[:, 1]) < MAX_ETA)
    bending = np.where(momentum[:, 0] < STRAIGHT_PT, charge, 0).astype(np.float64)
    lengths, forward = _lengths(momentum, bending, vertex, flies)
    turn = lengths * CURVATURE * FIELD * np.abs(bending) / np.where(flies, momentum[:, 0], 1.0)
    counts = np.where(lengths > 0, 2 + np.ceil(turn / STEP).astype(np.int64) + forward, 0)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Paths(_points(momentum, bending, vertex, lengths, forward, offsets), offsets)


@numba.njit(cache=True)
def _lengths(momentum: np.ndarray, charge: np.ndarray, vertex: np.ndarray, flies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(P,)`` transverse lengths [cm] up to the ECAL (0: no path), and whether the path goes on to the HF."""
    lengths, forward = np.zeros(len(charge)), np.zeros(len(charge), dtype=np.bool_)
    half_length = ECAL_RADIUS * np.sinh(ECAL_BARREL_ETA)
    for i in range(len(charge)):
        if not flies[i]:
            continue
        pt, eta, phi = momentum[i]
        px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
        x, y, z = vertex[i]
        region, lengths[i] = length_to_surface(charge[i], px, py, pz, x, y, z, ECAL_RADIUS, half_length, ECAL_Z)
        if region == NOT_REACHED:
            lengths[i] = np.pi * pt / (CURVATURE * FIELD * abs(charge[i])) if charge[i] != 0.0 else 0.0
        forward[i] = region != NOT_REACHED and region != BARREL and abs(eta) > MAX_CENTRAL_ETA
    return lengths, forward


@numba.njit(cache=True)
def _points(momentum: np.ndarray, charge: np.ndarray, vertex: np.ndarray, lengths: np.ndarray, forward: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    points = np.zeros((offsets[-1], 3))
    for i in range(len(charge)):
        pt, eta, phi = momentum[i]
        px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
        x, y, z = vertex[i]
        bent = offsets[i + 1] - offsets[i] - forward[i]
        for k in range(bent):
            points[offsets[i] + k] = advance(charge[i], px, py, pz, x, y, z, lengths[i] * k / (bent - 1))[:3]
        if forward[i]:
            x, y, z, px, py = advance(charge[i], px, py, pz, x, y, z, lengths[i])
            step = (np.copysign(HF_Z, z) - z) / pz
            points[offsets[i + 1] - 1] = x + px * step, y + py * step, z + pz * step
    return points


def project(eta: np.ndarray, phi: np.ndarray, radius: float, barrel_eta: float, endcap_z: float) -> np.ndarray:
    """``(P, 3)`` where lines from the centre meet a barrel of a radius up to |eta| = ``barrel_eta``, else an endcap [cm]; NaN along the beam."""
    eta = np.where(np.abs(eta) < MAX_ETA, eta, np.nan).astype(np.float64)
    slope = np.sinh(eta)
    barrel = np.abs(eta) < barrel_eta
    rho = np.where(barrel, radius, endcap_z / np.where(barrel, 1.0, np.abs(slope)))
    return np.stack([rho * np.cos(phi), rho * np.sin(phi), rho * slope], axis=1)


def fronts(eta: np.ndarray, phi: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """``(P, 3)`` where lines from the centre meet the front of the ECAL, ``forward`` ones that of the HF [cm]; NaN along the beam."""
    positions = project(eta, phi, *_ECAL_SURFACE)
    positions[forward] = project(eta[forward], phi[forward], *_SURFACES[ElementType.HFEM])
    return positions


def cluster_positions(element_type: np.ndarray, eta: np.ndarray, phi: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """``(N, 3)`` positions [cm]: the measured ones; where there are none, on the front of the type's calorimeter (BREM: of the ECAL, where they point to).

    Args:
        element_type, eta, phi: ``(N,)``.
        measured: ``(N, 3)``, zeros where the file has none.
    """
    positions = project(eta, phi, *_ECAL_SURFACE)
    for kind, surface in _SURFACES.items():
        own = element_type == kind
        positions[own] = project(eta[own], phi[own], *surface)
    distance = np.abs(measured).max(axis=1, initial=0.0)
    given = (distance > 0) & (distance < FAR) & (element_type != ElementType.BREM) & np.isfinite(eta + phi)
    positions[given] = measured[given]
    return positions


def rims(eta: np.ndarray, phi: np.ndarray, radius: float, points: int = 48) -> Paths:
    """Rims of cones around directions: closed curves of ``radius`` in (eta, phi) on the fronts of ECAL and HF."""
    angle = np.linspace(0.0, 2 * np.pi, points + 1)
    rim_eta, rim_phi = (centre[:, None] + radius * turn for centre, turn in ((eta, np.cos(angle)), (phi, np.sin(angle))))
    forward = np.repeat(np.abs(eta) > MAX_CENTRAL_ETA, points + 1)
    return Paths(fronts(rim_eta.ravel(), rim_phi.ravel(), forward), np.arange(len(eta) + 1) * (points + 1))
