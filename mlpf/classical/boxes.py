"""Which points lie in which boxes of the (eta, phi) plane: by a grid that is periodic in phi, so that the cost grows linearly with their number."""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.kinematics import delta_phi

CELL = 0.1  # of the search grid, in eta and (nearly) in phi: a few ECAL boxes, about one HCAL box
GRID_ETA = 5.2
NUM_ETA = int(2 * GRID_ETA / CELL)
NUM_PHI = 62


class Points(NamedTuple):
    """Points of some elements on a detector surface: flat element index, event boundaries, direction, and how far tolerances stretch for them."""

    element: np.ndarray
    offsets: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    stretch: np.ndarray


class Boxes(NamedTuple):
    """Boxes around some elements: abs(d eta) < half_eta + slack * stretch of the point, phi alike."""

    element: np.ndarray
    offsets: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    half_eta: np.ndarray
    half_phi: np.ndarray
    slack: np.ndarray


@numba.njit(cache=True)
def _eta_bin(eta: float) -> int:
    return int(min(max((eta + GRID_ETA) / CELL, 0.0), NUM_ETA - 1.0))


@numba.njit(cache=True)
def _phi_bin(phi: float) -> int:
    """Bin of an azimuth, not yet wrapped: a full turn is ``NUM_PHI`` bins."""
    return int(np.floor(phi / (2.0 * np.pi) * NUM_PHI))


@numba.njit(cache=True)
def _bin_points(eta: np.ndarray, phi: np.ndarray, first: int, last: int, start: np.ndarray, members: np.ndarray) -> None:
    """Sort points ``first`` to ``last`` by grid cell: those of cell c become ``members[start[c]:start[c + 1]]``."""
    start[:] = 0
    for point in range(first, last):
        start[_eta_bin(eta[point]) * NUM_PHI + _phi_bin(phi[point]) % NUM_PHI + 1] += 1
    for cell in range(len(start) - 1):
        start[cell + 1] += start[cell]
    for point in range(last - 1, first - 1, -1):  # filling from the end leaves start[c + 1] at the first member of cell c
        cell = _eta_bin(eta[point]) * NUM_PHI + _phi_bin(phi[point]) % NUM_PHI
        start[cell + 1] -= 1
        members[start[cell + 1]] = point
    start[:-1] = start[1:]
    start[-1] = last - first


@numba.njit(cache=True)
def _scan_box(box: int, boxes: Boxes, points: Points, reach: float, start: np.ndarray, members: np.ndarray, inside: np.ndarray) -> int:
    """Write the points inside a box into ``inside``; returns how many."""
    found = 0
    eta, phi, half_eta, half_phi, slack = boxes.eta[box], boxes.phi[box], boxes.half_eta[box], boxes.half_phi[box], boxes.slack[box]
    reach_eta, reach_phi = half_eta + slack * reach + 1e-9, half_phi + slack * reach + 1e-9  # rounding at the edge of a bin must not hide a point
    first_column = _phi_bin(phi - reach_phi)
    last_column = min(_phi_bin(phi + reach_phi), first_column + NUM_PHI - 1)
    for row in range(_eta_bin(eta - reach_eta), _eta_bin(eta + reach_eta) + 1):
        for column in range(first_column, last_column + 1):
            cell = row * NUM_PHI + column % NUM_PHI
            for point in members[start[cell] : start[cell + 1]]:
                stretched = slack * points.stretch[point]
                if abs(points.eta[point] - eta) < half_eta + stretched and abs(delta_phi(points.phi[point], phi)) < half_phi + stretched:
                    inside[found] = point
                    found += 1
    return found


@numba.njit(cache=True)
def points_in_boxes(points: Points, boxes: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Positions in ``points`` and ``boxes`` of all pairs of one event; points are binned, boxes look through the bins that they cover."""
    pair_point = np.empty(2 * len(points.eta) + 16, dtype=np.int64)
    pair_box = np.empty_like(pair_point)
    start = np.zeros(NUM_ETA * NUM_PHI + 1, dtype=np.int64)
    members, inside = np.empty(len(points.eta), dtype=np.int64), np.empty(len(points.eta), dtype=np.int64)
    filled = 0
    for event in range(len(points.offsets) - 1):
        first, last = points.offsets[event], points.offsets[event + 1]
        if first == last or boxes.offsets[event] == boxes.offsets[event + 1]:
            continue
        _bin_points(points.eta, points.phi, first, last, start, members)
        reach = points.stretch[first:last].max()
        for box in range(boxes.offsets[event], boxes.offsets[event + 1]):
            found = _scan_box(box, boxes, points, reach, start, members, inside)
            while filled + found > len(pair_point):
                pair_point = np.concatenate((pair_point, np.empty_like(pair_point)))
                pair_box = np.concatenate((pair_box, np.empty_like(pair_box)))
            pair_point[filled : filled + found] = inside[:found]
            pair_box[filled : filled + found] = box
            filled += found
    return pair_point[:filled], pair_box[:filled]
