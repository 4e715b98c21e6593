import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlpf import schema
from mlpf.errors import DatasetError, MlpfError
from mlpf.evaluation import Part, evaluate
from mlpf.io.shards import ShardedDataset, table_to_events
from mlpf.samples.split import SplitConfig, split_index

SPLIT = SplitConfig(train=0.4, validation=0.2, test=0.4, seed=3)


@pytest.fixture
def dataset(random_dataset, write_dataset):
    return ShardedDataset(write_dataset(random_dataset(60, 20)))


def read_predictions(path):
    return table_to_events(pq.read_table(path), schema.CANDIDATES)


def read_json(path):
    return json.loads(path.read_text())


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.usefixtures("without_figures")
def test_the_splits_are_those_of_the_hash_and_share_the_events(target_predictor, dataset, tmp_path):
    events = dataset.read()
    expected = split_index(events["run"], events["lumi"], events["event"], SPLIT)
    for position, split in enumerate(("train", "validation", "test")):
        done = evaluate({"m": target_predictor(SPLIT)}, {"d": dataset}, tmp_path / split, split)
        assert np.array_equal(read_predictions(tmp_path / split / "predictions.parquet")["event"], events["event"][expected == position])
        assert done.metrics["datasets"]["d"]["num_events"] == np.sum(expected == position)
        assert done.counted["d"].num_read == 60
    done = evaluate({"m": target_predictor(SPLIT)}, {"d": dataset}, tmp_path / "default")
    assert done.metrics["datasets"]["d"]["split"] == "test"


@pytest.mark.usefixtures("without_figures")
def test_one_model_on_one_dataset(target_predictor, dataset, tmp_path):
    done = evaluate({"m": target_predictor()}, {"d": dataset}, tmp_path / "out", "all", max_events=37)
    assert names_in(tmp_path / "out") == ["metrics.json", "performance.json", "predictions.parquet", "report.html", "sums/d.npz", "timing/d.npz"]
    predictions = read_predictions(tmp_path / "out" / "predictions.parquet")
    assert len(predictions) == 37
    assert done.counted["d"].num_candidates["m"] == predictions.size("mlpfcandidate") == np.count_nonzero(dataset.read().slice(0, 37)["target_class"])
    assert read_json(tmp_path / "out" / "metrics.json") == done.metrics
    assert read_json(tmp_path / "out" / "performance.json") == done.performance
    entry = done.metrics["datasets"]["d"]
    assert entry["num_events"] == 37
    assert list(entry["systems"])[:3] == ["pf", "m", "targets"]
    assert entry["jets"]["m"] == entry["jets"]["targets"]
    assert entry["particles"]["m"]["efficiency"]["photon"]["all"]["value"] == 1.0
    assert entry["models"]["m"]["description"] == {"model": "targets", "scale": "1.0"}
    assert entry["models"]["m"]["training"] is None
    assert entry["models"]["m"]["num_not_finite"] == 0
    assert entry["timing"]["m"]["events_per_second"] == pytest.approx(1000)
    assert done.performance["classification"]["d"]["all"]["any"]["m"]["auc"]["value"] == 1.0


@pytest.mark.usefixtures("without_figures")
def test_models_side_by_side_have_the_numbers_that_each_has_alone(target_predictor, dataset, other_dataset, tmp_path):
    models = {"one": target_predictor(), "two": target_predictor(scale=1.1)}
    datasets = {"d": dataset, "other": other_dataset}
    done = evaluate(models, datasets, tmp_path / "all", "all")
    predictions = [f"predictions/{d}/{m}.parquet" for d in datasets for m in models]
    documents = ["metrics.json", "performance.json", "report.html", *(f"{folder}/{d}.npz" for folder in ("sums", "timing") for d in datasets)]
    assert names_in(tmp_path / "all") == sorted(predictions + documents)
    for name, dataset in datasets.items():
        entry = done.metrics["datasets"][name]
        assert list(entry["systems"])[:4] == ["pf", "one", "two", "targets"]
        for model in models:
            alone = evaluate({model: models[model]}, {name: dataset}, tmp_path / f"{name}_{model}", "all").metrics["datasets"][name]
            for section in ("elements", "particles", "jets", "met", "multiplicity", "emd"):
                for system in ("pf", model, "targets"):
                    assert entry[section].get(system) == alone[section].get(system), (section, system)
            assert entry["events_digest"] == alone["events_digest"]
            assert entry["timing"][model] == alone["timing"][model]
    assert done.metrics["datasets"]["d"]["met"]["two"]["ratio"]["all"]["median"]["value"] == pytest.approx(1.1, abs=0.01)


