"""All points within a radius of each other."""

import math
from typing import NamedTuple

import numba
import numpy as np

from mlpf.errors import MlpfError
from mlpf.graph.grid import MARGIN, Edges, Grid, Points, build_grid, checked_points, edges_of, square_of_distance

POINTS_PER_CELL = 2.0


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
    if not 0.0 <= radius < math.inf:
        raise MlpfError(f"radius {radius}: must be finite and not negative")
    points = checked_points(eta, phi, offsets)
    return edges_of(_search(points, radius, once))


def _search(points: Points, radius: float, once: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets, targets and distances of the edges."""
    grid = build_grid(points, POINTS_PER_CELL, radius * (1.0 + MARGIN) + MARGIN)
    offsets, limit = np.zeros(len(points.eta) + 1, dtype=np.int64), _largest_square(radius)
    _visit(grid, points, limit, once, offsets, np.empty(0, dtype=np.int64), np.empty(0))
    np.cumsum(offsets, out=offsets)
    target, distance = np.empty(offsets[-1], dtype=np.int64), np.empty(offsets[-1])
    _visit(grid, points, limit, once, offsets, target, distance)
    return offsets, target, distance


def _largest_square(radius: float) -> float:
    """The largest number whose square root is at most ``radius``: squares compared with it decide as their roots would."""
    square = radius * radius
    while math.sqrt(square) > radius:
        square = math.nextafter(square, -math.inf)
    while math.sqrt(math.nextafter(square, math.inf)) <= radius:
        square = math.nextafter(square, math.inf)
    return square


class Blocks(NamedTuple):
    """Per cell of an event the points in the 3 x 3 cells around it, by growing index: ``start[c]:start[c + 1]`` of the others."""

    start: np.ndarray
    point: np.ndarray
    eta: np.ndarray
    phi: np.ndarray


@numba.njit(cache=True, nogil=True)
def _beside(column: int, step: int, columns: int) -> int:
    """The column ``step`` (0 to 2) of those around one, phi being periodic."""
    near = column + step - 1
    return near + columns if near < 0 else (near - columns if near >= columns else near)


@numba.njit(cache=True, nogil=True)
def _fill_blocks(grid: Grid, event: int, points: Points, blocks: Blocks) -> None:
    """Every point joins the blocks of its cell and those around, by growing index: the blocks come out in order without being sorted."""
    first_cell, columns, cell_of, grid_start = grid.first_cell[event], grid.num_columns[event], grid.cell, grid.start
    num_rows, around = (grid.first_cell[event + 1] - first_cell) // columns, min(columns, 3)
    start, point, block_eta, block_phi = blocks
    eta, phi, offsets = points
    total = start[0] = 0
    for row in range(num_rows):
        for column in range(columns):
            start[row * columns + column + 1] = total  # where the block begins; once it is full, where it ends
            for near in range(max(row - 1, 0), min(row + 2, num_rows)):
                for step in range(around):
                    cell = first_cell + near * columns + _beside(column, step, columns)
                    total += grid_start[cell + 1] - grid_start[cell]
    for i in range(offsets[event], offsets[event + 1]):
        row, column = divmod(cell_of[i] - first_cell, columns)
        for near in range(max(row - 1, 0), min(row + 2, num_rows)):
            for step in range(around):
                cell = near * columns + _beside(column, step, columns) + 1
                place = start[cell]
                start[cell] += 1
                point[place], block_eta[place], block_phi[place] = i, eta[i], phi[i]


@numba.njit(cache=True, nogil=True)
def _count_near(first: int, last: int, eta: np.ndarray, phi: np.ndarray, own_eta: float, own_phi: float, limit: float) -> int:
    """How many squared distances are within the limit; vectorised, since it has no branch."""
    count = 0
    for i in range(np.uint64(first), np.uint64(last)):  # unsigned: numba need not ask whether an index counts from the end
        count += square_of_distance(eta[i], phi[i], own_eta, own_phi) <= limit
    return count


@numba.njit(cache=True, nogil=True)
def _collect_near(
    first: int, last: int, point: np.ndarray, eta: np.ndarray, phi: np.ndarray, own_eta: float, own_phi: float, limit: float,
    found: np.ndarray, squares: np.ndarray, num_found: int
) -> int:  # fmt: skip
    """Append points and squared distances: all are written, those within the limit counted, so that there is no branch to mispredict."""
    for i in range(np.uint64(first), np.uint64(last)):
        square = square_of_distance(eta[i], phi[i], own_eta, own_phi)
        found[num_found], squares[num_found] = point[i], square
        num_found += square <= limit
    return num_found


@numba.njit(cache=True, nogil=True)
def _write(num_found: int, found: np.ndarray, squares: np.ndarray, first: int, target: np.ndarray, distance: np.ndarray) -> None:
    for i in range(np.uint64(num_found)):
        target[np.uint64(first) + i], distance[np.uint64(first) + i] = found[i], np.sqrt(squares[i])


@numba.njit(cache=True, nogil=True)
def _visit(grid: Grid, points: Points, limit: float, once: bool, offsets: np.ndarray, target: np.ndarray, distance: np.ndarray) -> None:
    """Cell by cell compare its points with the block of points around; count into ``offsets`` if there is no room, else write."""
    filling = len(target) > 0
    most_points, most_cells = 0, 0
    for event in range(len(grid.num_columns)):
        most_points = max(most_points, points.offsets[event + 1] - points.offsets[event])
        most_cells = max(most_cells, grid.first_cell[event + 1] - grid.first_cell[event])
    size = 9 * most_points
    blocks = Blocks(np.empty(most_cells + 1, np.int64), np.empty(size, np.int64), np.empty(size), np.empty(size))
    found, squares = np.empty(most_points + 1, np.int64), np.empty(most_points + 1)
    block_start, block, block_eta, block_phi = blocks
    eta, phi, source, start = points.eta, points.phi, grid.point, grid.start
    for event in range(len(grid.num_columns)):
        _fill_blocks(grid, event, points, blocks)
        for cell in range(grid.first_cell[event + 1] - grid.first_cell[event]):
            first, last = block_start[cell], block_start[cell + 1]
            after = first  # of a source's own place in the block
            for k in range(start[grid.first_cell[event] + cell], start[grid.first_cell[event] + cell + 1]):
                i = source[k]
                while after < last and block[after] <= i:
                    after += 1
                before = first if once else after - 1
                if not filling:
                    offsets[i + 1] = _count_near(first, before, block_eta, block_phi, eta[i], phi[i], limit)
                    offsets[i + 1] += _count_near(after, last, block_eta, block_phi, eta[i], phi[i], limit)
                    continue
                num_found = _collect_near(first, before, block, block_eta, block_phi, eta[i], phi[i], limit, found, squares, 0)
                num_found = _collect_near(after, last, block, block_eta, block_phi, eta[i], phi[i], limit, found, squares, num_found)
                _write(num_found, found, squares, offsets[i], target, distance)
