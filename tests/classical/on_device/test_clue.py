"""CLUE in torch against CLUE in numba."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.classical import clue as reference
from mlpf.classical.clue_kernels import KERNELS
from mlpf.classical.on_device.clue import clue
from mlpf.errors import MlpfError

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def assert_same(x, y, weight, offsets, parameters, device="cpu", **options):
    expected = reference.clue(x, y, weight, offsets, parameters)
    tensors = (torch.from_numpy(values).to(device) for values in (x, y, weight, offsets))
    found = clue(*tensors, parameters, **options)
    for name in ("rho", "nearest_higher", "is_seed", "cluster"):
        np.testing.assert_array_equal(getattr(found, name).cpu().numpy(), getattr(expected, name), err_msg=name)
    np.testing.assert_allclose(found.delta.cpu().numpy(), expected.delta, rtol=1e-15)  # torch's square root differs in the last bit
    return expected


def scattered(number, spread):
    rng = np.random.default_rng(number)
    centre = rng.uniform(-3, 3, (50, 2))[rng.integers(0, 50, number)]
    x, y = (centre + rng.normal(0, spread, (number, 2))).T
    return x, y, rng.lognormal(0, 1, number)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_events_of_scattered_points_are_clustered_as_by_numba(kernel, periodic, device):
    offsets = np.array([0, 0, 900, 901, 901, 4000])
    parameters = reference.ClueParameters(dc=0.1, rho_c=4.0, kernel=kernel, periodic=periodic)
    expected = assert_same(*scattered(4000, 0.2), offsets, parameters, device)
    assert expected.is_seed.sum() > 20
    assert (expected.cluster < 0).any()


@settings(deadline=None, max_examples=200)
@given(
    points=st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0])), max_size=25),
    split=st.integers(0, 25),
    dc=st.sampled_from([1e-9, 0.3, 0.5, 1.25, 20.0]),
    outlier_factor=st.sampled_from([1.0, 2.0, 7.0]),
    kernel=st.sampled_from(KERNELS),
    periodic=st.booleans(),
)
def test_points_on_a_lattice_full_of_ties_are_clustered_as_by_numba(points, split, dc, outlier_factor, kernel, periodic):
    x, y, weight = np.array(points, dtype=np.float64).reshape(-1, 3).T
    offsets = np.array([0, min(split, len(x)), len(x)])
    parameters = reference.ClueParameters(dc=dc, rho_c=1.0, outlier_factor=outlier_factor, kernel=kernel, periodic=periodic)
    assert_same(0.5 * x, 0.5 * y, weight.copy(), offsets, parameters)


@pytest.mark.parametrize("x", [[], [0.3], [0.3] * 40, [0.0, 1e140, -1e140, 0.05], [1e12 * i for i in range(20)]], ids=["none", "one", "same", "far", "wide"])
def test_degenerate_sets_are_clustered_as_by_numba(x):
    x, y = np.array(x), np.resize([np.pi, -np.pi, 3.1, 100.0], len(x))
    for dc in (1e-12, 0.1, 1e6):
        assert_same(x, y, np.ones(len(x)), np.array([0, len(x)]), reference.ClueParameters(dc=dc, rho_c=1.0, periodic=True))


def test_the_bound_on_pairs_changes_nothing():
    x, y, weight = scattered(600, 0.05)
    for pairs_at_once in (1, 7, 1000):
        assert_same(x, y, weight, np.array([0, 250, 600]), reference.ClueParameters(dc=0.1, rho_c=4.0), pairs_at_once=pairs_at_once)


def test_single_precision_input_is_computed_in_double():
    x, y, weight = (values.astype(np.float32) for values in scattered(500, 0.2))
    assert_same(x, y, weight, np.array([0, 500]), reference.ClueParameters(dc=0.1, rho_c=4.0))


def test_a_value_that_is_not_finite_is_named():
    good = torch.zeros(3)
    with pytest.raises(MlpfError, match=r"CLUE: y: 1 values that are not finite \(first at point 1: nan\)"):
        clue(good, torch.tensor([0.0, torch.nan, 0.0]), good, torch.tensor([0, 3]), reference.ClueParameters(dc=1.0, rho_c=1.0))
