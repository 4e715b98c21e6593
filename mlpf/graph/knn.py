"""The k nearest points of every point."""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.errors import MlpfError
from mlpf.graph.grid import MARGIN, TURN, Edges, Grid, build_grid, checked_points, edges_of, row_of, square_of_distance

CELLS_PER_NEIGHBORHOOD = 4  # a cell holds a quarter of k points: fastest or nearly so for k from 8 to 32 and 500 to 20 000 points
LONG = 64  # more places than this in a row of cells: each long cell is searched in a window of eta only


def knn_graph(eta: np.ndarray, phi: np.ndarray, offsets: np.ndarray, k: int) -> Edges:
    """Edges from every point to the k nearest others of its event in delta R, to all others where there are fewer.

    Args:
        eta, phi: ``(N,)`` points by event; phi [rad] of any number of turns.
        offsets: ``(B + 1,)`` event boundaries.
        k: 0 or more.

    Returns:
        `Edges`, by growing source, then distance, then target: of equally near points those of smaller index count.

    Raises:
        MlpfError: a coordinate is not finite, or k is negative.
    """
    if k < 0:
        raise MlpfError(f"k = {k}: the number of neighbours must not be negative")
    points = checked_points(eta, phi, offsets)
    grid = build_grid(points, max(k / CELLS_PER_NEIGHBORHOOD, 1.0), 0.0)
    return edges_of(_nearest_points(grid, _find_places(grid), points.offsets, k))


class Places(NamedTuple):
    """The distinct positions of a grid's points, by cell, then eta, then phi: points at one place are searched for once.

    Attributes:
        start: ``(C + 1,)`` places of every cell.
        eta, phi: ``(P,)``.
        first: ``(P + 1,)`` members of every place.
        point: ``(N,)`` members, growing inside a place.
    """

    start: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    first: np.ndarray
    point: np.ndarray


class Scratch(NamedTuple):
    """Places found near by, their squared distances and rough order, and counts of the sorting; ``(P + 1,)`` each."""

    found: np.ndarray
    squares: np.ndarray
    order: np.ndarray
    counts: np.ndarray


