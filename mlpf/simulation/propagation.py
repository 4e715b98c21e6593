"""Flight of particles through the solenoid: exact helices to the fronts of the calorimeters, straight lines for neutral ones."""

import math
from typing import NamedTuple

import numba
import numpy as np

from mlpf.simulation.tracker.flights import Flights

FIELD = 3.8  # T, CMS solenoid (JINST 3 S08004)
CURVATURE = 0.00299792458  # GeV / (T cm): pt = CURVATURE * B * radius
SPEED_OF_LIGHT = 29.9792458  # cm / ns
MAX_TURN = 2.0 * math.pi  # a particle that needs more than one turn is stopped by the tracker's material on the way
# Fronts of the calorimeters [cm]: ECAL barrel radius 1.29 m up to |eta| = 1.479, endcaps at 3.17 m (CMS TDR 8.1, JINST 3 S08004);
# HCAL 1.9 m and 3.9 m (PAPAS), barrel towers up to |eta| = 1.392; HF at 11.15 m (CMS).
ECAL_RADIUS, ECAL_Z, ECAL_BARREL_ETA = 129.0, 317.0, 1.479
HCAL_RADIUS, HCAL_Z, HCAL_BARREL_ETA = 190.0, 390.0, 1.392
HF_Z = 1115.0
MAX_CENTRAL_ETA, MAX_HF_ETA = 3.0, 5.191
NOT_REACHED, BARREL, ENDCAP, FORWARD = range(4)


class Impacts(NamedTuple):
    """Where particles enter the calorimeters, as seen from the centre of the detector; ``(P,)`` each.

    Attributes:
        region: `NOT_REACHED`, `BARREL`, `ENDCAP` or `FORWARD` (the HF).
        eta, phi: at the front of the ECAL or of the HF.
        delay: later than light from the centre of the detector [ns].
        enters_hcal: whether the free flight reaches the front of the HCAL.
        hcal_eta, hcal_phi: there, or where a straight line from the ECAL meets it.
    """

    region: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    delay: np.ndarray
    enters_hcal: np.ndarray
    hcal_eta: np.ndarray
    hcal_phi: np.ndarray


@numba.njit(cache=True)
def _turn_to_cylinder(sense: float, curvature_radius: float, ux: float, uy: float, x: float, y: float, radius: float) -> float:
    """Turning angle [rad] after which a circle, begun along the unit vector (ux, uy), leaves a cylinder around the beam; infinity if it never does."""
    from_center_x, from_center_y = sense * curvature_radius * uy, -sense * curvature_radius * ux
    center_x, center_y = x - from_center_x, y - from_center_y
    distance = math.sqrt(center_x**2 + center_y**2)
    if distance == 0.0:
        return math.inf
    cos_crossing = (radius**2 - distance**2 - curvature_radius**2) / (2.0 * distance * curvature_radius)
    if abs(cos_crossing) > 1.0:
        return math.inf
    # angles around the centre of the circle, from the direction away from the beam
    crossing = math.acos(cos_crossing)
    start = math.atan2(center_x * from_center_y - center_y * from_center_x, center_x * from_center_x + center_y * from_center_y)
    turn_a, turn_b = sense * (crossing - start), sense * (-crossing - start)
    return min(turn_a if turn_a >= 0.0 else turn_a + 2.0 * math.pi, turn_b if turn_b >= 0.0 else turn_b + 2.0 * math.pi)


@numba.njit(cache=True)
def _length_to_cylinder(ux: float, uy: float, x: float, y: float, radius: float) -> float:
    """Transverse length along the unit vector (ux, uy) from a point inside a cylinder to its surface."""
    projection = x * ux + y * uy
    inside = projection**2 + radius**2 - x**2 - y**2
    return -projection + math.sqrt(inside) if inside > 0.0 else math.inf


