"""One-to-one matching of two collections of directions: Hungarian for particles, closest first for jets."""

import heapq
from typing import NamedTuple

import numba
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from mlpf.events import event_index, offsets_from_counts
from mlpf.kinematics import delta_r

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def nearby_pairs(
    eta_a: np.ndarray, phi_a: np.ndarray, offsets_a: np.ndarray, eta_b: np.ndarray, phi_b: np.ndarray, offsets_b: np.ndarray, max_dr: float
) -> Pairs:
    """All pairs of the same event with delta R < ``max_dr``.

    Args:
        eta_a, phi_a: ``(A,)`` directions of the first collection.
        offsets_a: ``(B + 1,)`` their event boundaries.
        eta_b, phi_b, offsets_b: the second collection, of the same events.

    Returns:
        ``(P,)`` flat index into a, flat index into b, delta R; ordered by a, then by eta of b.
    """
    order_b = np.lexsort((eta_b, event_index(offsets_b)))
    directions = (_double(eta_a), _double(phi_a), _double(eta_b[order_b]), _double(phi_b[order_b]))
    a, b, distance = _find_pairs(directions, offsets_a, offsets_b, max_dr)
    return a, order_b[b], distance


def _double(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float64)


@numba.njit(cache=True)
def _find_pairs(
    directions: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], offsets_a: np.ndarray, offsets_b: np.ndarray, max_dr: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs; b is sorted by eta inside each event."""
    eta_a, phi_a, eta_b, phi_b = directions
    room = 16 + 2 * len(eta_a)
    a, b, distance = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64), np.empty(room)
    count = 0
    for event in range(len(offsets_a) - 1):
        eta_of_event = eta_b[offsets_b[event] : offsets_b[event + 1]]
        for i in range(offsets_a[event], offsets_a[event + 1]):
            first = offsets_b[event] + np.searchsorted(eta_of_event, eta_a[i] - max_dr)
            last = offsets_b[event] + np.searchsorted(eta_of_event, eta_a[i] + max_dr, side="right")
            if count + last - first > len(a):
                more = len(a) + last - first
                a, b = np.concatenate((a, np.empty(more, dtype=np.int64))), np.concatenate((b, np.empty(more, dtype=np.int64)))
                distance = np.concatenate((distance, np.empty(more)))
            for j in range(first, last):
                dr = delta_r(eta_a[i], phi_a[i], eta_b[j], phi_b[j])
                if dr < max_dr:
                    a[count], b[count], distance[count] = i, j, dr
                    count += 1
    return a[:count].copy(), b[:count].copy(), distance[:count].copy()


def hungarian(pairs: Pairs, num_a: int, num_b: int) -> np.ndarray:
    """One-to-one assignment with as many of the allowed pairs as possible and, among those, the least total cost.

    Whatever the costs, the largest assignments of a graph share a structure (Dulmage and Mendelsohn, Can. J. Math. 10 (1958) 517): some a compete for fewer
    b, all of which get a partner; elsewhere all of a get one; and no pair that joins these parts is ever used. So each part has one side that is assigned in
    full, and no price for being left over is needed: shortest augmenting paths from that side (Jonker and Volgenant, Computing 38 (1987) 325) are exact, and
    look no further than the neighbourhood.

    Args:
        pairs: allowed pairs, each once: index a, index b, cost >= 0.
        num_a, num_b: sizes of the two collections.

    Returns:
        ``(num_a,) int64`` index b of the partner, -1 if none.
    """
    by_a = _by_row(*pairs, num_a)
    by_b = _by_row(pairs[1], pairs[0], pairs[2], num_b)
    graph = csr_array((np.ones(len(by_a.column), dtype=np.int8), by_a.column, by_a.offsets), shape=(num_a, num_b))
    largest = maximum_bipartite_matching(graph, perm_type="column").astype(np.int64)
    competing_a, competing_b = _competing(by_a, num_b, largest)
    partner = _assign(by_a, ~competing_a, ~competing_b)  # every a of this part gets a b
    of_b = _assign(by_b, competing_b, competing_a)  # and every b of that one an a
    chosen = np.flatnonzero(of_b >= 0)
    partner[of_b[chosen]] = chosen
    return partner


class _Rows(NamedTuple):
    """Pairs by row: ``(rows + 1,)`` offsets, ``(P,)`` columns and costs."""

    offsets: np.ndarray
    column: np.ndarray
    cost: np.ndarray


def _by_row(row: np.ndarray, column: np.ndarray, cost: np.ndarray, num_rows: int) -> _Rows:
    order = np.argsort(row, kind="stable")
    return _Rows(offsets_from_counts(np.bincount(row, minlength=num_rows)), column[order], _double(cost[order]))


@numba.njit(cache=True)
def _competing(by_a: _Rows, num_b: int, partner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The a that could be left over by another assignment of the same size, and the b that they compete for: reached from those left over by this one.

    Args:
        by_a: all pairs.
        num_b: number of b.
        partner: ``(num_a,)`` a largest assignment, -1 where none.
    """
    of_a, of_b = np.zeros(len(partner), dtype=np.bool_), np.zeros(num_b, dtype=np.bool_)
    owner = np.full(num_b, -1, dtype=np.int64)
    todo = np.empty(len(of_a), dtype=np.int64)
    count = 0
    for i in range(len(of_a)):
        if partner[i] >= 0:
            owner[partner[i]] = i
        else:
            of_a[i] = True
            todo[count] = i
            count += 1
    while count > 0:
        count -= 1
        i = todo[count]
        for k in range(by_a.offsets[i], by_a.offsets[i + 1]):
            j = by_a.column[k]
            if not of_b[j]:
                of_b[j] = True  # it has an owner, or the assignment could have been larger
                of_a[owner[j]] = True
                todo[count] = owner[j]
                count += 1
    return of_a, of_b


