from pathlib import Path

import pytest

from mlpf.config import load_parameters
from mlpf.io.ntuple import read_ntuple
from mlpf.testing import random_dataset

PARAMETERS = sorted((Path(__file__).parents[1] / "parameters").glob("*.yaml"))


def having(section):
    return [path for path in PARAMETERS if section in load_parameters(path)]


@pytest.mark.parametrize("path", having("simulation"), ids=lambda path: path.stem)
def test_a_parameter_file_simulates(path, mlpf_cli, tmp_path):
    status, _, err = mlpf_cli("simulate", "-p", path, "--events", 2, "--output", tmp_path / "a.root")
    assert status == 0, err
    assert read_ntuple(tmp_path / "a.root").size("element") > 0


@pytest.mark.parametrize("path", having("training"), ids=lambda path: path.stem)
def test_a_parameter_file_trains(path, mlpf_cli, tmp_path):
    dataset = random_dataset(tmp_path / "dataset", num_events=40, mean_elements=20)
    status, _, err = mlpf_cli("train", "-p", path, "--data", dataset, "--output", tmp_path / "run", "training.epochs=1")
    assert status == 0, err
    assert (tmp_path / "run" / "model.json").is_file()


def test_there_is_one_of_each():
    assert having("simulation")
    assert having("training")
