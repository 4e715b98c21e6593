"""The loops of CLUE over points sorted by tile. They release the GIL and write to the points of their own tiles only: threads may share the tiles."""

from typing import NamedTuple

import numba
import numpy as np

KERNELS = ("flat", "gaussian", "exponential")
FLAT, GAUSSIAN = 0, 1  # positions in KERNELS
KERNEL_STEP = 2.0**-32  # exp() of two libraries differs in the last bit: kernel values are rounded to this, all but one in 10^7 pairs or so then agree
BLOCK = 256  # distances kept in the fastest cache


class Tiles(NamedTuple):
    """Points sorted by tile: ``key`` grows along a row of tiles, and from row to row, and from event to event."""

    point: np.ndarray
    key: np.ndarray
    start: np.ndarray
    num_rows: int
    num_columns: int


@numba.njit(cache=True, nogil=True)
def _row_range(tiles: Tiles, tile: int, nearness: int, rings: int, hints: np.ndarray) -> tuple[int, int]:
    """Sorted points in one row around a tile, at most ``rings`` columns away: in its own row for nearness 0, in the adjacent ones for 1 and 2, ...

    Seen from one tile after the other a row's begin moves on, but for jumps back where rows repeat: the search starts at the last one, kept in ``hints``.
    """
    key = tiles.key[tiles.start[tile]]
    step = (nearness + 1) // 2 if nearness % 2 else -(nearness // 2)
    row, column = key // tiles.num_columns, key % tiles.num_columns
    row += (row % tiles.num_rows + step) % tiles.num_rows - row % tiles.num_rows
    low = row * tiles.num_columns + max(column - rings, 0)
    high = row * tiles.num_columns + min(column + rings, tiles.num_columns - 1)
    begin = hints[nearness]
    if begin > 0 and tiles.key[begin - 1] >= low:
        begin = int(np.searchsorted(tiles.key, low))
    while begin < len(tiles.key) and tiles.key[begin] < low:
        begin += 1
    end = begin
    while end < len(tiles.key) and tiles.key[end] <= high:
        end += 1
    hints[nearness] = begin
    return begin, end


@numba.njit(cache=True, nogil=True)
def _squared_distance(x_i: float, y_i: float, x_j: float, y_j: float, turn: float) -> float:
    dx, dy = x_i - x_j, abs(y_i - y_j)
    dy = min(dy, turn - dy)
    return dx * dx + dy * dy


@numba.njit(cache=True, nogil=True)
def sum_weights(
    first_tile: int, last_tile: int, tiles: Tiles, x: np.ndarray, y: np.ndarray, turn: float, half: np.ndarray, dc2: float, kernel: int, total: np.ndarray
) -> None:
    """Add up twice the density of the points of some tiles, in units of the weights."""
    hints = np.full(3, len(tiles.key))
    for tile in range(first_tile, last_tile):
        first, last = tiles.start[tile], tiles.start[tile + 1]
        for row in range(min(3, tiles.num_rows)):
            begin, end = _row_range(tiles, tile, row, 1, hints)
            near_x, near_y, near_half = x[begin:end], y[begin:end], half[begin:end]
            for i in range(first, last):
                if kernel == FLAT:
                    total[i] += _flat_sum(x[i], y[i], near_x, near_y, turn, near_half, dc2)
                else:
                    total[i] += _decreasing_sum(x[i], y[i], near_x, near_y, turn, near_half, dc2, kernel)
        if kernel == FLAT:
            total[first:last] += half[first:last]  # the sum counts the point itself as one of its neighbours


@numba.njit(cache=True, nogil=True)
def _flat_sum(x_i: float, y_i: float, x: np.ndarray, y: np.ndarray, turn: float, half: np.ndarray, dc2: float) -> int:
    found = 0
    for j in range(len(x)):
        found += half[j] if _squared_distance(x_i, y_i, x[j], y[j], turn) < dc2 else 0
    return found


