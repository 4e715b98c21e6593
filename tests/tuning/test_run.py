"""The search, with trainings that only say what they were asked for, and with real ones."""

import csv
import errno
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
import yaml

from mlpf.config import load_parameters
from mlpf.errors import ConfigError, MlpfError, ModelError
from mlpf.nn.saved import load_model
from mlpf.testing import random_dataset
from mlpf.training.config import run_parameters
from mlpf.training.run import train
from mlpf.tuning import heartbeat, run, study
from mlpf.tuning.run import tune

TINY = {
    "model": {"name": "gravnet", "width": 16, "num_layers": 1, "num_neighbors": 4},
    "training": {"epochs": 2, "max_elements": 400, "device": "cpu", "seed": 1, "figures": False},
}
SEARCH = {"training.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "model.width": {"choices": [8, 16]}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return random_dataset(tmp_path_factory.mktemp("data"), num_events=40, mean_elements=20.0)


def parameters(data, **tune_section):
    training = {**TINY["training"], "dataset": str(data)}
    return {**TINY, "training": training, "tune": {"search": SEARCH, "trials": 4, "pruner": "none", **tune_section}}


@pytest.fixture
def fake_train(monkeypatch):
    """Trainings of three validations whose loss is the learning rate, higher at first; their parameters and folders."""
    trained = []

    def fake(parameters, output, bar, callbacks):  # noqa: ARG001
        trained.append((parameters, output))
        for excess in (2.0, 1.0, 0.0):
            logged = {"validation/total": torch.tensor(parameters.training.learning_rate + excess), "validation/pid_accuracy": torch.tensor(0.5)}
            for callback in callbacks:
                callback.on_validation_end(SimpleNamespace(callback_metrics=logged), None)

    monkeypatch.setattr(run, "train", fake)
    return trained


def test_every_trial_is_a_training_with_its_values(data, tmp_path, fake_train):
    found = tune(parameters(data), tmp_path / "a")
    assert [folder.name for _, folder in fake_train] == ["0000", "0001", "0002", "0003"]
    for row, (used, _) in zip(found.rows(), fake_train, strict=True):
        assert row.values == {"training.learning_rate": used.training.learning_rate, "model.width": used.model.width}
        assert row.value == pytest.approx(used.training.learning_rate)
        assert row.num_validations == 3
    assert fake_train[0][0] == run_parameters({name: section for name, section in parameters(data).items() if name != "tune"})


def test_the_results_name_the_best_and_list_all(data, tmp_path, fake_train):
    lines = []
    found = tune(parameters(data), tmp_path / "a", report=lines.append)
    best = load_parameters(tmp_path / "a" / "best.yaml")
    assert best["training"]["learning_rate"] == min(used.training.learning_rate for used, _ in fake_train)
    assert run_parameters(best) == fake_train[found.best().number][0]
    with (tmp_path / "a" / "trials.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [float(row["training.learning_rate"]) for row in table] == [used.training.learning_rate for used, _ in fake_train]
    assert (tmp_path / "a" / "study.png").stat().st_size > 10_000
    assert lines[0] == "trial 0: training.learning_rate=0.001 model.width=16"
    assert lines[1] == "trial 0: complete after 3 validations, validation/total 0.001; best 0.001, trial 0"


@pytest.mark.usefixtures("fake_train")
def test_bad_trials_end_early(data, tmp_path):
    found = tune(parameters(data, pruner="median", pruner_startup=2, min_validations=2, trials=12), tmp_path / "a")
    pruned = [row for row in found.rows() if row.state == "pruned"]
    assert pruned
    assert {row.num_validations for row in pruned} <= {2, 3}
    complete = [row.value for row in found.rows() if row.state == "complete"]
    assert max(row.values["training.learning_rate"] for row in pruned) > sorted(complete)[len(complete) // 2]


@pytest.mark.usefixtures("fake_train")
def test_hyperband_prunes_too(data, tmp_path):
    found = tune(parameters(data, pruner="hyperband", min_validations=1, trials=15), tmp_path / "a")
    assert {row.state for row in found.rows()} == {"complete", "pruned"}


@pytest.mark.usefixtures("fake_train")
def test_trials_that_diverge_are_failures_and_the_search_goes_on(data, tmp_path, monkeypatch):
    fake = run.train

    def some_diverge(parameters, *arguments, **options):
        if parameters.training.learning_rate > 0.003:
            raise ModelError("loss total = nan")
        fake(parameters, *arguments, **options)

    monkeypatch.setattr(run, "train", some_diverge)
    rows = tune(parameters(data, trials=8, max_failed=8), tmp_path / "a").rows()
    assert {row.state for row in rows} == {"complete", "failed"}
    assert all((row.state == "failed") == (row.values["training.learning_rate"] > 0.003) for row in rows)
    with pytest.raises(MlpfError, match=r"2 trials failed, the last one, \d, with: loss total = nan"):
        tune(parameters(data, trials=8, max_failed=2), tmp_path / "b")


OUT_OF_MEMORY = ["[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError("too much"), RuntimeError(*OUT_OF_MEMORY)])
def test_a_trial_that_needs_too_much_memory_is_a_failure(data, tmp_path, monkeypatch, error):
    def too_large(*_, **__):
        raise error

    monkeypatch.setattr(run, "train", too_large)
    with pytest.raises(MlpfError, match=r"2 trials failed, the last one, 1, with: .*(memory|too much)"):
        tune(parameters(data, max_failed=2), tmp_path / "a")


def test_values_that_do_not_go_together_are_pruned_with_the_reason(data, tmp_path, fake_train):
    given = parameters(data, trials=8, search={"model.width": {"low": 16, "high": 24}})
    given["model"] = {"name": "window", "width": 16, "num_heads": 4}
    rows = tune(given, tmp_path / "a").rows()
    assert {row.state for row in rows} == {"complete", "pruned"}
    assert all((row.state == "complete") == (row.values["model.width"] % 4 == 0) for row in rows)
    assert all("num_heads 4 does not divide width" in row.failure for row in rows if row.state == "pruned")
    assert len(fake_train) == sum(row.state == "complete" for row in rows)


def test_a_full_disk_is_one_clear_line(data, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run, "train", full)
    with pytest.raises(MlpfError, match=r"a: cannot be written: No space left on device"):
        tune(parameters(data), tmp_path / "a")


def test_a_metric_that_is_never_finite_is_a_failure(data, tmp_path, monkeypatch):
    nan = SimpleNamespace(callback_metrics={"validation/total": torch.tensor(torch.nan)})
    monkeypatch.setattr(run, "train", lambda *_, callbacks, **__: callbacks[0].on_validation_end(nan, None))
    with pytest.raises(MlpfError, match=r"validation/total was not finite at any of 1 validations"):
        tune(parameters(data, max_failed=1), tmp_path / "a")


def test_an_unknown_metric_stops_at_once_and_names_the_known_ones(data, tmp_path, fake_train):
    with pytest.raises(ConfigError, match=r"'validation/pid_acuracy' is not logged; did you mean 'validation/pid_accuracy'\? \(known: validation/pid"):
        tune(parameters(data, metric="validation/pid_acuracy"), tmp_path / "a")
    assert len(fake_train) == 1


def test_wrong_parameters_stop_before_the_first_trial(data, tmp_path, fake_train):
    with pytest.raises(ConfigError, match=r"model\.depth=1: model: unknown key 'depth'"):
        tune(parameters(data, search={"model.depth": {"low": 1, "high": 2}}), tmp_path / "a")
    assert not fake_train
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("fake_train")
def test_other_data_in_the_same_folder_is_another_study(tmp_path):
    folder = random_dataset(tmp_path / "data", num_events=40)
    tune(parameters(folder, trials=1), tmp_path / "a")
    random_dataset(tmp_path / "data", num_events=41)
    with pytest.raises(ConfigError, match="made with dataset_fingerprint="):
        tune(parameters(folder, trials=2), tmp_path / "a")


def test_torchrun_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="start it once for each"):
        tune(parameters(data), tmp_path / "a")


@pytest.mark.usefixtures("fake_train")
def test_an_interrupt_leaves_the_trial_to_the_next_command(data, tmp_path, monkeypatch):
    fake = run.train

    def interrupted(*_, **__):
        raise SystemExit

    monkeypatch.setattr(run, "train", interrupted)
    with pytest.raises(SystemExit):
        tune(parameters(data), tmp_path / "a")
    monkeypatch.setattr(run, "train", fake)
    rows = tune(parameters(data), tmp_path / "a").rows()
    assert [row.state for row in rows] == ["lost", "complete", "complete", "complete", "complete"]
    assert rows[0].values == rows[1].values


def test_the_best_parameters_train_to_the_same_loss(data, tmp_path):
    found = tune(parameters(data, trials=2), tmp_path / "a")
    best = found.best()
    again = train(run_parameters(yaml.safe_load((tmp_path / "a" / "best.yaml").read_text())), tmp_path / "again")
    assert again.info.validation_loss == pytest.approx(best.value, rel=1e-6)
    model, info = load_model(found.run_folder(best.number))
    assert info.validation_loss == pytest.approx(best.value, rel=1e-6)
    assert model.last_norm.normalized_shape == (best.values["model.width"],)
    assert load_parameters(found.run_folder(1) / "parameters.yaml")["training"]["learning_rate"] == found.rows()[1].values["training.learning_rate"]


@pytest.mark.slow
def test_a_killed_command_loses_nothing(data, tmp_path, monkeypatch):
    """kill -9 in the middle of a training."""
    path = tmp_path / "tune.yaml"
    slow = parameters(data, trials=2)
    slow["training"]["epochs"] = 1000
    path.write_text(yaml.safe_dump(slow))
    command = [sys.executable, "-m", "mlpf.cli.main", "tune", "-p", str(path), "--study", "a", "--output", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "a" / "trials" / "0000.partial" / "metrics.csv").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.5)
    monkeypatch.setattr(study, "LOST_SECONDS", 2.0)
    monkeypatch.setattr(run, "train", lambda *_, callbacks, **__: callbacks[0].on_validation_end(value, None))
    value = SimpleNamespace(callback_metrics={"validation/total": torch.tensor(1.0)})
    rows = tune(load_parameters(path), tmp_path / "a").rows()
    assert [row.state for row in rows] == ["lost", "complete", "complete"]
    assert rows[0].values in (rows[1].values, rows[2].values)
    assert [path.name for path in (tmp_path / "a" / "trials").iterdir()] == []
