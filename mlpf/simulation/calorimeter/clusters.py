"""Clustering of particle flow: seeds, topological clusters, Gaussian sharing (arXiv:1706.04965, section 3.4).

1. A seed is a site above its seed threshold with more energy than all its competing neighbours.
2. A topological cluster holds a seed and all sites above threshold that are connected to it, corners included (not in the HF and the preshower).
3. Inside, each seed makes one cluster; the energy of a site is shared among the clusters in proportion to ``A exp(-d^2 / 2 s^2)``: A the cluster's
   energy, d the distance across the line of sight from its position, s the shower width; a seed belongs to its own cluster alone.
   Energies and positions are computed again from the shares until they rest.

With pileup one topological cluster can cover half of a calorimeter, so every site keeps a list of the few seeds that can have a share of it (`sharing.py`).
"""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.simulation.calorimeter.cells import Geometry
from mlpf.simulation.calorimeter.readout import Hits
from mlpf.simulation.calorimeter.sharing import share_by_gaussians


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
def find_topological_clusters(
    site: np.ndarray, energy: np.ndarray, neighbors: np.ndarray, num_competitors: np.ndarray, seed_threshold: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seeds, and the sites connected to them.

    Args:
        site: ``(S,)`` distinct numbers of sites, all of them above their threshold. energy: ``(S,)`` GeV.
        neighbors, num_competitors, seed_threshold: columns of `Geometry`.

    Returns:
        ``(S,) bool`` which are seeds; ``(T + 1,)`` offsets of the topological clusters into ``(M,)`` members, which are indices into ``site``.
    """
    index_of = np.full(len(neighbors), -1, dtype=np.int64)
    index_of[site] = np.arange(len(site))
    is_seed = _find_seeds(site, energy, index_of, neighbors, num_competitors, seed_threshold)
    visited = np.zeros(len(site), dtype=np.bool_)
    members, offsets = np.empty(len(site), dtype=np.int64), np.zeros(len(site) + 1, dtype=np.int64)
    count, done, clusters = 0, 0, 0
    for start in range(len(site)):
        if not is_seed[start] or visited[start]:
            continue
        visited[start] = True
        members[count] = start
        count += 1
        while done < count:
            for neighbor in neighbors[site[members[done]]]:
                other = index_of[neighbor] if neighbor >= 0 else -1
                if other >= 0 and not visited[other]:
                    visited[other] = True
                    members[count] = other
                    count += 1
            done += 1
        clusters += 1
        offsets[clusters] = count
    return is_seed, offsets[: clusters + 1], members[:count]


def cluster_hits(hits: Hits, detector: Geometry) -> Clusters:
    """Clusters of all calorimeters of an event."""
    hit_sites, hit_of_site = np.unique(detector.cell_site[hits.cell], return_inverse=True)
    site_energy = np.bincount(hit_of_site, weights=hits.energy)
    above = site_energy >= detector.threshold[hit_sites]
    site, energy = hit_sites[above], site_energy[above]
    is_seed, offsets, member = find_topological_clusters(site, energy, detector.neighbors, detector.num_competitors, detector.seed_threshold)
    own = site[member]
    columns = (detector.position[own], detector.threshold[own], detector.shower_width[own])
    seed, share_cluster, share_member, fraction = share_by_gaussians(offsets, is_seed[member], energy[member], *columns)
    order = np.argsort(share_cluster, kind="stable")
    edges = np.searchsorted(share_cluster[order], np.arange(len(seed) + 1))
    return Clusters(own[seed], edges, own[share_member[order]], fraction[order])
