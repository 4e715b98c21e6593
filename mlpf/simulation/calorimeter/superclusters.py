"""Superclusters: ECAL clusters around an energetic one, in a window long in azimuth, where an electron radiates ("mustache", arXiv:2012.06888)."""

import math
from typing import NamedTuple

import numba
import numpy as np

from mlpf.kinematics import delta_phi

MIN_SEED_ET = 1.0  # GeV, of the CMS mustache algorithm (arXiv:2012.06888)
MIN_ET = 10.0  # GeV; CMS particle flow takes superclusters above (PFBlock SuperClusterImporter), those of electron tracks at any energy
MAX_HADRONIC_FRACTION = 0.5  # HCAL over ECAL energy within HADRONIC_RADIUS, same importer
HADRONIC_RADIUS = 0.15
TRACK_WINDOW = 0.05  # distance of an electron track at the ECAL to the supercluster
# Mustache (RecoEcal/EgammaCoreTools, Mustache): in d eta, which counts outwards, a cluster lies between two parabolas in d phi that open outwards. With
# u = eta sin(eta) of the seed, their curvatures are u (p0 u + p1) + p2, their distance from the seed w1 u + w0 / sqrt(log10(E / GeV) + 1.1).
UPPER_CURVATURE, LOWER_CURVATURE = (-0.107537, 0.590969, -0.076494), (-0.0268843, 0.147742, -0.0191235)
UPPER_OFFSET, LOWER_OFFSET = (0.0135714, 0.001), (-0.00571429, -0.002)
MARGIN_ETA = 0.0087  # half a crystal; CMSSW adds it to the upper edge, we widen both, since our clusters miss by as much inwards
# Half-width in azimuth of a cluster of transverse energy ET: offset + scale / (1 + exp((log10 ET - x0) / width)), between the smallest and the largest
# (EcalSCDynamicDPhiParameters of CMSSW); columns: |eta| of the seed from, offset, scale, x0, width, smallest, largest
WINDOW_PHI = np.array(
    [
        [0.0, 0.0280506, 0.946048, -0.101172, 0.432767, 0.14, 0.60],
        [1.479, 0.0497038, 0.975707, -0.18149, 0.431729, 0.14, 0.55],
        [1.75, 0.05643, 1.60429, -0.642352, 0.458106, 0.12, 0.45],
        [2.0, 0.0928887, 1.22321, -0.260256, 0.345852, 0.12, 0.30],
    ]
)


class Superclusters(NamedTuple):
    """Superclusters as lists of ECAL clusters.

    Attributes:
        offsets: ``(U + 1,)``. cluster: ``(M,)`` members, the seed first.
    """

    offsets: np.ndarray
    cluster: np.ndarray


@numba.njit(cache=True)
def _distance(eta_a: float, phi_a: float, eta_b: float, phi_b: float) -> float:
    return math.hypot(eta_a - eta_b, delta_phi(phi_a, phi_b))


@numba.njit(cache=True)
def window_phi(et: float, seed_eta: float) -> float:
    """Largest difference in azimuth of a cluster of transverse energy ``et`` [GeV] to the seed."""
    row = int(np.searchsorted(WINDOW_PHI[:, 0], abs(seed_eta), side="right")) - 1
    offset, scale, center, width, smallest, largest = WINDOW_PHI[row, 1:]
    return min(max(offset + scale / (1.0 + math.exp((math.log10(et) - center) / width)), smallest), largest)


@numba.njit(cache=True)
def _parabola(curvature: tuple[float, float, float], bound: float, u: float, d_phi: float) -> float:
    """Edge of the mustache in d eta."""
    bend = 1.0 / (4.0 * (u * (curvature[0] * u + curvature[1]) + curvature[2])) - abs(bound)
    return max(1.0 / (4.0 * bend), 0.0) * d_phi**2 + bound


