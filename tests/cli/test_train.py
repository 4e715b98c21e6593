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
