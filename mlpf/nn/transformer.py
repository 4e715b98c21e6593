"""Attention of elements to each other, shared by the models that are made of it."""

from typing import Self

import pydantic
import torch
from torch import Tensor, nn

from mlpf.nn.base import ModelConfig

# Added to the logit of what is not to be attended to: beside any other its weight is exactly 0, yet it is finite in float16 too, so that nothing becomes NaN
# where a group is empty.
IGNORED_LOGIT = -1e4


class TransformerConfig(ModelConfig):
    """What the sections of models made of attention hold."""

    num_heads: int = pydantic.Field(default=4, ge=1)
    """Attentions of a layer, each to its share of the state; must divide width."""
    hidden_ratio: int = pydantic.Field(default=2, ge=1)
    """Hidden values of the dense part of a layer, in units of width."""

    @pydantic.model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.num_heads:
            raise ValueError(f"num_heads {self.num_heads} does not divide width {self.width}")
        return self


class SelfAttention(nn.Module):
    """Multi-head attention of all elements of a group to each other (arXiv:1706.03762 eq. 1), with a term added to the logits.

    Args:
        width: length of an element's state.
        num_heads: independent attentions, each to width / num_heads values.
        dropout: of the result.

    Shapes:
        state: (G, K, width), bias: (G, 1 or num_heads, 1 or K, K) float32 -> (G, K, width)
    """

    def __init__(self, width: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: Tensor, bias: Tensor) -> Tensor:
        """See the class."""
        groups, size, _ = state.shape
        query, key, value = (layer(state).view(groups, size, self.num_heads, -1).transpose(1, 2) for layer in (self.query, self.key, self.value))
        found = self.attend(query, key, value, bias)  # each (G, H, K, width / H)
        # Heads beside each other by cat, not by a view, which could not be exported: which axes of this tensor are contiguous differs between kernels.
        return self.dropout(self.output(torch.cat(found.unbind(1), dim=-1)))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """Values weighted by softmax(query key / sqrt(D) + bias); for small groups, all weights are kept in memory."""
        return ((query * query.shape[-1] ** -0.5) @ key.transpose(2, 3) + bias).softmax(dim=-1) @ value
