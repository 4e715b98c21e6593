import numpy as np

from mlpf.features import consumer_elements
from mlpf.random_elements import random_elements
from mlpf.schema import FEATURE_INDEX, NUM_FEATURES, ElementType


def column(x, name):
    return x[:, FEATURE_INDEX[name]]


def test_random_elements_are_what_the_consumer_could_pass():
    x = random_elements(np.random.default_rng(0), 5000)
    kind = column(x, "type")
    assert (x.shape, x.dtype) == ((5000, NUM_FEATURES), np.float32)
    assert np.isfinite(x).all()
    assert consumer_elements(kind.astype(int)).all()
    assert set(kind) == {1, 4, 5, 6, 8, 9, 10, 11}
    assert (column(x, "pt")[kind == ElementType.SC] == 0).all()
    assert set(column(x, "charge")[kind == ElementType.TRACK]) == {-1, 1}
    assert (column(x, "energy") == 0).any()
    np.testing.assert_allclose(column(x, "sin_phi") ** 2 + column(x, "cos_phi") ** 2, 1.0, rtol=1e-6)
    track = kind == ElementType.TRACK
    np.testing.assert_allclose(np.hypot(column(x, "px"), column(x, "py"))[track], column(x, "pt")[track], rtol=1e-5)


def test_the_same_seed_gives_the_same_elements():
    np.testing.assert_array_equal(random_elements(np.random.default_rng(4), 9), random_elements(np.random.default_rng(4), 9))
