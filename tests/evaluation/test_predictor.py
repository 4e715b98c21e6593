import json
import shutil

import numpy as np
import onnx
import pytest

from mlpf.candidates import compare_candidates
from mlpf.errors import ModelError
from mlpf.evaluation.predictor import FoldPredictor, OnnxPredictor, TorchPredictor, batches_of_similar_size, load_predictor
from mlpf.io.candidates import read_candidates
from mlpf.nn.saved import load_model, save_model
from mlpf.samples.split import SPLITS, SplitConfig, fold_index, split_index


def test_batches_hold_every_event_once_and_stay_below_the_limit():
    counts = np.array([5, 0, 100, 7, 7, 300, 1])
    batches = list(batches_of_similar_size(counts, 100))
    assert sorted(np.concatenate(batches).tolist()) == [0, 2, 3, 4, 5, 6]  # not the empty one
    for batch in batches:
        assert len(batch) == 1 or counts[batch].max() * len(batch) <= 100


def test_batched_torch_predictions_are_those_of_each_event_alone(run, random_dataset):
    events = random_dataset(6, 20)
    predictor = TorchPredictor(run, "cpu")
    together = predictor(events)
    for i in range(6):
        alone = predictor(events.slice(i, i + 1))
        expected = together.slice(i, i + 1)
        assert np.array_equal(alone["mlpfcandidate_element"], expected["mlpfcandidate_element"])
        assert np.array_equal(alone["mlpfcandidate_pdgid"], expected["mlpfcandidate_pdgid"])
        assert alone["mlpfcandidate_pt"] == pytest.approx(expected["mlpfcandidate_pt"], rel=1e-4)


def test_run_and_onnx_file_give_the_same_candidates(run, onnx_file, random_dataset):
    events = random_dataset(5, 30)
    result = compare_candidates(load_predictor(run)(events), load_predictor(onnx_file)(events))
    assert result.agree, result


def test_no_events_and_empty_events_give_no_candidates(run, random_dataset):
    events = random_dataset(2, 0.0)
    assert TorchPredictor(run, "cpu")(events).size("mlpfcandidate") == 0
    assert len(TorchPredictor(run, "cpu")(events.slice(0, 0))) == 0


def test_a_model_is_evaluated_on_events_that_it_has_not_seen_where_it_knows_them(run, onnx_file, tmp_path):
    for predictor in (TorchPredictor(run, "cpu"), OnnxPredictor(onnx_file, "cpu")):
        assert predictor.default_split == "test"
        assert predictor.split.seed == 5  # of the run, not the default
    model = onnx.load(onnx_file)
    model.ClearField("metadata_props")  # as a file of other origin
    onnx.save(model, tmp_path / "foreign.onnx")
    assert OnnxPredictor(tmp_path / "foreign.onnx", "cpu").default_split == "all"


def test_an_unknown_device_is_one_clear_error(run, onnx_file):
    for path in (run, onnx_file):
        with pytest.raises(ModelError, match="device 'tpu': unknown; choose one of cpu, cuda"):
            load_predictor(path, "tpu")


@pytest.mark.parametrize("name", ["nothing.pt", "nothing.onnx", "."])
def test_what_is_no_model_is_one_clear_error(tmp_path, name):
    with pytest.raises(ModelError):
        load_predictor(tmp_path / name)


def assert_same_candidates(result, expected):
    assert np.array_equal(result.collection_offsets("mlpfcandidate"), expected.collection_offsets("mlpfcandidate"))
    for name in expected.columns:
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_out_of_fold_every_event_has_the_candidates_of_the_model_that_keeps_it_for_the_test(fold_runs, random_dataset):
    events = random_dataset(40, 20.0)
    together = load_predictor(fold_runs)(events)
    assert np.array_equal(together["event"], events["event"])
    for path in fold_runs.iterdir():
        single = load_predictor(path)
        own = split_index(events["run"], events["lumi"], events["event"], single.split) == SPLITS.index("test")
        assert 5 < own.sum() < 25
        assert_same_candidates(together.select(own), single(events.select(own)))


def test_no_event_is_given_to_a_model_that_has_seen_it(fold_runs, random_dataset, monkeypatch):
    events = random_dataset(40, 5.0)
    given = []

    def record(self, _selected, chosen, _outputs):
        split = split_index(events["run"][chosen], events["lumi"][chosen], events["event"][chosen], self.split)
        assert (split == SPLITS.index("test")).all()
        given.extend(chosen.tolist())

    monkeypatch.setattr(TorchPredictor, "predict", record)
    load_predictor(fold_runs)(events)
    assert sorted(given) == list(range(40))


