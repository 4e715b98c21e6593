"""Clustering of particle flow: seeds, topological clusters, Gaussian sharing (arXiv:1706.04965, section 3.4).

1. A seed is a site above its seed threshold with more energy than all its competing neighbours.
2. A topological cluster holds a seed and all sites above threshold that are connected to it, corners included (not in the HF).
3. Inside, each seed makes one cluster; the energy of a site is shared among the clusters in proportion to ``A exp(-d^2 / 2 s^2)``: A the cluster's
   energy, d the distance across the line of sight from its position, s the shower width; a seed belongs to its own cluster alone.
   Energies and positions are computed again from the shares until they rest.
"""

import math
from typing import NamedTuple

import numba
import numpy as np

from mlpf.simulation.calorimeter import Hits
from mlpf.simulation.geometry import NUM_SITES, Geometry

MAX_ITERATIONS = 50  # as in CMS
POSITION_TOLERANCE = 1e-3  # cm; CMS iterates to 1e-8, which changes nothing that is measured
MIN_FRACTION = 1e-4  # smaller shares go to the others


class Clusters(NamedTuple):
    """Clusters as shares of sites, ``(E,)`` entries ordered by cluster.

    Attributes:
        seed_site: ``(C,)`` the site each cluster grew around.
        offsets: ``(C + 1,)`` entries of each cluster.
        site: ``(E,)``. fraction: ``(E,)`` in (0, 1]; those of one site sum to 1.
    """

    seed_site: np.ndarray
    offsets: np.ndarray
    site: np.ndarray
    fraction: np.ndarray


@numba.njit(cache=True)
def _find_seeds(
    site: np.ndarray, energy: np.ndarray, index_of: np.ndarray, neighbors: np.ndarray, num_competitors: np.ndarray, seed_threshold: np.ndarray
) -> np.ndarray:
    """``(S,) bool``: local maxima above the seed threshold; of equal neighbours the one of lower number."""
    is_seed = np.zeros(len(site), dtype=np.bool_)
    for i in range(len(site)):
        is_maximum = energy[i] >= seed_threshold[site[i]]
        for slot in range(num_competitors[site[i]]):
            other = index_of[neighbors[site[i], slot]]
            if other >= 0 and (energy[other] > energy[i] or (energy[other] == energy[i] and other < i)):
                is_maximum = False
        is_seed[i] = is_maximum
    return is_seed


@numba.njit(cache=True)
def _grow(start: int, site: np.ndarray, index_of: np.ndarray, neighbors: np.ndarray, visited: np.ndarray) -> np.ndarray:
    """Sites connected to ``start``; marks them as visited."""
    members = np.empty(len(site), dtype=np.int64)
    members[0], count, done = start, 1, 0
    visited[start] = True
    while done < count:
        for neighbor in neighbors[site[members[done]]]:
            other = index_of[neighbor] if neighbor >= 0 else -1
            if other >= 0 and not visited[other]:
                visited[other] = True
                members[count] = other
                count += 1
        done += 1
    return members[:count]


@numba.njit(cache=True)
def distance_across(a: np.ndarray, b: np.ndarray) -> float:
    """Squared distance of two points [cm], without its part along the line of sight to ``a``: on a barrel front, R^2 (d eta^2 + d phi^2)."""
    along, squared, radius_squared = 0.0, 0.0, 0.0
    for axis in range(3):
        difference = b[axis] - a[axis]
        along += difference * a[axis]
        squared += difference**2
        radius_squared += a[axis] ** 2
    return squared - along**2 / radius_squared


@numba.njit(cache=True)
def _share_by_gaussians(energy: np.ndarray, position: np.ndarray, threshold: np.ndarray, seeds: np.ndarray, width: float) -> np.ndarray:
    """``(M, K)`` fraction of each of M sites in each of K clusters, rows summing to 1."""
    num_sites, num_clusters = len(energy), len(seeds)
    center, amplitude = position[seeds].copy(), energy[seeds].copy()
    fraction = np.zeros((num_sites, num_clusters))
    for _ in range(MAX_ITERATIONS):
        for i in range(num_sites):
            _share_site(fraction[i], amplitude, center, position[i], width)
        for k in range(num_clusters):  # a seed's energy is its own cluster's
            fraction[seeds[k], :] = 0.0
            fraction[seeds[k], k] = 1.0
        moved = 0.0
        for k in range(num_clusters):
            amplitude[k] = np.sum(fraction[:, k] * energy)
            new_center = _log_weighted_center(fraction[:, k] * energy, position, threshold, seeds[k])
            moved = max(moved, np.max(np.abs(new_center - center[k])))
            center[k] = new_center
        if moved < POSITION_TOLERANCE:
            break
    return fraction


