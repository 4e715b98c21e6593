import numpy as np
import pytest

from mlpf.training.schedule import FINAL_LEARNING_RATE, learning_rate_factor


def test_the_learning_rate_rises_linearly_then_falls_along_a_cosine():
    factors = np.array([learning_rate_factor(step, warmup=10, num_steps=110) for step in range(111)])
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    assert factors[10] == 1.0
    assert factors[60] == pytest.approx((1.0 + FINAL_LEARNING_RATE) / 2)  # half way down
    assert factors[110] == pytest.approx(FINAL_LEARNING_RATE)
    assert (np.diff(factors[10:]) <= 0).all()


def test_a_training_that_is_all_warm_up_has_a_learning_rate():
    assert [learning_rate_factor(step, warmup=2, num_steps=2) for step in range(4)] == [0.5, 1.0, 1.0, pytest.approx(FINAL_LEARNING_RATE)]