@numba.njit(cache=True, nogil=True)
def _sort_stably(first: int, last: int, point: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> None:
    """Sort the points of a cell by eta, then phi; those at one place keep their order."""
    if last - first > LONG:
        order = np.argsort(phi[first:last], kind="mergesort")
        order = order[np.argsort(eta[first:last][order], kind="mergesort")]
        point[first:last], eta[first:last], phi[first:last] = point[first:last][order], eta[first:last][order], phi[first:last][order]
        return
    for i in range(first + 1, last):
        own_point, own_eta, own_phi = point[i], eta[i], phi[i]
        j = i
        while j > first and (eta[j - 1] > own_eta or (eta[j - 1] == own_eta and phi[j - 1] > own_phi)):
            point[j], eta[j], phi[j] = point[j - 1], eta[j - 1], phi[j - 1]
            j -= 1
        point[j], eta[j], phi[j] = own_point, own_eta, own_phi


@numba.njit(cache=True, nogil=True)
def _find_places(grid: Grid) -> Places:
    point, eta, phi = grid.point.copy(), grid.eta.copy(), grid.phi.copy()
    start, first = np.empty_like(grid.start), np.empty(len(point) + 1, dtype=np.int64)
    num_places = 0
    for cell in range(len(start) - 1):
        start[cell] = num_places
        begin, end = grid.start[cell], grid.start[cell + 1]
        _sort_stably(begin, end, point, eta, phi)
        for i in range(begin, end):
            if i == begin or eta[i] != eta[num_places - 1] or phi[i] != phi[num_places - 1]:
                first[num_places], eta[num_places], phi[num_places] = i, eta[i], phi[i]
                num_places += 1
    start[-1], first[num_places] = num_places, len(point)
    return Places(start, eta[:num_places], phi[:num_places], first[: num_places + 1], point)


@numba.njit(cache=True, nogil=True)
def _columns_near(phi: float, reach: float, columns: int) -> tuple[int, int, int]:
    """Columns up to ``reach`` away from phi: ``[first, last)`` and, where the period splits them, ``[0, rest)``."""
    if reach >= np.pi:
        return 0, columns, 0
    first, last = int(np.floor((phi - reach + np.pi) * (columns / TURN))), int(np.floor((phi + reach + np.pi) * (columns / TURN))) + 1
    if last - first >= columns:
        return 0, columns, 0
    if first < 0:
        return first + columns, columns, last
    return first, min(last, columns), max(last - columns, 0)


@numba.njit(cache=True, nogil=True)
def _collect_places(
    first: int, last: int, start: np.ndarray, eta: np.ndarray, phi: np.ndarray, own_eta: float, own_phi: float, bound: float,
    found: np.ndarray, squares: np.ndarray, num_found: int
) -> int:  # fmt: skip
    """Append the places in the cells ``[first, last)`` that are no further than ``bound``: all are written, the near ones counted, which needs no branch."""
    limit = bound * bound
    together = start[last] - start[first] <= LONG
    for cell in range(first, first + 1 if together else last):
        begin, end = start[cell], start[last if together else cell + 1]
        if end - begin > LONG:
            own = eta[begin:end]
            begin, end = begin + np.searchsorted(own, own_eta - bound), begin + np.searchsorted(own, own_eta + bound, side="right")
        for i in range(np.uint64(begin), np.uint64(end)):  # unsigned: numba need not ask whether an index counts from the end
            square = square_of_distance(eta[i], phi[i], own_eta, own_phi)
            found[num_found], squares[num_found] = i, square
            num_found += square <= limit
    return num_found


@numba.njit(cache=True, nogil=True)
def _order_roughly(squares: np.ndarray, num_bins: int, limit: float, order: np.ndarray, counts: np.ndarray) -> None:
    """Counting sort into as many bins as there are squares, which are evenly filled where the density of points is even."""
    scale = num_bins / limit
    if not scale > 0.0:  # no limit
        for i in range(num_bins):
            order[i] = i
        return
    for i in range(num_bins + 1):
        counts[i] = 0
    for i in range(num_bins):
        counts[int(min(squares[i] * scale, num_bins - 1.0)) + 1] += 1
    for i in range(num_bins):
        counts[i + 1] += counts[i]
    for i in range(num_bins):
        own = int(min(squares[i] * scale, num_bins - 1.0))
        order[counts[own]] = i
        counts[own] += 1


@numba.njit(cache=True, nogil=True)
def _select_nearest(
    num_found: int, scratch: Scratch, first: np.ndarray, point: np.ndarray, nearest: np.ndarray, distances: np.ndarray
) -> None:  # fmt: skip
    """Fill ``nearest`` and ``distances``, sorted by distance, then index, with members of the places found."""
    found, squares, order, _ = scratch
    num_nearest = 0
    for k in range(num_found):
        distance, place = np.sqrt(squares[order[k]]), found[order[k]]
        for member in range(first[place], first[place + 1]):
            own, i = point[member], num_nearest
            if num_nearest == len(nearest):
                i -= 1
                if distance > distances[i] or (distance == distances[i] and own > nearest[i]):
                    break  # the later ones of the place have larger indices
            else:
                num_nearest += 1
            while i > 0 and (distances[i - 1] > distance or (distances[i - 1] == distance and nearest[i - 1] > own)):
                distances[i], nearest[i] = distances[i - 1], nearest[i - 1]
                i -= 1
            distances[i], nearest[i] = distance, own


@numba.njit(cache=True, nogil=True)
def _search_nearest(
    first_cell: int, num_rows: int, columns: int, lowest: float, height: float, places: Places, place: int, bound: float, scratch: Scratch,
    nearest: np.ndarray, distances: np.ndarray
) -> None:  # fmt: skip
    """Fill ``nearest`` and ``distances`` with the points around a place, itself included; as many as they hold are no further than ``bound``."""
    start, place_eta, place_phi, first, point = places
    found, squares, order, counts = scratch
    eta, phi, num_found = place_eta[place], place_phi[place], 0
    for row in range(row_of(eta - bound - MARGIN, lowest, height, num_rows), row_of(eta + bound + MARGIN, lowest, height, num_rows) + 1):
        gap = 0.0
        if row > 0:
            gap = max(gap, lowest + row * height - eta - MARGIN)
        if row < num_rows - 1:
            gap = max(gap, eta - lowest - (row + 1) * height - MARGIN)
        reach = np.sqrt(max(bound - gap, 0.0) * (bound + gap)) + MARGIN
        begin, end, rest = _columns_near(phi, reach, columns)
        cell = first_cell + row * columns
        num_found = _collect_places(cell + begin, cell + end, start, place_eta, place_phi, eta, phi, bound, found, squares, num_found)
        if rest > 0:
            num_found = _collect_places(cell, cell + rest, start, place_eta, place_phi, eta, phi, bound, found, squares, num_found)
    _order_roughly(squares, num_found, bound * bound, order, counts)
    _select_nearest(num_found, scratch, first, point, nearest, distances)


@numba.njit(cache=True, nogil=True)
def _write_edges(
    members: np.ndarray, nearest: np.ndarray, distances: np.ndarray, offsets: np.ndarray, target: np.ndarray, distance: np.ndarray
) -> None:  # fmt: skip
    """The edges of all members of a place: to the nearest but themselves."""
    for own in members:
        edge = offsets[own]
        for i in range(len(nearest)):
            if nearest[i] != own and edge < offsets[own + 1]:
                target[edge], distance[edge] = nearest[i], distances[i]
                edge += 1


@numba.njit(cache=True, nogil=True)
def _nearest_points(grid: Grid, places: Places, event_offsets: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets, targets and distances of the edges to the k nearest.

    The search goes no further than it must: if a place has its k nearest within d, another at distance x has them within d + x. So every place learns from
    the one before it, and the first of a row from the first of the row before.
    """
    offsets = np.zeros(len(grid.point) + 1, dtype=np.int64)
    for event in range(len(event_offsets) - 1):
        size = event_offsets[event + 1] - event_offsets[event]
        offsets[event_offsets[event] + 1 : event_offsets[event + 1] + 1] = min(k, size - 1)
    offsets = np.cumsum(offsets)
    target, distance = np.empty(offsets[-1], dtype=np.int64), np.empty(offsets[-1])
    size = len(places.eta) + 1
    scratch = Scratch(np.empty(size, dtype=np.int64), np.empty(size), np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64))
    start, eta, phi, first, point = places
    for event in range(len(event_offsets) - 1):
        columns, lowest, height, first_cell = grid.num_columns[event], grid.lowest[event], grid.height[event], grid.first_cell[event]
        num_rows = (grid.first_cell[event + 1] - first_cell) // columns
        size = min(k + 1, event_offsets[event + 1] - event_offsets[event])
        nearest, distances = np.empty(size, dtype=np.int64), np.empty(size)
        before, reach, row_before, row_reach = -1, np.inf, -1, np.inf
        for row in range(num_rows):
            row_start = start[first_cell + row * columns]
            for place in range(row_start, start[first_cell + (row + 1) * columns]):
                bound = np.inf
                if before >= 0:
                    bound = reach + np.sqrt(square_of_distance(eta[before], phi[before], eta[place], phi[place]))
                if place == row_start and row_before >= 0:
                    bound = min(bound, row_reach + np.sqrt(square_of_distance(eta[row_before], phi[row_before], eta[place], phi[place])))
                bound = bound * (1.0 + MARGIN) + MARGIN
                _search_nearest(first_cell, num_rows, columns, lowest, height, places, place, bound, scratch, nearest, distances)
                before, reach = place, distances[-1]
                if place == row_start:
                    row_before, row_reach = before, reach
                _write_edges(point[first[place] : first[place + 1]], nearest, distances, offsets, target, distance)
    return offsets, target, distance
