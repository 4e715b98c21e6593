"""Attention inside windows of elements that follow each other on space-filling curves: linear cost, and dense matrix products only."""

from typing import Literal

import pydantic
import torch
from torch import Tensor, nn

from mlpf.nn.base import LastNorm, Model, append_padding
from mlpf.nn.curves import CurveKeys
from mlpf.nn.heads import Heads, ModelOutput
from mlpf.nn.mlp import MLP
from mlpf.nn.partition import Partition, partition
from mlpf.nn.preprocess import FeaturePreprocessor
from mlpf.nn.transformer import IGNORED_LOGIT, SelfAttention, TransformerConfig

MIN_LOG_RADIUS = -7.0  # a radius of .001, below any resolution: the exponential must not overflow
SMALLEST_RADIUS, LARGEST_RADIUS = 0.05, 1.0  # in (eta, phi), where the heads start: from a few ECAL crystals to a jet


class WindowConfig(TransformerConfig):
    """Parameters of `WindowModel`."""

    name: Literal["window"] = "window"
    """Which model."""
    num_layers: int = pydantic.Field(default=4, ge=1)
    """Layers of attention; they take the curves in turn."""
    window_size: int = pydantic.Field(default=32, ge=2)
    """Elements that attend to each other, at most."""
    num_curves: int = pydantic.Field(default=3, ge=1)
    """Space-filling curves, shifted against each other."""


class WindowModel(Model):
    """A stack of `WindowLayer`; every element ends with one prediction.

    Serialised attention as in Point Transformer V3 (arXiv:2312.10035), made for the detector: curves on the cylinder instead of the cube, windows of an event
    that depend on its own elements alone, and attention that fades with the distance, so that it does not see where windows end (compare HEPT,
    arXiv:2402.12535, which hashes at random what curves do in a fixed way). Elements that are equal in all features are told apart by the order of their rows
    where a window ends between them; to exchange two such rows then exchanges nothing.

    Shapes:
        features: (B, N, 55) float32, raw, anything; mask: (B, N) float32, 1 = real element -> `ModelOutput`
    """

    def __init__(self, config: WindowConfig) -> None:
        super().__init__()
        self.window_size = config.window_size
        self.num_curves = config.num_curves
        self.preprocess = FeaturePreprocessor(config.embedding_dim)
        self.keys = CurveKeys(config.num_curves)
        self.encode = MLP(self.preprocess.output_dim + 3, 2 * config.width, config.width, config.dropout)
        self.locality = nn.ModuleList(Locality(config.num_heads) for _ in range(config.num_curves))
        self.layers = nn.ModuleList(WindowLayer(config) for _ in range(config.num_layers))
        self.last_norm = LastNorm(config.width)
        self.heads = Heads(config.width, config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> ModelOutput:
        """See the class."""
        num_elements = features.shape[1]
        features, real = append_padding(features, mask > 0.5, 1)  # -> (B, N + 1, 55)
        elements = self.preprocess(features, real)  # -> (B, N + 1, F)
        windows = curve_windows(self.keys(elements), real, self.window_size)  # per curve M windows of K slots
        biases = [locality(elements.position, window) for locality, window in zip(self.locality, windows, strict=True)]  # -> (B M, heads, K, K)
        share = (real / real.sum(dim=1, keepdim=True).clamp(min=1)).unsqueeze(1)  # (B, 1, N + 1): of each element in a mean over all
        state = self.encode(torch.cat([elements.inputs, elements.position], dim=-1))  # -> (B, N + 1, width)
        for i, layer in enumerate(self.layers):
            state = layer(state, share, windows[i % self.num_curves], biases[i % self.num_curves])
        output = self.heads(self.last_norm(state), elements, real)  # -> (B, N + 1, 2 | 9 | 5 | 1 | 3)
        return ModelOutput(*(values[:, :num_elements] for values in output))


class Locality(nn.Module):
    """What distance takes off the logits of attention: ``(d / r)^2 / 2`` with a learned radius r for each head, d in (eta, sin phi, cos phi).

    Attention becomes the product of a Gaussian and of what the elements are; the radii start spread from 0.05 to 1.

    Shapes:
        position: (B, N, 3), window: `Partition` of M groups of K slots -> (B M, num_heads, K, K) float32
    """

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.log_radius = nn.Parameter(torch.logspace(0.0, 1.0, num_heads, LARGEST_RADIUS / SMALLEST_RADIUS).mul(SMALLEST_RADIUS).log())

    def forward(self, position: Tensor, window: Partition) -> Tensor:
        """See the class."""
        position = window.gather(position).flatten(0, 1)  # -> (B M, K, 3)
        distance2 = position.new_zeros(())
        for coordinate in position.unbind(-1):
            difference = coordinate.unsqueeze(2) - coordinate.unsqueeze(1)
            distance2 = distance2 + difference * difference
        steepness = 0.5 * torch.exp(-2.0 * self.log_radius.clamp(min=MIN_LOG_RADIUS)).view(-1, 1, 1)
        ignored = torch.where(window.exists, 0.0, IGNORED_LOGIT).flatten(0, 1)[:, None, None, :]
        return ignored - steepness * distance2.unsqueeze(1)


class WindowLayer(nn.Module):
    """Attention inside windows, a summary of the event, then two dense layers, each added to the state (pre-norm, arXiv:2002.04745).

    The summary is the mean over all elements through two dense layers, the same for every element: pileup density, vertex and missing momentum are of the
    event, not of a window.

    Shapes:
        state: (B, N, width), share: (B, 1, N), window: `Partition` of M groups of K slots, bias: (B M, num_heads, K, K) -> (B, N, width)
    """

    def __init__(self, config: WindowConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = SelfAttention(config.width, config.num_heads, config.dropout)
        self.summary = MLP(config.width, config.width, config.width, config.dropout)
        self.dense_norm = nn.LayerNorm(config.width)
        self.dense = MLP(config.width, config.hidden_ratio * config.width, config.width, config.dropout)

    def forward(self, state: Tensor, share: Tensor, window: Partition, bias: Tensor) -> Tensor:
        """See the class."""
        elements = self.attention_norm(state)
        slots = window.gather(elements)  # -> (B, M, K, width)
        heard = self.attention(slots.flatten(0, 1), bias).view(slots.shape)
        state = state + window.scatter(heard) + self.summary(share @ elements)
        return state + self.dense(self.dense_norm(state))


def curve_windows(keys: Tensor, real: Tensor, size: int) -> list[Partition]:
    """Windows of at most ``size`` elements along each curve, for ``keys (C, B, N)``."""
    curves, batch, _ = keys.shape
    windows = partition(keys.flatten(0, 1), real.repeat(curves, 1), size)
    return [Partition(*(values[curve * batch : (curve + 1) * batch] for values in windows)) for curve in range(curves)]
