"""Dense messages inside the bins of a learned hash (the idea of arXiv:2101.08578; hashing in rounds: Reformer, arXiv:2001.04451)."""

from typing import Literal, Self

import pydantic
import torch
from torch import Tensor, nn

from mlpf.nn.base import LastNorm, Model, ModelConfig, append_padding
from mlpf.nn.hashing import Bins, hash_into_bins
from mlpf.nn.heads import Heads, ModelOutput
from mlpf.nn.mlp import MLP
from mlpf.nn.preprocess import FeaturePreprocessor

LONGEST_RANGE = 0.5  # delta R at which the kernel of the first head has fallen to 1 / e at first; heads see half as far each: 0.5, 0.25, 0.125, 0.0625


class GNNLSHConfig(ModelConfig):
    """Parameters of `GNNLSHModel`."""

    name: Literal["gnn_lsh"] = "gnn_lsh"
    """Which model."""
    num_layers: int = pydantic.Field(default=3, ge=1)
    """Rounds of message passing."""
    space_dim: int = pydantic.Field(default=4, ge=3)
    """Dimensions of the learned space that is hashed and in which distances count."""
    num_rounds: int = pydantic.Field(default=2, ge=1)
    """Hashes per layer, each along a direction of its own."""
    bin_size: int = pydantic.Field(default=64, ge=2)
    """Largest number of elements in a bin."""
    softness: float = pydantic.Field(default=0.25, gt=0.0)
    """Share of a bin's width over which the weight of an element rises from 0 at the bound to 1."""
    num_heads: int = pydantic.Field(default=4, ge=1)
    """Kernels of different range, each with a part of the message."""
    message_dim: int = pydantic.Field(default=64, ge=1)
    """Length of a message, all heads together."""

    @pydantic.model_validator(mode="after")
    def _heads_share_the_message(self) -> Self:
        if self.message_dim % self.num_heads:
            raise ValueError(f"message_dim must be a multiple of num_heads (found {self.message_dim} and {self.num_heads})")
        if self.num_rounds > self.space_dim:
            raise ValueError(f"num_rounds must be at most space_dim, for directions to be orthogonal (found {self.num_rounds} and {self.space_dim})")
        return self


