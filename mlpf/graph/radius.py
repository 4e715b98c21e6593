"""All points within a radius of each other, or of those of another set."""

import math

import numba
import numpy as np

from mlpf.errors import MlpfError
from mlpf.graph.grid import MARGIN, Edges, Grid, Points, build_grid, cells_of, checked_points, edges_of, square_of_distance

ALL = np.iinfo(np.int64).max // 2


def radius_graph(eta: np.ndarray, phi: np.ndarray, offsets: np.ndarray, radius: float, once: bool = False) -> Edges:
    """Edges between the points of an event whose delta R is at most ``radius``; none from a point to itself.

    Args:
        eta, phi: ``(N,)`` points by event; phi [rad] of any number of turns.
        offsets: ``(B + 1,)`` event boundaries.
        radius: 0 or more; points at one place are neighbours at distance 0.
        once: only the edges to larger indices, else every pair both ways.

    Returns:
        `Edges`, by growing source, then target.

    Raises:
        MlpfError: a coordinate is not finite, or the radius negative or not finite.
    """
    _check(radius)
    points = checked_points(eta, phi, offsets)
    return edges_of(_search(points, points, radius, ALL if once else 1))


def radius_pairs(
    eta_a: np.ndarray, phi_a: np.ndarray, offsets_a: np.ndarray, eta_b: np.ndarray, phi_b: np.ndarray, offsets_b: np.ndarray, radius: float, chord: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Pairs of a point of a and one of b, of the same event, no further apart than ``radius``.

    Args:
        eta_a, phi_a, offsets_a: ``(N,)`` points by event, in any order inside, and the ``(B + 1,)`` event boundaries.
        eta_b, phi_b, offsets_b: ``(M,)`` points of the same events.
        radius: largest distance, inclusive.
        chord: measure phi along the chord, the distance in (eta, sin phi, cos phi); else along the arc, delta R.

    Returns:
        positions in a and b and distances, ``(K,)`` each, by growing position in a, then in b.

    Raises:
        MlpfError: as `radius_graph`.
    """
    _check(radius)
    a, b = checked_points(eta_a, phi_a, offsets_a), checked_points(eta_b, phi_b, offsets_b)
    edges = edges_of(_search(a, b, _largest_arc(radius) if chord else radius, 0))
    if not chord:
        return edges.source, edges.target, edges.distance
    distance = _chords(a, b, edges.source, edges.target)
    near = distance <= radius
    return edges.source[near], edges.target[near], distance[near]


def _check(radius: float) -> None:
    if not 0.0 <= radius < math.inf:
        raise MlpfError(f"radius {radius}: must be finite and not negative")


def _largest_arc(radius: float) -> float:
    """No smaller than the delta R of any two points whose distance along the chord is at most ``radius``."""
    arc = 2.0 * math.asin(0.5 * radius) if radius <= 2.0 else math.hypot(radius, math.pi)
    return arc * (1.0 + MARGIN)


def _search(a: Points, b: Points, radius: float, skipped: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    grid = build_grid(a, 1.0, radius * (1.0 + MARGIN) + MARGIN)
    cells = cells_of(b, grid.first_cell, grid.num_columns, grid.lowest, grid.height)
    return _points_within(grid, b, cells, _blocks(grid), _largest_square(radius), skipped)


def _largest_square(radius: float) -> float:
    """The largest number whose square root is at most ``radius``: squares compared with it decide as their roots would."""
    square = radius * radius
    while math.sqrt(square) > radius:
        square = math.nextafter(square, -math.inf)
    while math.sqrt(math.nextafter(square, math.inf)) <= radius:
        square = math.nextafter(square, math.inf)
    return square


@numba.njit(cache=True, nogil=True)
def _chords(a: Points, b: Points, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    distance = np.empty(len(source))
    for i in range(len(source)):
        half = 0.5 * (a.phi[source[i]] - b.phi[target[i]])
        distance[i] = np.sqrt((a.eta[source[i]] - b.eta[target[i]]) ** 2 + (2.0 * np.sin(half)) ** 2)
    return distance


@numba.njit(cache=True, nogil=True)
def _blocks(grid: Grid) -> np.ndarray:
    """``(C, 6, 2)`` ranges of sorted points in the 3 x 3 cells around every cell: at most two a row, since phi is periodic; unused ones are empty."""
    blocks = np.zeros((len(grid.start) - 1, 6, 2), dtype=np.int64)
    for event in range(len(grid.first_cell) - 1):
        first_cell, columns = grid.first_cell[event], grid.num_columns[event]
        num_rows = (grid.first_cell[event + 1] - first_cell) // columns
        for row in range(num_rows):
            for near in range(max(row - 1, 0), min(row + 2, num_rows)):
                start = grid.start[first_cell + near * columns :]
                for column in range(columns):
                    block = blocks[first_cell + row * columns + column, 2 * (near - row + 1) :]
                    if columns <= 3:
                        block[0] = start[0], start[columns]
                    elif column == 0:
                        block[0], block[1] = (start[0], start[2]), (start[columns - 1], start[columns])
                    elif column == columns - 1:
                        block[0], block[1] = (start[0], start[1]), (start[columns - 2], start[columns])
                    else:
                        block[0] = start[column - 1], start[column + 2]
    return blocks


@numba.njit(cache=True, nogil=True)
def _count_near(
    first: int, last: int, point: np.ndarray, eta: np.ndarray, phi: np.ndarray, own_eta: float, own_phi: float, limit: float, skip: int, skip_end: int,
    counts: np.ndarray
) -> None:  # fmt: skip
    """Add 1 to the counts of the points whose squared distance is within the limit; vectorised, since it has no branch."""
    for i in range(np.uint64(first), np.uint64(last)):  # unsigned: numba need not ask whether an index counts from the end
        near = square_of_distance(eta[i], phi[i], own_eta, own_phi) <= limit
        counts[i] += near & ((point[i] < skip) | (point[i] >= skip_end))


@numba.njit(cache=True, nogil=True)
def _collect_near(
    first: int, last: int, point: np.ndarray, eta: np.ndarray, phi: np.ndarray, own_eta: float, own_phi: float, limit: float, skip: int, skip_end: int,
    found: np.ndarray, squares: np.ndarray, num_found: int
) -> int:  # fmt: skip
    """Append points within the limit and their squared distances: all are written, the near ones counted, so that there is no branch to mispredict."""
    for i in range(np.uint64(first), np.uint64(last)):
        square = square_of_distance(eta[i], phi[i], own_eta, own_phi)
        found[num_found], squares[num_found] = point[i], square
        num_found += (square <= limit) & ((point[i] < skip) | (point[i] >= skip_end))
    return num_found


@numba.njit(cache=True, nogil=True)
def _points_within(
    grid: Grid, b: Points, cells: np.ndarray, blocks: np.ndarray, limit: float, skipped: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """For every point of a grid the points b near by. Every b looks for those around it, by growing b: the lists come out in order without being sorted.

    Args:
        grid: of points a, its cells at least as large as the radius.
        cells: ``(M,)`` cell of every b.
        blocks: see `_blocks`.
        limit: largest squared distance.
        skipped: how many a, from the one with b's own index on, are not looked for.

    Returns:
        which edges are a's, ``offsets[a]:offsets[a + 1]``; their b, growing, and distance, ``(E,)``.
    """
    _, _, _, _, _, point, grid_eta, grid_phi = grid
    eta, phi, _ = b
    counts = np.zeros(len(point), dtype=np.int64)
    for i in range(len(eta)):
        for k in range(6):
            first, last = blocks[cells[i], k]
            _count_near(first, last, point, grid_eta, grid_phi, eta[i], phi[i], limit, i, i + skipped, counts)
    offsets = np.zeros(len(point) + 1, dtype=np.int64)
    offsets[point + 1] = counts
    offsets = np.cumsum(offsets)
    following = offsets[:-1].copy()
    target, distance = np.empty(offsets[-1], dtype=np.int64), np.empty(offsets[-1])
    found, squares = np.empty(len(point) + 1, dtype=np.int64), np.empty(len(point) + 1)
    for i in range(len(eta)):
        num_found = 0
        for k in range(6):
            first, last = blocks[cells[i], k]
            num_found = _collect_near(first, last, point, grid_eta, grid_phi, eta[i], phi[i], limit, i, i + skipped, found, squares, num_found)
        for k in range(num_found):
            a = found[k]
            target[following[a]], distance[following[a]] = i, np.sqrt(squares[k])
            following[a] += 1
    return offsets, target, distance
