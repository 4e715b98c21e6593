"""Every registered model inherits these: the invariances, and the same numbers from its ONNX form."""

import pytest
import torch

from mlpf.nn.model import MODELS, build_model
from mlpf.testing import (
    assert_batching_independent,
    assert_handles_small_events,
    assert_onnx_parity,
    assert_overfits_one_event,
    assert_padding_invariant,
    assert_permutation_equivariant,
    assert_restart_equals_uninterrupted,
    assert_robust_to_poison,
    random_features,
)

SMALL = {
    "gravnet": {"width": 32, "num_layers": 2},
    "gnn_lsh": {"width": 32, "num_layers": 2, "bin_size": 32},
    "message_passing": {"width": 32, "num_layers": 2, "message_dim": 16},
    "window": {"width": 32, "num_layers": 3, "window_size": 16},
    "attention": {"width": 32, "num_layers": 2},
}


def test_every_model_is_tested():
    assert SMALL.keys() == MODELS.keys()


@pytest.fixture(params=sorted(MODELS), scope="module")
def model(request):
    """A model far from its initial state: no output is exactly 0, and it has seen a scale of features."""
    torch.manual_seed(1)
    model = build_model(MODELS[request.param][0](name=request.param, **SMALL[request.param]))
    model.preprocess.fit(torch.from_numpy(random_features(500, seed=9)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model.eval()


@pytest.mark.parametrize(
    "assertion",
    [assert_permutation_equivariant, assert_padding_invariant, assert_batching_independent, assert_handles_small_events, assert_robust_to_poison],
    ids=lambda assertion: assertion.__name__,
)
def test_the_contract_holds(model, assertion):
    assertion(model)


@pytest.mark.parametrize("num_elements", [5, 16, 17, 700])
def test_the_order_of_elements_does_not_matter_at_any_size(model, num_elements):
    assert_permutation_equivariant(model, num_elements)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_it_learns_one_event_by_heart(name):
    torch.manual_seed(0)
    assert_overfits_one_event(build_model(MODELS[name][0](name=name, **SMALL[name])))


def test_outputs_depend_on_other_elements_of_the_event(model):
    features = torch.from_numpy(random_features(30))[None]
    moved = features.clone()
    moved[0, 1:] = torch.from_numpy(random_features(29, seed=5))
    moved[0, 1:, 2:5] = features[0, 1:, 2:5]
    with torch.no_grad():
        a, b = (model(x, torch.ones(1, 30)).pid[0, 0] for x in (features, moved))
    assert (a - b).abs().max() > 1e-4


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_restarted_training_goes_on_as_if_nothing_had_happened(name):
    assert_restart_equals_uninterrupted(lambda: build_model(MODELS[name][0](name=name, **SMALL[name], dropout=0.1)))


def test_onnx_gives_the_same_numbers_at_every_size(model):
    assert_onnx_parity(model)


def test_bfloat16_is_the_same_model_to_its_precision(model):
    features = torch.from_numpy(random_features(200))[None]
    with torch.no_grad():
        exact = model(features, torch.ones(1, 200))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(features, torch.ones(1, 200))
    for name, a, b in zip(exact._fields, rounded, exact, strict=True):
        assert torch.isfinite(a).all(), name
        # 8 bits of mantissa: states are good to a per cent or two
        assert (a.float() - b).abs().mean() < 0.1 * b.std(), name
