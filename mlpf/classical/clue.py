"""CLUE, clustering by energy density, arXiv:2001.09761: points follow their nearest neighbour of higher density; dense points without one are seeds.

Points that lie in a plane, with weights w, of many independent events at once:

    rho_i = w_i + sum over j with d(i, j) < dc of k(d) w_j,    k = 1/2 (flat), exp(-2 d^2 / dc^2) (gaussian), exp(-2 d / dc) (exponential)
    nearest higher of i: the nearest j of higher rho with d(i, j) <= outlier_factor dc; delta_i: its distance, infinite without one
    seed: rho >= rho_c and delta > dc;    outlier: rho < rho_c and delta > outlier_factor dc;    all others follow their nearest higher

So that every backend and every order of summation gives the same answer: of equal rho the larger index is higher; of equally near ones the higher is nearest;
distances are compared squared, in double precision, azimuths after they were moved into [-pi, pi); the terms of rho are rounded to multiples of a unit, about
2^-60 of the largest sum that an event could have (`weight_unit`), and summed as integers; a rho within 1e-9 of rho_c reaches it, so that three weights of .1
make .2 as on paper.

Neighbours are found through square tiles of side dc, of which only the occupied ones are stored: any spread of the points costs no memory.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from mlpf.classical.clue_kernels import KERNELS, Tiles, find_nearest_higher, follow, sum_weights
from mlpf.classical.threads import in_ranges
from mlpf.config import Config
from mlpf.errors import MlpfError
from mlpf.kinematics import wrap_phi

THRESHOLD = 1.0 - 1e-9  # of rho_c
LARGEST = 1e150  # coordinates and weights beyond it have no finite square
CHUNKS_PER_THREAD = 4  # so that a thread with sparse tiles goes on with the next chunk


class ClueParameters(Config):
    """When points belong together."""

    dc: float = Field(gt=1e-150, lt=1e150)
    """Distance below which points add to each other's density, and below which a point of higher density prevents a seed."""
    rho_c: float = Field(ge=0.0, allow_inf_nan=False)
    """Smallest density of a seed, in units of the weights."""
    outlier_factor: float = Field(default=2.0, ge=1.0, le=100.0)
    """How far, in dc, a point looks for one of higher density."""
    kernel: Literal["flat", "gaussian", "exponential"] = "flat"
    """How the weight of a neighbour in the density depends on its distance."""
    periodic: bool = False
    """Whether y is an azimuth [rad]."""


class Clusters(NamedTuple):
    """Result of CLUE for N points of B events; arrays of NumPy or tensors.

    Attributes:
        rho: ``(N,) float64`` density.
        delta: ``(N,) float64`` distance to the nearest point of higher density, infinite without one.
        nearest_higher: ``(N,) int64`` index of that point, -1 without one.
        is_seed: ``(N,) bool``.
        cluster: ``(N,) int64`` number of the seed that a point follows (seeds count on from event to event); -1 for outliers and their followers.
    """

    rho: Any
    delta: Any
    nearest_higher: Any
    is_seed: Any
    cluster: Any


class Grid(NamedTuple):
    """Side of a tile; number of rows, after which they repeat; number of columns, half of them at negative x, the outermost without an end."""

    side: float
    num_rows: int
    num_columns: int


def clue(x: np.ndarray, y: np.ndarray, weight: np.ndarray, offsets: np.ndarray, parameters: ClueParameters, threads: int = 1) -> Clusters:
    """Cluster the points of each event; cost grows linearly with the number of pairs of neighbours.

    Args:
        x, y, weight: ``(N,)`` coordinates (``y`` in any number of turns if periodic) and weights.
        offsets: ``(B + 1,)`` first point of every event.
        threads: how many work on the tiles; the result does not depend on it.

    Raises:
        MlpfError: a value is not finite.
    """
    x, y, weight = (finite(name, values) for name, values in (("x", x), ("y", y), ("weight", weight)))
    y = wrap_phi(y) if parameters.periodic else y
    turn = 2.0 * np.pi if parameters.periodic else np.inf
    tiles = _sort_into_tiles(x, y, offsets, parameters)
    unit = _unit_of_point(weight, offsets)
    plane = (tiles, x[tiles.point], y[tiles.point], turn)
    share = np.linspace(0, len(x), CHUNKS_PER_THREAD * threads + 1)
    chunks = np.searchsorted(tiles.start, share).tolist()  # of tiles, with about equally many points

    half_weights = np.rint(weight / unit).astype(np.int64)[tiles.point]
    total = np.zeros(len(x), dtype=np.int64)
    in_ranges(sum_weights, chunks, threads, *plane, half_weights, parameters.dc**2, KERNELS.index(parameters.kernel), total)
    rho = _in_order_of_points(0.5 * total, tiles) * unit

    nearest, squared = np.full(len(x), -1), np.full(len(x), np.inf)
    in_ranges(find_nearest_higher, chunks, threads, *plane, rho[tiles.point], *reach(parameters), nearest, squared)
    nearest = _in_order_of_points(np.where(nearest >= 0, tiles.point[nearest], -1), tiles)
    squared = _in_order_of_points(squared, tiles)
    is_seed, is_follower = roles(rho, squared, parameters)
    return Clusters(rho, np.sqrt(squared), nearest, is_seed, follow(nearest, is_seed, is_follower))


