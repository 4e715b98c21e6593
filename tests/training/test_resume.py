import csv

import pytest
from lightning.pytorch.callbacks import Callback

from mlpf.errors import MlpfError
from mlpf.nn.saved import load_model
from mlpf.testing import random_dataset
from mlpf.training.config import run_parameters
from mlpf.training.run import resume, train

TINY = {
    "model": {"width": 16, "num_layers": 1, "num_neighbors": 4, "dropout": 0.2},
    "training": {"epochs": 3, "max_elements": 300, "learning_rate": 0.01, "device": "cpu", "seed": 1, "average_decay": 0.9, "checkpoint_steps": 1},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return [random_dataset(folder / "first", num_events=60, mean_elements=30.0), random_dataset(folder / "second", num_events=40, mean_elements=20.0, seed=1)]


def parameters(folders, **training):
    dataset = {str(folders[0]): 0.6, str(folders[1]): 0.4}
    return run_parameters({**TINY, "training": {**TINY["training"], "dataset": dataset, **training}})


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
    "accumulating": {"accumulate": 2},
    "validating by steps": {"validation_steps": 2, "accumulate": 2},
    "rarely checkpointed": {"checkpoint_steps": 3, "validation_steps": 7},
    "with few steps": {"max_steps": 11, "validation_steps": 4},
    "reading ahead": {"num_workers": 1},
}


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


@pytest.mark.parametrize("hook", ["on_train_batch_start", "on_train_batch_end", "on_validation_batch_end", "on_validation_end", "on_train_epoch_end"])
@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "reading ahead"])
def test_a_run_that_was_interrupted_anywhere_becomes_the_one_that_was_not(name, hook, whole, folders, tmp_path):
    steps = len(whole(name)[0].splitlines()) - 1
    for step in (steps // 3 + 1, steps // 2, steps - 1):
        folder = tmp_path / f"at_{step}"
        interrupted(SETTINGS[name], folders, folder, hook, step)
        assert not folder.exists()
        resume(folder)
        assert record(folder) == whole(name)


def test_a_run_that_reads_ahead_can_be_interrupted_too(whole, folders, tmp_path):
    interrupted(SETTINGS["reading ahead"], folders, tmp_path / "run", "on_train_batch_end", 8)
    resume(tmp_path / "run")
    assert record(tmp_path / "run") == whole("reading ahead") == whole("plain")


def test_a_run_can_be_interrupted_again_and_again(whole, folders, tmp_path):
    interrupted({}, folders, tmp_path / "run", "on_train_batch_end", 3)
    steps = len(whole("plain")[0].splitlines()) - 1
    for step in range(5, steps, 3):
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