class _Search(NamedTuple):
    """What a search for a partner works with, of each column: its owner, -1 if none; price; distance in this search; the row from which it was reached."""

    owner: np.ndarray
    price: np.ndarray
    distance: np.ndarray
    via: np.ndarray


@numba.njit(cache=True)
def _assign(pairs: _Rows, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Partner of each row at least total cost; every row can have one.

    Args:
        pairs: of rows and columns.
        rows, columns: bool, those that take part.
    """
    size = len(columns)
    search = _Search(np.full(size, -1, dtype=np.int64), np.zeros(size), np.full(size, np.inf), np.empty(size, dtype=np.int64))
    partner = np.full(len(rows), -1, dtype=np.int64)
    for start in range(len(rows)):
        if rows[start]:
            column = _find_column(pairs, columns, start, partner, search)
            while column >= 0:  # along the path, every row leaves its column to the one before
                row = search.via[column]
                search.owner[column], partner[row], column = row, column, partner[row]
    return partner


@numba.njit(cache=True)
def _find_column(pairs: _Rows, columns: np.ndarray, start: int, partner: np.ndarray, search: _Search) -> np.int64:
    """Free column at the end of the cheapest path from a row over columns and their owners (Dijkstra); adapts the prices.

    An owned column costs its owner the least of all, after the prices: so what another one costs more is never below 0, as Dijkstra's algorithm needs.
    """
    owner, price, distance, via = search
    reached, settled = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    heap = [(0.0, np.int64(0)) for _ in range(0)]
    row, length = start, 0.0
    while True:
        own = 0.0
        for k in range(pairs.offsets[row], pairs.offsets[row + 1]):
            if pairs.column[k] == partner[row]:
                own = pairs.cost[k] - price[partner[row]]
        for k in range(pairs.offsets[row], pairs.offsets[row + 1]):
            j = pairs.column[k]
            new = length + max(pairs.cost[k] - price[j] - own, 0.0)  # rounding could make it -1e-17, and lead the path in circles
            if columns[j] and new < distance[j]:
                if distance[j] == np.inf:
                    reached.append(j)
                distance[j], via[j] = new, row
                heapq.heappush(heap, (new, j))
        length, column = heapq.heappop(heap)
        while length > distance[column]:  # it was reached again by a shorter way
            length, column = heapq.heappop(heap)
        if owner[column] < 0:
            break
        settled.append(column)
        row = owner[column]
    for j in settled:
        price[j] += distance[j] - length
    for j in reached:
        distance[j] = np.inf
    return column


def closest_first(pairs: Pairs, num_a: int, num_b: int) -> tuple[np.ndarray, np.ndarray]:
    """One-to-one matching that takes the closest pair of unmatched ones again and again.

    A tighter cut on the distance selects a subset of these matches: matching again would give the same.

    Returns:
        ``(num_a,) int64`` partner in b, -1 if none, and ``(num_a,) float64`` its distance, infinite if none.
    """
    a, b, distance = pairs
    order = np.argsort(distance, kind="stable")
    partner = _take_in_order(a[order], b[order], num_a, num_b)
    distance_of = np.full(num_a, np.inf)
    chosen = partner[a] == b
    distance_of[a[chosen]] = distance[chosen]
    return partner, distance_of


@numba.njit(cache=True)
def _take_in_order(a: np.ndarray, b: np.ndarray, num_a: int, num_b: int) -> np.ndarray:
    partner = np.full(num_a, -1, dtype=np.int64)
    taken = np.zeros(num_b, dtype=np.bool_)
    for k in range(len(a)):
        if partner[a[k]] < 0 and not taken[b[k]]:
            partner[a[k]] = b[k]
            taken[b[k]] = True
    return partner
