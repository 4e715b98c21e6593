"""GravNet: neighbours in a learned space, messages that fade with the distance in it (arXiv:1902.07987)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mlpf.nn.mlp import MLP

POTENTIAL_STEEPNESS = 10.0  # arXiv:1902.07987 eq. 1: V(d) = exp(-10 d^2)


class Neighbors(NamedTuple):
    """The k nearest elements of every element, itself among them.

    Attributes:
        index: ``(B, N, k) int64`` their rows.
        weight: ``(B, N, k)`` in [0, 1], 0 where there is no neighbour.
        exists: ``(B, N, k) bool``.
    """

    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    weight: Tensor
    exists: Tensor


class GravNetLayer(nn.Module):
    """GravNet, arXiv:1902.07987 sec. 3.

    Each element gets coordinates ``s`` and values ``f``, both linear in its state; it receives mean and maximum over its k nearest elements j of
    ``w_j f_j`` and passes them on together with its state. The space starts as (eta, sin phi, cos phi) and is free to move.

    One change to the paper: ``w_j = V(d_j) - V(d_k)`` with d_k the largest of the k distances, instead of ``V(d_j)``. The weight reaches 0 where an element
    stops being a neighbour, so outputs are continuous: rounding, of another runtime for example, cannot make them jump. Accuracy is the same (measured).

    Args:
        width: length of an element's state.
        space_dim: dimensions of the learned space, at least 3.
        propagate_dim: length of a message.
        num_neighbors: k, itself included; at most N, padded rows counted.
        dropout: inside the dense layers.

    Shapes:
        state: (B, N, width), position: (B, N, 3), real: (B, N) bool -> (B, N, width)
    """

    def __init__(self, width: int, space_dim: int, propagate_dim: int, num_neighbors: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_neighbors = num_neighbors
        self.state_to_space = nn.Linear(width, space_dim, bias=False)
        self.position_to_space = nn.Linear(3, space_dim, bias=False)
        self.to_message = nn.Linear(width, propagate_dim)
        self.update = MLP(width + 2 * propagate_dim, 2 * width, width, dropout)
        nn.init.zeros_(self.state_to_space.weight)
        nn.init.eye_(self.position_to_space.weight)

    def forward(self, state: Tensor, position: Tensor, real: Tensor) -> Tensor:
        """See the class."""
        space = self.state_to_space(state) + self.position_to_space(position)
        neighbors = find_neighbors(space, real, self.num_neighbors)
        mean, maximum = aggregate(self.to_message(state), neighbors)
        return self.update(torch.cat([state, mean, maximum], dim=-1))


def find_neighbors(space: Tensor, real: Tensor, num_neighbors: int) -> Neighbors:
    """The k nearest real elements of the same event, by squared Euclidean distance in ``space`` (B, N, D); N >= k, padded rows counted."""
    with torch.no_grad():
        distance2 = torch.where(real.unsqueeze(1), _squared_distances(space), torch.inf)
        nearest, index = torch.topk(distance2, num_neighbors, dim=-1, largest=False)
    exists = torch.isfinite(nearest)
    # Once more for the chosen few, now with gradients: keeping (B, N, N) for the backward pass would cost far more.
    distance2 = (space.unsqueeze(2) - gather_rows(space, index)).square().sum(-1)
    potential = torch.where(exists, torch.exp(-POTENTIAL_STEEPNESS * distance2), 0.0)
    return Neighbors(index, potential - potential.amin(dim=-1, keepdim=True), exists)


def aggregate(message: Tensor, neighbors: Neighbors) -> tuple[Tensor, Tensor]:
    """Mean and maximum of the weighted messages (B, N, P) over the existing neighbours, each ``(B, N, P)``; 0 without any."""
    exists = neighbors.exists.unsqueeze(-1)
    received = neighbors.weight.unsqueeze(-1) * gather_rows(message, neighbors.index)
    count = exists.sum(dim=2).clamp(min=1)
    maximum = torch.where(exists, received, torch.finfo(received.dtype).min).amax(dim=2)
    return received.sum(dim=2) / count, torch.where(exists.any(dim=2), maximum, 0.0)


def gather_rows(rows: Tensor, index: Tensor) -> Tensor:
    """``rows (B, M, P)``, ``index (B, N, k)`` -> ``(B, N, k, P)``."""
    batch, num_rows, width = rows.shape
    first_row = torch.arange(batch, device=index.device).view(-1, 1, 1) * num_rows
    # One flat index_select: 9 times faster than rows[event, index] on a CPU.
    return rows.reshape(batch * num_rows, width).index_select(0, (index + first_row).reshape(-1)).view(*index.shape, width)


def _squared_distances(space: Tensor) -> Tensor:
    """``(B, N, D) -> (B, N, N)``, by differences: |x|^2 + |y|^2 - 2xy loses the small distances that decide."""
    distance2 = space.new_zeros(())
    for coordinate in space.unbind(-1):
        distance2 = distance2 + (coordinate.unsqueeze(2) - coordinate.unsqueeze(1)).square()
    return distance2
