"""The terms of the loss, each a function of one output, its target and the elements it counts.

Every term is the mean over elements, each with its weight in ``weight (B, N)``, 0 where all weights are; so its gradient does not depend on padding.
"""

import torch
from torch import Tensor
from torch.nn import functional

MIN_DOUBT = 1e-6  # of 1 - p_t: its power has an infinite slope at 0


def mean_over(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of ``values (B, N)`` with weights ``(B, N)``, numbers or bool; 0 where all weights are 0, whatever the values of such elements."""
    weight = weight.to(values.dtype)
    total = weight.sum()
    return torch.where(weight > 0, weight * values, 0.0).sum() / torch.where(total > 0, total, 1.0)


def focal(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, class_weights: Tensor | None = None) -> Tensor:
    """Focal loss ``-w_t (1 - p_t)^gamma log p_t`` (arXiv:1708.02002 eq. 5), p_t the softmax of the true class, w_t its weight (1 if none are given).

    At gamma 0 it is the (weighted) cross entropy.

    Shapes:
        logits: (B, N, C), target: (B, N) int64 in 0..C-1, weight: (B, N), class_weights: (C,) -> scalar
    """
    log_p = functional.log_softmax(logits, dim=-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
    values = -((1.0 - log_p.exp()).clamp(min=MIN_DOUBT) ** gamma) * log_p
    return mean_over(values if class_weights is None else class_weights[target] * values, weight)


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """``-log p_t``, p_t the softmax of the true class.

    Shapes:
        logits: (B, N, C), target: (B, N) int64 in 0..C-1, weight: (B, N) -> scalar
    """
    return mean_over(functional.cross_entropy(logits.movedim(-1, 1), target, reduction="none"), weight)


def huber(prediction: Tensor, target: Tensor, weight: Tensor, delta: float) -> Tensor:
    """Huber loss ``r^2 / 2`` for ``|r| <= delta``, else ``delta (|r| - delta / 2)``, with ``r = target - prediction`` (Ann. Math. Stat. 35 (1964) 73).

    Shapes:
        prediction, target: (B, N), weight: (B, N) -> scalar
    """
    return mean_over(functional.huber_loss(prediction, target, reduction="none", delta=delta), weight)


def pinball(prediction: Tensor, target: Tensor, weight: Tensor, quantile: float) -> Tensor:
    """Pinball loss ``max(q r, (q - 1) r)`` with ``r = target - prediction`` (Econometrica 46 (1978) 33): least at the quantile q of the target.

    Shapes:
        prediction, target: (B, N), weight: (B, N) -> scalar
    """
    residual = target - prediction
    return mean_over(torch.maximum(quantile * residual, (quantile - 1.0) * residual), weight)


def binary_cross_entropy(logit: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """``-t log s - (1 - t) log(1 - s)``, s the sigmoid of the logit, t in [0, 1].

    Shapes:
        logit, target: (B, N), weight: (B, N) -> scalar
    """
    return mean_over(functional.binary_cross_entropy_with_logits(logit, target, reduction="none"), weight)
