"""GravNet: neighbours in a learned space, messages that fade with the distance in it (arXiv:1902.07987)."""

from typing import Literal, NamedTuple

import pydantic
import torch
from torch import Tensor, nn

from mlpf.nn.base import LastNorm, Model, ModelConfig, append_padding
from mlpf.nn.gather import gather_rows
from mlpf.nn.heads import Heads, ModelOutput
from mlpf.nn.mlp import MLP
from mlpf.nn.neighbors import find_nearest
from mlpf.nn.preprocess import FeaturePreprocessor

POTENTIAL_STEEPNESS = 10.0  # arXiv:1902.07987 eq. 1: V(d) = exp(-10 d^2)


class GravNetConfig(ModelConfig):
    """Parameters of `GravNetModel`."""

    name: Literal["gravnet"] = "gravnet"
    """Which model."""
    num_layers: int = pydantic.Field(default=3, ge=1)
    """Rounds of message passing."""
    space_dim: int = pydantic.Field(default=4, ge=3)
    """Dimensions of the learned space in which neighbours are looked for."""
    propagate_dim: int = pydantic.Field(default=32, ge=1)
    """Length of a message between neighbours."""
    num_neighbors: int = pydantic.Field(default=16, ge=2)
    """Nearest elements that an element listens to, itself included."""


class GravNetModel(Model):
    """A stack of `GravNetLayer` with residual connections; every element ends with one prediction.

    Cost is nearly linear in the number of elements on a CPU. On a GPU time, and in an exported graph memory as well, grow with its square (`find_nearest`).

    Shapes:
        features: (B, N, 55) float32, raw, anything; mask: (B, N) float32, 1 = real element -> `ModelOutput`
    """

    def __init__(self, config: GravNetConfig) -> None:
        super().__init__()
        self.num_neighbors = config.num_neighbors
        self.preprocess = FeaturePreprocessor(config.embedding_dim)
        self.encode = MLP(self.preprocess.output_dim + 3, 2 * config.width, config.width, config.dropout)
        self.layers = nn.ModuleList(
            GravNetLayer(config.width, config.space_dim, config.propagate_dim, config.num_neighbors, config.dropout) for _ in range(config.num_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(config.num_layers))
        self.last_norm = LastNorm(config.width)
        self.heads = Heads(config.width, config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> ModelOutput:
        """See the class."""
        num_elements = features.shape[1]
        features, real = append_padding(features, mask > 0.5, self.num_neighbors)  # -> (B, N + k, 55)
        elements = self.preprocess(features, real)  # -> (B, N + k, F)
        state = self.encode(torch.cat([elements.inputs, elements.position], dim=-1))  # -> (B, N + k, width)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            state = state + layer(norm(state), elements.position, real)  # messages among k neighbours
        output = self.heads(self.last_norm(state), elements, real)  # -> (B, N + k, 2 | 9 | 5 | 1 | 3)
        return ModelOutput(*(values[:, :num_elements] for values in output))


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
        with torch.autocast(state.device.type, enabled=False):  # bfloat16 has no room for small distances at large coordinates
            space = self.state_to_space(state.to(position.dtype)) + self.position_to_space(position)
        neighbors = find_neighbors(space, real, self.num_neighbors)
        mean, maximum = aggregate(self.to_message(state), neighbors)
        return self.update(torch.cat([state, mean, maximum], dim=-1))


def find_neighbors(space: Tensor, real: Tensor, num_neighbors: int) -> Neighbors:
    """The k nearest real elements of the same event, by squared Euclidean distance in ``space`` (B, N, D); N >= k, padded rows counted."""
    index, exists = find_nearest(space.detach(), real, num_neighbors)
    # Distances to the chosen few, now with gradients: keeping (B, N, N) for the backward pass would cost far more.
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
