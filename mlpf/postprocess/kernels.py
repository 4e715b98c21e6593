"""Loops of the postprocessing, compiled; all in one file, since numba's cache does not see changes in callees of another.

Particles, elements and events are counted through a chunk. Everything is linear in the number of links but for the search of neighbours, whose cost grows with
the number of points in a strip of eta.
"""

import numba
import numpy as np


@numba.njit(cache=True)
def group(key: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Stable counting sort: positions of key k, in order, are ``order[offsets[k]:offsets[k + 1]]``.

    Args:
        key: ``(L,)`` integers from 0 to size - 1.
        size: number of keys.

    Returns:
        offsets ``(size + 1,) int64`` and order ``(L,) int64``.
    """
    offsets = np.zeros(size + 1, dtype=np.int64)
    for k in key:
        offsets[k + 1] += 1
    for k in range(size):
        offsets[k + 1] += offsets[k]
    following = offsets[:-1].copy()
    order = np.empty(len(key), dtype=np.int64)
    for position in range(len(key)):
        k = key[position]
        order[following[k]] = position
        following[k] += 1
    return offsets, order


@numba.njit(cache=True)
def unique_pairs(particle: np.ndarray, element: np.ndarray, weight: np.ndarray, num_elements: int, last_counts: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mask of the first link of every (particle, element) pair, and weights in which it has the last one's where that counts."""
    kept = np.ones(len(particle), dtype=np.bool_)
    weight = weight.copy()
    first_link = np.full(num_elements, -1, dtype=np.int64)
    for link in group(particle, particle.max() + 1 if len(particle) else 0)[1]:
        first = first_link[element[link]]
        if first >= 0 and particle[first] == particle[link]:
            kept[link] = False
            if last_counts:
                weight[first] = weight[link]
        else:
            first_link[element[link]] = link
    return kept, weight


@numba.njit(cache=True)
def pairs_within(
    eta_a: np.ndarray, phi_a: np.ndarray, event_a: np.ndarray, eta_b: np.ndarray, phi_b: np.ndarray, offsets_b: np.ndarray, radius: float, chord: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of a and b of the same event that are no further apart than ``radius``.

    Args:
        eta_a, phi_a, event_a: ``(N,)`` points and the event of each.
        eta_b, phi_b: ``(M,)`` points by event (``offsets_b``) and, inside, by ascending eta.
        radius: largest distance, inclusive.
        chord: measure phi along the chord, the distance in (eta, sin phi, cos phi); else along the arc, delta R.

    Returns:
        positions in a and b and distances, ``(K,)`` each, by ascending position in a.
    """
    pair_a, pair_b, distances = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    for fill in (False, True):  # count, then store
        num_pairs = 0
        for i in range(len(eta_a)):
            stop = offsets_b[event_a[i] + 1]
            j = offsets_b[event_a[i]]
            j += np.searchsorted(eta_b[j:stop], eta_a[i] - radius - 1e-6)  # 1e-6: above rounding, below any change of cost
            while j < stop and eta_b[j] <= eta_a[i] + radius + 1e-6:
                arc = phi_a[i] - phi_b[j]
                arc -= 2.0 * np.pi * np.round(arc / (2.0 * np.pi))
                distance = np.sqrt((eta_a[i] - eta_b[j]) ** 2 + (2.0 * np.sin(0.5 * arc) if chord else arc) ** 2)
                if distance <= radius:
                    if fill:
                        pair_a[num_pairs], pair_b[num_pairs], distances[num_pairs] = i, j, distance
                    num_pairs += 1
                j += 1
        if not fill:
            pair_a, pair_b, distances = np.empty(num_pairs, dtype=np.int64), np.empty(num_pairs, dtype=np.int64), np.empty(num_pairs)
    return pair_a, pair_b, distances


@numba.njit(cache=True)
def assign_by_element(
    element_order: np.ndarray,
    offsets: np.ndarray,
    order: np.ndarray,
    particle_order: np.ndarray,
    particle: np.ndarray,
    weight: np.ndarray,
) -> np.ndarray:
    """Elements in turn take their highest-weight particle that is free; then each particle left over joins its highest-weight element.

    Args:
        element_order: elements in the order in which they take.
        offsets, order: links grouped by element.
        particle_order: all particles, in the order in which left-over ones join.
        particle, weight: the links.

    Returns:
        links by which particles joined, in the order of joining.
    """
    taken = np.zeros(len(particle_order), dtype=np.bool_)
    members = np.empty(len(particle_order), dtype=np.int64)
    num_members = 0
    for e in element_order:
        best = -1
        for link in order[offsets[e] : offsets[e + 1]]:
            if not taken[particle[link]] and (best < 0 or weight[link] > weight[best]):
                best = link
        if best >= 0:
            taken[particle[best]] = True
            members[num_members] = best
            num_members += 1
    return _with_left_over(members, num_members, taken, particle_order, particle, weight)


@numba.njit(cache=True)
def assign_by_particle(particle_order: np.ndarray, num_elements: int, particle: np.ndarray, element: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Particles in turn take their highest-weight element that is free; then those left over join their highest-weight element.

    Returns:
        links by which particles joined, in the order of joining.
    """
    offsets, order = group(particle, len(particle_order))
    taken = np.zeros(num_elements, dtype=np.bool_)
    joined = np.zeros(len(particle_order), dtype=np.bool_)
    members = np.empty(len(particle_order), dtype=np.int64)
    num_members = 0
    for p in particle_order:
        best = -1
        for link in order[offsets[p] : offsets[p + 1]]:
            if not taken[element[link]] and (best < 0 or weight[link] > weight[best]):
                best = link
        if best >= 0:
            taken[element[best]] = joined[p] = True
            members[num_members] = best
            num_members += 1
    return _with_left_over(members, num_members, joined, particle_order, particle, weight)


@numba.njit(cache=True)
def _with_left_over(
    members: np.ndarray, num_members: int, joined: np.ndarray, particle_order: np.ndarray, particle: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The first ``num_members`` members, then the highest-weight link of every particle that has not joined, in the order of the particles."""
    best_link = _best_links(len(particle_order), particle, weight)
    for p in particle_order:
        if not joined[p] and best_link[p] >= 0:
            members[num_members] = best_link[p]
            num_members += 1
    return members[:num_members]


@numba.njit(cache=True)
def _best_links(num_particles: int, particle: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``(P,)`` highest-weight link of every particle, the first of equals; -1 where it has none."""
    best = np.full(num_particles, -1, dtype=np.int64)
    for link in range(len(particle)):
        p = particle[link]
        if best[p] < 0 or weight[link] > weight[best[p]]:
            best[p] = link
    return best


@numba.njit(cache=True)
def match_candidates(
    candidate_order: np.ndarray,
    candidate: np.ndarray,
    element: np.ndarray,
    allowed: np.ndarray,
    preference: np.ndarray,
) -> np.ndarray:
    """Candidates in turn take the preferred free element that they are linked to, the first of equals.

    Args:
        candidate_order: candidates in the order in which they take.
        candidate, element: ``(L,)`` links.
        allowed: ``(L,) bool``, whether the candidate may take that element.
        preference: ``(N,)`` per element, larger is better.

    Returns:
        ``(N,) int64`` candidate of every element, -1 where it has none.
    """
    offsets, order = group(candidate, len(candidate_order))
    candidate_of = np.full(len(preference), -1, dtype=np.int64)
    for c in candidate_order:
        best = -1
        for link in order[offsets[c] : offsets[c + 1]]:
            e = element[link]
            if allowed[link] and candidate_of[e] < 0 and (best < 0 or preference[e] > preference[best]):
                best = e
        if best >= 0:
            candidate_of[best] = c
    return candidate_of


@numba.njit(cache=True)
def sum_members(
    particle: np.ndarray,
    element: np.ndarray,
    weight: np.ndarray,
    momentum: np.ndarray,
    extras: np.ndarray,
    num_elements: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums over the particles of every element, and which of them leads.

    Args:
        particle, element, weight: ``(K,)`` links by which particles joined.
        momentum: ``(P, 4)`` px, py, pz, energy.
        extras: ``(P, X)`` further quantities to sum.

    Returns:
        summed momenta ``(N, 4)`` and extras ``(N, X)``; ``(N,) int64`` highest-energy and highest-weight particle, the first of equals, -1 where there is none.
    """
    momenta = np.zeros((num_elements, 4))
    sums = np.zeros((num_elements, extras.shape[1]))
    most_energy = np.full(num_elements, -1, dtype=np.int64)
    heaviest = np.full(num_elements, -1, dtype=np.int64)
    largest_weight = np.zeros(num_elements)
    for link in range(len(particle)):
        p, e = particle[link], element[link]
        momenta[e] += momentum[p]
        sums[e] += extras[p]
        if most_energy[e] < 0 or momentum[p, 3] > momentum[most_energy[e], 3]:
            most_energy[e] = p
        if heaviest[e] < 0 or weight[link] > largest_weight[e]:
            heaviest[e], largest_weight[e] = p, weight[link]
    return momenta, sums, most_energy, heaviest


@numba.njit(cache=True)
def pairs_of_members(owner: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of members that have an owner in common, as often as they have.

    Args:
        owner, member: ``(L,)`` links.

    Returns:
        the two members of every pair.
    """
    offsets, order = group(owner, owner.max() + 1 if len(owner) else 0)
    num_pairs = 0
    for o in range(len(offsets) - 1):
        num_members = offsets[o + 1] - offsets[o]
        num_pairs += num_members * (num_members - 1) // 2
    first, second = np.empty(num_pairs, dtype=np.int64), np.empty(num_pairs, dtype=np.int64)
    num_pairs = 0
    for o in range(len(offsets) - 1):
        for i in range(offsets[o], offsets[o + 1]):
            for j in range(i + 1, offsets[o + 1]):
                first[num_pairs], second[num_pairs] = member[order[i]], member[order[j]]
                num_pairs += 1
    return first, second
