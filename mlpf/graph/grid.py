"""Points sorted into cells of the (eta, phi) plane, phi periodic.

The cells of an event tile its range of eta in rows and the full turn in columns; how many follows from the number of points. The distance of two points is
``sqrt(deta^2 + dphi^2)`` with dphi the short way round, the same to the last bit in both directions. All kernels release the GIL.
"""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.errors import MlpfError
from mlpf.kinematics import wrap_phi

TURN = 2.0 * np.pi
LARGEST_ETA = 6.0  # the detector ends at 5.2; points beyond lie in the outermost rows, so that a far one cannot stretch the cells
MARGIN = 1e-9  # rounding at the border of a cell must not hide a point


class Edges(NamedTuple):
    """Edges by growing source.

    Attributes:
        source, target: ``(E,) int64`` points, counted through all events.
        distance: ``(E,) float64``.
        offsets: ``(N + 1,) int64``, the edges of point i are ``offsets[i]:offsets[i + 1]``.
    """

    source: np.ndarray
    target: np.ndarray
    distance: np.ndarray
    offsets: np.ndarray


class Points(NamedTuple):
    """Points by event: ``(N,) float64`` eta and phi, phi in [-pi, pi), and ``(B + 1,) int64`` offsets."""

    eta: np.ndarray
    phi: np.ndarray
    offsets: np.ndarray


class Grid(NamedTuple):
    """Points sorted by event, cell (row by row) and index.

    Attributes:
        first_cell: ``(B + 1,)`` cells of every event.
        num_columns: ``(B,)``.
        lowest: ``(B,)`` eta at which the first row begins.
        height: ``(B,)`` of a row in eta.
        cell: ``(N,)`` cell of every point.
        start: ``(C + 1,)`` sorted points of every cell.
        point: ``(N,)`` index of the sorted points.
        eta, phi: ``(N,)`` where they are.
    """

    first_cell: np.ndarray
    num_columns: np.ndarray
    lowest: np.ndarray
    height: np.ndarray
    cell: np.ndarray
    start: np.ndarray
    point: np.ndarray
    eta: np.ndarray
    phi: np.ndarray


def checked_points(eta: np.ndarray, phi: np.ndarray, offsets: np.ndarray) -> Points:
    """Points as the kernels want them; phi may count any number of turns.

    Raises:
        MlpfError: a coordinate is not finite: such a point is nowhere, and would be near nothing without a word.
    """
    for name, values in (("eta", eta), ("phi", phi)):
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values))
            raise MlpfError(f"{name}: {len(bad)} non-finite values (first at point {bad[0]}): replace them or leave these points out")
    assert len(eta) == len(phi) == offsets[-1]
    angle = wrap_phi(np.ascontiguousarray(phi, dtype=np.float64))
    # An angle just below -pi wraps to pi itself; one of 1e15 turns, which has no direction left, to anything.
    angle = np.where((angle >= -np.pi) & (angle < np.pi), angle, -np.pi)
    return Points(np.ascontiguousarray(eta, dtype=np.float64), angle, np.ascontiguousarray(offsets, dtype=np.int64))


def edges_of(targets: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Edges:
    """Edges from their offsets, targets and distances."""
    offsets, target, distance = targets
    return Edges(np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), target, distance, offsets)


@numba.njit(cache=True, nogil=True)
def square_of_distance(eta_a: float, phi_a: float, eta_b: float, phi_b: float) -> float:
    """Squared distance of two points."""
    dphi = abs(phi_a - phi_b)
    dphi = min(dphi, TURN - dphi)
    return (eta_a - eta_b) ** 2 + dphi**2


@numba.njit(cache=True, nogil=True)
def row_of(eta: float, lowest: float, height: float, num_rows: int) -> int:
    """Row in which a point lies; beyond all rows the nearest."""
    return int(min(max((eta - lowest) / height, 0.0), num_rows - 1.0))


@numba.njit(cache=True, nogil=True)
def build_grid(points: Points, points_per_cell: float, smallest: float) -> Grid:
    """Choose cells and sort points into them.

    Args:
        points: see `checked_points`.
        points_per_cell: how many a cell shall hold on average.
        smallest: no cell is narrower or lower than this, unless it is the only one.
    """
    eta, phi, offsets = points
    num_events = len(offsets) - 1
    first_cell, num_columns = np.zeros(num_events + 1, dtype=np.int64), np.ones(num_events, dtype=np.int64)
    lowest, height = np.zeros(num_events), np.ones(num_events)
    for event in range(num_events):
        num_rows, columns, lowest[event], height[event] = _shape(eta[offsets[event] : offsets[event + 1]], points_per_cell, smallest)
        num_columns[event], first_cell[event + 1] = columns, first_cell[event] + num_rows * columns
    cells = np.empty(len(eta), dtype=np.int64)
    start = np.zeros(first_cell[-1] + 1, dtype=np.int64)
    for event in range(num_events):
        columns = num_columns[event]
        num_rows = (first_cell[event + 1] - first_cell[event]) // columns
        for i in range(offsets[event], offsets[event + 1]):
            column = min(int((phi[i] + np.pi) * (columns / TURN)), columns - 1)
            cells[i] = first_cell[event] + row_of(eta[i], lowest[event], height[event], num_rows) * columns + column
            start[cells[i] + 1] += 1
    start = np.cumsum(start)
    following = start[:-1].copy()
    order = np.empty(len(cells), dtype=np.int64)
    for i in range(len(cells)):
        order[following[cells[i]]] = i
        following[cells[i]] += 1
    return Grid(first_cell, num_columns, lowest, height, cells, start, order, eta[order], phi[order])


@numba.njit(cache=True, nogil=True)
def _shape(eta: np.ndarray, points_per_cell: float, smallest: float) -> tuple[int, int, float, float]:
    """Rows, columns, lowest eta and height of a row for the points of an event, so that cells are nearly square."""
    lowest, highest = LARGEST_ETA, -LARGEST_ETA
    for value in eta:
        inside = min(max(value, -LARGEST_ETA), LARGEST_ETA)
        lowest, highest = min(lowest, inside), max(highest, inside)
    extent = max(highest - lowest, 0.0)
    num_cells = max(len(eta) / points_per_cell, 1.0)
    rows = np.sqrt(num_cells * extent / TURN)
    if rows * smallest > extent:
        rows = extent / smallest
    num_rows = max(int(rows), 1)
    columns = num_cells / num_rows
    if columns * smallest > TURN:
        columns = TURN / smallest
    return num_rows, max(int(columns), 1), lowest, extent / num_rows if extent > 0.0 else 1.0
