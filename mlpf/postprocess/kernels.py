"""Loops of the postprocessing, compiled; all in one file, since numba's cache does not see changes in callees of another.

Particles, elements and events are counted through a chunk. Links lie event by event, so that a loop over them touches memory of one event at a time and finds
it in the cache. Everything is linear in the number of links but for the search of neighbours, whose cost grows with the number of points in a strip of eta.
"""

import numba
import numpy as np

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


@numba.njit(cache=True, nogil=True)
def read_links(
    first: np.ndarray,
    second: np.ndarray,
    weight: np.ndarray,
    link_offsets: np.ndarray,
    first_offsets: np.ndarray,
    second_offsets: np.ndarray,
    wanted: np.ndarray,
) -> Arrays:
    """Links between entries counted inside their events -> links between entries counted through the chunk.

    Args:
        first, second, weight: ``(L,)`` links.
        link_offsets, first_offsets, second_offsets: ``(B + 1,)`` event boundaries of the links and of what they link.
        wanted: ``bool`` for every second; links to others are left out.

    Returns:
        first, second ``int32`` and weight ``float64`` of the links that stay, in their order.
    """
    firsts, seconds, weights = np.empty(len(first), dtype=np.int32), np.empty(len(first), dtype=np.int32), np.empty(len(first))
    num_links = 0
    for event in range(len(link_offsets) - 1):
        start_first, start_second = first_offsets[event], second_offsets[event]
        for link in range(link_offsets[event], link_offsets[event + 1]):
            target = second[link] + start_second
            if wanted[target]:
                firsts[num_links], seconds[num_links], weights[num_links] = first[link] + start_first, target, weight[link]
                num_links += 1
    return firsts[:num_links], seconds[:num_links], weights[:num_links]