def reach(parameters: ClueParameters) -> tuple[float, float, int]:
    """Squares of dc and of the largest distance to a nearest higher, and how many tiles away that can be."""
    return parameters.dc**2, (parameters.outlier_factor * parameters.dc) ** 2, math.ceil(parameters.outlier_factor)


def roles(rho: Any, squared: Any, parameters: ClueParameters) -> tuple[Any, Any]:
    """Which points (of arrays or tensors of density and squared distance) are seeds, and which followers; the others are outliers."""
    dc2, reach2, _ = reach(parameters)
    is_dense = rho >= THRESHOLD * parameters.rho_c
    return is_dense & (squared > dc2), (squared <= dc2) | ~is_dense & (squared <= reach2)


def finite(name: str, values: np.ndarray) -> np.ndarray:
    """The values in double precision.

    Raises:
        MlpfError: one of them is not finite, or larger than `LARGEST`.
    """
    values = np.asarray(values, dtype=np.float64)
    bad = np.flatnonzero(~(np.abs(values) < LARGEST))
    if len(bad):
        raise MlpfError(f"CLUE: {name}: {len(bad)} values that are not finite (first at point {bad[0]}: {values[bad[0]]}); leave such points out")
    return values


def grid(parameters: ClueParameters, num_events: int) -> Grid:
    """Tiles a little larger than dc, so that rounding never puts neighbours two tiles apart; keys of all events fit in 62 bits."""
    side = parameters.dc * (1.0 + 2.0**-10)
    num_rows = int(np.clip(2.0 * np.pi / side, 1.0, 2.0**16)) if parameters.periodic else 2**16
    return Grid(side, num_rows, 2 ** min(41, 46 - num_events.bit_length()))


def weight_unit(largest: np.ndarray, number: np.ndarray) -> np.ndarray:
    """``(B,)`` powers of two of which the weights of an event are made, so that twice the sum of all stays below 2^62.

    Args:
        largest: ``(B,)`` largest absolute weight of each event.
        number: ``(B,) int64`` its number of points.
    """
    above_largest, above_number = np.frexp(largest)[1], np.frexp(number.astype(np.float64))[1]
    return np.ldexp(1.0, np.maximum(above_largest + above_number - 61, -1000))


def _unit_of_point(weight: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    number = np.diff(offsets)
    largest = np.zeros(len(number))
    largest[number > 0] = np.maximum.reduceat(np.abs(weight), offsets[:-1][number > 0]) if len(weight) else 0.0
    return np.repeat(weight_unit(largest, number), number)


def _sort_into_tiles(x: np.ndarray, y: np.ndarray, offsets: np.ndarray, parameters: ClueParameters) -> Tiles:
    side, num_rows, num_columns = grid(parameters, len(offsets) - 1)
    if parameters.periodic:
        row = np.minimum(np.floor((y + np.pi) * (num_rows / (2.0 * np.pi))), num_rows - 1.0)
    else:
        row = np.floor(np.clip(y / side, -(2.0**40), 2.0**40)) % num_rows
    half = num_columns // 2
    column = np.floor(np.clip(x / side, -half, half - 1)) + half
    event = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    key = (event * num_rows + row.astype(np.int64)) * num_columns + column.astype(np.int64)
    point = np.argsort(key)
    key = key[point]
    start = np.concatenate([np.flatnonzero(np.diff(key, prepend=-1)), [len(key)]])
    return Tiles(point, key, start, num_rows, num_columns)


def _in_order_of_points(values: np.ndarray, tiles: Tiles) -> np.ndarray:
    ordered = np.empty_like(values)
    ordered[tiles.point] = values
    return ordered
