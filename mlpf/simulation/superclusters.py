"""Superclusters: ECAL clusters around an energetic one, in a window that is long in azimuth, where an electron radiates."""

import math
from typing import NamedTuple

import numba
import numpy as np

from mlpf.kinematics import delta_phi

MIN_SEED_ET = 1.0  # GeV, of the CMS mustache algorithm (arXiv:2012.06888)
WINDOW_ETA, WINDOW_PHI = 0.04, 0.2  # half-widths; the CMS mustache is a curved window of about this size
MIN_ET = 10.0  # GeV; CMS particle flow takes superclusters above (PFBlock SuperClusterImporter), those of electron tracks at any energy
MAX_HADRONIC_FRACTION = 0.5  # HCAL over ECAL energy within HADRONIC_RADIUS, same importer
HADRONIC_RADIUS = 0.15
TRACK_WINDOW = 0.05  # distance of an electron track at the ECAL to the supercluster


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
def _is_wanted(
    et: float, energy: float, eta: float, phi: float, hcal: np.ndarray, cluster_energy: np.ndarray, cluster_eta: np.ndarray, cluster_phi: np.ndarray,
    electron_eta: np.ndarray, electron_phi: np.ndarray,
) -> bool:  # fmt: skip
    """Electromagnetic and energetic, or at the end of an electron track."""
    for e in range(len(electron_eta)):
        if _distance(eta, phi, electron_eta[e], electron_phi[e]) < TRACK_WINDOW:
            return True
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
            if not used[c] and abs(eta[c] - eta[seed]) < WINDOW_ETA and -WINDOW_PHI < delta_phi(phi[c], phi[seed]) < WINDOW_PHI:
                members[count] = c
                count += 1
        own = members[first:count]
        total_et, total_energy = np.sum(et[own]), np.sum(energy[own])
        used[own] = True
        if _is_wanted(total_et, total_energy, eta[seed], phi[seed], hcal, energy, eta, phi, electron_eta, electron_phi):
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