@numba.njit(cache=True)
def length_to_surface(
    charge: float, px: float, py: float, pz: float, x: float, y: float, z: float, radius: float, half_length: float, endcap_z: float
) -> tuple[int, float]:
    """Region and transverse length [cm] of the path to the surface of `propagate`, 0 if it is not reached."""
    pt = math.sqrt(px**2 + py**2)
    if pt == 0.0:
        return NOT_REACHED, 0.0
    if charge != 0.0:
        curvature_radius, sense = pt / (CURVATURE * FIELD * abs(charge)), -math.copysign(1.0, charge)  # positive ones turn clockwise
        max_length = MAX_TURN * curvature_radius
        length = curvature_radius * _turn_to_cylinder(sense, curvature_radius, px / pt, py / pt, x, y, radius)
    else:
        max_length = math.inf
        length = _length_to_cylinder(px / pt, py / pt, x, y, radius)
    if length <= max_length and abs(z + length * pz / pt) <= half_length:
        return BARREL, length
    length = (math.copysign(endcap_z, pz) - z) / pz * pt if pz != 0.0 else math.inf
    return (ENDCAP, length) if 0.0 <= length <= max_length and length < math.inf else (NOT_REACHED, 0.0)


@numba.njit(cache=True)
def advance(charge: float, px: float, py: float, pz: float, x: float, y: float, z: float, length: float) -> tuple[float, float, float, float, float]:
    """Position x, y, z [cm] and momentum px, py [GeV] after a transverse length [cm] of the path; pt must not be 0."""
    pt = math.sqrt(px**2 + py**2)
    z += length * pz / pt
    if charge == 0.0:
        return x + length * px / pt, y + length * py / pt, z, px, py
    curvature = -CURVATURE * FIELD * charge / pt
    sin_turn, cos_turn = math.sin(curvature * length), math.cos(curvature * length)
    half_turn = math.sin(0.5 * curvature * length)
    along, across = sin_turn / (curvature * pt), 2.0 * half_turn**2 / (curvature * pt)  # 2 sin^2(a / 2) = 1 - cos(a), without its rounding
    return x + along * px - across * py, y + along * py + across * px, z, cos_turn * px - sin_turn * py, sin_turn * px + cos_turn * py


@numba.njit(cache=True)
def propagate(
    charge: float, px: float, py: float, pz: float, x: float, y: float, z: float, radius: float, half_length: float, endcap_z: float
) -> tuple[int, float, float, float, float, float]:
    """Fly to a barrel (cylinder, |z| <= half_length) or, missing it, to the endcap planes |z| = endcap_z.

    Args:
        charge: in e. px, py, pz: GeV. x, y, z: start, inside the cylinder [cm].
        radius, half_length, endcap_z: the surface [cm].

    Returns:
        region (`NOT_REACHED`, `BARREL`, `ENDCAP`), x, y, z [cm], azimuth of the momentum there [rad], length of the path [cm].
    """
    region, length = length_to_surface(charge, px, py, pz, x, y, z, radius, half_length, endcap_z)
    if region == NOT_REACHED:
        return NOT_REACHED, x, y, z, math.atan2(py, px), 0.0
    path = length * math.sqrt(1.0 + pz**2 / (px**2 + py**2))
    x, y, z, px, py = advance(charge, px, py, pz, x, y, z, length)
    return region, x, y, z, math.atan2(py, px), path


@numba.njit(cache=True)
def _eta_phi(x: float, y: float, z: float) -> tuple[float, float]:
    rho = math.hypot(x, y)
    return (math.asinh(z / rho) if rho > 0.0 else math.copysign(math.inf, z)), math.atan2(y, x)


