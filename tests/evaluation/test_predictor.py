import json
import shutil
import time

import numpy as np
import onnx
import pytest
import torch
from toy_graph import write_toy_model

from mlpf.candidates import Outputs, compare_candidates, make_candidates
from mlpf.dataset.loader import Loader
from mlpf.dataset.sample import select_split
from mlpf.errors import DatasetError, ModelError
from mlpf.evaluation.predictor import FoldPredictor, OnnxPredictor, TorchPredictor, load_predictor
from mlpf.events import concatenate, offsets_from_counts
from mlpf.graph.knn import knn_graph
from mlpf.io.candidates import read_candidates
from mlpf.io.shards import ShardedDataset
from mlpf.nn.saved import load_model, save_model
from mlpf.producer.producer import METADATA_SPLIT, consumer_input, empty_outputs
from mlpf.samples.split import SPLITS, SplitConfig, fold_index, split_index
from mlpf.schema import ElementType


def test_batched_torch_predictions_are_those_of_each_event_alone(run, random_dataset):
    events = random_dataset(6, 20)
    predictor = TorchPredictor(run, "cpu")
    together = predictor(events).candidates
    for i in range(6):
        alone = predictor(events.slice(i, i + 1)).candidates
        expected = together.slice(i, i + 1)
        assert np.array_equal(alone["mlpfcandidate_element"], expected["mlpfcandidate_element"])
        assert np.array_equal(alone["mlpfcandidate_pdgid"], expected["mlpfcandidate_pdgid"])
        assert alone["mlpfcandidate_pt"] == pytest.approx(expected["mlpfcandidate_pt"], rel=1e-4)


def test_run_and_onnx_file_give_the_same_candidates(run, onnx_file, random_dataset):
    events = random_dataset(5, 30)
    result = compare_candidates(load_predictor(run)(events).candidates, load_predictor(onnx_file)(events).candidates)
    assert result.agree, result


def test_the_outputs_are_those_that_the_candidates_were_made_of(run, onnx_file, fold_runs, random_dataset):
    events = random_dataset(5, 30)
    for path in (run, onnx_file, fold_runs):
        candidates, outputs = load_predictor(path)(events)
        selected = consumer_input(events)
        assert [values.shape for values in outputs] == [(len(selected.features), *empty.shape[1:]) for empty in empty_outputs()]
        again = make_candidates(events, *selected, outputs)
        for name, values in candidates.columns.items():
            np.testing.assert_array_equal(values, again[name], err_msg=name)


def test_run_and_onnx_file_give_the_same_outputs(run, onnx_file, random_dataset):
    events = random_dataset(5, 30)
    for torch_values, onnx_values in zip(load_predictor(run)(events).outputs, load_predictor(onnx_file)(events).outputs, strict=True):
        np.testing.assert_allclose(torch_values, onnx_values, atol=1e-4)


def test_a_model_without_a_pileup_head_says_even_odds(random_dataset, tmp_path):
    events = random_dataset(3, 20)
    replacements = [(", float[batch, elements, 1] pu)", ")"), ("pu = MatMul(clean, w_pileup)", "")]
    candidates, outputs = load_predictor(write_toy_model(tmp_path / "toy.onnx", replacements))(events)
    assert np.array_equal(outputs.pileup, np.zeros(len(consumer_input(events).features)))
    assert (candidates["mlpfcandidate_pileup"] == 0.5).all()


def test_predictors_tell_the_time_of_every_event_with_elements_once(run, onnx_file, fold_runs, random_dataset):
    events = concatenate([random_dataset(30, 20.0), random_dataset(2, 0.0)])
    for path, threads in ((run, torch.get_num_threads()), (onnx_file, 1), (fold_runs, torch.get_num_threads())):
        predictor = load_predictor(path)
        predictor(events)
        predictor.take_timing()  # the first batch is left out
        start = time.perf_counter()
        predictor(events.slice(0, 20))
        predictor(events.slice(20, 32))
        total = time.perf_counter() - start
        timing = predictor.take_timing().to_json()
        assert (timing["device"], timing["threads"]) == ("cpu", threads)
        assert timing["processor"]
        assert 0 < timing["seconds"] < total
        assert timing["events_per_second"] * timing["seconds"] == pytest.approx(30)
        assert timing["elements_per_second"] * timing["seconds"] == pytest.approx(len(consumer_input(events).features))
        assert [entry["n"] for entry in timing["milliseconds_per_event"]["median"]][:2] == [30, 0]
        assert predictor.take_timing().to_json()["seconds"] == 0.0