@numba.njit(cache=True, nogil=True)
def _decreasing_sum(x_i: float, y_i: float, x: np.ndarray, y: np.ndarray, turn: float, half: np.ndarray, dc2: float, kernel: int) -> int:
    found = 0
    for j in range(len(x)):
        squared = _squared_distance(x_i, y_i, x[j], y[j], turn)
        if squared < dc2:
            value = np.exp(-2.0 * squared / dc2) if kernel == GAUSSIAN else np.exp(-2.0 * np.sqrt(squared / dc2))
            found += int(np.rint(2.0 * half[j] * (np.rint(value / KERNEL_STEP) * KERNEL_STEP)))
    return found


@numba.njit(cache=True, nogil=True)
def find_nearest_higher(
    first_tile: int, last_tile: int, tiles: Tiles, x: np.ndarray, y: np.ndarray, turn: float, rho: np.ndarray, dc2: float, reach2: float, rings: int,
    nearest: np.ndarray, squared: np.ndarray
) -> None:  # fmt: skip
    """Nearest point of higher density of the points of some tiles, and its squared distance.

    Most have one within dc, which is in their own or an adjacent tile; only the others look further.
    """
    hints, far_hints = np.full(3, len(tiles.key)), np.full(2 * rings + 1, len(tiles.key))
    apart = np.empty(BLOCK)
    for tile in range(first_tile, last_tile):
        first, last = tiles.start[tile], tiles.start[tile + 1]
        squared[first:last] = reach2
        for row in range(min(3, tiles.num_rows)):
            begin, end = _row_range(tiles, tile, row, 1, hints)
            _look_through_row(first, last, -1.0, begin, end, tiles.point, x, y, turn, rho, nearest, squared, apart)
        if rings > 1 and squared[first:last].max() > dc2:
            for row in range(min(2 * rings + 1, tiles.num_rows)):
                begin, end = _row_range(tiles, tile, row, rings, far_hints)
                _look_through_row(first, last, dc2, begin, end, tiles.point, x, y, turn, rho, nearest, squared, apart)
        for i in range(first, last):
            squared[i] = squared[i] if nearest[i] >= 0 else np.inf


@numba.njit(cache=True, nogil=True)
def _look_through_row(
    first: int, last: int, beyond: float, begin: int, end: int, point: np.ndarray, x: np.ndarray, y: np.ndarray, turn: float, rho: np.ndarray,
    nearest: np.ndarray, squared: np.ndarray, apart: np.ndarray
) -> None:  # fmt: skip
    """Let points ``first`` to ``last`` whose squared distance so far is more than ``beyond`` find a nearer one among ``begin`` to ``end``."""
    for block in range(begin, end, len(apart)):
        stop = min(block + len(apart), end)
        near_x, near_y, near_rho = x[block:stop], y[block:stop], rho[block:stop]
        for i in range(first, last):
            if squared[i] <= beyond:
                continue
            for near in range(len(near_x)):  # vectorised, since it has no branch
                distance = _squared_distance(x[i], y[i], near_x[near], near_y[near], turn)
                apart[near] = distance if near_rho[near] >= rho[i] else np.inf
            for near in range(len(near_x)):
                if apart[near] <= squared[i]:
                    j = block + near
                    if _is_higher(j, i, rho, point) and (apart[near] < squared[i] or nearest[i] < 0 or _is_higher(j, nearest[i], rho, point)):
                        nearest[i], squared[i] = j, apart[near]


@numba.njit(cache=True, nogil=True)
def _is_higher(j: int, i: int, rho: np.ndarray, point: np.ndarray) -> bool:
    return rho[j] > rho[i] or (rho[j] == rho[i] and point[j] > point[i])


@numba.njit(cache=True)
def follow(nearest: np.ndarray, is_seed: np.ndarray, isfollower: np.ndarray) -> np.ndarray:
    """Number of the seed at the end of every chain of nearest higher ones, -1 where an outlier is there."""
    cluster = np.where(isfollower, -2, -1)
    cluster[is_seed] = np.arange(is_seed.sum())
    for point in range(len(nearest)):
        end = point
        while cluster[end] == -2:
            end = nearest[end]
        number, end = cluster[end], point
        while cluster[end] == -2:
            cluster[end] = number
            end = nearest[end]
    return cluster
