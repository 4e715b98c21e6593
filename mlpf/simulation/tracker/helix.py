"""What a fit makes of a particle's path through the tracker: parameters at the beam with their uncertainties, and the state at the outer end."""

import math
from typing import NamedTuple

import numba
import numpy as np

from mlpf.kinematics import wrap_phi
from mlpf.simulation.propagation import CURVATURE, FIELD, NOT_REACHED, Impacts, calorimeter_impacts, propagate
from mlpf.simulation.tracker.flights import Flights

TRACKER_RADIUS, TRACKER_Z = 110.0, 280.0  # cm, outermost layers (JINST 3 S08004)
MIN_ARM = 0.15  # of the full lever arm: the shortest tracks, four pixel layers, live off the beam spot, which adds to their arm
# Angles and impact parameters of full tracks, sqrt(a^2 + (b / pt)^2), rad and cm: read off the figures of CMS-TRK-11-001, arXiv:1405.6569
SIGMA_ANGLE = (2e-4, 1.5e-3)
SIGMA_VERTEX = (0.002, 0.01)
# sigma(pt) / pt = sqrt(a^2 + (b pt)^2) of full tracks: (a, b [1/GeV]) for |eta| < 0.5, 1.5, 2.5 (Delphes CMS card). Those of electrons hold for the fit that
# knows of radiation, and include what radiation does to it.
RESOLUTION_ETA = (0.5, 1.5, 2.5)
RESOLUTION: dict[int, tuple[tuple[float, float], ...]] = {
    11: ((0.03, 1.3e-3), (0.05, 1.7e-3), (0.15, 3.1e-3)),
    13: ((0.01, 1.0e-4), (0.015, 1.5e-4), (0.025, 3.5e-4)),
    211: ((0.01, 1.5e-4), (0.015, 2.5e-4), (0.025, 5.5e-4)),
}
MIN_CURVATURE = 0.02  # of the true one: a straighter measurement counts as 50 times the momentum


class HelixFit(NamedTuple):
    """Fitted helices where they pass the beam closest, ``(T,)`` each.

    Attributes:
        charge, pt, theta, phi: e, GeV, rad, rad.
        pt_error, theta_error, phi_error: their uncertainties.
        x, y, z: reference point [cm].
    """

    charge: np.ndarray
    pt: np.ndarray
    theta: np.ndarray
    phi: np.ndarray
    pt_error: np.ndarray
    theta_error: np.ndarray
    phi_error: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray


