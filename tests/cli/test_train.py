from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlpf.cli.main import app
from mlpf.errors import ConfigError
from mlpf.nn.saved import load_model
from mlpf.testing import random_dataset

TINY = str(Path(__file__).parents[2] / "parameters" / "tiny.yaml")


def test_train_reports_and_leaves_a_model_that_loads(tmp_path):
    data = random_dataset(tmp_path / "data", num_events=40, mean_elements=20.0)
    arguments = ["train", "-p", TINY, "--data", str(data), "--output", str(tmp_path / "run"), "training.epochs=2", "model.width=16", "training.device=cpu"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for words in ("events for training", "parameters", "epoch 2/2: loss", "events/s", "best epoch", "model.pt"):
        assert words in result.output
    model, info = load_model(tmp_path / "run")
    assert info.model["width"] == 16
    assert model.last_norm.normalized_shape == (16,)


def test_an_unknown_parameter_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"tiny.yaml: training: unknown key 'epoch'; did you mean 'epochs'\?"):
        CliRunner().invoke(app, ["train", "-p", TINY, "--output", str(tmp_path / "run"), "training.epoch=2"], catch_exceptions=False)
