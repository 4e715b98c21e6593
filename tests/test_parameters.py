from pathlib import Path

import pytest

from mlpf.config import load_parameters
from mlpf.io.ntuple import read_ntuple
from mlpf.io.shards import ShardedDataset
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


@pytest.mark.parametrize("path", having("mix"), ids=lambda path: path.stem)
def test_a_parameter_file_mixes(path, mlpf_cli, write_dataset, random_dataset, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    sources = load_parameters(path)["mix"]["sources"]
    for i, source in enumerate(sources):
        write_dataset(random_dataset(20, 30.0, i), *source["datasets"])  # where the file says they are
    status, _, err = mlpf_cli("mix", "-p", path, "--output", "mixture", "mix.bins={}")  # random events have jets of any pt
    assert status == 0, err
    assert [source["num_events"] for source in ShardedDataset("mixture").manifest["sources"]] == [20] * len(sources)


def test_there_is_one_of_each():
    assert having("mix")
    assert having("simulation")
    assert having("training")
