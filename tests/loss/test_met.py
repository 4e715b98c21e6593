import math

import numpy as np
import pytest
import torch

from mlpf.loss.met import MetConfig, missing_momentum
from mlpf.loss.sets import ParticleSet

CONFIG = MetConfig(scale=10.0)


def random_set(seed, num_events=3, num_elements=20):
    rng = np.random.default_rng(seed)
    pt, eta, phi = (torch.from_numpy(rng.uniform(low, high, (num_events, num_elements))) for low, high in ((0, 20), (-3, 3), (-4, 4)))
    return ParticleSet(pt, eta, phi.sin(), phi.cos())


def test_it_equals_the_definition_by_loops():
    predicted, target = random_set(0), random_set(1)
    expected = []
    for event in range(3):
        x = y = 0.0
        for particles, sign in ((predicted, 1), (target, -1)):
            for pt, _, sin_phi, cos_phi in zip(*(values[event].tolist() for values in particles), strict=True):
                x, y = x + sign * pt * cos_phi, y + sign * pt * sin_phi
        expected.append(math.sqrt(1 + (x * x + y * y) / 100) - 1)
    assert missing_momentum(predicted, target, CONFIG).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("missing", "expected"), [(0.1, 0.1**2 / 200), (1000.0, 100.0 - 1.0)])  # quadratic, linear
def test_it_is_quadratic_below_the_scale_and_linear_above(missing, expected):
    target = random_set(2, 1)
    predicted = target._replace(pt=target.pt.clone())
    predicted.pt[0, 0] += missing
    assert missing_momentum(predicted, target, CONFIG).item() == pytest.approx(expected, rel=1e-3)


def test_an_event_that_is_turned_has_the_same_error():
    sets = random_set(3), random_set(4)
    sin, cos = math.sin(2.0), math.cos(2.0)
    turned = [s._replace(sin_phi=s.sin_phi * cos + s.cos_phi * sin, cos_phi=s.cos_phi * cos - s.sin_phi * sin) for s in sets]
    torch.testing.assert_close(missing_momentum(*turned, CONFIG), missing_momentum(*sets, CONFIG))


def test_a_prediction_that_is_right_has_no_error_and_a_finite_gradient():
    target = random_set(5)
    leaves = [values.clone().requires_grad_() for values in target]
    loss = missing_momentum(ParticleSet(*leaves), target, CONFIG)
    loss.sum().backward()
    assert loss.tolist() == [0.0, 0.0, 0.0]
    assert not any(leaf.grad is not None and leaf.grad.any() for leaf in leaves)


def test_an_event_without_elements_has_no_error():
    empty = random_set(6, 2, 0)
    assert missing_momentum(empty, empty, CONFIG).tolist() == [0.0, 0.0]


def test_gradients_are_those_of_finite_differences():
    target = random_set(7, 2, 5)
    torch.autograd.gradcheck(lambda pt, sin, cos: missing_momentum(ParticleSet(pt, target.eta, sin, cos), target, CONFIG), _leaves(random_set(8, 2, 5)))


def _leaves(particles):
    return [particles.pt.requires_grad_(), particles.sin_phi.requires_grad_(), particles.cos_phi.requires_grad_()]