@numba.njit(cache=True, nogil=True)
def group(key: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Stable counting sort: positions of key k, in order, are ``order[offsets[k]:offsets[k + 1]]``.

    Args:
        key: ``(L,)`` integers from 0 to size - 1.
        size: number of keys.

    Returns:
        offsets ``(size + 1,) int32`` and order ``(L,) int32``.
    """
    offsets = _offsets(key, size)
    following = offsets[:-1].copy()
    order = np.empty(len(key), dtype=np.int32)
    for position in range(len(key)):
        k = key[position]
        order[following[k]] = position
        following[k] += 1
    return offsets, order


@numba.njit(cache=True, nogil=True)
def _offsets(key: np.ndarray, size: int) -> np.ndarray:
    offsets = np.zeros(size + 1, dtype=np.int32)
    for k in key:
        offsets[k + 1] += 1
    for k in range(size):
        offsets[k + 1] += offsets[k]
    return offsets


@numba.njit(cache=True, nogil=True)
def unique_links(particle: np.ndarray, element: np.ndarray, weight: np.ndarray, num_particles: int, num_elements: int, last_counts: bool) -> Arrays:
    """Every pair of particle and element once, at the place of its first link, with the weight of the first or of the last."""
    if ascending(particle, element):
        return particle, element, weight
    kept = np.ones(len(particle), dtype=np.bool_)
    weight = weight.copy()
    first_link = np.full(num_elements, -1, dtype=np.int32)
    for link in group(particle, num_particles)[1]:
        first = first_link[element[link]]
        if first >= 0 and particle[first] == particle[link]:
            kept[link] = False
            if last_counts:
                weight[first] = weight[link]
        else:
            first_link[element[link]] = link
    return compress(particle, element, weight, kept)


@numba.njit(cache=True, nogil=True)
def ascending(particle: np.ndarray, element: np.ndarray) -> bool:
    """Whether links are sorted by particle, those of a particle by element, and all different: as most files have them."""
    for link in range(1, len(particle)):
        if particle[link] < particle[link - 1] or (particle[link] == particle[link - 1] and element[link] <= element[link - 1]):
            return False
    return True


@numba.njit(cache=True, nogil=True)
def elements_of(particle: np.ndarray, element: np.ndarray, num_particles: int, num_elements: int) -> tuple[np.ndarray, np.ndarray]:
    """Elements of particle p, sorted, are ``elements[offsets[p]:offsets[p + 1]]``."""
    if ascending(particle, element):
        return _offsets(particle, num_particles), element
    by_element = group(element, num_elements)[1]
    offsets, order = group(particle[by_element], num_particles)
    return offsets, element[by_element][order]


@numba.njit(cache=True, nogil=True)
def is_new(particle: np.ndarray, element: np.ndarray, offsets: np.ndarray, elements: np.ndarray) -> np.ndarray:
    """``(L,) bool``: which links are not among those of `elements_of`; none of particle -1 is."""
    found = np.zeros(len(particle), dtype=np.bool_)
    for link in range(len(particle)):
        p, e = particle[link], element[link]
        if p < 0:
            continue
        low, end = offsets[p], offsets[p + 1]
        high = end
        while low < high:
            middle = (low + high) // 2
            if elements[middle] < e:
                low = middle + 1
            else:
                high = middle
        found[link] = low == end or elements[low] != e
    return found


@numba.njit(cache=True, nogil=True)
def compress(particle: np.ndarray, element: np.ndarray, weight: np.ndarray, kept: np.ndarray) -> Arrays:
    """The links whose entry of the ``bool`` mask is true."""
    num_links = np.count_nonzero(kept)
    particles, elements, weights = np.empty(num_links, dtype=particle.dtype), np.empty(num_links, dtype=element.dtype), np.empty(num_links)
    position = 0
    for link in range(len(kept)):
        if kept[link]:
            particles[position], elements[position], weights[position] = particle[link], element[link], weight[link]
            position += 1
    return particles, elements, weights


@numba.njit(cache=True, nogil=True)
def select(particle: np.ndarray, element: np.ndarray, wanted_particle: np.ndarray, wanted_element: np.ndarray) -> np.ndarray:
    """Positions of the links of which both ends are wanted."""
    positions = np.empty(len(particle), dtype=np.int64)
    num_links = 0
    for link in range(len(particle)):
        positions[num_links] = link
        num_links += wanted_element[element[link]] and wanted_particle[particle[link]]
    return positions[:num_links].copy()


@numba.njit(cache=True, nogil=True)
def inherit(child: np.ndarray, parent: np.ndarray, particle: np.ndarray, element: np.ndarray, weight: np.ndarray, num_children: int) -> Arrays:
    """Links of the children as links of their parents, pair by pair.

    Args:
        child, parent: ``(K,)`` pairs.
        particle, element, weight: links of the children.
        num_children: children there are.
    """
    offsets, order = group(particle, num_children)
    num_links = 0
    for c in child:
        num_links += offsets[c + 1] - offsets[c]
    particles, elements, weights = np.empty(num_links, dtype=np.int32), np.empty(num_links, dtype=np.int32), np.empty(num_links)
    position = 0
    for pair in range(len(child)):
        for place in range(offsets[child[pair]], offsets[child[pair] + 1]):
            link = order[place]
            particles[position], elements[position], weights[position] = parent[pair], element[link], weight[link]
            position += 1
    return particles, elements, weights


@numba.njit(cache=True, nogil=True)
def order_ties(order: np.ndarray, values: np.ndarray) -> None:
    """Sort the runs of equal values of an order, so that it is a stable one."""
    start = 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or values[order[stop]] != values[order[start]]:
            if stop - start > 1:
                order[start:stop] = np.sort(order[start:stop])
            start = stop


@numba.njit(cache=True, nogil=True)
def sum_weights(particle: np.ndarray, weight: np.ndarray, chosen: np.ndarray, num_particles: int) -> tuple[np.ndarray, np.ndarray]:
    """``(P,)`` sums of the weights of the links that are chosen, and of the others."""
    sums, others = np.zeros(num_particles), np.zeros(num_particles)
    for link in range(len(particle)):
        if chosen[link]:
            sums[particle[link]] += weight[link]
        else:
            others[particle[link]] += weight[link]
    return sums, others


@numba.njit(cache=True, nogil=True)
def near_pairs(
    eta_a: np.ndarray, phi_a: np.ndarray, offsets_a: np.ndarray, eta_b: np.ndarray, phi_b: np.ndarray, offsets_b: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a and b of the same event no further apart than ``radius`` in (eta, sin phi, cos phi).

    Fast where there are few b: no grid is made of the many a.

    Args:
        eta_a, phi_a, offsets_a: ``(N,)`` points by event, and the ``(B + 1,)`` event boundaries.
        eta_b, phi_b, offsets_b: ``(M,)`` points of the same events, in each by ascending eta.
        radius: largest distance, inclusive.

    Returns:
        positions in a and b, ``(K,)`` each, by ascending position in a, then in b.
    """
    pair_a, pair_b = np.empty(256, dtype=np.int64), np.empty(256, dtype=np.int64)
    num_pairs = 0
    reach = radius + 1e-6  # above rounding, below any change of cost
    for event in range(len(offsets_a) - 1):
        first, last = offsets_b[event], offsets_b[event + 1]
        for a in range(offsets_a[event], offsets_a[event + 1] if last > first else offsets_a[event]):
            eta, phi = np.float64(eta_a[a]), np.float64(phi_a[a])
            low, high = first, last
            while low < high:  # the first b with an eta within reach
                middle = (low + high) // 2
                if eta_b[middle] < eta - reach:
                    low = middle + 1
                else:
                    high = middle
            for b in range(low, last):
                difference = eta - np.float64(eta_b[b])
                if difference < -reach:
                    break
                if difference**2 + (2.0 * np.sin(0.5 * (phi - np.float64(phi_b[b])))) ** 2 <= radius**2:
                    if num_pairs == len(pair_a):
                        pair_a, pair_b = np.concatenate((pair_a, pair_a)), np.concatenate((pair_b, pair_b))
                    pair_a[num_pairs], pair_b[num_pairs] = a, b
                    num_pairs += 1
    return pair_a[:num_pairs], pair_b[:num_pairs]


@numba.njit(cache=True, nogil=True)
def assign_by_element(
    element_order: np.ndarray, offsets: np.ndarray, order: np.ndarray, num_particles: int, particle: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Elements in turn take their highest-weight particle that is free, the first of equals.

    Args:
        element_order: elements in the order in which they take.
        offsets, order: links grouped by element.
        num_particles: P.
        particle, weight: the links.

    Returns:
        links by which particles were taken, in that order.
    """
    taken = np.zeros(num_particles, dtype=np.bool_)
    members = np.empty(len(element_order), dtype=np.int64)
    num_members = 0
    for e in element_order:
        best = -1
        for position in range(offsets[e], offsets[e + 1]):
            link = order[position]
            if not taken[particle[link]] and (best < 0 or weight[link] > weight[best]):
                best = link
        if best >= 0:
            taken[particle[best]] = True
            members[num_members] = best
            num_members += 1
    return members[:num_members]


@numba.njit(cache=True, nogil=True)
def assign_by_particle(particle_order: np.ndarray, num_elements: int, particle: np.ndarray, element: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Particles in turn take their highest-weight element that is free, the first of equals.

    Returns:
        links by which elements were taken, in that order.
    """
    offsets, order = group(particle, len(particle_order))
    taken = np.zeros(num_elements, dtype=np.bool_)
    members = np.empty(len(particle_order), dtype=np.int64)
    num_members = 0
    for p in particle_order:
        best = -1
        for position in range(offsets[p], offsets[p + 1]):
            link = order[position]
            if not taken[element[link]] and (best < 0 or weight[link] > weight[best]):
                best = link
        if best >= 0:
            taken[element[best]] = True
            members[num_members] = best
            num_members += 1
    return members[:num_members]


@numba.njit(cache=True, nogil=True)
def best_links(wanted: np.ndarray, particle: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``(P,)`` highest-weight link of every particle that is wanted, the first of equals; -1 where it has none."""
    best = np.full(len(wanted), -1, dtype=np.int64)
    largest = np.empty(len(wanted))
    for link in range(len(particle)):
        p = particle[link]
        if wanted[p] and (best[p] < 0 or weight[link] > largest[p]):
            best[p], largest[p] = link, weight[link]
    return best


@numba.njit(cache=True, nogil=True)
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
        for position in range(offsets[c], offsets[c + 1]):
            link = order[position]
            e = element[link]
            if allowed[link] and candidate_of[e] < 0 and (best < 0 or preference[e] > preference[best]):
                best = e
        if best >= 0:
            candidate_of[best] = c
    return candidate_of


@numba.njit(cache=True, nogil=True)
def sum_members(particle: np.ndarray, row: np.ndarray, weight: np.ndarray, quantities: np.ndarray, energy: np.ndarray, num_rows: int) -> Arrays:
    """Sums over the members of every row, and which of them leads.

    Args:
        particle, row, weight: ``(K,)`` links by which particles joined.
        quantities: ``(P, X)`` of the particles, to sum.
        energy: ``(P,)`` of the particles.
        num_rows: N.

    Returns:
        sums ``(N, X)``; ``(N,) int64`` highest-energy and highest-weight particle, the first of equals, -1 where there is none.
    """
    sums = np.zeros((num_rows, quantities.shape[1]))
    most_energy = np.full(num_rows, -1, dtype=np.int64)
    heaviest = np.full(num_rows, -1, dtype=np.int64)
    largest_weight = np.empty(num_rows)
    for link in range(len(particle)):
        p, r = particle[link], row[link]
        for x in range(quantities.shape[1]):
            sums[r, x] += quantities[p, x]
        if most_energy[r] < 0 or energy[p] > energy[most_energy[r]]:
            most_energy[r] = p
        if heaviest[r] < 0 or weight[link] > largest_weight[r]:
            heaviest[r], largest_weight[r] = p, weight[link]
    return sums, most_energy, heaviest


@numba.njit(cache=True, nogil=True)
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
