import numpy as np
import pytest
import torch

from mlpf.loss.terms import binary_cross_entropy, cross_entropy, focal, huber, pinball

RNG = np.random.default_rng(0)
B, N, C = 2, 15, 4
LOGITS = RNG.normal(0.0, 2.0, (B, N, C))
TARGET = RNG.integers(0, C, (B, N))
COUNTED = RNG.random((B, N)) < 0.6


def log_p():
    """log softmax of the true class, straight from its definition."""
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
    return np.log(np.take_along_axis(p, TARGET[..., None], axis=-1))[..., 0]


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(a)) for a in arrays]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_equals_its_formula(gamma):
    expected = (-((1 - np.exp(log_p())) ** gamma) * log_p())[COUNTED].mean()
    assert focal(*tensors(LOGITS, TARGET, COUNTED), gamma).item() == pytest.approx(expected)


def test_focal_loss_at_gamma_zero_is_cross_entropy():
    assert focal(*tensors(LOGITS, TARGET, COUNTED), 0.0).item() == pytest.approx(cross_entropy(*tensors(LOGITS, TARGET, COUNTED)).item())


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_focal_loss_weights_classes(gamma):
    weights = np.array([0.0, 1.0, 2.0, 0.5])
    expected = (-weights[TARGET] * (1 - np.exp(log_p())) ** gamma * log_p())[COUNTED].mean()
    assert focal(*tensors(LOGITS, TARGET, COUNTED), gamma, *tensors(weights)).item() == pytest.approx(expected)


def test_elements_count_by_their_weight():
    weight = RNG.uniform(0.0, 3.0, (B, N)) * COUNTED
    expected = (-weight * log_p()).sum() / weight.sum()
    assert cross_entropy(*tensors(LOGITS, TARGET, weight)).item() == pytest.approx(expected)


def test_huber_is_quadratic_then_linear():
    prediction, target, counted = tensors([[0.3, 2.0, -2.0]], [[0.0, 0.0, 0.0]], [[True, True, True]])
    assert huber(prediction, target, counted, delta=0.5).item() == pytest.approx((0.3**2 / 2 + 2 * 0.5 * (2.0 - 0.25)) / 3)


def test_pinball_loss_equals_its_formula():
    prediction, target, counted = tensors([[0.3, 2.0, -2.0]], [[0.0, 0.0, 0.0]], [[True, True, True]])
    assert pinball(prediction, target, counted, quantile=0.9).item() == pytest.approx((0.1 * 0.3 + 0.1 * 2.0 + 0.9 * 2.0) / 3)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.84])
def test_pinball_loss_is_least_at_the_quantile(quantile):
    target = RNG.lognormal(0.0, 1.0, 2001)
    guesses = np.linspace(0.0, 6.0, 6001)
    losses = [pinball(*tensors(np.full((1, 2001), guess), target[None], np.ones((1, 2001))), quantile).item() for guess in guesses[::10]]
    assert guesses[::10][int(np.argmin(losses))] == pytest.approx(np.quantile(target, quantile), abs=0.01)


def test_binary_cross_entropy_takes_fractions():
    logit, target = np.array([[0.0, 2.0]]), np.array([[0.3, 1.0]])
    s = 1 / (1 + np.exp(-logit))
    expected = -(target * np.log(s) + (1 - target) * np.log(1 - s)).mean()
    assert binary_cross_entropy(*tensors(logit, target, np.array([[True, True]]))).item() == pytest.approx(expected)


def test_nothing_counted_is_zero_with_zero_gradient():
    logits, target, counted = tensors(LOGITS, TARGET, np.zeros((B, N), dtype=bool))
    logits.requires_grad_()
    value = focal(logits, target, counted, 2.0) + cross_entropy(logits, target, counted)
    value.backward()
    assert value.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_a_certain_and_right_decision_has_a_finite_gradient(gamma):
    logits = torch.tensor([[[1e4, -1e4]]], requires_grad=True)
    focal(logits, torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool), gamma).backward()
    assert torch.isfinite(logits.grad).all()
