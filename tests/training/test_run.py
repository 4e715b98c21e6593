import csv
import json

import numpy as np
import pytest
import torch
import yaml

from mlpf.config import load_parameters
from mlpf.dataset.loader import Loader
from mlpf.dataset.sample import select_split
from mlpf.errors import ConfigError, DatasetError, MlpfError, ModelError
from mlpf.io.shards import ShardedDataset
from mlpf.loss.particle_flow import ParticleFlowLoss, TermWeights
from mlpf.nn.saved import load_model
from mlpf.testing import random_dataset
from mlpf.training.config import run_parameters
from mlpf.training.run import train

TINY = {
    "model": {"name": "gravnet", "width": 16, "num_layers": 1, "num_neighbors": 4},
    "training": {"epochs": 3, "max_elements": 400, "learning_rate": 0.01, "device": "cpu", "seed": 1},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return random_dataset(tmp_path_factory.mktemp("data"), num_events=60, mean_elements=30.0)


def parameters(data, **training):
    return run_parameters({**TINY, "training": {**TINY["training"], "dataset": str(data), **training}})


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    lines = []
    return train(parameters(data), tmp_path_factory.mktemp("runs") / "run", report=lines.append), lines


def table(folder):
    with (folder / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_leaves_its_files(finished):
    folder = finished[0].folder
    assert {path.name for path in folder.iterdir()} == {
        "parameters.yaml",
        "scaling.json",
        "model.safetensors",
        "model.json",
        "metrics.csv",
        "tensorboard",
        "checkpoints",
        "steps.csv",
        "plots",
        "datasets.json",
        "environment.json",
    }
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert any(path.name.startswith("events.out.tfevents") for path in (folder / "tensorboard").iterdir())


def test_the_loss_falls_and_every_epoch_has_a_row_with_all_terms(finished):
    rows = table(finished[0].folder)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["train/total"]) < 0.7 * float(rows[0]["train/total"])
    terms = [*(name for name, weight in TermWeights() if weight > 0), "total"]
    assert {f"{stage}/{name}" for stage in ("train", "validation") for name in terms} <= set(rows[0])


def test_the_saved_model_is_the_best_epoch_and_has_the_loss_it_claims(finished, data):
    model, info = load_model(finished[0].folder)
    losses = [float(row["validation/total"]) for row in table(finished[0].folder)]
    assert info.validation_loss == pytest.approx(min(losses))
    assert info.epoch == 1 + losses.index(min(losses))
    config = parameters(data)
    validation = select_split(ShardedDataset(data), "validation", config.training.split)
    total = 0.0
    with torch.no_grad():
        for batch in Loader([validation], config.training.max_elements, shuffle=False):
            total += len(batch.mask) * ParticleFlowLoss(config.loss)(model(batch.features, batch.mask), batch)["total"].item()
    assert total / len(validation) == pytest.approx(info.validation_loss, rel=1e-5)


def test_the_resolved_parameters_make_the_same_run(finished, data, tmp_path):
    again = load_parameters(finished[0].folder / "parameters.yaml")
    assert run_parameters(again) == parameters(data)
    train(run_parameters(again), tmp_path / "again")
    first, second = ([{k: v for k, v in row.items() if k != "events_per_second"} for row in table(f)] for f in (finished[0].folder, tmp_path / "again"))
    assert first == second


def test_the_report_counts_the_events_of_each_split(finished, data):
    counts = [len(select_split(ShardedDataset(data), split, parameters(data).training.split)) for split in ("train", "validation", "test")]
    assert finished[1][0] == f"{data}: {counts[0]} events for training, {counts[1]} for validation, {counts[2]} for tests"
    assert sum(line.startswith("epoch ") for line in finished[1]) == 3


def test_an_existing_run_is_kept_unless_asked(finished, data, tmp_path):
    with pytest.raises(MlpfError, match="exists already; choose another output or pass --overwrite"):
        train(parameters(data), finished[0].folder)
    (tmp_path / "thesis").mkdir()
    with pytest.raises(MlpfError, match=r"thesis: holds no parameters\.yaml"):
        train(parameters(data), tmp_path / "thesis", overwrite=True)
    run = tmp_path / "run"
    for epochs in (1, 2):
        train(parameters(data, epochs=epochs), run, overwrite=True)
        assert len(table(run)) == epochs
    assert {path.name for path in run.iterdir()} == {path.name for path in finished[0].folder.iterdir()}


class PowerCutError(Exception):
    pass


def fail_in_the_second_epoch(line):
    if line.startswith("epoch 2/"):
        raise PowerCutError


def test_an_earlier_run_lives_until_the_new_one_is_complete(data, tmp_path):
    run, partial = tmp_path / "run", tmp_path / "run.partial"
    train(parameters(data, epochs=1), run)
    earlier = (run / "model.json").read_text()
    lines = []
    with pytest.raises(PowerCutError):
        train(parameters(data, seed=2), run, overwrite=True, report=lambda line: (lines.append(line), fail_in_the_second_epoch(line)))
    assert (run / "model.json").read_text() == earlier
    assert load_model(partial)[1].epoch == 2  # nothing that was learnt is lost
    assert lines[-1] == f"{partial}: holds what was learnt so far; --resume {partial} goes on"
    train(parameters(data, epochs=1, seed=2), run, overwrite=True)
    assert load_model(run)[1].seed == 2
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_interrupted_run_is_not_overwritten_unless_asked(data, tmp_path):
    with pytest.raises(PowerCutError):
        train(parameters(data), tmp_path / "run", report=fail_in_the_second_epoch)
    assert [path.name for path in tmp_path.iterdir()] == ["run.partial"]
    with pytest.raises(MlpfError, match=r"run\.partial: exists already; choose another output, continue it with --resume .*run\.partial or pass --overwrite"):
        train(parameters(data), tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_before_the_update(data, tmp_path, monkeypatch):
    monkeypatch.setattr(ParticleFlowLoss, "forward", lambda _, output, __: dict.fromkeys(("pid", "total"), output.pid.sum() * torch.nan))
    with pytest.raises(
        ModelError, match=r"epoch 1, batch 0 \(run 1, lumi 1, event \d+; .*; \.\.\. \d+ more\): loss pid = nan, total = nan; lower training.learning_rate"
    ):
        train(parameters(data), tmp_path / "run")
    assert not list(tmp_path.iterdir())  # no epoch ended, so there is nothing to keep


def test_a_validation_loss_that_is_not_finite_is_no_best_epoch(data, tmp_path, monkeypatch):
    def only_in_validation(_, output, __):
        return {"total": output.pid.square().mean() * (1.0 if torch.is_grad_enabled() else torch.nan)}

    monkeypatch.setattr(ParticleFlowLoss, "forward", only_in_validation)
    with pytest.raises(ModelError, match=r"epoch 1, validation batch 0 \(run 1, lumi 1, event \d+.*\): loss total = nan"):
        train(parameters(data), tmp_path / "run")


def test_a_gradient_that_is_not_finite_stops_before_the_update(data, tmp_path, monkeypatch):
    monkeypatch.setattr(ParticleFlowLoss, "forward", lambda _, output, __: {"total": (output.pid.sum() * 0.0).sqrt()})  # 0, with an infinite slope
    with pytest.raises(ModelError, match="gradient norm nan"):
        train(parameters(data), tmp_path / "run")


def test_splits_without_events_are_refused(data, tmp_path):
    split = {"train": 1.0, "validation": 0.0, "test": 0.0}
    with pytest.raises(DatasetError, match=r"0 of 60 events fall to validation.*raise training.split.validation"):
        train(parameters(data, split=split), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_dataset_without_targets_is_refused(data, tmp_path, write_dataset):
    events = ShardedDataset(data).read()
    blank = write_dataset(events.with_columns({"target_class": np.zeros(events.size("element"))}))
    with pytest.raises(DatasetError, match="events fall to train, none with a target; use more events, of an ntuple with truth"):
        train(parameters(blank), tmp_path / "run")


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_no_silent_cpu(data, tmp_path):
    with pytest.raises(ConfigError, match=r"training\.device=gpu: PyTorch sees no GPU; choose cpu or auto"):
        train(parameters(data, device="gpu"), tmp_path / "run")


def test_seeds_are_those_that_numpy_accepts(data):
    with pytest.raises(ConfigError, match=r"seed: .*less than 4294967296"):
        parameters(data, seed=2**32)


def test_a_training_needs_a_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"pass --data DATASET or set training.dataset"):
        train(run_parameters(TINY), tmp_path / "run")


def test_the_saved_description_is_plain_json(finished):
    content = json.loads((finished[0].folder / "model.json").read_text())
    assert content["model"]["name"] == "gravnet"
    assert yaml.safe_load((finished[0].folder / "parameters.yaml").read_text())["model"] == content["model"]
