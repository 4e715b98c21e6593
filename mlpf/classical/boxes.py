"""Which points lie in which boxes of a plane: by sorted rows and columns, so that the cost grows linearly with their number.

The plane is (u, v): u any number, v periodic with 2 pi. Mostly that is (eta, phi); where a rule speaks of centimetres it is (x, y) in metres on a face of the
detector, which is far smaller than the period. Points and boxes belong to domains (an event, a side of one ...); only those of one domain meet.
"""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.classical.threads import in_parts
from mlpf.kinematics import delta_phi

CELL = 0.1  # width of a row in u, and (nearly) of a column in v: a few ECAL boxes, about one HCAL box
LARGEST_U = 5.2  # points beyond lie in the outermost rows
NUM_ROWS = int(2 * LARGEST_U / CELL)
NUM_COLUMNS = 62
MARGIN = 1e-9  # rounding at the edge of a row or column must not hide a point
PART = 5000  # boxes that a thread searches at a time


class Points(NamedTuple):
    """Points of some elements: flat element index (growing), domain, place, and how far tolerances stretch for them."""

    element: np.ndarray
    domain: np.ndarray
    u: np.ndarray
    v: np.ndarray
    stretch: np.ndarray


class Boxes(NamedTuple):
    """Boxes around some elements: abs(du) < half_u + slack * stretch of the point, v alike."""

    element: np.ndarray
    domain: np.ndarray
    u: np.ndarray
    v: np.ndarray
    half_u: np.ndarray
    half_v: np.ndarray
    slack: np.ndarray


class Sorted(NamedTuple):
    """Points by (domain, row, column): those of row r of domain d are ``members[start[k]:start[k + 1]]`` with k = d NUM_ROWS + r, by growing column."""

    start: np.ndarray
    members: np.ndarray
    column: np.ndarray
    reach: float  # largest stretch


Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def points_in_boxes(points: Points, boxes: Boxes, num_domains: int, limit: float, threads: int = 1) -> Found:
    """All pairs of a point and a box that it lies in.

    Args:
        num_domains: domains count from 0 to this.
        limit: only pairs closer than this, point to centre.
        threads: how many share the boxes; the result does not depend on it.

    Returns:
        ``(P,)`` positions in ``points`` and ``boxes`` and the squared distance of point and centre, ordered by box. Squared, since square roots of several
        libraries differ in the last bit: on all devices the same pair is the nearest.
    """
    ordered = _sort_points(points, num_domains)
    offsets = np.zeros(len(boxes.u) + 1, dtype=np.int64)
    for _ in ("count", "fill"):
        np.cumsum(offsets, out=offsets)
        found = np.empty(offsets[-1], dtype=np.int64), np.empty(offsets[-1], dtype=np.int64), np.empty(offsets[-1])
        in_parts(_search, len(boxes.u), PART, threads, points, boxes, ordered, limit**2, offsets, found)
    return found


@numba.njit(cache=True)
def _row(u: float) -> int:
    return int(min(max((u + LARGEST_U) / CELL, 0.0), NUM_ROWS - 1.0))


@numba.njit(cache=True)
def _column(v: float) -> int:
    """Column of a v that is not yet wrapped: a full turn is ``NUM_COLUMNS``."""
    return int(np.floor(v / (2.0 * np.pi) * NUM_COLUMNS))


@numba.njit(cache=True)
def _counting_sort(keys: np.ndarray, order: np.ndarray, num_keys: int) -> tuple[np.ndarray, np.ndarray]:
    """``order`` sorted stably by ``keys[order]``, and where each key starts in it."""
    start = np.zeros(num_keys + 2, dtype=np.int64)
    for key in keys:
        start[key + 2] += 1
    for key in range(2, num_keys + 2):
        start[key] += start[key - 1]
    placed = np.empty_like(order)
    for item in order:
        placed[start[keys[item] + 1]] = item
        start[keys[item] + 1] += 1
    return placed, start[:-1]


@numba.njit(cache=True)
def _sort_points(points: Points, num_domains: int) -> Sorted:
    number = len(points.u)
    row, column = np.empty(number, dtype=np.int64), np.empty(number, dtype=np.int64)
    reach = 0.0
    for point in range(number):
        row[point] = points.domain[point] * NUM_ROWS + _row(points.u[point])
        column[point] = _column(points.v[point]) % NUM_COLUMNS
        reach = max(reach, points.stretch[point])
    by_column, _ = _counting_sort(column, np.arange(number), NUM_COLUMNS)
    members, start = _counting_sort(row, by_column, num_domains * NUM_ROWS)
    return Sorted(start, members, column[members], reach)


@numba.njit(cache=True)
def _first_of_column(column: np.ndarray, first: int, last: int, wanted: int) -> int:
    """First position from ``first`` on, before ``last``, at which ``column`` reaches ``wanted``; ``last`` if none does."""
    while first < last:
        middle = (first + last) // 2
        if column[middle] < wanted:
            first = middle + 1
        else:
            last = middle
    return first


@numba.njit(cache=True, nogil=True)
def _search(first: int, last: int, points: Points, boxes: Boxes, ordered: Sorted, limit2: float, offsets: np.ndarray, found: Found) -> None:
    """Boxes ``first`` to ``last``; without room in ``found`` count the pairs of box b into ``offsets[b + 1]``, with room write them from ``offsets[b]`` on."""
    # Arrays are taken out of their tuples here: inside the loop that would count references, for which threads would wait for each other.
    _, domain, box_u, box_v, box_half_u, box_half_v, box_slack = boxes
    _, _, point_u, point_v, stretch = points
    start, members, column, reach = ordered
    point_of, box_of, squared = found
    filling = len(point_of) > 0
    for box in range(first, last):
        u, v, half_u, half_v, slack = box_u[box], box_v[box], box_half_u[box], box_half_v[box], box_slack[box]
        reach_u, reach_v = half_u + slack * reach + MARGIN, half_v + slack * reach + MARGIN
        first_column = _column(v - reach_v)
        num_columns = min(_column(v + reach_v) - first_column + 1, NUM_COLUMNS)
        first_column %= NUM_COLUMNS
        before_seam = min(num_columns, NUM_COLUMNS - first_column)
        base = domain[box] * NUM_ROWS
        number = 0
        for row in range(base + _row(u - reach_u), base + _row(u + reach_u) + 1):
            last_place = start[row + 1]
            for start_column, stop_column in ((first_column, first_column + before_seam), (0, num_columns - before_seam)):
                place = _first_of_column(column, start[row], last_place, start_column) if start_column < stop_column else last_place
                while place < last_place and column[place] < stop_column:
                    point = members[place]
                    place += 1
                    du, dv = point_u[point] - u, delta_phi(point_v[point], v)
                    stretched = slack * stretch[point]
                    apart2 = du**2 + dv**2
                    if abs(du) < half_u + stretched and abs(dv) < half_v + stretched and apart2 < limit2:
                        if filling:
                            write = offsets[box] + number
                            point_of[write], box_of[write], squared[write] = point, box, apart2
                        number += 1
        if not filling:
            offsets[box + 1] = number