@numba.njit(cache=True)
def _share_site(fraction: np.ndarray, amplitude: np.ndarray, center: np.ndarray, position: np.ndarray, width: float) -> None:
    """Fill one site's fractions."""
    largest = -math.inf
    for k in range(len(fraction)):
        fraction[k] = math.log(amplitude[k]) - 0.5 * distance_across(position, center[k]) / width**2
        largest = max(largest, fraction[k])
    total = 0.0
    for k in range(len(fraction)):
        fraction[k] = math.exp(fraction[k] - largest)  # relative to the largest, so that a far site does not underflow in all
        fraction[k] = fraction[k] if fraction[k] > MIN_FRACTION else 0.0
        total += fraction[k]
    fraction /= total


@numba.njit(cache=True)
def _log_weighted_center(energy: np.ndarray, position: np.ndarray, threshold: np.ndarray, seed: int) -> np.ndarray:
    """Mean position with weights ``log(energy / threshold)``, the seed's if nothing is above threshold."""
    center, total = np.zeros(3), 0.0
    for i in range(len(energy)):
        if energy[i] > threshold[i]:
            weight = math.log(energy[i] / threshold[i])
            center += weight * position[i]
            total += weight
    return center / total if total > 0.0 else position[seed].copy()


@numba.njit(cache=True)
def cluster_sites(
    site: np.ndarray, energy: np.ndarray, position: np.ndarray, neighbors: np.ndarray, num_competitors: np.ndarray,
    threshold: np.ndarray, seed_threshold: np.ndarray, shower_width: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Cluster the sites with energy.

    Args:
        site: ``(S,)`` distinct numbers of sites, all of them above their threshold. energy: ``(S,)`` GeV.
        position, neighbors, num_competitors, threshold, seed_threshold, shower_width: columns of `Geometry`.

    Returns:
        ``(C,)`` index into ``site`` of the clusters' seeds; of each share, in the order of the clusters: cluster, index into ``site``, fraction.
    """
    index_of = np.full(len(neighbors), -1, dtype=np.int64)
    index_of[site] = np.arange(len(site))
    is_seed = _find_seeds(site, energy, index_of, neighbors, num_competitors, seed_threshold)
    visited = np.zeros(len(site), dtype=np.bool_)
    cluster_seed, share_cluster, share_index, share_fraction = [0 for _ in range(0)], [0 for _ in range(0)], [0 for _ in range(0)], [0.0 for _ in range(0)]
    for start in np.flatnonzero(is_seed):
        if visited[start]:
            continue
        members = _grow(int(start), site, index_of, neighbors, visited)
        seeds = np.flatnonzero(is_seed[members])
        numbers = site[members]
        fraction = _share_by_gaussians(energy[members], position[numbers], threshold[numbers], seeds, shower_width[site[start]])
        for k in range(len(seeds)):
            for i in range(len(members)):
                if fraction[i, k] > 0.0:
                    share_cluster.append(len(cluster_seed))
                    share_index.append(members[i])
                    share_fraction.append(fraction[i, k])
            cluster_seed.append(members[seeds[k]])
    return np.array(cluster_seed), np.array(share_cluster), np.array(share_index), np.array(share_fraction)


def cluster_hits(hits: Hits, detector: Geometry) -> Clusters:
    """Clusters of all calorimeters of an event."""
    site_energy = np.bincount(detector.cell_site[hits.cell], weights=hits.energy, minlength=NUM_SITES)
    site = np.flatnonzero(site_energy >= detector.threshold)
    columns = (detector.position, detector.neighbors, detector.num_competitors, detector.threshold, detector.seed_threshold, detector.shower_width)
    seed, share_cluster, share_index, fraction = cluster_sites(site, site_energy[site], *columns)
    offsets = np.searchsorted(share_cluster, np.arange(len(seed) + 1))
    return Clusters(site[seed.astype(np.int64)], offsets, site[share_index.astype(np.int64)], fraction)
