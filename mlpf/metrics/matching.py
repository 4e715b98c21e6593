"""One-to-one matching of two collections of directions: Hungarian for particles, closest first for jets."""

import itertools

import numba
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mlpf.events import event_index
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
    no_index, no_distance = np.empty(0, dtype=np.int64), np.empty(0)
    size = _find_pairs(directions, offsets_a, offsets_b, max_dr, no_index, no_index, no_distance)
    a, b, distance = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64), np.empty(size)
    _find_pairs(directions, offsets_a, offsets_b, max_dr, a, b, distance)
    return a, order_b[b], distance


def _double(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float64)


@numba.njit(cache=True)
def _find_pairs(
    directions: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    offsets_a: np.ndarray,
    offsets_b: np.ndarray,
    max_dr: float,
    a: np.ndarray,
    b: np.ndarray,
    distance: np.ndarray,
) -> int:
    """Count the pairs and, where the outputs have room, fill them; b is sorted by eta inside each event."""
    eta_a, phi_a, eta_b, phi_b = directions
    count = 0
    for event in range(len(offsets_a) - 1):
        eta_of_event = eta_b[offsets_b[event] : offsets_b[event + 1]]
        for i in range(offsets_a[event], offsets_a[event + 1]):
            first = offsets_b[event] + np.searchsorted(eta_of_event, eta_a[i] - max_dr)
            last = offsets_b[event] + np.searchsorted(eta_of_event, eta_a[i] + max_dr, side="right")
            for j in range(first, last):
                dr = delta_r(eta_a[i], phi_a[i], eta_b[j], phi_b[j])
                if dr < max_dr:
                    if count < len(a):
                        a[count], b[count], distance[count] = i, j, dr
                    count += 1
    return count


def hungarian(pairs: Pairs, num_a: int, num_b: int) -> np.ndarray:
    """One-to-one assignment with as many of the allowed pairs as possible and, among those, the least total cost.

    Pairs that share nobody cannot compete, so each connected component of the graph of pairs is solved alone: exact, and far smaller than whole events.

    Args:
        pairs: allowed pairs: index a, index b, cost >= 0.
        num_a, num_b: sizes of the two collections.

    Returns:
        ``(num_a,) int64`` index b of the partner, -1 if none.
    """
    a, b, cost = pairs
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, num_a + b)), shape=(num_a + num_b, num_a + num_b))
    component = connected_components(graph, directed=False)[1][a]
    order = np.argsort(component, kind="stable")
    a, b, cost = a[order], b[order], cost[order]
    bounds = np.flatnonzero(np.diff(component[order], prepend=-1, append=num_a + num_b))
    partner = np.full(num_a, -1, dtype=np.int64)
    single = bounds[:-1][np.diff(bounds) == 1]
    partner[a[single]] = b[single]
    for start, stop in itertools.pairwise(bounds):
        if stop - start > 1:
            _solve_component(a[start:stop], b[start:stop], cost[start:stop], partner)
    return partner


def _solve_component(a: np.ndarray, b: np.ndarray, cost: np.ndarray, partner: np.ndarray) -> None:
    rows, row = np.unique(a, return_inverse=True)
    columns, column = np.unique(b, return_inverse=True)
    forbidden = 1.0 + cost.max() * (min(len(rows), len(columns)) + 1)  # dearer than any set of allowed pairs
    matrix = np.full((len(rows), len(columns)), forbidden)
    matrix[row, column] = cost
    chosen_row, chosen_column = linear_sum_assignment(matrix)
    allowed = matrix[chosen_row, chosen_column] < forbidden
    partner[rows[chosen_row[allowed]]] = columns[chosen_column[allowed]]


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