@numba.njit(cache=True)
def _impact(charge: float, px: float, py: float, pz: float, x: float, y: float, z: float) -> tuple[int, float, float, float, bool, float, float]:
    """One particle's entries of `Impacts`, with the length of the path in place of the delay."""
    half_length, hcal_half_length = ECAL_RADIUS * math.sinh(ECAL_BARREL_ETA), HCAL_RADIUS * math.sinh(HCAL_BARREL_ETA)
    pt = math.hypot(px, py)
    region, ex, ey, ez, direction, path = propagate(charge, px, py, pz, x, y, z, ECAL_RADIUS, half_length, ECAL_Z)
    if region == NOT_REACHED:
        return NOT_REACHED, 0.0, 0.0, 0.0, False, 0.0, 0.0
    eta, phi = _eta_phi(ex, ey, ez)
    dx, dy = pt * math.cos(direction), pt * math.sin(direction)
    if abs(eta) > MAX_CENTRAL_ETA:  # into the HF, on a straight line: the field ends soon after the ECAL
        step = (math.copysign(HF_Z, ez) - ez) / pz
        eta, phi = _eta_phi(ex + dx * step, ey + dy * step, ez + pz * step)
        path += abs(step) * math.sqrt(pt**2 + pz**2)
        forward = FORWARD if MAX_CENTRAL_ETA < abs(eta) < MAX_HF_ETA else NOT_REACHED
        return forward, eta, phi, path, False, 0.0, 0.0
    hcal_region, hx, hy, hz, _, _ = propagate(charge, px, py, pz, x, y, z, HCAL_RADIUS, hcal_half_length, HCAL_Z)
    enters_hcal = hcal_region != NOT_REACHED
    if not enters_hcal:
        _, hx, hy, hz, _, _ = propagate(0.0, dx, dy, pz, ex, ey, ez, HCAL_RADIUS, hcal_half_length, HCAL_Z)
    hcal_eta, hcal_phi = _eta_phi(hx, hy, hz)
    return region, eta, phi, path, enters_hcal, hcal_eta, hcal_phi


@numba.njit(cache=True)
def _impacts(charge: np.ndarray, momentum: np.ndarray, energy: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(P,)`` regions, ``(P,)`` whether the HCAL is reached, ``(5, P)`` eta, phi, delay, HCAL eta and phi."""
    region = np.zeros(len(charge), dtype=np.int64)
    enters_hcal = np.zeros(len(charge), dtype=np.bool_)
    values = np.zeros((5, len(charge)))
    for i in range(len(charge)):
        px, py, pz = momentum[0, i], momentum[1, i], momentum[2, i]
        region[i], eta, phi, path, enters_hcal[i], hcal_eta, hcal_phi = _impact(charge[i], px, py, pz, position[0, i], position[1, i], position[2, i])
        if region[i] == NOT_REACHED:
            continue
        speed = SPEED_OF_LIGHT * min(math.sqrt(px**2 + py**2 + pz**2) / energy[i], 1.0)
        front_z = HF_Z if region[i] == FORWARD else ECAL_Z
        straight = ECAL_RADIUS * math.cosh(eta) if region[i] == BARREL else front_z / math.tanh(abs(eta))
        values[:, i] = eta, phi, path / speed - straight / SPEED_OF_LIGHT, hcal_eta, hcal_phi
    return region, enters_hcal, values


def calorimeter_impacts(charge: np.ndarray, px: np.ndarray, py: np.ndarray, pz: np.ndarray, energy: np.ndarray, position: np.ndarray) -> Impacts:
    """Where particles (or tracks) enter the calorimeters.

    Args:
        charge: ``(P,)`` [e]. px, py, pz, energy: ``(P,)`` [GeV]. position: ``(3, P)`` start [cm].
    """
    momentum = np.stack([px, py, pz]).astype(np.float64)
    region, enters_hcal, values = _impacts(charge.astype(np.float64), momentum, energy.astype(np.float64), position.astype(np.float64))
    return Impacts(region, values[0], values[1], values[2], enters_hcal, values[3], values[4])


def flight_impacts(flights: Flights) -> Impacts:
    """Where the particles enter the calorimeters; those whose flight ends before do not."""
    particles, position = flights.particles, np.stack([flights.x, flights.y, flights.z])
    impacts = calorimeter_impacts(particles.charge, flights.px, flights.py, flights.pz, flights.energy, position)
    return impacts._replace(region=np.where(particles.ends, NOT_REACHED, impacts.region), delay=impacts.delay + flights.time)
