"""Anti-kt jets over flat arrays."""

from typing import NamedTuple

import numpy as np

from mlpf.errors import MlpfError
from mlpf.events import offsets_from_counts
from mlpf.jet_kernels import cluster
from mlpf.kinematics import momentum_from_pt_eta_phi, pt_eta_phi_from_momentum

LARGEST_RADIUS = 1000.0  # as in fastjet
HT_MIN_PT, HT_MAX_ETA = 30.0, 2.5  # GeV; jets that enter HT


class Jets(NamedTuple):
    """Jets of B events, by descending pt inside each.

    Attributes:
        pt, eta, phi, energy: ``(J,) float32`` [GeV, rad].
        offsets: ``(B + 1,) int64``.
        constituent_jet: ``(N,) int32``, for every input particle the jet (counted inside its event) that holds it, -1 if none.
    """

    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    energy: np.ndarray
    offsets: np.ndarray
    constituent_jet: np.ndarray


def cluster_jets(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, energy: np.ndarray, offsets: np.ndarray, min_pt: float = 3.0, radius: float = 0.4) -> Jets:
    """Anti-kt jets of every event.

    Args:
        pt, eta, phi, energy: ``(N,)`` particles, flat; those with pt <= 0 take no part.
        offsets: ``(B + 1,)`` event boundaries.
        min_pt: jets below are left out [GeV].
        radius: distance parameter R.
    """
    used_pt = np.where(pt > 0, pt, 0).astype(np.float64)
    px, py, pz = (np.asarray(component) for component in momentum_from_pt_eta_phi(used_pt, eta.astype(np.float64), phi.astype(np.float64)))
    return cluster_momenta(px, py, pz, energy, offsets, min_pt, radius)


def cluster_momenta(px: np.ndarray, py: np.ndarray, pz: np.ndarray, energy: np.ndarray, offsets: np.ndarray, min_pt: float = 3.0, radius: float = 0.4) -> Jets:
    """Anti-kt jets of every event, in the E-scheme; of equal distances the one merges first that depends on the order of the particles.

    A momentum that is not finite, or overflows in a sum, spoils the jet that holds it and no other.

    Args:
        px, py, pz, energy: ``(N,)`` particles, flat [GeV]; those without transverse momentum take no part.
        offsets: ``(B + 1,)`` event boundaries.
        min_pt: jets below are left out [GeV].
        radius: distance parameter R.

    Raises:
        MlpfError: the radius is not positive, or larger than any distance.
    """
    if not 0.0 < radius <= LARGEST_RADIUS:
        raise MlpfError(f"jet radius {radius}: must lie above 0, and not above {LARGEST_RADIUS:g}")
    px, py, pz, energy = (np.ascontiguousarray(values, dtype=np.float64) for values in (px, py, pz, energy))
    jets, counts, constituent_jet = cluster(px, py, pz, energy, np.ascontiguousarray(offsets, dtype=np.int64), float(min_pt), float(radius))
    with np.errstate(over="ignore"):  # an absurd momentum may be infinite in float32
        pt, eta, phi, energy = (np.asarray(v, dtype=np.float32) for v in (*pt_eta_phi_from_momentum(jets[:, 0], jets[:, 1], jets[:, 2]), jets[:, 3]))
    return Jets(pt, eta, phi, energy, offsets_from_counts(counts), constituent_jet)
