"""Links of particles to clusters, from exact energies per cell."""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.events import offsets_from_counts
from mlpf.simulation.calorimeter.geometry import LAYER_PS1, LAYER_PS2, NUM_CELLS
from mlpf.simulation.calorimeter.moments import ClusterHits
from mlpf.simulation.calorimeter.readout import Deposits, Hits

# GeV; links below are not written: a fifth of all, 3e-5 of the energy. Of the preshower, whose strips measure keV: an eighth of a MIP.
MIN_LINK_ENERGY, MIN_STRIP_LINK_ENERGY = 1e-3, 1e-5


class Links(NamedTuple):
    """Weighted pairs, ``(L,)`` each, ordered by first, then second.

    Attributes:
        first, second: indices.
        energy: shared energy [GeV]. fraction: summed fractions of cells.
    """

    first: np.ndarray
    second: np.ndarray
    energy: np.ndarray
    fraction: np.ndarray


@numba.njit(cache=True)
def _share_energy(
    particle: np.ndarray, hit: np.ndarray, share: np.ndarray, hit_energy: np.ndarray,
    hit_offsets: np.ndarray, hit_cluster: np.ndarray, hit_fraction: np.ndarray, num_clusters: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Sum ``hit energy * cluster's fraction * particle's share`` over hits, for every (particle, cluster) that meet; deposits come in particle order."""
    capacity = 0
    for d in range(len(particle)):
        capacity += hit_offsets[hit[d] + 1] - hit_offsets[hit[d]]
    first, second = np.empty(capacity, dtype=np.int64), np.empty(capacity, dtype=np.int64)
    energy, fraction = np.zeros(capacity), np.zeros(capacity)
    slot = np.full(num_clusters, -1, dtype=np.int64)  # of a cluster among the current particle's links
    count, start = 0, 0
    for d in range(len(particle)):
        if count > start and particle[d] != first[start]:
            slot[second[start:count]] = -1
            start = count
        for e in range(hit_offsets[hit[d]], hit_offsets[hit[d] + 1]):
            cluster = hit_cluster[e]
            if slot[cluster] < 0:
                slot[cluster] = count
                first[count], second[count] = particle[d], cluster
                count += 1
            energy[slot[cluster]] += hit_energy[hit[d]] * hit_fraction[e] * share[d]
            fraction[slot[cluster]] += hit_fraction[e] * share[d]
    return first[:count], second[:count], energy[:count], fraction[:count]


def particle_cluster_links(deposits: Deposits, hits: Hits, cluster_hits: ClusterHits) -> Links:
    """Links of particles to clusters: measured energy of each hit, times the cluster's fraction of it, times the particle's share of its true energy."""
    num_clusters = len(cluster_hits.offsets) - 1
    hit_of_cell = np.full(NUM_CELLS, -1, dtype=np.int64)
    hit_of_cell[hits.cell] = np.arange(len(hits.cell))
    hit = hit_of_cell[deposits.cell]
    read = np.flatnonzero(hit >= 0)
    share = deposits.energy[read] / hits.deposited[hit[read]]

    cluster = np.repeat(np.arange(num_clusters), np.diff(cluster_hits.offsets))
    by_hit = np.argsort(cluster_hits.hit, kind="stable")
    hit_offsets = offsets_from_counts(np.bincount(cluster_hits.hit, minlength=len(hits.cell)))
    by_hit_columns = (hit_offsets, cluster[by_hit], cluster_hits.fraction[by_hit], num_clusters)
    return sum_links(Links(*_share_energy(deposits.particle[read], hit[read], share, hits.energy, *by_hit_columns)))


def without_faint(links: Links, layer: np.ndarray) -> Links:
    """Only the links that share at least `MIN_LINK_ENERGY`, or `MIN_STRIP_LINK_ENERGY` in the preshower; ``layer`` is the PFLayer of the clusters."""
    is_preshower = np.isin(layer[links.second], (LAYER_PS1, LAYER_PS2))
    kept = links.energy >= np.where(is_preshower, MIN_STRIP_LINK_ENERGY, MIN_LINK_ENERGY)
    return Links._make(values[kept] for values in links)


def sum_links(links: Links) -> Links:
    """Merge equal pairs and order them; used to go from particles to their CaloParticles and from clusters to superclusters."""
    if len(links.first) == 0:
        return links
    stride = int(links.second.max()) + 1
    pairs, inverse = np.unique(links.first * stride + links.second, return_inverse=True)
    energy, fraction = (np.bincount(inverse, weights=values) for values in (links.energy, links.fraction))
    return Links(pairs // stride, pairs % stride, energy, fraction)
