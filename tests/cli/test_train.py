import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlpf.cli.main import app
from mlpf.config import load_parameters
from mlpf.errors import ConfigError
from mlpf.nn.saved import load_model
from mlpf.testing import random_dataset

TINY = str(Path(__file__).parents[2] / "parameters" / "tiny.yaml")


def test_train_reports_and_leaves_a_model_that_loads(tmp_path):
    data = random_dataset(tmp_path / "data", num_events=40, mean_elements=20.0)
    arguments = ["train", "-p", TINY, "--data", str(data), "--output", str(tmp_path / "run"), "training.epochs=2", "model.width=16", "training.device=cpu"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for words in ("events for training", "parameters", "epoch 2/2: loss", "events/s", "best epoch", "model.safetensors"):
        assert words in result.output
    model, info = load_model(tmp_path / "run")
    assert info.model["width"] == 16
    assert model.last_norm.normalized_shape == (16,)


def test_an_unknown_parameter_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"tiny.yaml: training: unknown key 'epoch'; did you mean 'epochs'\?"):
        CliRunner().invoke(app, ["train", "-p", TINY, "--output", str(tmp_path / "run"), "training.epoch=2"], catch_exceptions=False)


def test_several_datasets_with_shares(tmp_path, mlpf_cli):
    folders = [random_dataset(tmp_path / name, num_events=60, mean_elements=10.0, seed=seed) for seed, name in enumerate("ab")]
    data = [f"--data={folders[0]}=0.75", f"--data={folders[1]}=0.25"]
    small = ("training.epochs=1", "model.width=8", "training.device=cpu")
    status, output, _ = mlpf_cli("train", "-p", TINY, *data, "--output", tmp_path / "run", *small)
    assert status == 0
    assert all(f"{folder}: " in output for folder in folders)
    assert "an epoch: " in output
    assert load_parameters(tmp_path / "run" / "parameters.yaml")["training"]["dataset"] == {str(folders[0]): 0.75, str(folders[1]): 0.25}


@pytest.mark.parametrize(
    ("data", "message"),
    [(("a=0.5", "b"), "give every folder a share, FOLDER=0.5, or none"), (("a=0.5", "a=0.5"), "and no folder twice"), (("a=half",), "'half' is no share")],
)
def test_shares_that_make_no_sense_are_one_clear_line(tmp_path, mlpf_cli, data, message):
    status, _, error = mlpf_cli("train", "-p", TINY, *(f"--data={word}" for word in data), "--output", tmp_path / "run")
    assert status == 1
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_may_have_an_equals_sign_in_its_name(tmp_path, mlpf_cli):
    (tmp_path / "pt=30").mkdir()
    status, _, error = mlpf_cli("train", "-p", TINY, f"--data={tmp_path / 'pt=30'}", "--output", tmp_path / "run")
    assert status == 1
    assert "pt=30: not a dataset" in error


SMALL = ("model.width=8", "model.num_layers=1", "model.num_neighbors=4", "model.dropout=0.1", "training.device=cpu", "training.figures=false")


def killed_after_some_steps(data, run):
    """Train in a process of its own, which is killed as soon as it has a checkpoint."""
    words = ["-p", TINY, "--data", data, "--output", run, *SMALL, "training.epochs=6", "training.max_elements=150", "training.checkpoint_steps=2"]
    partial = run.with_name(f"{run.name}.partial")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-m", "mlpf.cli.main", "train", *map(str, words)], env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not (partial / "checkpoints" / "last.ckpt").is_file():
            time.sleep(0.005)
        process.kill()
    return words


def test_a_killed_training_goes_on_to_the_same_losses(tmp_path, mlpf_cli):
    data = random_dataset(tmp_path / "data", num_events=60, mean_elements=20.0)
    words = killed_after_some_steps(data, tmp_path / "run")
    if (tmp_path / "run").exists():
        pytest.skip("it was complete before it could be killed")
    status, output, error = mlpf_cli("train", "--resume", tmp_path / "run")
    assert status == 0, error
    assert "goes on after step " in output
    words[words.index(tmp_path / "run")] = tmp_path / "whole"
    assert mlpf_cli("train", *words)[0] == 0
    assert (tmp_path / "run" / "steps.csv").read_text() == (tmp_path / "whole" / "steps.csv").read_text()
    status, _, error = mlpf_cli("train", "--resume", tmp_path / "run")
    assert status == 1
    assert "is complete; to train on from its weights, start a new run with --init-from" in error


def test_fine_tuning_from_the_command_line(tmp_path, mlpf_cli):
    data = random_dataset(tmp_path / "data", num_events=40, mean_elements=20.0)
    assert mlpf_cli("train", "-p", TINY, "--data", data, "--output", tmp_path / "run", *SMALL, "training.epochs=1")[0] == 0
    words = ("train", "-p", TINY, "--data", data, "--output", tmp_path / "tuned", "--init-from", tmp_path / "run", *SMALL, "training.epochs=1")
    status, output, error = mlpf_cli(*words)
    assert status == 0, error
    assert "initialised from run, epoch 1" in output
    assert load_model(tmp_path / "tuned")[1].initialized_from.startswith("run, epoch 1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "run", "-p", "a.yaml", "training.epochs=3"), "so -p, changes cannot be given with it; start a new run with --init-from"),
        (("--resume", "nowhere"), "nowhere.partial: no such folder; --resume takes a run that was interrupted"),
        (("--output", "run"), "give a parameter file and a run folder, -p FILE --output RUN, or an interrupted run, --resume RUN"),
        (("-p", TINY, "--output", "run", "--init-from", "nowhere", "--data", "data"), "nowhere"),
    ],
)
def test_what_does_not_go_together_is_one_clear_line(tmp_path, mlpf_cli, monkeypatch, words, message):
    random_dataset(tmp_path / "data", num_events=40, mean_elements=10.0)
    monkeypatch.chdir(tmp_path)
    status, _, error = mlpf_cli("train", *words)
    assert status == 1
    assert message in error
    assert error.count("\n") == 1
