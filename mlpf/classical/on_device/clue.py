"""CLUE on any device that has double precision: the definition of `mlpf.classical.clue` with sorting, searching and scattering instead of loops.

Every point is paired with all points of the tiles around its own, a bounded number of pairs at a time. Sums are of integers and minima of exact values, so that
the result does not depend on the order in which a device scatters, and equals that on the CPU.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mlpf.classical.clue import LARGEST, ClueParameters, Clusters, finite, grid, reach, roles, weight_unit
from mlpf.classical.clue_kernels import KERNEL_STEP

PAIRS_AT_ONCE = 2**20  # about 100 bytes each


class _Tiles(NamedTuple):
    """Points sorted by tile, as `mlpf.classical.clue_kernels.Tiles`; ``turn`` is the period of y."""

    point: Tensor
    key: Tensor
    x: Tensor
    y: Tensor
    turn: float
    num_rows: int
    num_columns: int


def clue(x: Tensor, y: Tensor, weight: Tensor, offsets: Tensor | np.ndarray, parameters: ClueParameters, pairs_at_once: int = PAIRS_AT_ONCE) -> Clusters:
    """Cluster the points of each event; arguments and result as of `mlpf.classical.clue.clue`, as tensors on the device of ``x``.

    Args:
        pairs_at_once: bound on memory; exceeded only by a point that alone has more neighbouring points.

    Raises:
        MlpfError: a value is not finite.
    """
    x, y, weight = (_checked(name, values) for name, values in (("x", x), ("y", y), ("weight", weight)))
    counts = torch.as_tensor(offsets, device=x.device).diff()
    event = torch.repeat_interleave(torch.arange(len(counts), device=x.device), counts)
    tiles = _sort_into_tiles(x, y, event, len(counts), parameters)
    unit = _weight_units(weight, event, counts)[event]
    half_weights = torch.round(weight / unit).long()
    rho = 0.5 * _twice_density(tiles, half_weights[tiles.point], parameters, pairs_at_once).double() * unit
    nearest, squared = _nearest_higher(tiles, rho, parameters, pairs_at_once)
    is_seed, is_follower = roles(rho, squared, parameters)
    return Clusters(rho, squared.sqrt(), nearest, is_seed, _follow(nearest, is_seed, is_follower))


def _checked(name: str, values: Tensor) -> Tensor:
    if not bool((values.abs() < LARGEST).all()):
        finite(name, values.cpu().numpy())
    return values.double()


def _weight_units(weight: Tensor, event: Tensor, counts: Tensor) -> Tensor:
    largest = weight.new_zeros(len(counts)).scatter_reduce(0, event, weight.abs(), "amax")
    return torch.from_numpy(weight_unit(largest.cpu().numpy(), counts.cpu().numpy())).to(weight.device)


def _sort_into_tiles(x: Tensor, y: Tensor, event: Tensor, num_events: int, parameters: ClueParameters) -> _Tiles:
    side, num_rows, num_columns = grid(parameters, num_events)
    if parameters.periodic:
        turn = y.new_tensor(2.0 * math.pi)  # some devices divide by a plain number inexactly
        y = y - turn * torch.floor((y + math.pi) / turn)
        row = torch.floor((y + math.pi) * (num_rows / (2.0 * math.pi))).clamp(max=num_rows - 1)
    else:
        row = torch.floor((y / side).clamp(-(2.0**40), 2.0**40)) % num_rows
    half = num_columns // 2
    column = torch.floor((x / side).clamp(-half, half - 1)) + half
    key, point = torch.sort((event * num_rows + row.long()) * num_columns + column.long())
    return _Tiles(point, key, x[point], y[point], 2.0 * math.pi if parameters.periodic else math.inf, num_rows, num_columns)


def _twice_density(tiles: _Tiles, half: Tensor, parameters: ClueParameters, pairs_at_once: int) -> Tensor:
    """In units of the weights, in the order of points."""
    dc2, _, _ = reach(parameters)
    total = torch.zeros_like(half)
    for i, j, squared in _pairs(tiles, torch.arange(len(half), device=half.device), 1, dc2, pairs_at_once):
        inside = squared < dc2
        i, j, squared = i[inside], j[inside], squared[inside]
        if parameters.kernel == "flat":
            total.index_add_(0, i, half[j])
        else:
            value = torch.exp(-2.0 * squared / dc2) if parameters.kernel == "gaussian" else torch.exp(-2.0 * (squared / dc2).sqrt())
            total.index_add_(0, i, torch.round(2.0 * half[j].double() * (torch.round(value / KERNEL_STEP) * KERNEL_STEP)).long())
    total = total + half if parameters.kernel == "flat" else total  # a point is one of its own neighbours in the sum
    return _in_order_of_points(total, tiles)


def _nearest_higher(tiles: _Tiles, rho: Tensor, parameters: ClueParameters, pairs_at_once: int) -> tuple[Tensor, Tensor]:
    """Nearest points of higher density and their squared distances; only points with none within dc look beyond the adjacent tiles."""
    dc2, reach2, rings = reach(parameters)
    by_density = torch.argsort(rho, stable=True)  # of equal density the larger index is higher
    rank = torch.empty_like(by_density)
    rank[by_density] = torch.arange(len(rho), device=rho.device)
    rank = rank[tiles.point]
    squared, best = torch.full_like(rho, math.inf), torch.full_like(rank, -1)
    searching = torch.arange(len(rho), device=rho.device)
    for rings_now in sorted({1, rings}):
        searching = searching[squared[searching] > dc2]
        squared[searching], best[searching] = math.inf, -1
        for i, j, apart in _pairs(tiles, searching, rings_now, reach2, pairs_at_once):
            is_higher = rank[j] > rank[i]
            i, j, apart = i[is_higher], j[is_higher], apart[is_higher]
            squared.scatter_reduce_(0, i, apart, "amin")
            is_nearest = apart == squared[i]
            best.scatter_reduce_(0, i[is_nearest], rank[j[is_nearest]], "amax")
    nearest = torch.where(best >= 0, by_density[best], -1)
    return _in_order_of_points(nearest, tiles), _in_order_of_points(squared, tiles)


def _pairs(tiles: _Tiles, of: Tensor, rings: int, reach2: float, pairs_at_once: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Pairs (i, j) of sorted points, i in ``of``, at most ``rings`` tiles and a distance apart, and their squared distances; all pairs of an i together."""
    begin, count = _stretches(tiles, of, rings)
    num_rows = begin.shape[1]
    until = count.sum(dim=1).cumsum(0)
    bounds = torch.searchsorted(until, torch.arange(0, int(until[-1]) if len(of) else 0, pairs_at_once, device=of.device)).tolist()
    for first, last in itertools.pairwise([*bounds, len(of)]):
        start, length = begin[first:last].flatten(), count[first:last].flatten()
        stretch = torch.repeat_interleave(torch.arange(len(length), device=of.device), length)
        j = torch.arange(len(stretch), device=of.device) + (start - length.cumsum(0) + length)[stretch]
        i = of[first:last].repeat_interleave(num_rows)[stretch]
        dy = (tiles.y[i] - tiles.y[j]).abs()
        squared = (tiles.x[i] - tiles.x[j]).square() + torch.minimum(dy, tiles.turn - dy).square()
        near = squared <= reach2
        yield i[near], j[near], squared[near]


