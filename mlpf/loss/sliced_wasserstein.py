"""Sliced Wasserstein distance between predicted and true particles of an event: all of them, in N log N."""

import math

import pydantic
import torch
from torch import Tensor

from mlpf.config import Config
from mlpf.loss.sets import ParticleSet

GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
MEAN_PROJECTION = 0.5  # |cos| of the angle to a random direction in three dimensions


class SlicedWassersteinConfig(Config):
    """Parameters of `sliced_wasserstein`."""

    radius: pydantic.PositiveFloat = 0.4
    """Distance R in (eta, phi) over which moving a particle costs as much as removing it."""
    directions: int = pydantic.Field(default=16, ge=1)
    """Directions onto which an event is projected; time and memory are in proportion."""


def sliced_wasserstein(predicted: ParticleSet, target: ParticleSet, config: SlicedWassersteinConfig) -> Tensor:
    """Mean over directions of the optimal transport along them (arXiv:1803.11188) [GeV], of particles at (eta, sin phi, cos phi) with weights pt.

    ``min(T, T') 2 mean_u W(u) / R + |T - T'|``, T and T' the sums of pt and W(u) the 1-D Wasserstein distance of the normalised projections onto u. As a
    displacement d has mean projection d / 2, a particle that moves by a chord d costs pt d / R, as in `mlpf.loss.sinkhorn`. In general it is at most the energy
    mover's distance between the shapes scaled to equal sums; no distance is too far to be counted.

    Args:
        predicted, target: ``(B, N)``, all elements count.
        config: R and the number of directions.

    Returns:
        ``(B,)``
    """
    with torch.autocast(predicted.pt.device.type, enabled=False):
        predicted, target = predicted.full_precision(), target.full_precision()
        total, true_total = predicted.pt.sum(dim=1), target.pt.sum(dim=1)
        directions = fibonacci_directions(config.directions).to(predicted.pt)
        distance = _distance(_project(predicted, directions), _shape(predicted.pt, total), _project(target, directions), _shape(target.pt, true_total))
        moved = torch.minimum(total, true_total) * distance.mean(dim=1) / (MEAN_PROJECTION * config.radius)
        return moved + (total - true_total).abs()


def fibonacci_directions(count: int) -> Tensor:
    """``(count, 3) float64`` unit vectors, evenly spread over a half sphere: at equal steps in height, turned by the golden angle each (arXiv:0912.4540)."""
    step = torch.arange(count, dtype=torch.float64)
    height = (step + 0.5) / count
    across, turn = torch.sqrt(1.0 - height.square()), GOLDEN_ANGLE * step
    return torch.stack([height, across * turn.cos(), across * turn.sin()], dim=1)


def _project(particles: ParticleSet, directions: Tensor) -> Tensor:
    """``(B, K, N)`` places along each of K directions."""
    place = torch.stack([particles.eta, particles.sin_phi, particles.cos_phi], dim=1)
    return directions @ place


def _shape(pt: Tensor, total: Tensor) -> Tensor:
    """``(B, N)`` shares of the sum; 0 if that is 0."""
    return pt / total.clamp(min=torch.finfo(pt.dtype).tiny ** 0.5).unsqueeze(1)


def _distance(x: Tensor, x_weight: Tensor, y: Tensor, y_weight: Tensor) -> Tensor:
    """``(B, K)`` area between the cumulative distributions of places ``(B, K, N)`` with weights ``(B, N)``."""
    place, order = torch.cat([x, y], dim=2).sort(dim=2)
    excess = torch.cat([x_weight, -y_weight], dim=1).unsqueeze(1).expand_as(place).gather(2, order)
    return (excess.cumsum(dim=2)[..., :-1].abs() * place.diff(dim=2)).sum(dim=2)
