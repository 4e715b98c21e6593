import copy
import json
import re
from pathlib import Path
from types import SimpleNamespace
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
from mlpf.evaluation import Part, evaluate
from mlpf.evaluation.predictor import load_predictor
from mlpf.export.card import read_card
from mlpf.export.exporter import ConsumerModule, export_model, make_graph, to_onnx
from mlpf.export.parity import check_parity
from mlpf.io.shards import ShardedDataset
from mlpf.nn.heads import ModelOutput
from mlpf.nn.model import GravNetConfig, build_model
from mlpf.nn.saved import ModelInfo, save_model
from mlpf.nn.window import WindowConfig
from mlpf.producer import Producer
from mlpf.random_elements import random_elements
from mlpf.samples.split import SplitConfig
from mlpf.testing import random_dataset

TRAINING = {"model": {"name": "toy"}, "epoch": 3}


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


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model whose elements listen to each other, without the checks, which are not what the tests of it are about."""
    model, path = gravnet(), tmp_path_factory.mktemp("export") / "model.onnx"
    path.write_bytes(make_graph(ConsumerModule(model).eval(), "cmssw").SerializeToString())
    return Exported(model, path)


def test_the_file_is_of_opset_20_and_ir_9_in_one_piece(exported):
    onnx.checker.check_model(str(exported.path), full_check=True)
    graph = onnx.load(exported.path, load_external_data=False)
    assert (graph.ir_version, {opset.domain: opset.version for opset in graph.opset_import}) == (9, {"": 20})
    assert not any(weights.external_data for weights in graph.graph.initializer)


def test_beside_the_file_are_its_card_and_what_an_integrator_needs(exported_toy):
    names = ["toy_v1.json", "toy_v1.md", "toy_v1.onnx", "toy_v1.pbtxt", "toy_v1_customise.py"]
    assert sorted(path.name for path in exported_toy.path.parent.iterdir()) == names


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


def test_the_file_itself_says_which_schema_it_was_made_for(exported):
    metadata = Producer(exported.path).metadata
    assert metadata["mlpf.schema_digest"] == schema.digest()
    assert json.loads(metadata["mlpf.features"]) == list(schema.FEATURES)


def test_the_model_is_not_changed_by_its_export(tmp_path, few_events):
    model = Toy().train()
    export_model(model, tmp_path / "toy.onnx", events=few_events)
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
def test_a_model_that_would_break_the_contract_is_not_written(flaw, tmp_path, few_events):
    (tmp_path / "model.onnx").write_bytes(b"an older export")
    with pytest.raises(ModelError, match=f"model.onnx: breaks the consumer's contract: {flaw}"):
        export_model(Toy(flaw), tmp_path / "model.onnx", events=few_events)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"an older export"


def test_a_file_that_differs_from_torch_is_found(tmp_path, few_events):
    module = ConsumerModule(Toy()).eval()
    path = tmp_path / "toy.onnx"
    path.write_bytes(to_onnx(module).SerializeToString())
    assert check_parity(module, path, few_events).passed
    other = copy.deepcopy(module)
    other.model.linear.bias.data[-1] += 0.01  # pileup, the last output
    assert "allowed 0.001" in check_parity(other, path, few_events).problem


class DataDependent(Toy):
    def forward(self, features, mask):
        return super().forward(features, mask) if features.sum() > 0 else super().forward(-features, mask)


def test_a_model_that_onnx_cannot_express_is_refused_in_one_line(tmp_path):
    with pytest.raises(ModelError, match="cannot be expressed in ONNX") as error:
        export_model(DataDependent(), tmp_path / "model.onnx")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_unknown_options_and_names_are_refused(tmp_path):
    with pytest.raises(ModelError, match="target 'atlas': unknown; choose one of cmssw, standalone"):
        export_model(Toy(), tmp_path / "model.onnx", target="atlas")
    with pytest.raises(ModelError, match="precision 'int8': unknown; choose one of float32, float16"):
        export_model(Toy(), tmp_path / "model.onnx", precision="int8")
    with pytest.raises(ModelError, match="variant 'small': unknown; choose one of plain, fused"):
        export_model(Toy(), tmp_path / "model.onnx", variant="small")
    with pytest.raises(ModelError, match=r"ends in \.onnx"):
        export_model(Toy(), tmp_path / "model.pb")
    with pytest.raises(ModelError, match=r"model-1\.onnx: .*letters, digits and _ only"):
        export_model(Toy(), tmp_path / "model-1.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError, match=r"folder\.onnx: expected the name of a file"):
        export_model(Toy(), tmp_path / "folder.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


@pytest.mark.parametrize("name", ["notes.md", "notes.json", "notes.pbtxt", "notes_customise.py"])
def test_files_that_others_wrote_are_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("my notes on mlpf")
    with pytest.raises(ModelError, match=f"{re.escape(name)}: would be replaced, and mlpf export did not write it"):
        export_model(Toy(), tmp_path / "notes.onnx")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "my notes on mlpf"}


def test_a_second_export_replaces_all_files_and_gives_the_same_bytes(tmp_path, toy_model, exported_toy, few_events):
    for path in exported_toy.path.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() + b"\n")
    export_model(toy_model, tmp_path / exported_toy.path.name, TRAINING, events=few_events)
    for path in exported_toy.path.parent.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_files_for_cmssw_go_when_their_model_does(tmp_path, toy_model, exported_toy, few_events):
    for path in exported_toy.path.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "toy_v1.md").write_text("my notes")
    export_model(toy_model, tmp_path / exported_toy.path.name, target="standalone", events=few_events)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy_v1.json", "toy_v1.md", "toy_v1.onnx"]
    assert (tmp_path / "toy_v1.md").read_text() == "my notes"  # not ours, and not in the way of this target


def test_nothing_is_written_with_an_evaluation_of_another_model(tmp_path, toy_model, few_events):
    entry = {"models": {"m": {"description": {"weights sha256": "another"}}}}
    evaluation = SimpleNamespace(folder=Path("ev"), metrics={"datasets": {"d": entry}}, performance={"classification": {}})
    with pytest.raises(ModelError, match=r"ev: evaluates m \(another\), not this model"):
        export_model(toy_model, tmp_path / "model.onnx", TRAINING, metrics=evaluation, events=few_events)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """Folder of a run whose model was initialised, but not trained."""
    torch.manual_seed(3)
    config, folder = WindowConfig(width=16, num_layers=1, num_heads=2, num_curves=1, window_size=8), tmp_path_factory.mktemp("tiny") / "run"
    info = ModelInfo(
        model=config.model_dump(), dataset="work/ttbar", dataset_fingerprint="f", split=SplitConfig(), seed=0, epoch=7, step=9, validation_loss=1.25
    )
    save_model(folder, build_model(config), info)
    (folder / "metrics.csv").write_text("epoch,step,validation/total\n7,9,1.25\n")
    (folder / "datasets.json").write_text('[{"path": "work/ttbar", "fingerprint": "f", "events": 10, "training": 8, "validation": 1}]')
    return folder


def test_the_command_exports_a_run_with_its_evaluation_in_half_precision(tiny_run, tmp_path):
    dataset = random_dataset(tmp_path / "data", num_events=12)
    evaluate({"tiny": load_predictor(tiny_run)}, {"random": ShardedDataset(dataset)}, tmp_path / "ev", "all", part=Part(1, 1))
    options = ["--precision", "fp16", "--metrics", str(tmp_path / "ev"), "--events", str(dataset)]
    done = CliRunner().invoke(app, ["export", str(tiny_run), "--output", str(tmp_path / "model.onnx"), *options])
    assert done.exit_code == 0, done.output
    assert "window, epoch 7, validation loss 1.2500" in done.stdout
    assert "ok same numbers as torch: largest difference" in done.stdout
    written = re.sub(r"\s+", " ", done.stdout)
    assert "beside it model.json, model.pbtxt, model_customise.py, model.md" in written
    card = read_card(tmp_path / "model.json")
    assert (card.precision, card.variant, card.training["epoch"], card.training["model"]["window_size"]) == ("float16", "plain", 7, 8)
    assert card.training["validation"] == {"total": 1.25}
    assert card.training["datasets"][0]["fingerprint"] == "f"
    evaluated = card.evaluation.datasets["random"]
    metrics = json.loads((tmp_path / "ev" / "metrics.json").read_text())["datasets"]["random"]
    assert evaluated.metrics["elements/efficiency/any"].value == pytest.approx(metrics["elements"]["tiny"]["efficiency"]["any"]["all"]["value"], rel=1e-5)
    assert evaluated.num_events == metrics["num_events"] == 12
    assert set(evaluated.working_points["any"]) == {"0.80", "0.90", "0.95", "0.99"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "float8"], "precision 'float8': unknown; choose one of float32, float16"),
        (["--variant", "quick"], "variant 'quick': unknown"),
        (["--events", "nowhere.root"], "nowhere.root"),
        (["--metrics", "nowhere"], "nowhere/metrics.json: cannot be read"),
    ],
)
def test_the_command_names_what_it_cannot_use(tiny_run, tmp_path, options, message):
    done = CliRunner().invoke(app, ["export", str(tiny_run), "--output", str(tmp_path / "model.onnx"), *options])
    assert done.exit_code != 0
    assert message in f"{done.output} {done.exception}"
    assert not list(tmp_path.iterdir())
