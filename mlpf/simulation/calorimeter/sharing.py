"""Gaussian sharing of sites between the seeds of a topological cluster (arXiv:1706.04965, section 3.4), on lists of candidates instead of a dense matrix."""

import math

import numba
import numpy as np

MAX_ITERATIONS = 50  # as in CMS
POSITION_TOLERANCE = 1e-3  # cm; CMS iterates to 1e-8, which changes nothing that is measured
MIN_FRACTION = 1e-4  # of the largest share of a site; smaller ones go to the others
# A seed is a candidate for a site if its share can reach MIN_FRACTION though it is 1e5 times as energetic as the nearest one, and both move by a shower width
# towards and away from the site: d < s + sqrt(2 ln(1e9) s^2 + (nearest + s)^2). CMSSW skips what is further away than 10 s.
# Among few seeds all are candidates: some clusters move by more, those of the preshower from one strip to the next, 20 widths away.
FEW_SEEDS = 16
MAX_LOG_RATIO = math.log(1e5 / MIN_FRACTION)
MIN_COSINE = 0.9  # of half the angle between a site and a candidate, which are less than 50 degrees apart


@numba.njit(cache=True)
def distance_across(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    """Squared distance of two points [cm] without its part along the line of sight to the first: on a barrel front, R^2 (d eta^2 + d phi^2).

    Infinite for points on opposite sides of the origin.
    """
    radius_squared, product = ax * ax + ay * ay + az * az, ax * bx + ay * by + az * bz
    if product <= 0.0:
        return math.inf
    return bx * bx + by * by + bz * bz - product * product / radius_squared


@numba.njit(cache=True)
def _across(position: np.ndarray, i: int, center: np.ndarray, k: int) -> float:
    return distance_across(position[i, 0], position[i, 1], position[i, 2], center[k, 0], center[k, 1], center[k, 2])


@numba.njit(cache=True)
def _candidates(position: np.ndarray, is_seed: np.ndarray, seeds: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """``(M + 1,)`` offsets and ``(Q,)`` seeds that can have a share of each of the M sites; of a seed itself alone."""
    norm = np.sqrt(np.sum(position**2, axis=1))
    order = np.argsort(position[seeds, 2] / norm[seeds])
    center, cosine = position[seeds[order]], (position[seeds, 2] / norm[seeds])[order]
    scale = 1.0 / (MIN_COSINE * np.min(norm[seeds]))  # a distance is at most this much of a difference in cos(theta)
    offsets, candidates, count, own = np.zeros(len(position) + 1, dtype=np.int64), np.empty(16 * len(position), dtype=np.int64), 0, 0
    for i in range(len(position)):
        if is_seed[i]:
            low, high, reach_squared = own, own, 0.0
        elif len(seeds) <= FEW_SEEDS:
            low, high, reach_squared = 0, len(seeds), math.inf
        else:
            nearest = math.sqrt(_nearest(position, i, center, cosine, norm[i], 8.0 * width * scale))
            reach_squared = (width + math.sqrt(2.0 * MAX_LOG_RATIO * width**2 + (nearest + width) ** 2)) ** 2
            window = math.sqrt(reach_squared) * scale
            low, high = np.searchsorted(cosine, position[i, 2] / norm[i] - window), np.searchsorted(cosine, position[i, 2] / norm[i] + window)
        if count + high - low + 1 > len(candidates):
            candidates = np.concatenate((candidates, np.empty(len(candidates) + high - low + 1, dtype=np.int64)))
        if is_seed[i]:
            candidates[count] = own
            own, count = own + 1, count + 1
        for k in range(low, high):
            if _across(position, i, center, k) <= reach_squared:
                candidates[count] = order[k]
                count += 1
        offsets[i + 1] = count
    return offsets, candidates[:count]


@numba.njit(cache=True)
def _nearest(position: np.ndarray, i: int, center: np.ndarray, cosine: np.ndarray, norm: float, window: float) -> float:
    """Squared distance of a site to the nearest seed; looks within the window of cos(theta) first."""
    nearest = math.inf
    low, high = np.searchsorted(cosine, position[i, 2] / norm - window), np.searchsorted(cosine, position[i, 2] / norm + window)
    for k in range(low, high):
        nearest = min(nearest, _across(position, i, center, k))
    if nearest == math.inf:
        for k in range(len(cosine)):
            nearest = min(nearest, _across(position, i, center, k))
    return nearest


@numba.njit(cache=True)
def _share_site(
    fraction: np.ndarray, candidates: np.ndarray, log_amplitude: np.ndarray, center: np.ndarray, position: np.ndarray, i: int, width: float
) -> None:
    """Fill one site's fractions."""
    largest = -math.inf
    for q in range(len(candidates)):
        fraction[q] = log_amplitude[candidates[q]] - 0.5 * _across(position, i, center, candidates[q]) / width**2
        largest = max(largest, fraction[q])
    total = 0.0
    for q in range(len(candidates)):
        relative = fraction[q] - largest  # to the largest, so that a far site does not underflow in all
        fraction[q] = math.exp(relative) if relative > math.log(MIN_FRACTION) else 0.0
        total += fraction[q]
    fraction /= total


@numba.njit(cache=True)
def _share_topological_cluster(
    energy: np.ndarray, position: np.ndarray, threshold: np.ndarray, seeds: np.ndarray, offsets: np.ndarray, candidates: np.ndarray, width: float
) -> np.ndarray:
    """``(Q,)`` fraction of each of M sites for each of its candidates among K seeds."""
    center, amplitude = position[seeds].copy(), energy[seeds].copy()
    fraction = np.ones(len(candidates))
    for _ in range(MAX_ITERATIONS):
        log_amplitude = np.log(amplitude)
        amplitude[:] = 0.0
        weighted, weight = np.zeros((len(seeds), 3)), np.zeros(len(seeds))
        for i in range(len(energy)):
            own = slice(offsets[i], offsets[i + 1])
            if offsets[i + 1] - offsets[i] > 1:
                _share_site(fraction[own], candidates[own], log_amplitude, center, position, i, width)
            for q in range(offsets[i], offsets[i + 1]):
                shared, k = fraction[q] * energy[i], candidates[q]
                amplitude[k] += shared
                if shared > threshold[i]:
                    log_weight = math.log(shared / threshold[i])
                    weight[k] += log_weight
                    for axis in range(3):
                        weighted[k, axis] += log_weight * position[i, axis]
        moved = 0.0
        for k in range(len(seeds)):
            for axis in range(3):
                new = weighted[k, axis] / weight[k] if weight[k] > 0.0 else position[seeds[k], axis]
                moved = max(moved, abs(new - center[k, axis]))
                center[k, axis] = new
        if moved < POSITION_TOLERANCE:
            break
    return fraction


@numba.njit(cache=True)
def share_by_gaussians(
    offsets: np.ndarray, is_seed: np.ndarray, energy: np.ndarray, position: np.ndarray, threshold: np.ndarray, shower_width: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Share the sites of topological clusters.

    Args:
        offsets: ``(T + 1,)`` of the topological clusters into their ``(M,)`` sites; each holds a seed.
        is_seed, energy, threshold, shower_width: ``(M,)`` GeV, cm. position: ``(M, 3)`` cm.

    Returns:
        ``(C,)`` seed of every cluster; of each share, ``(E,)``: cluster, site, fraction. All sites count from 0 to M - 1.
    """
    all_seeds = np.flatnonzero(is_seed)
    share_cluster, share_site, share_fraction = np.empty(2 * len(energy), np.int64), np.empty(2 * len(energy), np.int64), np.empty(2 * len(energy))
    first_cluster, count = 0, 0
    for t in range(len(offsets) - 1):
        own = slice(offsets[t], offsets[t + 1])
        seeds = np.flatnonzero(is_seed[own])
        width = shower_width[offsets[t]]
        if len(seeds) > 1:
            edges, candidates = _candidates(position[own], is_seed[own], seeds, width)
            fraction = _share_topological_cluster(energy[own], position[own], threshold[own], seeds, edges, candidates, width)
        else:
            edges, candidates, fraction = (
                np.arange(offsets[t + 1] - offsets[t] + 1),
                np.zeros(offsets[t + 1] - offsets[t], np.int64),
                np.ones(len(is_seed[own])),
            )
        if count + len(fraction) > len(share_cluster):
            spare = count + len(fraction)
            share_cluster, share_site = np.concatenate((share_cluster, np.empty(spare, np.int64))), np.concatenate((share_site, np.empty(spare, np.int64)))
            share_fraction = np.concatenate((share_fraction, np.empty(spare)))
        for i in range(len(edges) - 1):
            for q in range(edges[i], edges[i + 1]):
                if fraction[q] > 0.0:
                    share_cluster[count], share_site[count], share_fraction[count] = first_cluster + candidates[q], offsets[t] + i, fraction[q]
                    count += 1
        first_cluster += len(seeds)
    return all_seeds, share_cluster[:count], share_site[:count], share_fraction[:count]
