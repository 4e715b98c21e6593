"""Elements in groups of neighbours along some order: what makes dense work on all pairs of a group linear in the number of elements."""

from typing import NamedTuple

import torch
from torch import Tensor


class Partition(NamedTuple):
    """Groups of at most K elements that follow each other in an order; every real element is in one group.

    Attributes:
        row: ``(B, M, K) int64`` element in each slot of M groups; any element where the slot is empty.
        exists: ``(B, M, K) bool`` the slot holds a real element.
        slot: ``(B, N) int64`` slot of each element among the M K of its event; any slot for padded rows.
    """

    row: Tensor
    exists: Tensor
    slot: Tensor

    def gather(self, rows: Tensor) -> Tensor:
        """Values of elements ``(B, N, P)`` -> of slots ``(B, M, K, P)``; those of empty slots are to be ignored."""
        return _take(rows, self.row)

    def scatter(self, slots: Tensor) -> Tensor:
        """Values of slots ``(B, M, K, P)`` -> of elements ``(B, N, P)``; those of padded rows are to be ignored."""
        return _take(slots.flatten(1, 2), self.slot)


def partition(key: Tensor, real: Tensor, size: int, shifted: bool = False) -> Partition:
    """Groups of as equal size as possible, of elements in ascending order of ``key``.

    An event of n real elements has ``m = ceil(n / size)`` groups, group g of the ranks from ``g n / m`` on; shifted, the bounds lie half a group lower, which
    leaves half a group at either end. So an event's groups depend on its real elements alone. Elements with the same key come in any order: make keys unique.

    Shapes:
        key: (B, N), finite, N >= 1; real: (B, N) bool -> `Partition` with M = ceil(N / size), one more if shifted, and K = size
    """
    batch, num_elements = key.shape
    order = torch.where(real, key, torch.inf).argsort(dim=1)  # (B, N) element of each rank
    count = real.sum(dim=1).view(batch, 1, 1)
    groups = ((count + size - 1) // size).clamp(min=1)
    # Bounds at (2 g - s) n / (2 m) with s = 1 if shifted; all numbers are integers, so no rounding can move one.
    shift = 1 if shifted else 0
    number = torch.arange((num_elements + size - 1) // size + shift + 1, device=key.device).view(1, -1, 1)
    bounds = ((2 * number - shift) * count + 2 * groups - 1).clamp(min=0) // (2 * groups)
    bounds = torch.minimum(bounds, count)
    rank_of_slot = bounds[:, :-1] + torch.arange(size, device=key.device)
    exists = rank_of_slot < bounds[:, 1:]
    row = _take(order.unsqueeze(-1), rank_of_slot.clamp(max=num_elements - 1)).squeeze(-1)
    # The other way round: each slot writes its number into the row of its element, empty ones into a row too many.
    written = torch.where(exists, row, num_elements).flatten(1)
    slot = (
        torch.zeros_like(order[:, :1]).expand(batch, num_elements + 1).scatter(1, written, torch.arange(written.shape[1], device=key.device).expand_as(written))
    )
    return Partition(row, exists, slot[:, :num_elements])


def _take(rows: Tensor, index: Tensor) -> Tensor:
    """``rows (B, R, P)``, ``index (B, ...)`` -> ``(B, ..., P)``."""
    batch, num_rows, width = rows.shape
    first = torch.arange(batch, device=rows.device).view(-1, *[1] * (index.dim() - 1)) * num_rows
    # One flat index_select: 9 times faster than rows[event, index] on a CPU.
    return rows.reshape(batch * num_rows, width).index_select(0, (index + first).reshape(-1)).view(*index.shape, width)
