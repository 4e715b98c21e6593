import csv
import shutil
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mlpf.errors import DatasetError, MlpfError, ModelError
from mlpf.nn.saved import load_model
from mlpf.testing import random_dataset
from mlpf.training.checkpoints import read_checkpoint
from mlpf.training.config import run_parameters
from mlpf.training.run import resume, train

TINY = {
    "model": {"name": "gravnet", "width": 16, "num_layers": 1, "num_neighbors": 4, "dropout": 0.2},
    "training": {
        "epochs": 3,
        "max_elements": 400,
        "learning_rate": 0.01,
        "device": "cpu",
        "seed": 1,
        "average_decay": 0.9,
        "checkpoint_steps": 1,
        "figures": False,
    },
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return [random_dataset(folder / "first", num_events=60, mean_elements=30.0), random_dataset(folder / "second", num_events=40, mean_elements=20.0, seed=1)]


def parameters(folders, weights=None, **training):
    dataset = {str(folders[0]): 0.6, str(folders[1]): 0.4}
    return run_parameters({**TINY, "loss": {"weights": weights or {}}, "training": {**TINY["training"], "dataset": dataset, **training}})


class PowerCutError(Exception):
    pass


class StopAt(Callback):
    """Fails at a place of the training."""

    def __init__(self, hook, step):
        self.step = step
        setattr(self, hook, self._fail)

    def _fail(self, trainer, *_):
        if trainer.global_step >= self.step:
            raise PowerCutError


def record(folder):
    """All that a run wrote down of its losses, as text, without what depends on the clock; and its model."""
    with (folder / "metrics.csv").open() as stream:
        rows = [{name: value for name, value in row.items() if name != "events_per_second"} for row in csv.DictReader(stream)]
    model, info = load_model(folder)
    return (folder / "steps.csv").read_text(), rows, info, {name: value.tolist() for name, value in model.state_dict().items()}


SETTINGS = {
    "plain": {},
    "accumulating": {"accumulate": 2, "epochs": 4},
    "validating by steps": {"validation_steps": 2, "accumulate": 2, "epochs": 4},
    "rarely checkpointed": {"checkpoint_steps": 3, "validation_steps": 7},
    "with few steps": {"max_steps": 11, "validation_steps": 4},
    "by muon": {"optimizer": "muon", "epochs": 2},
    "reading ahead": {"num_workers": 1},
}
HOOKS = ("on_train_batch_start", "on_train_batch_end", "on_validation_batch_end", "on_validation_end", "on_train_epoch_end")
PLACES = [
    (name, hook, tenths)
    for number, name in enumerate(name for name in SETTINGS if name != "reading ahead")
    for hook, tenths in zip(HOOKS, [(1, 4, 6, 7, 9)[(number + place) % 5] for place in range(5)], strict=True)
]  # every hook in every setting, and over all of them in every part of the training


@pytest.fixture(scope="module")
def whole(folders, tmp_path_factory):
    """Uninterrupted runs by setting, made when they are asked for."""
    made = {}

    def run(name):
        if name not in made:
            made[name] = record(train(parameters(folders, **SETTINGS[name]), tmp_path_factory.mktemp("whole") / "run").folder)
        return made[name]

    return run


def interrupted(settings, folders, folder, hook, step):
    with pytest.raises(PowerCutError):
        train(parameters(folders, **settings), folder, callbacks=[StopAt(hook, step)])


@pytest.mark.parametrize(("name", "hook", "tenths"), PLACES)
def test_a_run_that_was_interrupted_anywhere_becomes_the_one_that_was_not(name, hook, tenths, whole, folders, tmp_path):
    steps = len(whole(name)[0].splitlines()) - 1
    interrupted(SETTINGS[name], folders, tmp_path / "run", hook, 1 + steps * tenths // 10)
    assert not (tmp_path / "run").exists()
    resume(tmp_path / "run")
    assert record(tmp_path / "run") == whole(name)


def test_a_run_that_reads_ahead_can_be_interrupted_too(whole, folders, tmp_path):
    interrupted(SETTINGS["reading ahead"], folders, tmp_path / "run", "on_train_batch_end", 8)
    resume(tmp_path / "run")
    assert record(tmp_path / "run") == whole("reading ahead") == whole("plain")


def test_a_run_can_be_interrupted_again_and_again(whole, folders, tmp_path):
    interrupted({}, folders, tmp_path / "run", "on_train_batch_end", 3)
    steps = len(whole("plain")[0].splitlines()) - 1
    for step in range(5, steps, 4):
        with pytest.raises(PowerCutError):
            resume(tmp_path / "run.partial", callbacks=[StopAt("on_train_batch_end", step)])
    resume(tmp_path / "run.partial")
    assert record(tmp_path / "run") == whole("plain")


def test_a_run_that_was_stopped_after_its_last_step_only_gets_its_name(whole, folders, tmp_path):
    steps = len(whole("plain")[0].splitlines()) - 1
    interrupted({}, folders, tmp_path / "run", "on_train_end", steps)
    resume(tmp_path / "run")
    assert record(tmp_path / "run") == whole("plain")
    with pytest.raises(MlpfError, match=r"run: is complete; to train on from its weights, start a new run with --init-from"):
        resume(tmp_path / "run")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_loss_that_learns_itself_is_resumed_too(optimizer, folders, tmp_path):
    """The critic has weights, moments in the optimiser, and the vectors from which the norm of its layers is computed."""
    weights = {"critic": 0.5, "sinkhorn": 0.1, "sliced_wasserstein": 0.1, "jets": 0.1, "met": 0.1}
    with_critic = parameters(folders, weights, epochs=2, optimizer=optimizer)
    whole = record(train(with_critic, tmp_path / "whole").folder)
    assert float(whole[1][-1]["validation/critic"]) > 0.0
    with pytest.raises(PowerCutError):
        train(with_critic, tmp_path / "run", callbacks=[StopAt("on_train_batch_end", 5)])
    resume(tmp_path / "run")
    assert record(tmp_path / "run") == whole


def curve(folder, name):
    reader = EventAccumulator(str(folder / "tensorboard"))
    reader.Reload()
    return [(point.step, point.value) for point in reader.Scalars(name)]


def test_tensorboard_shows_every_step_once(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("mlpf.training.record.STEPS_AT_ONCE", 1)
    uninterrupted = train(parameters(folders, checkpoint_steps=3), tmp_path / "whole").folder
    interrupted({"checkpoint_steps": 3}, folders, tmp_path / "run", "on_train_batch_start", 5)
    resume(tmp_path / "run")
    assert curve(tmp_path / "run", "train/total") == curve(uninterrupted, "train/total")


def test_what_cannot_be_resumed_says_why(folders, tmp_path):
    with pytest.raises(MlpfError, match=r"run\.partial: no such folder; --resume takes a run that was interrupted"):
        resume(tmp_path / "run")
    interrupted({}, folders, tmp_path / "run", "on_train_batch_end", 8)
    partial = tmp_path / "run.partial"
    (partial / "checkpoints" / "last.ckpt").write_bytes((partial / "checkpoints" / "last.ckpt").read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"last\.ckpt: cannot be read as a checkpoint"):
        resume(partial)
    (partial / "checkpoints" / "last.ckpt").unlink()
    with pytest.raises(MlpfError, match=r"run\.partial: was stopped before its first checkpoint; start it again with --overwrite"):
        resume(partial)


def test_data_that_have_moved_are_found_where_they_are_and_others_are_refused(whole, folders, tmp_path):
    here = [shutil.copytree(folder, tmp_path / folder.name) for folder in folders]
    with pytest.raises(PowerCutError):
        train(parameters(here), tmp_path / "run", callbacks=[StopAt("on_train_batch_end", 6)])
    there = [folder.rename(tmp_path / f"moved_{folder.name}") for folder in here]
    with pytest.raises(DatasetError, match=r"first: not a dataset.*if the data have moved, say where they are with --data"):
        resume(tmp_path / "run")
    with pytest.raises(DatasetError, match="is one of other data"):
        resume(tmp_path / "run", dataset={str(there[1]): 0.6, str(there[0]): 0.4})
    resume(tmp_path / "run", dataset={str(there[0]): 0.6, str(there[1]): 0.4})
    assert record(tmp_path / "run")[:2] == whole("plain")[:2]


def test_the_checkpoint_after_the_best_validation_is_kept(folders, tmp_path):
    result = train(parameters(folders), tmp_path / "run")
    best, last = (read_checkpoint(tmp_path / "run" / "checkpoints" / name) for name in ("best.ckpt", "last.ckpt"))
    assert best["global_step"] == result.info.step
    assert last["global_step"] == len((tmp_path / "run" / "steps.csv").read_text().splitlines()) - 1


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    torch.save({"global_step": Path}, tmp_path / "last.ckpt")
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        read_checkpoint(tmp_path / "last.ckpt")
    torch.save([1], tmp_path / "other.ckpt")
    with pytest.raises(ModelError, match="is no checkpoint of a training"):
        read_checkpoint(tmp_path / "other.ckpt")


def test_checkpoints_come_also_by_the_clock(folders, tmp_path):
    with pytest.raises(PowerCutError):
        train(parameters(folders, checkpoint_steps=None, checkpoint_minutes=1e-6), tmp_path / "run", callbacks=[StopAt("on_train_batch_start", 2)])
    assert read_checkpoint(tmp_path / "run.partial" / "checkpoints" / "last.ckpt")["global_step"] == 2
