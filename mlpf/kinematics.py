"""Azimuth differences, distances and four-momenta: written once, used everywhere.

All functions take scalars or NumPy arrays that broadcast, and may be called from other numba kernels. Angles in rad, momenta and energies in GeV.
"""

import numba
import numpy as np

Values = float | np.ndarray

PION_MASS = 0.13957  # GeV; charged pion, PDG 2024 (also the value the CMSSW producer gives to charged hadrons)


@numba.vectorize(cache=True)
def wrap_phi(phi: Values) -> Values:
    """Azimuth moved into [-pi, pi) by whole turns."""
    return phi - 2.0 * np.pi * np.floor((phi + np.pi) / (2.0 * np.pi))


@numba.njit(cache=True)
def delta_phi(phi_a: Values, phi_b: Values) -> Values:
    """Signed azimuth difference ``phi_a - phi_b``, wrapped into [-pi, pi).

    Args:
        phi_a, phi_b: azimuth [rad], scalars or arrays that broadcast; any number of turns.
    """
    return wrap_phi(phi_a - phi_b)


@numba.njit(cache=True)
def delta_r(eta_a: Values, phi_a: Values, eta_b: Values, phi_b: Values) -> Values:
    """Distance ``sqrt(delta_eta^2 + delta_phi^2)`` in the (eta, phi) plane, phi periodic."""
    return np.sqrt((eta_a - eta_b) ** 2 + delta_phi(phi_a, phi_b) ** 2)


@numba.njit(cache=True)
def momentum_from_pt_eta_phi(pt: Values, eta: Values, phi: Values) -> tuple[Values, Values, Values]:
    """Cartesian momentum ``(px, py, pz)`` [GeV] of ``(pt, eta, phi)``."""
    return pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)


@numba.njit(cache=True)
def energy_from_pt_eta_mass(pt: Values, eta: Values, mass: Values) -> Values:
    """Energy ``sqrt((pt cosh eta)^2 + m^2)`` [GeV]."""
    return np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)


@numba.njit(cache=True)
def pt_eta_phi_from_momentum(px: Values, py: Values, pz: Values) -> tuple[Values, Values, Values]:
    """``(pt, eta, phi)`` of a Cartesian momentum; eta of a momentum along the beam is +-infinity, of a zero one 0."""
    pt = np.hypot(px, py)
    return pt, eta_from_pt_pz(pt, pz), np.arctan2(py, px)


@numba.vectorize(cache=True)
def eta_from_pt_pz(pt: Values, pz: Values) -> Values:
    """Pseudorapidity ``asinh(pz / pt)``; 0 for a zero momentum, +-infinity along the beam."""
    if pt > 0.0:
        return np.arcsinh(pz / pt)
    if pz == 0.0:
        return 0.0
    return np.inf if pz > 0.0 else -np.inf