class GNNLSHModel(Model):
    """A stack of `GNNLSHLayer` with residual connections; every element ends with one prediction. Cost is linear in the number of elements.

    Shapes:
        features: (B, N, 55) float32, raw, anything; mask: (B, N) float32, 1 = real element -> `ModelOutput`
    """

    def __init__(self, config: GNNLSHConfig) -> None:
        super().__init__()
        self.preprocess = FeaturePreprocessor(config.embedding_dim)
        self.encode = MLP(self.preprocess.output_dim + 3, 2 * config.width, config.width, config.dropout)
        self.layers = nn.ModuleList(GNNLSHLayer(config) for _ in range(config.num_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(config.num_layers))
        self.last_norm = LastNorm(config.width)
        self.heads = Heads(config.width, config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> ModelOutput:
        """See the class."""
        num_elements = features.shape[1]
        features, real = append_padding(features, mask > 0.5, 1)  # -> (B, N + 1, 55)
        elements = self.preprocess(features, real)  # -> (B, N + 1, F)
        state = self.encode(torch.cat([elements.inputs, elements.position], dim=-1))  # -> (B, N + 1, width)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            state = state + layer(norm(state), elements.position, real)  # messages among the elements of a bin
        output = self.heads(self.last_norm(state), elements, real)  # -> (B, N + 1, 2 | 9 | 5 | 1 | 3)
        return ModelOutput(*(values[:, :num_elements] for values in output))


class GNNLSHLayer(nn.Module):
    """Messages among all elements that share a bin, in several rounds of hashing.

    Each element gets coordinates ``s`` in a learned space and messages ``m_h`` for H heads, both linear in its state. Round r projects the space on a
    direction of its own and sorts the projections into bins of at most K elements (`hash_into_bins`). Inside a bin every element listens to every other with
    the kernel ``k_h = exp(-|s_i - s_j|^2)^(4^h)``: head h sees half as far as head h - 1. All rounds count together::

        n_ih = sum_r w_ir sum_j w_jr k_h(i, j)        received_ih = sum_r w_ir sum_j w_jr k_h(i, j) m_jh / (1 + n_ih)

    with the weights w of the bins, which fade at their bounds. So the outputs are continuous, and what a bound parts in one round is together in another: the
    ratio approaches that of the kernel over the whole event. Means and log(1 + n), a density, update the state. Gradients reach the space through the
    kernel. The space starts as (eta, sin phi, cos phi) and is free to move; the directions are orthogonal, drawn at random, and stay.

    Shapes:
        state: (B, N, width), position: (B, N, 3), real: (B, N) bool -> (B, N, width)
    """

    directions: Tensor

    def __init__(self, config: GNNLSHConfig) -> None:
        super().__init__()
        self.bin_size, self.softness, self.num_heads = config.bin_size, config.softness, config.num_heads
        self.state_to_space = nn.Linear(config.width, config.space_dim, bias=False)
        self.position_to_space = nn.Linear(3, config.space_dim, bias=False)
        self.to_message = nn.Linear(config.width, config.message_dim)
        self.update = MLP(config.width + config.message_dim + config.num_heads, 2 * config.width, config.width, config.dropout)
        nn.init.zeros_(self.state_to_space.weight)
        nn.init.eye_(self.position_to_space.weight)
        with torch.no_grad():
            self.position_to_space.weight /= LONGEST_RANGE
        self.register_buffer("directions", nn.init.orthogonal_(torch.empty(config.num_rounds, config.space_dim)))

    def forward(self, state: Tensor, position: Tensor, real: Tensor) -> Tensor:
        """See the class."""
        with torch.autocast(state.device.type, enabled=False):  # bfloat16 has no room for small distances at large coordinates
            space = self.state_to_space(state.to(position.dtype)) + self.position_to_space(position)
            keys = space @ self.directions.T  # -> (B, N, R)
        message = self.to_message(state).unflatten(-1, (self.num_heads, -1))  # -> (B, N, H, P)
        message = torch.cat([message, torch.ones_like(message[..., :1])], dim=-1)  # -> (B, N, H, P + 1): the last becomes n
        received = torch.zeros_like(message)
        for key in keys.unbind(-1):
            received = received + exchange(space, message, hash_into_bins(key, real, self.bin_size, self.softness))
        total, count = received[..., :-1], received[..., -1:]
        return self.update(torch.cat([state, (total / (1.0 + count)).flatten(2), count.flatten(2).log1p()], dim=-1))


def exchange(space: Tensor, message: Tensor, bins: Bins) -> Tensor:
    """``w_i sum_j w_j exp(-|s_i - s_j|^2)^(4^h) m_jh`` over the elements j in the bin of i, itself included.

    Shapes:
        space: (B, N, D), message: (B, N, H, P) -> (B, N, H, P)
    """
    part, weight = bins.partition, bins.weight.unsqueeze(-1)
    kernel = torch.exp(-_squared_distances(part.gather(space)))  # -> (B, M, K, K)
    received = []
    for head, own in enumerate(message.unbind(2)):
        kernel = kernel.square().square() if head else kernel  # several times faster than another exponential
        received.append(weight * (kernel @ (weight * part.gather(own))))  # -> (B, M, K, P)
    return part.scatter(torch.cat(received, dim=-1)).unflatten(-1, message.shape[2:])


def _squared_distances(points: Tensor) -> Tensor:
    """``(..., K, D) -> (..., K, K)``, by differences: |x|^2 + |y|^2 - 2xy loses the small distances that count most."""
    if not torch.compiler.is_compiling():  # cdist has no ONNX form, but needs half the time and keeps a quarter of the memory
        return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    distance2 = points.new_zeros(())
    for coordinate in points.unbind(-1):
        distance2 = distance2 + (coordinate.unsqueeze(-1) - coordinate.unsqueeze(-2)).square()
    return distance2