def test_no_events_and_empty_events_give_no_candidates(run, random_dataset):
    events = random_dataset(2, 0.0)
    assert TorchPredictor(run, "cpu")(events).candidates.size("mlpfcandidate") == 0
    assert len(TorchPredictor(run, "cpu")(events.slice(0, 0)).candidates) == 0


def test_a_model_is_evaluated_on_events_that_it_has_not_seen_where_it_knows_them(run, onnx_file, tmp_path):
    for predictor in (TorchPredictor(run, "cpu"), OnnxPredictor(onnx_file, "cpu")):
        assert predictor.default_split == "test"
        assert predictor.split.seed == 5  # of the run, not the default
    model = onnx.load(onnx_file)
    model.ClearField("metadata_props")  # as a file of other origin
    onnx.save(model, tmp_path / "foreign.onnx")
    assert OnnxPredictor(tmp_path / "foreign.onnx", "cpu").default_split == "all"


def test_a_model_that_kept_no_events_for_tests_is_evaluated_on_all_of_another_sample(run, tmp_path):
    model, info = load_model(run)
    save_model(tmp_path, model, info.model_copy(update={"split": SplitConfig(train=0.9, validation=0.1, test=0.0)}))
    assert TorchPredictor(tmp_path, "cpu").default_split == "all"


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
    together = load_predictor(fold_runs)(events).candidates
    assert np.array_equal(together["event"], events["event"])
    for path in fold_runs.iterdir():
        single = load_predictor(path)
        own = split_index(events["run"], events["lumi"], events["event"], single.split) == SPLITS.index("test")
        assert 5 < own.sum() < 25
        assert_same_candidates(together.select(own), single(events.select(own)).candidates)


def test_no_event_is_given_to_a_model_that_has_seen_it(fold_runs, random_dataset, monkeypatch):
    events = random_dataset(40, 5.0)
    given = []

    def record(self, _events, _selected, chosen, _outputs):
        split = split_index(events["run"][chosen], events["lumi"][chosen], events["event"][chosen], self.split)
        assert (split == SPLITS.index("test")).all()
        given.extend(chosen.tolist())

    monkeypatch.setattr(TorchPredictor, "predict", record)
    load_predictor(fold_runs)(events)
    assert sorted(given) == list(range(40))


def test_the_models_of_the_folds_differ(fold_runs, random_dataset):
    events = random_dataset(5, 30.0)
    pt = [TorchPredictor(fold_runs / f"run_{i}", "cpu")(events).candidates["mlpfcandidate_pt"].sum() for i in range(3)]
    assert len(set(pt)) == 3  # or the test above would show nothing


def test_out_of_fold_all_events_are_evaluated_and_the_runs_are_named(fold_runs, random_dataset):
    predictor = load_predictor(fold_runs)
    assert isinstance(predictor, FoldPredictor)
    assert predictor.default_split == "all"
    events = random_dataset(10, 5.0)
    assert (split_index(events["run"], events["lumi"], events["event"], predictor.split) == SPLITS.index("test")).all()
    assert predictor.description["model"] == f"{fold_runs}, out of fold"
    assert [predictor.description[f"fold {fold}"].split(",")[0] for fold in range(3)] == ["run_2", "run_1", "run_0"]
    assert predictor(events.slice(0, 0)).candidates.size("mlpfcandidate") == 0


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
    _, info = load_model(fold_runs / "run_1")
    write_toy_model(tmp_path / "model.onnx", **{METADATA_SPLIT: json.dumps(info.model_dump(mode="json")["split"])})  # as an export writes it
    predictor = load_predictor(tmp_path / "model.onnx")
    assert predictor.split == SplitConfig(folds=3, fold=1, seed=5)
    assert predictor.default_split == "test"


def test_the_command_evaluates_all_events_out_of_fold(fold_runs, random_dataset, write_dataset, mlpf_cli, tmp_path):
    events = random_dataset(12, 30.0)
    status, out, err = mlpf_cli("evaluate", fold_runs, write_dataset(events), "--output", tmp_path / "evaluation")
    assert status == 0, err
    assert "used 12 (all)" in out.replace("\n", " ")
    results = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert results["datasets"]["dataset"]["models"][fold_runs.name]["description"]["fold 1"].startswith("run_1, epoch 3")
    predictions = read_candidates(tmp_path / "evaluation" / "predictions.parquet")
    config = SplitConfig(folds=3, seed=5)
    fold = fold_index(events["run"], events["lumi"], events["event"], config)
    for own in range(3):
        expected = TorchPredictor(fold_runs / f"run_{2 - own}", "cpu")(events.select(fold == own)).candidates
        assert_same_candidates(predictions.select(fold == own), expected)


