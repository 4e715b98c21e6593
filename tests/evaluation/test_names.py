import pytest

from mlpf.errors import MlpfError
from mlpf.evaluation.names import parse_inputs


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with things of all kinds, of which only the names matter."""
    for path in ("ttbar/manifest.json", "qcd/manifest.json", "run_a/model.safetensors", "other/run_a/model.safetensors", "folds/run_0/model.safetensors"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    for path in ("cms.model.onnx", "notes.txt", "odd=name.onnx"):
        (tmp_path / path).touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_models_and_datasets_are_told_apart_in_any_order(place):
    inputs = parse_inputs(["ttbar", "run_a/", "cms.model.onnx", str(place / "qcd"), "folds"])
    assert {name: str(path) for name, path in inputs.models.items()} == {"run_a": "run_a", "cms.model": "cms.model.onnx", "folds": "folds"}
    assert list(inputs.datasets) == ["ttbar", "qcd"]


def test_names_are_chosen_with_an_equals_sign(place, monkeypatch):
    inputs = parse_inputs(["small=run_a", "large=other/run_a", "test-1=ttbar", "x=odd=name.onnx"])
    assert {name: str(path) for name, path in inputs.models.items()} == {"small": "run_a", "large": "other/run_a", "x": "odd=name.onnx"}
    assert list(inputs.datasets) == ["test-1"]
    monkeypatch.chdir(place / "ttbar")
    assert list(parse_inputs([".", "../run_a"]).datasets) == ["ttbar"]


@pytest.mark.usefixtures("place")
def test_a_model_may_have_the_name_of_a_dataset():
    assert parse_inputs(["ttbar=run_a", "ttbar"]).models.keys() == {"ttbar"}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["run_a"], "run_a: no dataset among them"),
        (["ttbar", "qcd"], "ttbar, qcd: no model among them"),
        (["run_a", "other/run_a", "ttbar"], "model 'run_a': two have this name, run_a and other/run_a; give other names with NAME=PATH"),
        (["run_a", "ttbar", "ttbar=qcd"], "dataset 'ttbar': two have this name"),
        (["run_b", "ttbar"], "run_b: no such file or folder"),
        (["a=run_b", "ttbar"], "run_b: no such file or folder"),
        (["notes.txt", "ttbar"], "notes.txt: neither a dataset"),
        (["empty", "ttbar"], "empty: neither a dataset"),
        (["pf=run_a", "ttbar"], "model 'pf': pf and targets"),
        (["best_hard=run_a", "ttbar"], "names in _hard have a meaning of their own"),
        (["a/b=run_a", "ttbar"], "model 'a/b': a name has letters, digits"),
        (["=run_a", "ttbar"], "model '': a name has letters, digits"),
        (["..=run_a", "ttbar"], "model '..': a name has letters, digits"),
        (["odd=name.onnx", "ttbar"], "model 'odd=name': .* NAME=odd=name.onnx"),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_a_remedy(words, problem):
    with pytest.raises(MlpfError, match=problem):
        parse_inputs(words)