@pytest.mark.usefixtures("without_figures")
def test_models_see_the_events_that_none_of_them_has_learnt_from(target_predictor, dataset, tmp_path):
    splits = [SplitConfig(train=0.3, validation=0.0, test=0.7, seed=seed) for seed in (1, 2)]
    done = evaluate({"a": target_predictor(splits[0]), "b": target_predictor(splits[1])}, {"d": dataset}, tmp_path / "out")
    events = dataset.read()
    kept = np.all([split_index(events["run"], events["lumi"], events["event"], split) == 2 for split in splits], axis=0)
    assert 0 < kept.sum() < 60
    for name in ("a", "b"):
        assert np.array_equal(read_predictions(tmp_path / "out" / "predictions" / "d" / f"{name}.parquet")["event"], events["event"][kept])
    assert done.metrics["datasets"]["d"]["num_events"] == kept.sum()


@pytest.mark.usefixtures("without_figures")
def test_only_an_evaluation_is_overwritten(target_predictor, dataset, tmp_path):
    models, datasets = {"m": target_predictor()}, {"d": dataset}
    evaluate(models, datasets, tmp_path / "out")
    with pytest.raises(MlpfError, match="exists already; choose another output or pass --overwrite"):
        evaluate(models, datasets, tmp_path / "out")
    evaluate(models, datasets, tmp_path / "out", "all", overwrite=True)
    assert len(read_predictions(tmp_path / "out" / "predictions.parquet")) == 60
    with pytest.raises(MlpfError, match=r"holds no metrics.json, so it is not overwritten"):
        evaluate(models, datasets, dataset.path, overwrite=True)
    assert len(ShardedDataset(dataset.path, verify=True)) == 60


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("where", ["model", "metrics", "report"])
def test_a_failure_on_the_way_leaves_nothing(target_predictor, dataset, tmp_path, monkeypatch, where):
    def fail(*_):
        raise MlpfError("no")

    places = {"model": "mlpf.evaluation.run._Pass._write", "metrics": "mlpf.metrics.summary.Metrics.results", "report": "mlpf.evaluation.folder.write_report"}
    monkeypatch.setattr(places[where], fail)
    before = names_in(tmp_path)
    with pytest.raises(MlpfError, match="no"):
        evaluate({"m": target_predictor()}, {"d": dataset}, tmp_path / "out")
    assert names_in(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_evaluation_leaves_nothing_and_the_older_one_whole(target_predictor, dataset, tmp_path, monkeypatch, interrupt):
    def stop(*_):
        raise interrupt

    evaluate({"m": target_predictor()}, {"d": dataset}, tmp_path / "out")
    before = {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)}
    monkeypatch.setattr("mlpf.evaluation.folder.write_report", stop)
    with pytest.raises(interrupt):
        evaluate({"m": target_predictor()}, {"d": dataset}, tmp_path / "out", "all", overwrite=True)
    assert {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)} == before


@pytest.mark.parametrize(("split", "error", "problem"), [("tset", MlpfError, "split 'tset': unknown"), ("train", DatasetError, "none of 1 events")])
def test_a_split_that_is_unknown_or_empty_is_one_clear_error(target_predictor, random_dataset, write_dataset, tmp_path, split, error, problem):
    with pytest.raises(error, match=problem):
        evaluate({"m": target_predictor(SPLIT)}, {"d": ShardedDataset(write_dataset(random_dataset(1)))}, tmp_path / "out", split)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_figures")
def test_a_part_is_its_row_groups_without_figures_and_may_be_empty(target_predictor, dataset, tmp_path):
    done = evaluate({"m": target_predictor()}, {"d": dataset}, tmp_path / "part", "all", part=Part(2, 3))
    assert names_in(tmp_path / "part") == ["metrics.json", "performance.json", "predictions.parquet", "sums/d.npz", "timing/d.npz"]
    assert read_predictions(tmp_path / "part" / "predictions.parquet")["event"].tolist() == list(range(16, 32))
    assert done.metrics["datasets"]["d"]["part"] == "2/3"
    nothing = SplitConfig(train=1.0, validation=0.0, test=0.0)
    empty = evaluate({"m": target_predictor(nothing)}, {"d": dataset}, tmp_path / "empty", part=Part(1, 3))
    assert empty.metrics["datasets"]["d"]["num_events"] == 0
    assert names_in(tmp_path / "empty") == ["metrics.json", "performance.json"]
