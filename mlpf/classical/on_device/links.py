"""Links between PF elements on any device: the rules of `link_rules`, whose pairs are found by sorting and searching instead of loops.

Points and boxes are laid out by NumPy, which is linear in the number of elements; all that grows with the number of pairs happens on the device. The steps are
those of `boxes`: points sorted by domain, row and column; every box searches its stretch of each of the rows that it covers; all points of these stretches are
tested. Squared distances are computed in the same order and precision as there, so that the pairs are identical.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mlpf.classical.boxes import CELL, LARGEST_U, MARGIN, NUM_COLUMNS, NUM_ROWS
from mlpf.classical.elements import Elements
from mlpf.classical.link_rules import Keep, Rule
from mlpf.classical.links import linked_pairs

TURN = 2.0 * np.pi


class Links(NamedTuple):
    """Linked pairs of elements, sorted by (i, j), on one device.

    Attributes:
        i, j: ``(L,) int64`` flat element indices, ``i < j``, of one event.
        distance: ``(L,) float64``, see the table of `link_rules`.
    """

    i: Tensor
    j: Tensor
    distance: Tensor


Pairs = tuple[Tensor, Tensor, Tensor]


def find_links(elements: Elements, device: str | torch.device = "cpu") -> Links:
    """All links of all events, the same as `mlpf.classical.links.find_links`; memory grows with the number of elements and of near pairs.

    Args:
        device: where pairs are searched, and where the links stay.
    """
    parts = linked_pairs(elements, partial(_pairs, device=torch.device(device)), lambda tensor: tensor.cpu().numpy())
    first, second, distance = (torch.cat(part) for part in zip(*parts, strict=True))
    i, j = torch.minimum(first, second), torch.maximum(first, second)
    key, order = torch.sort(i * len(elements.type) + j, stable=True)
    i, j, distance = i[order], j[order], distance[order]
    kept = i != j
    kept[1:] &= key[1:] != key[:-1]
    return Links(i[kept], j[kept], distance[kept])


def _pairs(rule: Rule, device: torch.device) -> Pairs:
    """Pairs of elements of a rule, and their distances."""
    points, boxes = ({name: torch.from_numpy(np.ascontiguousarray(values)).to(device) for name, values in part._asdict().items()} for part in rule[:2])
    point, box, squared = _points_in_boxes(points, boxes, rule.limit)
    if rule.keep is not Keep.ALL:
        kept = _nearest(point, box, squared, len(rule.points.u))
        point, box, squared = point[kept], box[kept], squared[kept]
    if rule.keep is Keep.ONE_TO_ONE:
        kept = _nearest(box, point, squared, len(rule.boxes.u))
        point, box, squared = point[kept], box[kept], squared[kept]
    distance = rule.unit * squared.sqrt() if rule.constant is None else torch.full_like(squared, rule.constant)
    return points["element"][point], boxes["element"][box], distance


def _points_in_boxes(points: dict[str, Tensor], boxes: dict[str, Tensor], limit: float) -> Pairs:
    """As `boxes.points_in_boxes`, in another order."""
    row = points["domain"] * NUM_ROWS + _row(points["u"])
    key, members = torch.sort(row * NUM_COLUMNS + _column(points["v"]) % NUM_COLUMNS)
    first, last, box = _stretches(key, boxes, points["stretch"].max() if len(key) else 0.0)
    place, stretch_of_place = _expand(first, last)
    point, box = members[place], box[stretch_of_place]
    du = points["u"][point] - boxes["u"][box]
    dv = _wrap(points["v"][point] - boxes["v"][box])
    stretched = boxes["slack"][box] * points["stretch"][point]
    squared = du**2 + dv**2
    kept = (du.abs() < boxes["half_u"][box] + stretched) & (dv.abs() < boxes["half_v"][box] + stretched) & (squared < limit**2)
    return point[kept], box[kept], squared[kept]


def _stretches(key: Tensor, boxes: dict[str, Tensor], reach: Tensor | float) -> Pairs:
    """First and last (exclusive) place among the sorted points of each row that a box covers, once up to the seam of v and once from it on; and the box."""
    reach_u, reach_v = (boxes[half] + boxes["slack"] * reach + MARGIN for half in ("half_u", "half_v"))
    first_row, last_row = _row(boxes["u"] - reach_u), _row(boxes["u"] + reach_u)
    first_column = _column(boxes["v"] - reach_v)
    num_columns = (_column(boxes["v"] + reach_v) - first_column + 1).clamp(max=NUM_COLUMNS)
    first_column = first_column % NUM_COLUMNS
    before_seam = torch.minimum(num_columns, NUM_COLUMNS - first_column)
    row, box = _expand(first_row, last_row + 1)
    base = (boxes["domain"][box] * NUM_ROWS + row) * NUM_COLUMNS
    start = torch.cat([base + first_column[box], base])
    stop = torch.cat([start[: len(base)] + before_seam[box], base + (num_columns - before_seam)[box]])
    return torch.searchsorted(key, start), torch.searchsorted(key, stop), torch.cat([box, box])


def _expand(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """All numbers of many ranges ``first`` to ``last`` (exclusive), one range after the other, and the range of each."""
    counts = last - first
    owner = torch.repeat_interleave(counts)
    return torch.arange(len(owner), device=first.device) - (counts.cumsum(0) - counts - first)[owner], owner


def _row(u: Tensor) -> Tensor:
    return ((u + LARGEST_U) / CELL).clamp(0.0, NUM_ROWS - 1.0).long()


def _column(v: Tensor) -> Tensor:
    return torch.floor(v / TURN * NUM_COLUMNS).long()


def _wrap(phi: Tensor) -> Tensor:
    """As `kinematics.wrap_phi`."""
    return phi - TURN * torch.floor((phi + np.pi) / TURN)


def _nearest(owner: Tensor, partner: Tensor, distance: Tensor, num_owners: int) -> Tensor:
    """``(P,) bool``: whether a pair is that of its owner's nearest partner; equal distances: the smaller partner."""
    shortest = torch.full((num_owners,), torch.inf, dtype=distance.dtype, device=distance.device).scatter_reduce_(0, owner, distance, "amin")
    kept = distance == shortest[owner]
    none = torch.iinfo(partner.dtype).max
    smallest = torch.full((num_owners,), none, device=partner.device).scatter_reduce_(0, owner, torch.where(kept, partner, none), "amin")
    return kept & (partner == smallest[owner])
