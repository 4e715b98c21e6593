"""Variant ``fused``: attention of all elements to each other as ONNX Runtime's own operator, which holds no N x N weights.

Only that gains. In windows of 32 elements the operator takes as long as the standard ones do (0.93 to 1.04 of their time, ONNX Runtime 1.17.1 to 1.31), and
where others could stand, ONNX Runtime puts them itself when it loads a file.
"""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from mlpf.errors import ModelError
from mlpf.nn.attention import FullAttention

HEAD_MULTIPLE = 8  # the operator's kernels for GPUs that hold no N x N weights take heads of a multiple of 8 values


class FusedAttention(nn.Module):
    """`FullAttention` as one ``com.microsoft.MultiHeadAttention``; for export only, since torch has no such operator.

    Given a mask, the operator holds all N x N weights; without one it goes through the keys in blocks (on a CPU from ONNX Runtime 1.20 on). So the mask comes
    in through the product of query and key, in columns of their own: sqrt(D) of every query times the bias of the key, divided by sqrt(D) as all logits are.
    Both factors are finite in float16, too.

    Args:
        attention: whose weights it takes.

    Shapes:
        state: (B, N, width), bias: (B, 1, 1, N) -> (B, N, width); N >= 1: the operator of ONNX Runtime 1.20 and newer divides by it
    """

    def __init__(self, attention: FullAttention) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = attention.query, attention.key, attention.value, attention.output
        self.num_heads = attention.num_heads

    def forward(self, state: Tensor, bias: Tensor) -> Tensor:
        """See the class."""
        query, key, value = self.query(state), self.key(state), self.value(state)
        head_dim = query.shape[-1] // self.num_heads
        scale = math.sqrt(head_dim)
        query = self._widened(query, torch.full_like(query[..., :1], scale))
        key = self._widened(key, bias.flatten(1).unsqueeze(-1))
        attributes: Any = {"num_heads": self.num_heads, "scale": 1.0 / scale}
        heard = torch.onnx.ops.symbolic("com.microsoft::MultiHeadAttention", (query, key, value), attributes, dtype=value.dtype, shape=value.shape, version=1)
        return self.output(heard)

    def _widened(self, rows: Tensor, column: Tensor) -> Tensor:
        """``(B, N, H D)`` and ``(B, N, 1)`` -> ``(B, N, H (D + P))``: every head with the column and zeros behind it."""
        heads = rows.unflatten(-1, (self.num_heads, -1))  # -> (B, N, H, D)
        num_zeros = -(heads.shape[-1] + 1) % HEAD_MULTIPLE
        columns = nn.functional.pad(column, (0, num_zeros)).unsqueeze(2).expand(-1, -1, self.num_heads, -1)
        return torch.cat([heads, columns], dim=-1).flatten(2)


def with_fused_attention(module: nn.Module) -> nn.Module:
    """A copy of a module for `mlpf.export.exporter.to_onnx`, every `FullAttention` in it a `FusedAttention`.

    Raises:
        ModelError: it has none.
    """
    module = copy.deepcopy(module)
    places = [(parent, name, child) for parent in module.modules() for name, child in parent.named_children() if isinstance(child, FullAttention)]
    if not places:
        raise ModelError("variant 'fused': it makes attention of all elements to each other faster, which this model has not; choose plain, which is as fast")
    for parent, name, attention in places:
        setattr(parent, name, FusedAttention(attention))
    return module