def with_edges(events):
    """Every element of an event and the three nearest to it, some of types that the model does not see."""
    kind = events["element_type"].copy()
    kind[::5] = ElementType.PS1
    offsets = events.collection_offsets("element")
    graph = knn_graph(events["element_eta"], events["element_phi"], offsets, 3)
    pairs = np.unique(np.sort([graph.source, graph.target], axis=0), axis=1)
    event = np.searchsorted(offsets, pairs[0], side="right") - 1
    columns = {"edge_source": pairs[0] - offsets[event], "edge_target": pairs[1] - offsets[event]}
    columns |= {"edge_distance": np.linspace(0.0, 0.3, len(event)), "edge_kind": np.resize([1, 4, 5], len(event)), "element_type": kind}
    return events.with_columns(columns, {"edge": offsets_from_counts(np.bincount(event, minlength=len(events)))})


def test_a_model_of_edges_says_of_an_event_what_it_says_of_a_batch_of_the_training(edges_run, random_dataset, write_dataset):
    events = with_edges(random_dataset(8, 20.0))
    predictor = load_predictor(edges_run)
    assert predictor.needs_edges
    selected = consumer_input(events)
    outputs = Outputs(*(np.zeros((len(selected.features), *empty.shape[1:]), dtype=np.float32) for empty in empty_outputs()))
    predictor.predict(events, selected, np.arange(8), outputs)
    model, _ = load_model(edges_run)
    loader = Loader([select_split(ShardedDataset(write_dataset(events)))], 100, edges=True)
    place_of = {number: place for place, number in enumerate(events["event"].tolist())}
    seen = 0
    for batch in loader:
        with torch.no_grad():
            pid = model.predict(batch).pid
        for row, (_, _, number) in enumerate(batch.event_id.tolist()):
            own = slice(*selected.offsets[place_of[number] : place_of[number] + 2])
            np.testing.assert_allclose(outputs.pid[own], pid[row, : own.stop - own.start], atol=1e-5)
            seen += 1
    assert seen == 8


def test_a_model_of_edges_gives_every_event_the_same_alone_and_in_a_batch(edges_run, random_dataset):
    events = with_edges(random_dataset(6, 20.0))
    predictor = TorchPredictor(edges_run, "cpu")
    together = predictor(events).candidates
    assert together.size("mlpfcandidate") > 20
    for i in range(6):
        assert_same_candidates(predictor(events.slice(i, i + 1)).candidates, together.slice(i, i + 1))
    assert not np.array_equal(
        predictor(events.with_columns({"edge_kind": 0 * events["edge_kind"]})).candidates["mlpfcandidate_score"], together["mlpfcandidate_score"]
    )


def test_the_command_evaluates_a_model_of_edges_and_refuses_a_dataset_without(edges_run, random_dataset, write_dataset, mlpf_cli, tmp_path):
    events = random_dataset(12, 30.0)
    dataset = write_dataset(with_edges(events), "edges")
    status, _, err = mlpf_cli("evaluate", edges_run, dataset, "--split", "all", "--output", tmp_path / "evaluation")
    assert status == 0, err
    found = read_candidates(tmp_path / "evaluation" / "predictions.parquet")
    assert_same_candidates(found, TorchPredictor(edges_run, "cpu")(with_edges(events)).candidates)
    status, _, err = mlpf_cli("evaluate", edges_run, write_dataset(events), "--split", "all", "--output", tmp_path / "none")
    assert status == 1
    assert "holds no edge_source" in err
    with pytest.raises(DatasetError, match="make the dataset with mlpf postprocess and a choice of edges"):
        TorchPredictor(edges_run, "cpu")(events)


def test_a_model_of_edges_is_not_exported(edges_run, mlpf_cli, tmp_path):
    status, _, err = mlpf_cli("export", edges_run, "--output", tmp_path / "model.onnx")
    assert status == 1
    assert "works on the edges of a dataset, which the consumer does not give" in " ".join(err.split())
    assert not list(tmp_path.iterdir())
