"""Element states -> the outputs of the model contract."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mlpf import schema
from mlpf.nn.mlp import MLP
from mlpf.nn.preprocess import Preprocessed
from mlpf.schema import FEATURE_INDEX

NUM_CHARGES = 3  # -1, 0, +1
CERTAIN_LOGIT = 1e4  # a decision that is not the model's: large, yet finite in float16 too
MAX_ABS_LOG_RATIO = 8.0  # a factor 3000 between element and particle; beyond it exp() only hurts


class ModelOutput(NamedTuple):
    """What every model returns for B padded events.

    Attributes:
        binary: ``(B, N, 2)`` logits of no particle, particle.
        pid: ``(B, N, 9)`` logits in the order of `schema.CLASSES`; the first (no particle) never wins: that is decided by ``binary``.
        momentum: ``(B, N, 5)`` in the order of `schema.MOMENTUM_COMPONENTS`: log(pt / element pt), eta, sin phi, cos phi, log(E / element E).
        pileup: ``(B, N, 1)`` logit of coming from pileup.
        charge: ``(B, N, 3)`` logits of charge -1, 0, +1.
    """

    binary: Tensor
    pid: Tensor
    momentum: Tensor
    pileup: Tensor
    charge: Tensor


class Heads(nn.Module):
    """One small network per output.

    Padded rows and the types in `schema.NO_CANDIDATE_TYPES` are "no particle". Momenta start as the element's own.

    Shapes:
        state: (B, N, width), elements: `Preprocessed`, real: (B, N) bool -> `ModelOutput`
    """

    no_candidate: Tensor
    no_particle: Tensor

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.binary = MLP(width, width, 2, dropout)
        self.pid = MLP(width, width, schema.NUM_CLASSES - 1, dropout)
        self.momentum = MLP(width, width, len(schema.MOMENTUM_COMPONENTS), dropout).start_at_zero()
        self.pileup = MLP(width, width, 1, dropout)
        self.charge = MLP(width, width, NUM_CHARGES, dropout)
        no_candidate = torch.zeros(schema.NUM_ELEMENT_TYPES, dtype=torch.bool)
        no_candidate[[int(kind) for kind in schema.NO_CANDIDATE_TYPES]] = True
        self.register_buffer("no_candidate", no_candidate, persistent=False)
        self.register_buffer("no_particle", torch.tensor([CERTAIN_LOGIT, -CERTAIN_LOGIT]), persistent=False)

    def forward(self, state: Tensor, elements: Preprocessed, real: Tensor) -> ModelOutput:
        """See the class."""
        impossible = self.no_candidate[elements.element_type] | ~real
        binary = torch.where(impossible.unsqueeze(-1), self.no_particle, self.binary(state))
        pid = torch.cat([torch.full_like(state[..., :1], -CERTAIN_LOGIT), self.pid(state)], dim=-1)
        return ModelOutput(binary, pid, self._momentum(state, elements.clean), self.pileup(state), self.charge(state))

    def _momentum(self, state: Tensor, clean: Tensor) -> Tensor:
        residual = self.momentum(state)
        direction = clean[..., FEATURE_INDEX["eta"] : FEATURE_INDEX["cos_phi"] + 1] + residual[..., 1:4]
        log_ratios = residual.clamp(-MAX_ABS_LOG_RATIO, MAX_ABS_LOG_RATIO)
        return torch.cat([log_ratios[..., :1], direction, log_ratios[..., 4:]], dim=-1)
