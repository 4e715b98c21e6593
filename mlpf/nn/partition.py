"""Elements in groups of neighbours along some order: what makes dense work on all pairs of a group linear in the number of elements."""

from typing import NamedTuple

import torch
from torch import Tensor

from mlpf.nn.gather import gather_rows


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
        return gather_rows(rows, self.row)

    def scatter(self, slots: Tensor) -> Tensor:
        """Values of slots ``(B, M, K, P)`` -> of elements ``(B, N, P)``; those of padded rows are to be ignored."""
        return gather_rows(slots.flatten(1, 2), self.slot)


def partition(key: Tensor, real: Tensor, size: int) -> Partition:
    """Groups of as equal size as possible, of elements in ascending order of ``key``.

    An event of n real elements has ``m = ceil(n / size)`` groups, group g of the ranks from ``g n / m`` on. So an event's groups depend on its real elements
    alone. Elements with the same key come in the order of their rows, so where a bound parts them, it is the row that decides: make keys unique.

    Shapes:
        key: (B, N), finite, N >= 1; real: (B, N) bool -> `Partition` with M = ceil(N / size) and K = size
    """
    batch, num_elements = key.shape
    order = _ascending(torch.where(real, key, torch.inf))  # (B, N) element of each rank
    count = real.sum(dim=1).view(batch, 1, 1)
    groups = ((count + size - 1) // size).clamp(min=1)
    number = torch.arange((num_elements + size - 1) // size + 1, device=key.device).view(1, -1, 1)
    bounds = torch.minimum((number * count + groups - 1) // groups, count)  # integers: no rounding can move one
    rank_of_slot = bounds[:, :-1] + torch.arange(size, device=key.device)
    exists = rank_of_slot < bounds[:, 1:]
    row = gather_rows(order.unsqueeze(-1), rank_of_slot.clamp(max=num_elements - 1)).squeeze(-1)
    # The other way round: each slot writes its number into the row of its element, empty ones into a row too many.
    written = torch.where(exists, row, num_elements).flatten(1)
    slot = order.new_zeros(batch, num_elements + 1).scatter(1, written, torch.arange(written.shape[1], device=key.device).expand_as(written))
    return Partition(row, exists, slot[:, :num_elements])


def _ascending(key: Tensor) -> Tensor:
    """``(B, N) int64`` rows in ascending order of ``key``, equals in the order of their rows."""
    if torch.compiler.is_exporting():  # a stable sort has no ONNX form; a plain one becomes TopK, which is stable by its definition
        return key.argsort(dim=1)
    return key.argsort(dim=1, stable=True)
