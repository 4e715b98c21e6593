import csv
import errno
import multiprocessing
import os
import signal
import subprocess
import threading
import time

import pytest
from lightning.pytorch.callbacks import Callback

from mlpf.errors import MlpfError
from mlpf.testing import random_dataset
from mlpf.training.checkpoints import read_checkpoint
from mlpf.training.config import run_parameters
from mlpf.training.run import resume, train
from mlpf.training.stopping import StopSignals

SECTIONS = {
    "model": {"name": "gravnet", "width": 16, "num_layers": 1, "num_neighbors": 4},
    "training": {"epochs": 3, "max_elements": 400, "learning_rate": 0.01, "device": "cpu", "figures": False},
}


class StoppedError(BaseException):
    pass


@pytest.fixture
def stops():
    """As on the command line, a signal raises; the list tells which."""
    received = []

    def stop(number, _frame):
        received.append(number)
        raise StoppedError

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    yield received
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def parameters(tmp_path_factory):
    data = random_dataset(tmp_path_factory.mktemp("data") / "data", num_events=60, mean_elements=30.0)
    return run_parameters({**SECTIONS, "training": {**SECTIONS["training"], "dataset": str(data)}})


@pytest.fixture(scope="module")
def whole(parameters, tmp_path_factory):
    return train(parameters, tmp_path_factory.mktemp("whole") / "run").folder


class SignalAt(Callback):
    """Sends the process a signal at a place of the training."""

    def __init__(self, hook, step, number):
        self.step, self.number = step, number
        setattr(self, hook, self._send)

    def _send(self, trainer, *_):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


def steps_of(folder):
    with (folder / "steps.csv").open() as stream:
        return [int(row["step"]) for row in csv.DictReader(stream)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_training_after_the_step_with_a_checkpoint(number, parameters, whole, stops, tmp_path):
    per_epoch = len(steps_of(whole)) // 3
    step = per_epoch + 2  # the last checkpoint is of the validation, two steps ago
    with pytest.raises(StoppedError):
        train(parameters, tmp_path / "run", callbacks=[SignalAt("on_before_optimizer_step", step, number)])
    assert stops == [number]
    assert read_checkpoint(tmp_path / "run.partial" / "checkpoints" / "last.ckpt")["global_step"] == step + 1
    resume(tmp_path / "run")
    assert (tmp_path / "run" / "steps.csv").read_text() == (whole / "steps.csv").read_text()


@pytest.mark.usefixtures("stops")
def test_a_signal_in_a_validation_waits_for_its_end(parameters, whole, tmp_path):
    per_epoch = len(steps_of(whole)) // 3
    with pytest.raises(StoppedError):
        train(parameters, tmp_path / "run", callbacks=[SignalAt("on_validation_start", per_epoch, signal.SIGTERM)])
    assert read_checkpoint(tmp_path / "run.partial" / "checkpoints" / "last.ckpt")["global_step"] == per_epoch
    resume(tmp_path / "run")
    assert (tmp_path / "run" / "steps.csv").read_text() == (whole / "steps.csv").read_text()


def test_a_signal_in_the_last_validation_comes_too_late(parameters, whole, stops, tmp_path):
    train(parameters, tmp_path / "run", callbacks=[SignalAt("on_validation_start", len(steps_of(whole)), signal.SIGTERM)])
    assert not stops
    assert (tmp_path / "run" / "steps.csv").read_text() == (whole / "steps.csv").read_text()


def test_a_second_signal_ends_at_once_unless_it_is_the_echo_of_the_first(stops, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("mlpf.training.stopping.time.monotonic", lambda: now[0])
    with StopSignals() as signals:
        signals.listen()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGINT
        now[0] = 2.0
        with pytest.raises(StoppedError):
            signal.raise_signal(signal.SIGINT)
    assert stops == [signal.SIGINT]


@pytest.mark.usefixtures("stops")
def test_signals_that_are_ignored_stay_ignored_and_others_are_handled_as_before_afterwards():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals() as signals:
        signals.listen()
        signal.raise_signal(signal.SIGINT)
        assert signals.received is None
    with pytest.raises(StoppedError):
        signal.raise_signal(signal.SIGTERM)


def test_other_threads_train_without_listening():
    signals = []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: signals.append(StopSignals()))
    thread.start()
    thread.join()
    signals[0].listen()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("stops")
def test_a_signal_to_all_processes_of_a_job_leaves_those_that_read_ahead_at_work(parameters, tmp_path, monkeypatch):
    monkeypatch.setattr("mlpf.dataset.loader.MIN_BATCHES_PER_POOL", 1)  # so that there is still something to read

    class Hurt(Callback):
        def on_before_optimizer_step(self, trainer, *_):
            if trainer.global_step == 1:
                job = [str(process.pid) for process in (*multiprocessing.active_children(), multiprocessing.current_process())]
                subprocess.run(["kill", *job], check=True)  # from outside: to its parent a worker of PyTorch listens
                time.sleep(0.5)  # for the news of a death

    reading = parameters._replace(training=parameters.training.model_copy(update={"num_workers": 1, "pool_elements": 400}))
    with pytest.raises(StoppedError):
        train(reading, tmp_path / "run", callbacks=[Hurt()])
    assert read_checkpoint(tmp_path / "run.partial" / "checkpoints" / "last.ckpt")["global_step"] == 2


class InTheMiddle(Callback):
    """Does something after the second epoch."""

    def __init__(self, function):
        self.function = function

    def on_train_epoch_end(self, trainer, *_):
        if trainer.current_epoch == 1:
            self.function()


def test_a_run_that_is_being_trained_is_neither_resumed_nor_overwritten(parameters, whole, tmp_path):
    def try_both():
        with pytest.raises(MlpfError, match="run: another process is making it; wait for its end"):
            resume(tmp_path / "run")
        with pytest.raises(MlpfError, match="run: another process is making it; wait for its end"):
            train(parameters, tmp_path / "run", overwrite=True)

    run = train(parameters, tmp_path / "run", callbacks=[InTheMiddle(try_both)]).folder
    assert (run / "steps.csv").read_text() == (whole / "steps.csv").read_text()
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in whole.iterdir())


class FullDiskError(OSError):
    def __init__(self):
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_space(*_, **__):
    raise FullDiskError


@pytest.mark.parametrize(
    ("writer", "place"),
    [
        ("mlpf.training.checkpoints.flush_to_disk", "run.partial/checkpoints/last.ckpt"),
        ("tensorboard.summary.writer.event_file_writer.EventFileWriter.add_event", "run.partial"),
    ],
)
def test_a_full_disk_is_one_line_and_the_earlier_checkpoint_lives(writer, place, parameters, whole, tmp_path):
    per_epoch = len(steps_of(whole)) // 3
    with pytest.MonkeyPatch.context() as patch, pytest.raises(MlpfError, match=f"{place}: cannot be written: No space left on device"):
        train(parameters, tmp_path / "run", callbacks=[InTheMiddle(lambda: patch.setattr(writer, no_space))])
    assert read_checkpoint(tmp_path / "run.partial" / "checkpoints" / "last.ckpt")["global_step"] == 2 * per_epoch
    resume(tmp_path / "run")
    assert (tmp_path / "run" / "steps.csv").read_text() == (whole / "steps.csv").read_text()
