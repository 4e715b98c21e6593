import hashlib
import json

import onnx
import pydantic
import pytest

from mlpf import schema
from mlpf.errors import ModelError
from mlpf.export.card import ModelCard, read_card
from mlpf.producer.signature import TENSORS


@pytest.fixture(scope="module")
def document(exported_toy):
    """The card as any JSON reader sees it."""
    return json.loads(exported_toy.path.with_suffix(".json").read_text())


def test_the_card_describes_the_file(exported_toy, document):
    content, graph = exported_toy.path.read_bytes(), onnx.load(exported_toy.path)
    assert document["sha256"] == hashlib.sha256(content).hexdigest()
    assert (document["file"], document["bytes"], document["target"]) == ("toy_v1.onnx", len(content), "cmssw")
    assert (document["opset"], document["ir_version"]) == (graph.opset_import[0].version, graph.ir_version) == (20, 9)
    assert (document["variant"], document["precision"]) == ("plain", "float32")
    assert document["num_parameters"] == 56 * 32 + 2 * 32 + 33 * 32 + 33 * 17  # three dense layers and a norm
    assert document["training"] == {"model": {"name": "toy"}, "epoch": 3}
    assert document["evaluation"] is None


def test_features_and_classes_are_those_of_the_schema(document):
    assert [feature["name"] for feature in document["features"]] == list(schema.FEATURES)
    assert [feature["index"] for feature in document["features"]] == list(range(55))
    assert document["features"][5] == {"index": 5, "name": "energy", "unit": "GeV", "meaning": "momentum of tracks, energy of clusters"}
    assert document["features"][3]["meaning"] == "sine of element_phi"
    assert [c["pdgid"] for c in document["classes"]] == [0, 211, 130, 1, 2, 22, 11, 13, 15]
    assert (document["schema_version"], document["schema_digest"]) == (schema.SCHEMA_VERSION, schema.digest())


def test_the_decision_is_the_consumers(document):
    decision = document["decision"]
    assert decision["threshold"] == 0.5
    assert decision["score"] == "1 / (1 + exp(bid[0] - bid[1]))"
    score = eval(decision["score"], {"exp": __import__("math").exp, "bid": [0.25, 0.25]})
    assert score == decision["threshold"]  # where bid[1] > bid[0] begins
    assert decision["rule"].startswith("bid[1] > bid[0]")


def test_all_inputs_and_outputs_are_explained(document):
    inputs, outputs = TENSORS["cmssw"]
    assert list(document["inputs"]) == [str(tensor) for tensor in inputs]
    assert list(document["outputs"]) == [str(tensor) for tensor in outputs]
    assert all({**document["inputs"], **document["outputs"]}.values())


def test_the_checks_are_in_the_card(exported_toy, document):
    assert document["contract"]["passed"]
    names = [check["name"] for check in document["contract"]["checks"]]
    assert names == [check.name for check in exported_toy.report.checks]
    assert {"same numbers as torch", "padding and batch"} <= set(names)


def test_the_license_of_the_software_is_that_of_the_repository(document, request):
    assert document["software_license"] == "Apache-2.0"
    assert "Apache License" in (request.config.rootpath / "LICENSE").read_text()


def test_a_person_can_read_it(exported_toy):
    lines = exported_toy.path.with_suffix(".json").read_text().splitlines()
    assert lines[2] == ' "file": "toy_v1.onnx",'
    assert sum('"unit"' in line for line in lines) == 55  # a line for each feature
    assert len(lines) < 150


def test_the_card_is_read_again(exported_toy):
    path = exported_toy.path.with_suffix(".json")
    assert read_card(path).to_json() == path.read_text()


@pytest.mark.parametrize(
    ("key", "value"),
    [("precision", "int8"), ("target", "atlas"), ("bytes", "many"), ("decision", None), ("surprise", 1), ("card_format", 2), ("features", [{}])],
)
def test_another_structure_is_refused(document, key, value):
    with pytest.raises(pydantic.ValidationError, match=key):
        ModelCard.model_validate({**document, key: value})


def test_a_card_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.json: cannot be read"):
        read_card(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"file": ')
    with pytest.raises(ModelError, match=r"half\.json: not a card of this version"):
        read_card(tmp_path / "half.json")
