"""An event as a set of particles, predicted and true: what the terms that compare whole events look at."""

from typing import NamedTuple

import torch
from torch import Tensor

from mlpf.dataset.batch import Batch
from mlpf.nn.heads import ModelOutput
from mlpf.schema import FEATURE_INDEX, ElementType

TRACK_TYPES = (float(ElementType.TRACK), float(ElementType.GSF))


class ParticleSet(NamedTuple):
    """One particle per element, differentiable; an element that yields none has pt 0.

    Attributes:
        pt: ``(B, N)`` [GeV]; a predicted one is weighed as `predicted_set` was asked to.
        eta: ``(B, N)``.
        sin_phi, cos_phi: ``(B, N)`` of unit length together.
    """

    pt: Tensor
    eta: Tensor
    sin_phi: Tensor
    cos_phi: Tensor

    def select(self, index: Tensor) -> "ParticleSet":
        """The elements ``index (B, n) int64`` of each event."""
        return ParticleSet(*(values.gather(1, index) for values in self))

    def full_precision(self) -> "ParticleSet":
        """The same in float32, or in float64 if it was."""
        return ParticleSet(*(values.to(torch.promote_types(values.dtype, torch.float32)) for values in self))


def predicted_set(output: ModelOutput, batch: Batch, decided: bool = False) -> ParticleSet:
    """What the model says of every element that has a pt and is no part of the padding.

    The pt of a track counts, but gets no gradient: it is measured to a per cent, and sums over elements would make it up for what neutral particles lack.

    Args:
        output: of the model.
        batch: its events.
        decided: pt is weighed by 1 or 0, as the particle becomes a candidate or not, though with the gradient of the probability that it exists (the
            straight-through estimator, arXiv:1308.3432), so sums over elements are those of candidates; otherwise by that probability, and sums are expected
            values.
    """
    probability = output.binary.float().softmax(dim=-1)[..., 1]
    if decided:
        candidate = (output.binary[..., 1] > output.binary[..., 0]).to(probability.dtype)
        probability = probability + (candidate - probability).detach()
    momentum = output.momentum.float()
    is_track = torch.isin(batch.features[..., FEATURE_INDEX["type"]], batch.features.new_tensor(TRACK_TYPES)).unsqueeze(-1)
    log_pt = torch.where(is_track, momentum[..., :1].detach(), momentum[..., :1])
    return _as_set(torch.cat([log_pt, momentum[..., 1:]], dim=-1), batch, probability, _has_pt(batch))


def target_set(batch: Batch) -> ParticleSet:
    """The truth, of the same elements."""
    return _as_set(batch.targets.momentum, batch, batch.targets.has_momentum.float(), _has_pt(batch))


def _has_pt(batch: Batch) -> Tensor:
    """``(B, N) bool`` real elements of positive, finite pt whose target, if there is any, can be expressed as a ratio to it."""
    pt = batch.features[..., FEATURE_INDEX["pt"]]
    expressible = batch.targets.has_momentum | (batch.targets.class_position == 0)
    return (batch.mask > 0.5) & torch.isfinite(pt) & (pt > 0.0) & expressible


def _as_set(momentum: Tensor, batch: Batch, probability: Tensor, usable: Tensor) -> ParticleSet:
    element_pt = torch.where(usable, batch.features[..., FEATURE_INDEX["pt"]], 0.0)
    log_ratio, eta, sin_phi, cos_phi = momentum[..., :4].unbind(-1)
    pt = torch.where(usable, probability * log_ratio.exp() * element_pt, 0.0)
    length = torch.sqrt(sin_phi.square() + cos_phi.square() + 1e-12)  # of padded rows: not 0, whose gradient is infinite
    return ParticleSet(pt, torch.where(usable, eta, 0.0), torch.where(usable, sin_phi / length, 0.0), torch.where(usable, cos_phi / length, 1.0))