def _stretches(tiles: _Tiles, of: Tensor, rings: int) -> tuple[Tensor, Tensor]:
    """First sorted point and number of points of the tiles around each of M points: ``(M, R)``, one entry for each row of tiles."""
    row, column = tiles.key[of] // tiles.num_columns, tiles.key[of] % tiles.num_columns
    steps = torch.arange(-rings, -rings + min(2 * rings + 1, tiles.num_rows), device=of.device)
    rows = ((row - row % tiles.num_rows)[:, None] + (row[:, None] % tiles.num_rows + steps) % tiles.num_rows) * tiles.num_columns
    begin = torch.searchsorted(tiles.key, rows + (column - rings).clamp(min=0)[:, None])
    end = torch.searchsorted(tiles.key, rows + (column + rings).clamp(max=tiles.num_columns - 1)[:, None], right=True)
    return begin, end - begin


def _follow(nearest: Tensor, is_seed: Tensor, is_follower: Tensor) -> Tensor:
    """Number of the seed at the end of every chain of nearest higher ones; chains are halved until all points know their end."""
    end = torch.where(is_follower, nearest, torch.arange(len(nearest), device=nearest.device))
    while not torch.equal(further := end[end], end):
        end = further
    return torch.where(is_seed[end], is_seed.cumsum(0)[end] - 1, -1)


def _in_order_of_points(values: Tensor, tiles: _Tiles) -> Tensor:
    return torch.empty_like(values).scatter_(0, tiles.point, values)
