"""Every registered model inherits these: the invariances, and the same numbers from its ONNX form."""

import numpy as np
import onnxruntime
import pytest
import torch

from mlpf.nn.model import MODELS, build_model
from mlpf.schema import ONNX_INPUTS
from mlpf.testing import (
    assert_batching_independent,
    assert_handles_small_events,
    assert_overfits_one_event,
    assert_padding_invariant,
    assert_permutation_equivariant,
    assert_robust_to_poison,
    random_features,
)

SMALL = {"gravnet": {"width": 32, "num_layers": 2}}


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
        a, b = (model(x, torch.ones(1, 30)).momentum[0, 0] for x in (features, moved))
    assert (a - b).abs().max() > 1e-4


@pytest.fixture(scope="module")
def session(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    example = (torch.from_numpy(random_features(40))[None].repeat(2, 1, 1), torch.ones(2, 40))
    program = torch.onnx.export(model, example, dynamo=True, opset_version=20, dynamic_shapes=(axes, axes), input_names=list(ONNX_INPUTS), verbose=False)
    program.save(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("num_elements", [0, 1, 2, 7, 100, 257])
def test_onnx_gives_the_same_numbers_at_every_size(model, session, batch, num_elements):
    features = random_features(batch * num_elements, seed=num_elements).reshape(batch, num_elements, 55)
    mask = np.ones((batch, num_elements), dtype=np.float32)
    features[:, 1:2, 7:9] = np.nan, 1e30
    mask[-1, num_elements // 2 :] = batch == 1  # the second event of a batch is padded
    with torch.no_grad():
        expected = model(torch.from_numpy(features), torch.from_numpy(mask))
    found = session.run(None, dict(zip(ONNX_INPUTS, (features, mask), strict=True)))
    for name, a, b in zip(expected._fields, found, expected, strict=True):
        np.testing.assert_allclose(a, b.numpy(), atol=2e-5, rtol=1e-5, err_msg=name)
