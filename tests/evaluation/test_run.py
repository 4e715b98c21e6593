import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mlpf import schema
from mlpf.cli.main import app
from mlpf.errors import DatasetError, MlpfError
from mlpf.evaluation import evaluate
from mlpf.events import Events, offsets_from_counts
from mlpf.io.shards import ShardedDataset, table_to_events
from mlpf.samples.split import SplitConfig, split_index


class TargetPredictor:
    """Says the targets, so that every number is known."""

    description = {"model": "targets"}
    split = SplitConfig(train=0.4, validation=0.2, test=0.4, seed=3)
    default_split = "test"
    needs_edges = False

    def __call__(self, events):
        chosen = np.flatnonzero(events["target_class"])
        columns = {
            "mlpfcandidate_pt": events["target_pt"][chosen],
            "mlpfcandidate_eta": events["target_eta"][chosen],
            "mlpfcandidate_phi": np.arctan2(events["target_sin_phi"], events["target_cos_phi"])[chosen],
            "mlpfcandidate_energy": events["target_energy"][chosen],
            "mlpfcandidate_pdgid": events["target_class"][chosen],
            "mlpfcandidate_element": events["element_index"][chosen],
            "mlpfcandidate_pileup": np.zeros(len(chosen)),
            **{name: events[name] for name in ("event", "run", "lumi")},
        }
        counts = np.diff(np.searchsorted(chosen, events.offsets["element"]))
        return Events(columns, {"mlpfcandidate": offsets_from_counts(counts)}, len(events), layout=schema.CANDIDATES)


@pytest.fixture
def dataset(random_dataset, write_dataset):
    return ShardedDataset(write_dataset(random_dataset(60, 20)))


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr("mlpf.evaluation.run.draw_summary", lambda results, folder: [])  # noqa: ARG005


def read_predictions(folder):
    return table_to_events(pq.read_table(folder / "predictions.parquet"), schema.CANDIDATES)


@pytest.mark.usefixtures("without_figures")
def test_the_splits_are_those_of_the_hash_and_share_the_events(dataset, tmp_path):
    events = dataset.read()
    names = ("train", "validation", "test")
    expected = split_index(events["run"], events["lumi"], events["event"], TargetPredictor.split)
    for position, split in enumerate(names):
        evaluate(TargetPredictor(), dataset, tmp_path / split, split)
        assert np.array_equal(read_predictions(tmp_path / split)["event"], events["event"][expected == position])
    assert {json.loads((tmp_path / split / "metrics.json").read_text())["num_events"] for split in names} == set(np.bincount(expected).tolist())
    done = evaluate(TargetPredictor(), dataset, tmp_path / "default")
    assert done.results["split"] == "test"


@pytest.mark.usefixtures("without_figures")
def test_predictions_and_metrics_are_those_of_the_predictor(dataset, tmp_path):
    done = evaluate(TargetPredictor(), dataset, tmp_path / "out", "all", max_events=37)
    assert done.results["num_events"] == 37
    predictions = read_predictions(tmp_path / "out")
    assert len(predictions) == 37
    assert done.num_candidates == predictions.size("mlpfcandidate") == np.count_nonzero(dataset.read().slice(0, 37)["target_class"])
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written == done.results
    assert written["jets"]["model"] == written["jets"]["targets"]
    assert written["particles"]["model"]["efficiency"]["photon"]["all"]["value"] == 1.0
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.usefixtures("without_figures")
def test_only_an_evaluation_is_overwritten(dataset, tmp_path):
    evaluate(TargetPredictor(), dataset, tmp_path / "out")
    with pytest.raises(MlpfError, match="exists already; choose another output or pass --overwrite"):
        evaluate(TargetPredictor(), dataset, tmp_path / "out")
    evaluate(TargetPredictor(), dataset, tmp_path / "out", "all", overwrite=True)
    assert len(read_predictions(tmp_path / "out")) == 60
    with pytest.raises(MlpfError, match="not an evaluation"):
        evaluate(TargetPredictor(), dataset, dataset.path, overwrite=True)
    assert len(ShardedDataset(dataset.path, verify=True)) == 60


@pytest.mark.usefixtures("without_figures")
def test_a_failure_on_the_way_leaves_nothing(dataset, tmp_path):
    class Failing(TargetPredictor):
        def __call__(self, events):  # noqa: ARG002
            raise MlpfError("no")

    before = set(tmp_path.iterdir())
    with pytest.raises(MlpfError, match="no"):
        evaluate(Failing(), dataset, tmp_path / "out")
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("split", "error", "problem"), [("tset", MlpfError, "split 'tset': unknown"), ("train", DatasetError, "none of 1 events")])
def test_a_split_that_is_unknown_or_empty_is_one_clear_error(random_dataset, write_dataset, tmp_path, split, error, problem):
    with pytest.raises(error, match=problem):
        evaluate(TargetPredictor(), ShardedDataset(write_dataset(random_dataset(1))), tmp_path / "out", split)
    assert not (tmp_path / "out").exists()


def test_the_command_evaluates_a_run(run, dataset, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["evaluate", str(run), str(dataset.path), "--output", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    written = json.loads((out / "metrics.json").read_text())
    assert f"read 60 of 60 events, used {written['num_events']} (test)" in result.output.replace("\n", " ")
    assert written["trained on"] == "work/random"
    assert len(list((out / "plots").glob("*.png"))) == 11
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 11
    assert len(page) < 3_000_000


def test_the_command_displays_an_event(dataset, tmp_path):
    result = CliRunner().invoke(app, ["display", str(dataset.path), "--event", "2", "--output", str(tmp_path / "event.png")], catch_exceptions=False)
    assert result.exit_code == 0
    assert (tmp_path / "event.png").stat().st_size > 20000
    assert f"{dataset.read().counts('element')[2]} elements" in result.output