class OuterStates(NamedTuple):
    """Where particles leave the tracker or end in it, ``(T,)`` each: x, y, z [cm] and azimuth of momentum [rad]; of those that curl up inside, the start."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    phi: np.ndarray


def table_identity(pdgid: np.ndarray) -> np.ndarray:
    """Row of the tables: 11, 13, or 211 for every hadron."""
    identity = np.abs(pdgid)
    return np.where((identity == 11) | (identity == 13), identity, 211)


def relative_pt_resolution(pdgid: np.ndarray, pt: np.ndarray, eta: np.ndarray, arm: np.ndarray | float = 1.0) -> np.ndarray:
    """``sigma(pt) / pt``: the table's terms, over the arm for scattering and over its square for the position resolution (Gluckstern, NIM 24 (1963) 381).

    Args:
        arm: length over which the curvature is seen, relative to that of a full track.
    """
    identity = table_identity(pdgid)
    eta_bin = np.minimum(np.searchsorted(RESOLUTION_ETA, np.abs(eta), side="right"), len(RESOLUTION_ETA) - 1)
    resolution = np.zeros(len(pt))
    for table_pdgid, table in RESOLUTION.items():
        constant, slope = np.asarray(table)[eta_bin].T
        resolution = np.where(identity == table_pdgid, np.hypot(constant / arm, slope * pt / arm**2), resolution)
    return resolution


def full_arm(pt: np.ndarray, pz: np.ndarray) -> np.ndarray:
    """Transverse length of the way from the centre to the end of the tracker [cm]."""
    with np.errstate(divide="ignore"):
        return np.minimum(TRACKER_RADIUS, TRACKER_Z * pt / np.abs(pz))


def lever_arms(flights: Flights, selected: np.ndarray) -> np.ndarray:
    """``(S,)`` part of the full lever arm over which the tracker sees each selected particle, in [`MIN_ARM`, 1]."""
    particles = flights.particles
    px, py, pz, x, y = (values[selected] for values in (particles.px, particles.py, particles.pz, particles.x, particles.y))
    full = full_arm(np.hypot(px, py), pz)
    flown = np.where(particles.ends[selected], np.hypot(particles.end_x[selected] - x, particles.end_y[selected] - y), np.inf)
    return np.clip(np.minimum(flown, full - np.hypot(x, y)) / full, MIN_ARM, 1.0)


@numba.njit(cache=True)
def _outer_states(charge: np.ndarray, momentum: np.ndarray, position: np.ndarray, ends: np.ndarray, end: np.ndarray) -> np.ndarray:
    states = np.empty((4, len(charge)))
    for i in range(len(charge)):
        px, py, pz = momentum[0, i], momentum[1, i], momentum[2, i]
        x, y, z = position[0, i], position[1, i], position[2, i]
        region, out_x, out_y, out_z, phi, _ = propagate(charge[i], px, py, pz, x, y, z, TRACKER_RADIUS, TRACKER_Z, TRACKER_Z)
        if region == NOT_REACHED:
            out_x, out_y, out_z, phi = x, y, z, math.atan2(py, px)
        if ends[i] and math.hypot(end[0, i], end[1, i]) < TRACKER_RADIUS and abs(end[2, i]) < TRACKER_Z:
            out_x, out_y, out_z = end[0, i], end[1, i], end[2, i]
            start = math.atan2(py, px)
            moved = out_x != x or out_y != y
            phi = 2.0 * math.atan2(out_y - y, out_x - x) - start if moved else start  # a chord points midway between the tangents at its ends
        states[0, i], states[1, i], states[2, i], states[3, i] = out_x, out_y, out_z, phi
    return states


def outer_states(flights: Flights, selected: np.ndarray) -> OuterStates:
    """True outer states of the selected particles."""
    particles = flights.particles
    momentum = np.stack([flights.px[selected], flights.py[selected], flights.pz[selected]]).astype(np.float64)
    position = np.stack([flights.x[selected], flights.y[selected], flights.z[selected]]).astype(np.float64)
    end = np.stack([particles.end_x[selected], particles.end_y[selected], particles.end_z[selected]]).astype(np.float64)
    return OuterStates(*_outer_states(particles.charge[selected].astype(np.float64), momentum, position, particles.ends[selected], end))


def fit_helices(flights: Flights, selected: np.ndarray, curvature: np.ndarray, resolution: np.ndarray, arm: np.ndarray, rng: np.random.Generator) -> HelixFit:
    """Measure the selected particles; a fluctuation of the curvature across zero turns the charge.

    Args:
        curvature: ``(S,)`` mean curvature that the fit sees, relative to that at production: above 1 after radiation.
        resolution: ``(S,)`` relative to that mean.
        arm: ``(S,)`` of `lever_arms`.
    """
    count, particles = len(selected), flights.particles
    px, py, pz, x, y, z = (values[selected] for values in (particles.px, particles.py, particles.pz, particles.x, particles.y, particles.z))
    true_pt = np.hypot(px, py)
    fluctuation = 1.0 + resolution * rng.normal(size=count)
    fluctuation = np.copysign(np.maximum(np.abs(fluctuation), MIN_CURVATURE), fluctuation)
    pt = true_pt / (curvature * np.abs(fluctuation))
    charge = particles.charge[selected] * np.sign(fluctuation).astype(np.int64)
    angle_error = np.hypot(SIGMA_ANGLE[0], SIGMA_ANGLE[1] / true_pt) / arm
    theta = np.clip(np.arctan2(true_pt, pz) + angle_error * rng.normal(size=count), 1e-3, np.pi - 1e-3)
    phi = np.arctan2(py, px) + angle_error * rng.normal(size=count)
    vertex_error = np.hypot(SIGMA_VERTEX[0], SIGMA_VERTEX[1] / true_pt)
    position = np.stack([x, y, z]) + vertex_error * rng.normal(size=(3, count))
    return at_closest_approach(HelixFit(charge, pt, theta, wrap_phi(phi), resolution * pt, angle_error, angle_error, *position))


def closest_approach(
    charge: np.ndarray, pt: np.ndarray, theta: np.ndarray, phi: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Azimuth of the momentum [rad] and place x, y, z [cm] where helices from ``position`` ``(3, T)`` pass the beam line closest, ``(T,)`` each."""
    x, y, z = position
    radius, sense = pt / (CURVATURE * FIELD), -np.sign(charge)  # positive ones turn clockwise
    center_x, center_y = x - sense * radius * np.sin(phi), y + sense * radius * np.cos(phi)
    closest_phi = np.arctan2(-sense * center_x, sense * center_y)
    distance = 1.0 - radius / np.hypot(center_x, center_y)
    turn = wrap_phi(phi - closest_phi)
    return closest_phi, center_x * distance, center_y * distance, z - sense * radius * turn / np.tan(theta)


def at_closest_approach(fit: HelixFit) -> HelixFit:
    """The same helices, with azimuth and reference point moved to where they pass the beam line closest."""
    phi, x, y, z = closest_approach(fit.charge, fit.pt, fit.theta, fit.phi, np.stack([fit.x, fit.y, fit.z]))
    return fit._replace(phi=phi, x=x, y=y, z=z)


def extrapolate(fit: HelixFit, states: OuterStates, rng: np.random.Generator) -> Impacts:
    """Where fitted particles enter the calorimeters, seen from their outer states."""
    phi = states.phi + fit.phi_error * rng.normal(size=len(fit.pt))
    momentum = fit.pt / np.sin(fit.theta)
    position = np.stack([states.x, states.y, states.z])
    return calorimeter_impacts(fit.charge, fit.pt * np.cos(phi), fit.pt * np.sin(phi), fit.pt / np.tan(fit.theta), momentum, position)
