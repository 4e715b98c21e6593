"""Directions of neutral candidates: from the hard vertex to where the cluster was seen."""

import numba
import numpy as np

from mlpf.classical.elements import Elements
from mlpf.kinematics import pt_eta_phi_from_momentum
from mlpf.schema import ElementType

VERTEX_WINDOW = 0.2  # cm; several times the resolution of a track's vz, far below the spacing of pileup vertices (a few mm to cm over 5 cm)


def neutral_direction(elements: Elements, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pseudorapidity and azimuth of the lines from each event's hard vertex to the clusters ``index``.

    Clusters without a position (older ntuples) keep their own eta and phi, which are seen from the origin.
    """
    tracks = elements.of_type(ElementType.TRACK)
    vertex = _hardest_vertex(elements.vz[tracks], elements.pt[tracks], np.searchsorted(tracks, elements.offsets), VERTEX_WINDOW)
    x, y, z = elements.x[index], elements.y[index], elements.z[index]
    known = np.hypot(x, y) > 0.0
    _, eta, phi = pt_eta_phi_from_momentum(x, y, z - vertex[elements.event()[index]])
    return np.where(known, eta, elements.eta[index]), np.where(known, phi, elements.phi[index])


@numba.njit(cache=True)
def _hardest_vertex(vz: np.ndarray, pt: np.ndarray, offsets: np.ndarray, window: float) -> np.ndarray:
    """``(B,)`` z of the hard vertex: the mean, weighted with pt^2, of the tracks in the window of z that holds the largest sum of pt^2; 0 without tracks."""
    vertex = np.zeros(len(offsets) - 1)
    for event in range(len(vertex)):
        z, weight = vz[offsets[event] : offsets[event + 1]], pt[offsets[event] : offsets[event + 1]] ** 2
        order = np.argsort(z)
        best = 0.0
        first = 0
        total = moment = 0.0
        for last in order:
            total += weight[last]
            moment += weight[last] * z[last]
            while z[last] - z[order[first]] > window:
                total -= weight[order[first]]
                moment -= weight[order[first]] * z[order[first]]
                first += 1
            if total > best:
                best, vertex[event] = total, moment / total
    return vertex