def test_the_models_of_the_folds_differ(fold_runs, random_dataset):
    events = random_dataset(5, 30.0)
    pt = [TorchPredictor(fold_runs / f"run_{i}", "cpu")(events)["mlpfcandidate_pt"].sum() for i in range(3)]
    assert len(set(pt)) == 3  # or the test above would show nothing


def test_out_of_fold_all_events_are_evaluated_and_the_runs_are_named(fold_runs, random_dataset):
    predictor = load_predictor(fold_runs)
    assert isinstance(predictor, FoldPredictor)
    assert predictor.default_split == "all"
    events = random_dataset(10, 5.0)
    assert (split_index(events["run"], events["lumi"], events["event"], predictor.split) == SPLITS.index("test")).all()
    assert predictor.description["model"] == f"{fold_runs}, out of fold"
    assert [predictor.description[f"fold {fold}"].split(",")[0] for fold in range(3)] == ["run_2", "run_1", "run_0"]
    assert predictor(events.slice(0, 0)).size("mlpfcandidate") == 0


@pytest.fixture
def changed_folds(fold_runs, tmp_path):
    """A copy of the runs of three folds, in which the split of one run is another one."""

    def change(name, **split):
        folder = shutil.copytree(fold_runs, tmp_path / "folds")
        model, info = load_model(folder / name)
        save_model(folder / name, model, info.model_copy(update={"split": SplitConfig(**split)}))
        return folder

    return change


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"folds": 3, "fold": 1, "seed": 5}, r"run_1: of fold 1, as run_0; keep one of them"),
        ({"folds": 3, "fold": 2, "seed": 6}, r"run_1: trained with 3 folds of seed 5, run_0 with 3 of seed 6; keep runs of one kind"),
        ({"folds": 4, "fold": 2, "seed": 5}, r"run_1: trained with 3 folds of seed 5, run_0 with 4 of seed 5"),
        ({"seed": 5}, r"run_0: trained without folds; evaluate it alone"),
    ],
)
def test_runs_that_are_not_the_folds_of_one_splitting_are_one_clear_error(changed_folds, split, message):
    with pytest.raises(ModelError, match=message):
        load_predictor(changed_folds("run_0", **split))


def test_a_fold_without_a_finished_run_is_one_clear_error(fold_runs, tmp_path):
    folder = shutil.copytree(fold_runs, tmp_path / "folds")
    (folder / "run_1").rename(folder / "run_1.partial")
    with pytest.raises(ModelError, match=r"folds: no finished run of fold 1 of 3; train it"):
        load_predictor(folder)


def test_a_fold_of_another_schema_is_one_clear_error(fold_runs, tmp_path):
    folder = shutil.copytree(fold_runs, tmp_path / "folds")
    model, info = load_model(folder / "run_1")
    save_model(folder / "run_1", model, info.model_copy(update={"schema_digest": "0123"}))
    with pytest.raises(ModelError, match=r"run_1/model\.safetensors: made for schema 0123"):
        load_predictor(folder)


def test_an_onnx_file_of_a_fold_knows_its_test(fold_runs, tmp_path):
    from mlpf.export.exporter import export_model

    model, info = load_model(fold_runs / "run_1")
    export_model(model, tmp_path / "model.onnx", info.model_dump(mode="json"))
    predictor = load_predictor(tmp_path / "model.onnx")
    assert predictor.split == SplitConfig(folds=3, fold=1, seed=5)
    assert predictor.default_split == "test"


def test_the_command_evaluates_all_events_out_of_fold(fold_runs, random_dataset, write_dataset, mlpf_cli, tmp_path):
    events = random_dataset(12, 30.0)
    status, out, err = mlpf_cli("evaluate", fold_runs, write_dataset(events), "--output", tmp_path / "evaluation")
    assert status == 0, err
    assert "used 12 (all)" in out.replace("\n", " ")
    results = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert results["fold 1"].startswith("run_1, epoch 3")
    predictions = read_candidates(tmp_path / "evaluation" / "predictions.parquet")
    config = SplitConfig(folds=3, seed=5)
    fold = fold_index(events["run"], events["lumi"], events["event"], config)
    for own in range(3):
        expected = TorchPredictor(fold_runs / f"run_{2 - own}", "cpu")(events.select(fold == own))
        assert_same_candidates(predictions.select(fold == own), expected)
