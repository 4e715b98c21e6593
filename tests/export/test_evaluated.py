from pathlib import Path
from types import SimpleNamespace

import pytest

from mlpf.errors import ModelError
from mlpf.export.evaluated import Identity, summarize

WEIGHTS, FILE = "0123456789abcdef" + "0" * 48, "fedcba9876543210" + "f" * 48
NOTHING = {"value": None, "low": None, "high": None, "n": 0}


def estimate(value, n=9):
    return {"value": value, "low": value - 0.125, "high": None, "n": n}


def evaluation(**descriptions):
    """As `mlpf evaluate` writes it, of models by name, all of them with numbers of their own."""
    models = {name: {"description": description, "training": None} for name, description in descriptions.items()}
    numbers = {name: i / 8 for i, name in enumerate(descriptions)}
    entry = {
        "path": "work/ttbar", "fingerprint": "f", "split": "test", "num_events": 5, "num_elements": 50, "models": models,
        "elements": {name: {"efficiency": {"muon": {"all": estimate(x), "pt": []}, "tau": {"all": NOTHING}}} for name, x in numbers.items()},
        "met": {name: {"residual": {"all": {"median": estimate(x + 1), "iqr": estimate(x + 2)}}} for name, x in numbers.items()},
        "emd": {name: {"all": estimate(x), "normalised": estimate(x + 3)} for name, x in numbers.items()},
    }  # fmt: skip
    point = {"particle_threshold": 0.123456789, "class_threshold": 0.25, "efficiency": estimate(0.9), "misidentification": estimate(0.5)}
    classification = {"all": {"muon": {"pf": {"working_points": {"fixed": {}}}, **{name: {"working_points": {"0.90": point}} for name in descriptions}}}}
    return SimpleNamespace(folder=Path("out/ev"), metrics={"datasets": {"ttbar": entry}}, performance={"classification": {"ttbar": classification}})


def test_the_numbers_are_those_of_the_run_with_the_same_weights():
    found = summarize(evaluation(other={"weights sha256": "aaaa"}, mine={"weights sha256": WEIGHTS[:16]}), Identity(WEIGHTS, FILE))
    assert "weights with sha256 0123456789abcdef" in found.identity
    dataset = found.datasets["ttbar"]
    assert {name: number.value for name, number in dataset.metrics.items()} == {
        "elements/efficiency/muon": 0.125,
        "met/residual/all/median": 1.125,
        "met/residual/all/iqr": 2.125,
        "emd/normalised": 3.125,
    }
    assert dataset.metrics["emd/normalised"].model_dump() == {"value": 3.125, "low": 3.0, "high": None, "n": 9}
    assert dataset.working_points["muon"]["0.90"].model_dump() == {
        "particle_threshold": 0.123457,
        "class_threshold": 0.25,
        "efficiency": 0.9,
        "misidentification": 0.5,
    }
    assert (found.folder, dataset.split, dataset.num_events, dataset.fingerprint) == ("out/ev", "test", 5, "f")


def test_the_same_file_is_known_by_its_checksum_without_a_run():
    found = summarize(evaluation(model={"model": "model.onnx", "sha256": FILE[:16]}), Identity("", FILE))
    assert "this very file" in found.identity


def test_one_of_the_folds_is_found_among_them():
    description = {"model": "runs, out of fold", "fold 0": f"a, epoch 1, weights {WEIGHTS[:16]}", "fold 1": "b, epoch 1, weights bbbb"}
    assert "out of fold" in summarize(evaluation(folds=description), Identity(WEIGHTS, FILE)).identity


@pytest.mark.parametrize("description", [{"weights sha256": "bbbb"}, {"sha256": "cccc"}, {"model": "runs, out of fold", "fold 0": "a, weights bbbb"}])
@pytest.mark.parametrize("weights", [WEIGHTS, ""])
def test_an_evaluation_of_another_model_is_refused(description, weights):
    with pytest.raises(ModelError, match=r"out/ev: evaluates other \(.*\), not this model \(weights .*make one with mlpf evaluate"):
        summarize(evaluation(other=description), Identity(weights, FILE))


@pytest.mark.parametrize("key", ["fingerprint", "num_events"])
def test_a_damaged_evaluation_is_named(key):
    damaged = evaluation(mine={"weights sha256": WEIGHTS[:16]})
    del damaged.metrics["datasets"]["ttbar"][key]
    with pytest.raises(ModelError, match="out/ev: damaged, dataset ttbar"):
        summarize(damaged, Identity(WEIGHTS, FILE))


def test_a_working_point_without_numbers_is_damage():
    damaged = evaluation(mine={"weights sha256": WEIGHTS[:16]})
    del damaged.performance["classification"]["ttbar"]["all"]["muon"]["mine"]["working_points"]["0.90"]["efficiency"]
    with pytest.raises(ModelError, match="out/ev: damaged"):
        summarize(damaged, Identity(WEIGHTS, FILE))


def test_an_evaluation_without_classification_has_no_working_points():
    bare = evaluation(mine={"weights sha256": WEIGHTS[:16]})
    bare.performance["classification"].clear()
    assert summarize(bare, Identity(WEIGHTS, FILE)).datasets["ttbar"].working_points == {}
