"""What a cluster looks like: energy, position and spreads from its hits, with the conventions of the consumer (see `schema.ELEMENT`)."""

import math
from typing import NamedTuple

import numba
import numpy as np

from mlpf.kinematics import delta_phi
from mlpf.simulation.calorimeter.cells import Geometry
from mlpf.simulation.calorimeter.clusters import Clusters
from mlpf.simulation.calorimeter.geometry import LAYER_HB, LAYER_HE
from mlpf.simulation.calorimeter.readout import Hits

NUM_SPREADS = 4  # depths 1, 2, 3, and all others together (0 included)


class ClusterHits(NamedTuple):
    """Hits of the clusters, ``(X,)`` entries ordered by cluster.

    Attributes:
        offsets: ``(C + 1,)``.
        hit: index into the event's `Hits`. fraction: share of the hit.
    """

    offsets: np.ndarray
    hit: np.ndarray
    fraction: np.ndarray


class Moments(NamedTuple):
    """Of C clusters.

    Attributes:
        energy: ``(C,)`` sum of the shares of hits [GeV].
        position: ``(C, 3)`` cm: in ECAL and HF weighted by the logarithm of the energy over its threshold, in the HCAL by energy.
        depth: ``(C,)`` mean depth, by energy.
        num_hits: ``(C,)``.
        energy_spread, eta_spread, phi_spread: ``(C,)`` standard deviation over hits, unweighted, 0 for one hit.
        eta_spread_by_depth, phi_spread_by_depth: ``(C, 4)`` energy-weighted, in depth 1, 2, 3, others.
        position_spread: ``(C, 3)`` energy-weighted [cm].
    """

    energy: np.ndarray
    position: np.ndarray
    depth: np.ndarray
    num_hits: np.ndarray
    energy_spread: np.ndarray
    eta_spread: np.ndarray
    phi_spread: np.ndarray
    eta_spread_by_depth: np.ndarray
    phi_spread_by_depth: np.ndarray
    position_spread: np.ndarray


@numba.njit(cache=True)
def _list_hits(offsets: np.ndarray, fraction: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Site shares -> hit shares; the hits of share e are ``first[e]`` to ``last[e] - 1``."""
    total = np.sum(last - first)
    hit, hit_fraction, hit_offsets = np.empty(total, dtype=np.int64), np.empty(total), np.zeros(len(offsets), dtype=np.int64)
    count = 0
    for c in range(len(offsets) - 1):
        for e in range(offsets[c], offsets[c + 1]):
            for h in range(first[e], last[e]):
                hit[count], hit_fraction[count] = h, fraction[e]
                count += 1
        hit_offsets[c + 1] = count
    return hit_offsets, hit, hit_fraction


def cluster_hit_list(clusters: Clusters, hits: Hits, detector: Geometry) -> ClusterHits:
    """Spell out the clusters' sites as hits: every depth of a tower shares the tower's fraction."""
    first, last = (np.searchsorted(detector.cell_site[hits.cell], clusters.site, side=side) for side in ("left", "right"))
    return ClusterHits(*_list_hits(clusters.offsets, clusters.fraction, first, last))


@numba.njit(cache=True)
def _standard_deviation(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted, unbiased as `TMath::StdDev`: ``sqrt(sum w (x - mean)^2 sum w / ((sum w)^2 - sum w^2))``; 0 where that is undefined."""
    total, total_squares = np.sum(weights), np.sum(weights**2)
    if len(values) < 2 or total**2 - total_squares <= 1e-9 * total**2:
        return 0.0
    mean = np.sum(weights * values) / total
    return math.sqrt(np.sum(weights * (values - mean) ** 2) * total / (total**2 - total_squares))


@numba.njit(cache=True)
def _center(energy: np.ndarray, threshold: np.ndarray, position: np.ndarray, logarithmic: bool) -> np.ndarray:
    weights = energy.copy()
    if logarithmic:
        weights = np.maximum(np.log(energy / threshold), 0.0)
        if np.sum(weights) <= 0.0:
            weights[np.argmax(energy)] = 1.0
    center = np.zeros(3)
    for h in range(len(energy)):
        center += weights[h] * position[h]
    return center / np.sum(weights)


@numba.njit(cache=True)
def _moments(
    offsets: np.ndarray, hit_energy: np.ndarray, position: np.ndarray, depth: np.ndarray, eta: np.ndarray, phi: np.ndarray, threshold: np.ndarray,
    logarithmic: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """``(C, 3)`` positions, ``(C, 3)`` energy, depth and number of hits, ``(C, 14)`` spreads in the order of `Moments`."""
    count = len(offsets) - 1
    centers, sums, spreads = np.zeros((count, 3)), np.zeros((count, 3)), np.zeros((count, 6 + 2 * NUM_SPREADS))
    for c in range(count):
        own = slice(offsets[c], offsets[c + 1])
        energy, hit_depth, hit_position, hit_eta = hit_energy[own], depth[own], position[own], eta[own]
        total = np.sum(energy)
        centers[c] = _center(energy, threshold[own], hit_position, logarithmic[offsets[c]])
        sums[c, 0], sums[c, 1], sums[c, 2] = total, np.sum(energy * hit_depth) / total, len(energy)
        center_phi = math.atan2(centers[c, 1], centers[c, 0])
        hit_phi = np.empty(len(energy))
        for h in range(len(energy)):
            hit_phi[h] = delta_phi(phi[own][h], center_phi)
        ones = np.ones(len(energy))
        spreads[c, 0], spreads[c, 1], spreads[c, 2] = (
            _standard_deviation(energy, ones), _standard_deviation(hit_eta, ones), _standard_deviation(hit_phi, ones)
        )  # fmt: skip
        for k in range(NUM_SPREADS):
            inside = hit_depth == k + 1 if k < NUM_SPREADS - 1 else (hit_depth == 0) | (hit_depth >= NUM_SPREADS)
            spreads[c, 3 + k] = _standard_deviation(hit_eta[inside], energy[inside])
            spreads[c, 3 + NUM_SPREADS + k] = _standard_deviation(hit_phi[inside], energy[inside])
        for axis in range(3):
            spreads[c, 3 + 2 * NUM_SPREADS + axis] = _standard_deviation(hit_position[:, axis], energy)
    return centers, sums, spreads


def cluster_moments(cluster_hits: ClusterHits, hits: Hits, detector: Geometry) -> Moments:
    """Energy, position and spreads of all clusters of an event."""
    cell = hits.cell[cluster_hits.hit]
    site = detector.cell_site[cell]
    hit_energy = hits.energy[cluster_hits.hit] * cluster_hits.fraction
    position = detector.position[site] * detector.cell_scale[cell][:, None]
    logarithmic = (detector.layer[site] != LAYER_HB) & (detector.layer[site] != LAYER_HE)
    columns = (position, detector.cell_depth[cell], detector.eta[site], detector.phi[site], detector.threshold[site], logarithmic)
    centers, sums, spreads = _moments(cluster_hits.offsets, hit_energy, *columns)
    by_depth = spreads[:, 3 : 3 + NUM_SPREADS], spreads[:, 3 + NUM_SPREADS : 3 + 2 * NUM_SPREADS]
    return Moments(sums[:, 0], centers, sums[:, 1], sums[:, 2], spreads[:, 0], spreads[:, 1], spreads[:, 2], *by_depth, spreads[:, 3 + 2 * NUM_SPREADS :])
