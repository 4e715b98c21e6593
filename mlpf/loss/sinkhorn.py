"""Earth mover's distance between predicted and true particles of an event, differentiable and free of decisions that depend on data."""

import math

import pydantic
import torch
from torch import Tensor

from mlpf.config import Config
from mlpf.loss.sets import ParticleSet

FIRST_EPSILON = 1.0  # half of the largest cost
MOMENTUM = 0.9  # of 200 particles at epsilon 0.05: as near to the limit after 40 iterations as without momentum after several hundred
SMOOTHING = 1e-4  # of the distance in units of R: its slope at 0 would jump
MAX_EXPONENT = 40.0  # a product of two such exponentials is still finite in float32


class SinkhornConfig(Config):
    """Parameters of `sinkhorn_emd`."""

    radius: pydantic.PositiveFloat = 0.4
    """Distance R in (eta, phi) over which moving a particle costs as much as removing it; beyond 2 R it is removed and another one made."""
    epsilon: pydantic.PositiveFloat = 0.05
    """Blur in units of R: displacements below it cost less than they should."""
    iterations: int = pydantic.Field(default=8, ge=1)
    """Iterations for each halving of the blur, from 1 down to epsilon."""
    max_particles: int = pydantic.Field(default=128, ge=1)
    """Elements with the hardest particles, predicted or true, that are compared; of all others only the sums of pt. Time and memory grow with its square."""


def sinkhorn_emd(predicted: ParticleSet, target: ParticleSet, config: SinkhornConfig) -> Tensor:
    """Energy mover's distance (arXiv:1902.02346 eq. 1) [GeV] between particles of weights pt, of the same elements.

    ``min over f_ij >= 0 of sum f_ij min(d_ij / R, 2) + |sum_i pt_i - sum_j pt_j|``, with ``sum_j f_ij <= pt_i``, ``sum_i f_ij <= pt_j`` and all of the
    smaller sum moved. d is the chord ``sqrt(delta eta^2 + (2 sin(delta phi / 2))^2)``, within 3 % of the distance in (eta, phi) below 0.8. The limit 2 keeps
    it a metric for any R, and the gradient local; it is the optimal partial transport in which removing or making 1 GeV costs 1 GeV.

    It is solved with entropic regularisation (arXiv:1306.0895) of the marginals' total variation (arXiv:1607.05816) as a debiased divergence
    (arXiv:1810.08278, arXiv:1910.12958), which is 0 for equal sets. The gradient is that of the dual objective at fixed potentials (envelope theorem).

    Args:
        predicted, target: ``(B, N)``; elements beyond `SinkhornConfig.max_particles` enter by the difference of their sums only.
        config: R, the blur and how long to iterate.

    Returns:
        ``(B,)``
    """
    with torch.autocast(predicted.pt.device.type, enabled=False):
        predicted, target = predicted.full_precision(), target.full_precision()
        hardest = _hardest(predicted.pt, target.pt, config.max_particles)
        rest = (_rest(predicted.pt, hardest) - _rest(target.pt, hardest)).abs()
        return _divergence(predicted.select(hardest), target.select(hardest), config) + rest


def _hardest(predicted_pt: Tensor, target_pt: Tensor, count: int) -> Tensor:
    """``(B, n) int64`` elements of the largest pt, whichever of both."""
    pt = torch.maximum(predicted_pt, target_pt).detach()
    return pt.topk(min(count, pt.shape[1]), dim=1).indices


def _rest(pt: Tensor, index: Tensor) -> Tensor:
    """``(B,)`` sum of all but the elements ``index``."""
    return pt.scatter(1, index, 0.0).sum(dim=1)


