"""The variant `fused` against torch, and in the ONNX Runtimes of CMSSW (`scripts/onnxruntimes.sh` installs them)."""

import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mlpf.errors import ModelError
from mlpf.export.contract import check_contract
from mlpf.export.exporter import ConsumerModule, export_model, make_graph
from mlpf.export.graph import variant_of
from mlpf.nn.attention import AttentionConfig, AttentionModel, FullAttention
from mlpf.nn.gravnet import GravNetConfig
from mlpf.nn.model import build_model
from mlpf.nn.window import WindowConfig
from mlpf.producer.cost import memory
from mlpf.random_elements import random_elements

TESTS = Path(__file__).parents[1]
RUNTIMES = Path(os.environ.get("MLPF_ONNXRUNTIMES", TESTS.parent / ".onnxruntime"))
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=[(16, 2), (24, 2)], ids=["heads of 8", "heads of 12"])
def model(request):
    """Heads that fill a multiple of 8 values, and others; weights that are not those of the start, so that attention and the mask matter."""
    torch.manual_seed(0)
    width, num_heads = request.param
    model = AttentionModel(AttentionConfig(width=width, num_heads=num_heads, num_layers=2)).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.preprocess.fit(torch.from_numpy(random_elements(np.random.default_rng(0), 500)))
    return ConsumerModule(model)


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("fused") / "model.onnx"
    onnx.save(make_graph(model, "cmssw", "fused"), path)
    return path


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(1)
    return {str(n): random_elements(rng, n) for n in (0, 1, 2, 7, 257)}


def in_torch(model, features, mask):
    with torch.no_grad():
        return [output.numpy() for output in model(torch.from_numpy(features), torch.from_numpy(mask))]


def test_numbers_are_those_of_torch(model, path, events):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for features in events.values():
        mask = np.ones((1, len(features)), dtype=np.float32)
        for found, expected in zip(session.run(None, {"Xfeat_normed": features[None], "mask": mask}), in_torch(model, features[None], mask), strict=True):
            np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_padding_has_no_weight_though_the_operator_is_given_no_mask(model, path):
    rng = np.random.default_rng(2)
    features = random_elements(rng, 400).reshape(4, 100, 55)
    mask = (np.arange(100) < np.array([[100], [60], [1], [0]])).astype(np.float32)
    features[mask == 0] = np.nan
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for found, expected in zip(session.run(None, {"Xfeat_normed": features, "mask": mask}), in_torch(model, features, mask), strict=True):
        np.testing.assert_allclose(found[mask > 0], expected[mask > 0], atol=TOLERANCE, rtol=TOLERANCE)


def test_no_weights_of_all_pairs_are_held(path):
    """Those of two heads for 6000 elements would be 288 MB."""
    assert memory(path, random_elements(np.random.default_rng(3), 6000)).event < 100e6


def test_a_fused_file_keeps_the_contract(path, events):
    report = check_contract(path, [features for features in events.values() if len(features)])
    report.require()
    assert any("fused" in check.measured for check in report.checks)


def test_it_holds_the_operator_of_attention_and_no_softmax(model, path):
    graph = onnx.load(path)
    kinds = [node.op_type for node in graph.graph.node]
    assert (kinds.count("MultiHeadAttention"), kinds.count("Softmax")) == (2, 0)
    assert variant_of(graph) == "fused"
    assert isinstance(model.model.layers[0].attention, FullAttention)  # the model itself is as it was


@pytest.mark.parametrize("version", ["1.17.1", "1.20.1"])
def test_older_runtimes_give_the_same_numbers_for_no_elements_too(model, path, events, version, tmp_path):
    python = RUNTIMES / version / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"no ONNX Runtime {version} in {RUNTIMES}; scripts/onnxruntimes.sh installs it where there is a network")
    np.savez(tmp_path / "in.npz", **events)
    subprocess.run([python, TESTS / "contract" / "run_in_runtime.py", path, tmp_path / "in.npz", tmp_path / "out.npz"], check=True)
    with np.load(tmp_path / "out.npz") as found:
        for name, features in events.items():
            for i, expected in enumerate(in_torch(model, features[None], np.ones((1, len(features)), dtype=np.float32))):
                np.testing.assert_allclose(found[f"{name}_{i}"], expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("config", [WindowConfig(width=16, num_heads=2), GravNetConfig(width=16)])
def test_models_that_it_would_not_make_faster_are_refused(config, tmp_path):
    with pytest.raises(ModelError, match=r"variant 'fused': .* choose plain, which is as fast"):
        export_model(build_model(config), tmp_path / "model.onnx", variant="fused")
    assert not list(tmp_path.iterdir())