@numba.njit(cache=True)
def in_mustache(seed_eta: float, seed_phi: float, energy: float, eta: float, phi: float) -> bool:
    """Whether a cluster can come from the electron or photon of a seed, bent apart by the field."""
    d_phi = abs(float(delta_phi(phi, seed_phi)))
    if d_phi > window_phi(energy / math.cosh(eta), seed_eta):
        return False
    u, spread = seed_eta * math.sin(seed_eta), math.sqrt(max(math.log10(energy) + 1.1, 0.01))
    upper, lower = UPPER_OFFSET[0] * u + UPPER_OFFSET[1] / spread, LOWER_OFFSET[0] * u + LOWER_OFFSET[1] / spread
    half = 0.5 * (upper - lower)
    outwards = eta - seed_eta if seed_eta >= 0.0 else seed_eta - eta
    return _parabola(LOWER_CURVATURE, -half, u, d_phi) - MARGIN_ETA < outwards < _parabola(UPPER_CURVATURE, half, u, d_phi) + MARGIN_ETA


@numba.njit(cache=True)
def _is_pointed_at(own: np.ndarray, eta: np.ndarray, phi: np.ndarray, electron_eta: np.ndarray, electron_phi: np.ndarray) -> bool:
    """Whether an electron track ends at one of the clusters; the most energetic one may be a photon that it radiated."""
    for e in range(len(electron_eta)):
        for c in own:
            if _distance(eta[c], phi[c], electron_eta[e], electron_phi[e]) < TRACK_WINDOW:
                return True
    return False


@numba.njit(cache=True)
def _is_electromagnetic(
    et: float, energy: float, eta: float, phi: float, hcal: np.ndarray, cluster_energy: np.ndarray, cluster_eta: np.ndarray, cluster_phi: np.ndarray
) -> bool:
    """Energetic, with little energy behind."""
    if et < MIN_ET:
        return False
    hadronic = 0.0
    for c in hcal:
        if _distance(eta, phi, cluster_eta[c], cluster_phi[c]) < HADRONIC_RADIUS:
            hadronic += cluster_energy[c]
    return hadronic < MAX_HADRONIC_FRACTION * energy


@numba.njit(cache=True)
def _superclusters(
    ecal: np.ndarray, hcal: np.ndarray, energy: np.ndarray, eta: np.ndarray, phi: np.ndarray, electron_eta: np.ndarray, electron_phi: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    et = energy / np.cosh(eta)
    order = ecal[np.argsort(-et[ecal])]
    used = np.zeros(len(energy), dtype=np.bool_)
    offsets, members = [0], np.empty(len(ecal), dtype=np.int64)
    for seed in order:
        if used[seed] or et[seed] < MIN_SEED_ET:
            continue
        first, count = offsets[-1], offsets[-1]
        for c in order:
            if not used[c] and (c == seed or in_mustache(eta[seed], phi[seed], energy[c], eta[c], phi[c])):
                members[count] = c
                count += 1
        own = members[first:count]
        total_et, total_energy = np.sum(et[own]), np.sum(energy[own])
        used[own] = True
        pointed_at = _is_pointed_at(own, eta, phi, electron_eta, electron_phi)
        if pointed_at or _is_electromagnetic(total_et, total_energy, eta[seed], phi[seed], hcal, energy, eta, phi):
            offsets.append(count)
    return np.array(offsets), members[: offsets[-1]].copy()


def find_superclusters(
    ecal: np.ndarray, hcal: np.ndarray, energy: np.ndarray, eta: np.ndarray, phi: np.ndarray, electron_eta: np.ndarray, electron_phi: np.ndarray
) -> Superclusters:
    """Superclusters of an event.

    Args:
        ecal, hcal: indices of the ECAL and HCAL clusters among all.
        energy, eta, phi: of all clusters.
        electron_eta, electron_phi: where electron tracks enter the ECAL.
    """
    return Superclusters(*_superclusters(ecal, hcal, energy, eta, phi, electron_eta, electron_phi))