def _divergence(x: ParticleSet, y: ParticleSet, config: SinkhornConfig) -> Tensor:
    """``OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2`` plus the term in the sums of pt that cancels those of the dual objectives (arXiv:1910.12958 eq. 9)."""
    scale = (0.5 * (x.pt + y.pt).sum(dim=1)).clamp(min=torch.finfo(x.pt.dtype).tiny ** 0.5)
    x_weight, y_weight = x.pt / scale.unsqueeze(1), y.pt / scale.unsqueeze(1)
    cost_xy, cost_xx, cost_yy = _cost(x, y, config.radius), _cost(x, x, config.radius), _cost(y, y, config.radius)
    with torch.no_grad():
        weights = torch.stack([y_weight, x_weight, x_weight, y_weight])
        f, g, own_x, own_y = _potentials(weights, torch.stack([cost_xy, cost_xy.mT, cost_xx, cost_yy]), config).unbind()
    moved = [
        _moved(x_weight, y_weight, f, g, cost_xy, config.epsilon),
        _moved(x_weight, x_weight, own_x, own_x, cost_xx, config.epsilon),
        _moved(y_weight, y_weight, own_y, own_y, cost_yy, config.epsilon),
    ]
    linear = (x_weight * (f - own_x)).sum(dim=1) + (y_weight * (g - own_y)).sum(dim=1)
    return scale * (linear - config.epsilon * (moved[0] - 0.5 * moved[1] - 0.5 * moved[2]))


def _cost(x: ParticleSet, y: ParticleSet, radius: float) -> Tensor:
    """``(B, n, n)`` distance over R, smooth at 0."""
    eta, sin_phi, cos_phi = (u.unsqueeze(2) - v.unsqueeze(1) for u, v in zip(x[1:], y[1:], strict=True))
    return torch.sqrt((eta.square() + sin_phi.square() + cos_phi.square()) / radius**2 + SMOOTHING**2) - SMOOTHING


def _moved(x_weight: Tensor, y_weight: Tensor, f: Tensor, g: Tensor, cost: Tensor, epsilon: float) -> Tensor:
    """``(B,)`` sum of the plan ``x_i y_j exp((f_i + g_j - c_ij) / epsilon)``."""
    exponent = (f.unsqueeze(2) + g.unsqueeze(1) - cost) / epsilon
    # Where neither side has a particle the potentials are bounded by nothing, and the exponential could overflow before it is multiplied by 0.
    density = exponent.clamp(max=2.0 * MAX_EXPONENT).exp()
    return torch.einsum("bi,bij,bj->b", x_weight, density, y_weight)


def _potentials(weights: Tensor, cost: Tensor, config: SinkhornConfig) -> Tensor:
    """Dual potentials of four transports, x to y, y to x, x to x and y to y; those of total variation are limited to [-1, 1].

    ``f <- clip(-epsilon log sum_j w_j exp((g_j - c_ij) / epsilon))``, averaged with the last f and with Nesterov's momentum. For every epsilon, the
    potentials so far are absorbed into the kernel (arXiv:1610.06519), so that an iteration is a product with a matrix and neither over- nor underflows.

    Shapes:
        weights: (4, B, n) of the particles that the potential looks at, cost: (4, B, n, n) -> (4, B, n)
    """
    partner = [1, 0, 2, 3]
    potential = torch.zeros_like(weights)
    last_step = torch.zeros_like(weights)
    for epsilon in _schedule(config.epsilon):
        exponent = (potential.unsqueeze(3) + potential[partner].unsqueeze(2)).sub_(cost).div_(epsilon)
        kernel = exponent.clamp_(max=MAX_EXPONENT).exp_().mul_(weights.unsqueeze(2))
        low, high = (-1.0 - potential).clamp(min=-MAX_EXPONENT * epsilon), (1.0 - potential).clamp(max=MAX_EXPONENT * epsilon)
        change = torch.zeros_like(potential)
        for _ in range(config.iterations):
            ahead = torch.clip(change + MOMENTUM * last_step, low, high)
            best = -epsilon * (kernel @ (ahead[partner] / epsilon).exp().unsqueeze(3)).squeeze(3).log()
            last_step = torch.clip(0.5 * (ahead + best), low, high) - change
            change = change + last_step
        potential = potential + change
    return potential


def _schedule(epsilon: float) -> list[float]:
    """Blurs from `FIRST_EPSILON` to ``epsilon``, at most halved each time."""
    halvings = max(0, math.ceil(math.log2(FIRST_EPSILON / epsilon)))
    return [epsilon * 2.0**i for i in reversed(range(halvings + 1))]
