import copy
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from mlpf import schema
from mlpf.cli.main import app
from mlpf.errors import ModelError
from mlpf.export.exporter import ConsumerModule, export_model, to_onnx
from mlpf.export.parity import check_parity
from mlpf.nn.heads import ModelOutput
from mlpf.nn.model import GravNetConfig, build_model
from mlpf.nn.saved import ModelInfo, save_model
from mlpf.producer import Producer
from mlpf.random_elements import random_elements
from mlpf.samples.split import SplitConfig


def gravnet():
    """A small GravNet whose weights are not those of the start: there momenta are the element's own and the space is (eta, phi)."""
    torch.manual_seed(0)
    model = build_model(GravNetConfig(width=16, num_layers=2, num_neighbors=8, propagate_dim=8))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.preprocess.fit(torch.from_numpy(random_elements(np.random.default_rng(11), 2000)))
    return model


class Exported(NamedTuple):
    model: nn.Module
    path: Path
    card: dict


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model, path = gravnet(), tmp_path_factory.mktemp("export") / "model.onnx"
    export_model(model, path, {"epoch": 3})
    return Exported(model, path, json.loads(path.with_suffix(".json").read_text()))


def test_the_file_is_of_opset_20_and_ir_9_in_one_piece(exported):
    onnx.checker.check_model(str(exported.path), full_check=True)
    graph = onnx.load(exported.path, load_external_data=False)
    assert (graph.ir_version, {opset.domain: opset.version for opset in graph.opset_import}) == (9, {"": 20})
    assert not any(weights.external_data for weights in graph.graph.initializer)
    assert sorted(path.name for path in exported.path.parent.iterdir()) == ["model.json", "model.onnx"]


def test_inputs_and_outputs_are_the_consumers_with_free_axes(exported):
    graph = onnx.load(exported.path).graph
    found = {
        value.name: (value.type.tensor_type.elem_type, [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim])
        for value in (*graph.input, *graph.output)
    }
    widths = {"Xfeat_normed": [55], "mask": [], "bid": [2], "id": [9], "momentum": [5], "pu": [1]}
    assert found == {name: (onnx.TensorProto.FLOAT, ["batch", "elements", *width]) for name, width in widths.items()}
    assert list(found) == list(widths)


def test_the_file_tells_no_paths_of_the_machine_that_made_it(exported):
    content = exported.path.read_bytes()
    assert b"site-packages" not in content
    assert str(Path(schema.__file__).parent).encode() not in content


@pytest.mark.parametrize("num_elements", [1, 3, 8, 9, 401])  # 8: as many as neighbours
def test_the_producer_gives_what_torch_gives(exported, num_elements):
    features = random_elements(np.random.default_rng(num_elements), num_elements)
    found = Producer(exported.path).run(features)
    with torch.no_grad():
        expected = exported.model.eval()(torch.from_numpy(features[None]), torch.ones(1, num_elements))
    for column, tensor in zip(found, expected[:4], strict=True):
        np.testing.assert_allclose(column, tensor[0].numpy().reshape(column.shape), rtol=1e-4, atol=1e-4)


def test_an_element_still_listens_to_its_neighbors(exported):
    features = random_elements(np.random.default_rng(2), 40)
    producer = Producer(exported.path)
    assert np.abs(producer.run(features).momentum[:20] - producer.run(features[:20]).momentum).max() > 1e-3


def test_the_card_describes_the_file(exported):
    card = exported.card
    assert card["sha256"] == hashlib.sha256(exported.path.read_bytes()).hexdigest()
    assert card["bytes"] == exported.path.stat().st_size
    assert (card["file"], card["target"], card["opset"], card["ir_version"]) == ("model.onnx", "cmssw", 20, 9)
    assert [feature["name"] for feature in card["features"]] == list(schema.FEATURES)
    assert card["features"][5] == {"index": 5, "name": "energy", "unit": "GeV", "meaning": "momentum of tracks, energy of clusters"}
    assert [c["pdgid"] for c in card["classes"]] == [0, 211, 130, 1, 2, 22, 11, 13, 15]
    assert (card["schema_digest"], card["training"]) == (schema.digest(), {"epoch": 3})
    assert card["contract"]["passed"]
    assert "same numbers as torch" in [check["name"] for check in card["contract"]["checks"]]


