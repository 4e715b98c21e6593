"""An adversary: a network that learns to tell predicted from true events, while the model learns from the same loss to be taken for the truth."""

from typing import Any, NamedTuple

import pydantic
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from mlpf import schema
from mlpf.config import Config
from mlpf.dataset.batch import Batch
from mlpf.features import MAX_ABS_ETA, MAX_ABS_VALUE
from mlpf.nn.heads import MAX_ABS_LOG_RATIO, ModelOutput
from mlpf.schema import FEATURE_INDEX

RESIDUAL_UNIT = 0.1  # of log ratios and directions against the element: about their resolution
NUM_RESIDUALS = len(schema.MOMENTUM_COMPONENTS)


class CriticConfig(Config):
    """Parameters of `Critic`."""

    width: int = pydantic.Field(default=64, ge=1)
    """Features of an element inside the critic."""


class Verdict(NamedTuple):
    """What the critic says of B events.

    Attributes:
        loss: ``(B,)`` binary cross entropy, log 2 = 0.69 if predicted and true events look alike.
        accuracy: ``(B,)`` share of right answers, 0, 0.5 or 1 for an event; a tie is half right.
    """

    loss: Tensor
    accuracy: Tensor


class Critic(nn.Module):
    """Adversarial critic (arXiv:1406.2661) of events, given their elements (arXiv:1411.1784), trained by the optimiser of the model.

    ``loss = (softplus(-D(true)) + softplus(D(predicted))) / 2``. D is a deep set (arXiv:1703.06114), the same for any order of elements and any padding,
    of layers whose spectral norm is 1 (arXiv:1802.05957), so that its slope stays bounded. It sees the decisions of the model, of which those of the truth are
    not told apart by being certain: the gradient takes them for the probabilities behind them (straight through, arXiv:1308.3432).
    The gradient that reaches the model is reversed (arXiv:1505.07818) and of full size; that of the critic's own weights is divided by ``strength``. A
    total that contains ``strength * loss`` thus teaches the critic at full rate, and the model with ``strength``.

    Args:
        config: size.
        strength: weight of the loss in the total, above 0.
    """

    def __init__(self, config: CriticConfig, strength: float) -> None:
        super().__init__()
        self.strength = strength
        width, in_dim = config.width, _CONDITION_DIM + _PARTICLE_DIM
        self.element = nn.Sequential(_dense(in_dim, width), nn.SiLU(), _dense(width, width), nn.SiLU())
        self.event = nn.Sequential(_dense(width, width), nn.SiLU(), _dense(width, 1))

    def forward(self, output: ModelOutput, batch: Batch) -> Verdict:
        """See the class."""
        with torch.autocast(batch.features.device.type, enabled=False):
            usable = _usable(batch)
            condition = _condition(batch, usable)
            predicted = scale_gradient(_predicted(output, batch), -self.strength)
            both = torch.stack([torch.where(usable.unsqueeze(2), values, 0.0) for values in (_true(batch), predicted)])  # (2, B, N, F)
            logit = self._logits(torch.cat([condition.expand(2, *condition.shape), both], dim=3), usable)
            true, fake = scale_gradient(logit, 1.0 / self.strength)
            loss = 0.5 * (functional.softplus(-true) + functional.softplus(fake))
            return Verdict(loss, 0.25 * (2.0 + true.detach().sign() - fake.detach().sign()))

    def _logits(self, elements: Tensor, usable: Tensor) -> Tensor:
        """``(..., N, F) -> (...)``: above 0 for true."""
        state = torch.where(usable.unsqueeze(2), self.element(elements), 0.0)
        mean = state.sum(dim=-2) / usable.sum(dim=1, keepdim=True).clamp(min=1)
        return self.event(mean).squeeze(-1)


def scale_gradient(values: Tensor, factor: float) -> Tensor:
    """The same values; their gradient is multiplied by ``factor``."""
    scaled: Tensor = _ScaleGradient.apply(values, factor)
    return scaled


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * gradients[0], None


def _dense(in_dim: int, out_dim: int) -> nn.Module:
    return spectral_norm(nn.Linear(in_dim, out_dim))


_CONDITION_DIM = 4 + schema.NUM_ELEMENT_TYPES
_PARTICLE_DIM = 1 + NUM_RESIDUALS + schema.NUM_CLASSES


def _usable(batch: Batch) -> Tensor:
    """``(B, N) bool`` real elements whose target, if there is any, can be expressed as a ratio to them."""
    return (batch.mask > 0.5) & (batch.targets.has_momentum | (batch.targets.class_position == 0))


def _condition(batch: Batch, usable: Tensor) -> Tensor:
    """``(B, N, F)`` what the critic knows of an element: log(1 + pt), eta, sin phi, cos phi, type."""
    kept = torch.where(usable.unsqueeze(2) & torch.isfinite(batch.features), batch.features, 0.0)
    pt = kept[..., FEATURE_INDEX["pt"]].clamp(0.0, MAX_ABS_VALUE).log1p().unsqueeze(2)
    direction = _element_direction(kept)
    kind = functional.one_hot(kept[..., FEATURE_INDEX["type"]].clamp(0, schema.NUM_ELEMENT_TYPES - 1).long(), schema.NUM_ELEMENT_TYPES)
    return torch.cat([pt, direction, kind.to(pt.dtype)], dim=2)


def _element_direction(features: Tensor) -> Tensor:
    """``(B, N, 3)`` eta, sin phi, cos phi of the element."""
    return features[..., FEATURE_INDEX["eta"] : FEATURE_INDEX["cos_phi"] + 1].nan_to_num(0.0).clamp(-MAX_ABS_ETA, MAX_ABS_ETA)


def _true(batch: Batch) -> Tensor:
    exists = (batch.targets.class_position > 0).to(batch.features.dtype)
    return _particles(exists, functional.one_hot(batch.targets.class_position, schema.NUM_CLASSES), batch.targets.momentum, batch)


def _predicted(output: ModelOutput, batch: Batch) -> Tensor:
    exists = _decide(output.binary)[..., 1]
    return _particles(exists, _decide(output.pid), output.momentum, batch)


def _decide(logits: Tensor) -> Tensor:
    """One-hot decisions ``(..., C)`` with the gradient of the softmax."""
    probability = logits.softmax(dim=-1)
    decision = functional.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(probability.dtype)
    return decision + probability - probability.detach()


def _particles(exists: Tensor, classes: Tensor, momentum: Tensor, batch: Batch) -> Tensor:
    """``(B, N, F)`` what the critic sees of a particle, 0 where there is none: that it exists, its residuals to the element, its class."""
    direction = momentum[..., 1:4] - _element_direction(batch.features)
    residual = torch.cat([momentum[..., :1], direction, momentum[..., 4:]], dim=-1).clamp(-MAX_ABS_LOG_RATIO, MAX_ABS_LOG_RATIO) / RESIDUAL_UNIT
    return exists.unsqueeze(2) * torch.cat([torch.ones_like(residual[..., :1]), residual.asinh(), classes.to(residual.dtype)], dim=2)
