"""Attention of every element to every other of the event: quadratic cost, the reference for models that look at neighbours only."""

from typing import Literal

import pydantic
import torch
from torch import Tensor, nn

from mlpf.nn.base import LastNorm, Model, append_padding
from mlpf.nn.heads import Heads, ModelOutput
from mlpf.nn.mlp import MLP
from mlpf.nn.preprocess import FeaturePreprocessor
from mlpf.nn.transformer import IGNORED_LOGIT, SelfAttention, TransformerConfig


class AttentionConfig(TransformerConfig):
    """Parameters of `AttentionModel`."""

    name: Literal["attention"] = "attention"
    """Which model."""
    num_layers: int = pydantic.Field(default=4, ge=1)
    """Layers of attention."""


class AttentionModel(Model):
    """A transformer encoder (arXiv:1706.03762, pre-norm) over all elements of an event, without an order; every element ends with one prediction.

    Shapes:
        features: (B, N, 55) float32, raw, anything; mask: (B, N) float32, 1 = real element -> `ModelOutput`
    """

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.preprocess = FeaturePreprocessor(config.embedding_dim)
        self.encode = MLP(self.preprocess.output_dim + 3, 2 * config.width, config.width, config.dropout)
        self.layers = nn.ModuleList(AttentionLayer(config) for _ in range(config.num_layers))
        self.last_norm = LastNorm(config.width)
        self.heads = Heads(config.width, config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> ModelOutput:
        """See the class."""
        num_elements = features.shape[1]
        features, real = append_padding(features, mask > 0.5, 1)  # -> (B, N + 1, 55)
        elements = self.preprocess(features, real)  # -> (B, N + 1, F)
        bias = torch.where(real, 0.0, IGNORED_LOGIT)[:, None, None, :]
        state = self.encode(torch.cat([elements.inputs, elements.position], dim=-1))  # -> (B, N + 1, width)
        for layer in self.layers:
            state = layer(state, bias)
        output = self.heads(self.last_norm(state), elements, real)  # -> (B, N + 1, 2 | 9 | 5 | 1 | 3)
        return ModelOutput(*(values[:, :num_elements] for values in output))


class AttentionLayer(nn.Module):
    """Attention, then two dense layers, each added to the state (pre-norm, arXiv:2002.04745).

    Shapes:
        state: (B, N, width), bias: (B, 1, 1, N) -> (B, N, width)
    """

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = FullAttention(config.width, config.num_heads, config.dropout)
        self.dense_norm = nn.LayerNorm(config.width)
        self.dense = MLP(config.width, config.hidden_ratio * config.width, config.width, config.dropout)

    def forward(self, state: Tensor, bias: Tensor) -> Tensor:
        """See the class."""
        state = state + self.attention(self.attention_norm(state), bias)
        return state + self.dense(self.dense_norm(state))


class FullAttention(SelfAttention):
    """Attention of many elements to each other, in memory that is linear in their number (PyTorch's kernels for it never hold all weights)."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """See `SelfAttention.attend`."""
        return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