def test_the_file_itself_says_which_schema_it_was_made_for(exported):
    metadata = Producer(exported.path).metadata
    assert metadata["mlpf.schema_digest"] == schema.digest()
    assert json.loads(metadata["mlpf.features"]) == list(schema.FEATURES)


def test_the_model_is_not_changed_by_its_export(tmp_path):
    model = Toy().train()
    export_model(model, tmp_path / "toy.onnx")
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


class Toy(nn.Module):
    """Linear in the cleaned features, with the flaws that the tests below switch on."""

    def __init__(self, flaw=""):
        super().__init__()
        torch.manual_seed(1)
        self.flaw = flaw
        self.linear = nn.Linear(schema.NUM_FEATURES, 17)

    def forward(self, features, mask):
        clean = torch.where(torch.isfinite(features) & (mask > 0.5).unsqueeze(-1), features, torch.zeros_like(features)).clamp(-1e3, 1e3)
        binary, pid, momentum, pileup = self.linear(clean).split([2, 9, 5, 1], dim=-1)
        is_sc = (clean[..., :1] == 10) & (self.flaw != "superclusters")
        never = torch.tensor([0.0 if self.flaw == "class none" else -1e6] + [0.0] * 8)
        if self.flaw == "order of elements":
            momentum = momentum.cumsum(dim=1)
        return ModelOutput(torch.where(is_sc, torch.tensor([1.0, -1.0]), binary), pid + never, momentum.tanh(), pileup, pileup)


@pytest.mark.parametrize("flaw", ["superclusters", "class none", "order of elements"])
def test_a_model_that_would_break_the_contract_is_not_written(flaw, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"an older export")
    with pytest.raises(ModelError, match=f"model.onnx: breaks the consumer's contract: {flaw}"):
        export_model(Toy(flaw), tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"an older export"


def test_a_file_that_differs_from_torch_is_found(tmp_path):
    module = ConsumerModule(Toy()).eval()
    path = tmp_path / "toy.onnx"
    path.write_bytes(to_onnx(module).SerializeToString())
    assert check_parity(module, path).passed
    other = copy.deepcopy(module)
    other.model.linear.bias.data[-1] += 0.01  # pileup, the last output
    assert "allowed 0.001" in check_parity(other, path).problem


class DataDependent(Toy):
    def forward(self, features, mask):
        return super().forward(features, mask) if features.sum() > 0 else super().forward(-features, mask)


def test_a_model_that_onnx_cannot_express_is_refused_in_one_line(tmp_path):
    with pytest.raises(ModelError, match="cannot be expressed in ONNX") as error:
        export_model(DataDependent(), tmp_path / "model.onnx")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_other_targets_and_names_are_refused(tmp_path):
    with pytest.raises(ModelError, match="target 'atlas': unknown; choose one of cmssw, standalone"):
        export_model(Toy(), tmp_path / "model.onnx", target="atlas")
    with pytest.raises(ModelError, match=r"ends in \.onnx"):
        export_model(Toy(), tmp_path / "model.pb")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError, match=r"folder\.onnx: expected the name of a file"):
        export_model(Toy(), tmp_path / "folder.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


def test_the_command_exports_a_run_and_says_what_it_checked(tmp_path):
    info = ModelInfo(
        model=GravNetConfig(width=16, num_layers=1, num_neighbors=4).model_dump(),
        dataset="work/ttbar", dataset_fingerprint="f", split=SplitConfig(), seed=0, epoch=7, validation_loss=1.25,
    )  # fmt: skip
    save_model(tmp_path / "run", build_model(GravNetConfig(**info.model)), info)
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--output", str(tmp_path / "model.onnx"), "--target", "cmssw"])
    assert done.exit_code == 0, done.output
    assert "gravnet, epoch 7, validation loss 1.2500" in done.stdout
    assert "ok same numbers as torch: largest difference" in done.stdout
    training = json.loads((tmp_path / "model.json").read_text())["training"]
    assert (training["epoch"], training["model"]["num_neighbors"]) == (7, 4)
