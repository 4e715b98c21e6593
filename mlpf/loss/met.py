"""Missing transverse momentum of an event, differentiable."""

import pydantic
import torch
from torch import Tensor

from mlpf.config import Config
from mlpf.loss.sets import ParticleSet


class MetConfig(Config):
    """Parameters of `missing_momentum`."""

    scale: pydantic.PositiveFloat = 10.0
    """Distance above which the term grows linearly [GeV]; about the resolution of MET."""


def missing_momentum(predicted: ParticleSet, target: ParticleSet, config: MetConfig) -> Tensor:
    """``sqrt(1 + |d|^2 / scale^2) - 1`` with ``d`` the vector sum of predicted minus that of true transverse momenta.

    This is a pseudo-Huber loss of the error of MET: quadratic below the scale, linear above, smooth at 0.

    Args:
        predicted, target: ``(B, N)`` particles.
        config: the scale.

    Returns:
        ``(B,)``, no unit.
    """
    difference_x = (predicted.pt * predicted.cos_phi - target.pt * target.cos_phi).sum(dim=1)
    difference_y = (predicted.pt * predicted.sin_phi - target.pt * target.sin_phi).sum(dim=1)
    return torch.sqrt(1.0 + (difference_x.square() + difference_y.square()) / config.scale**2) - 1.0
