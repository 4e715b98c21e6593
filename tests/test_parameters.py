import json
from pathlib import Path

import pytest
import yaml

from mlpf.config import load_parameters
from mlpf.io.ntuple import read_ntuple
from mlpf.io.shards import ShardedDataset
from mlpf.nn.model import MODELS
from mlpf.testing import random_dataset

FOLDER = Path(__file__).parents[1] / "parameters"
PARAMETERS = sorted(FOLDER.glob("*.yaml"))


def having(section):
    return [path for path in PARAMETERS if section in load_parameters(path)]


@pytest.mark.parametrize("path", having("simulation"), ids=lambda path: path.stem)
def test_a_parameter_file_simulates(path, mlpf_cli, tmp_path):
    status, _, err = mlpf_cli("simulate", "-p", path, "--events", 2, "--output", tmp_path / "a.root")
    assert status == 0, err
    assert read_ntuple(tmp_path / "a.root").size("element") > 0


FAST = ("training.epochs=1", "training.figures=false")


@pytest.mark.parametrize("path", [path for path in having("training") if path not in having("tune")], ids=lambda path: path.stem)
def test_a_parameter_file_trains(path, mlpf_cli, tmp_path):
    dataset = random_dataset(tmp_path / "dataset", num_events=40, mean_elements=20)
    split = "training.split={train: 0.7, validation: 0.2, test: 0.1}"
    status, _, err = mlpf_cli("train", "-p", path, "--data", dataset, "--output", tmp_path / "run", *FAST, split)
    assert status == 0, err
    assert (tmp_path / "run" / "model.json").is_file()


@pytest.mark.parametrize("path", having("tune"), ids=lambda path: path.stem)
def test_a_parameter_file_tunes(path, mlpf_cli, tmp_path):
    dataset = random_dataset(tmp_path / "dataset", num_events=40, mean_elements=20)
    where = ("--study", "a", "--output", tmp_path, "--data", dataset)
    status, _, err = mlpf_cli("tune", "-p", path, *where, "--trials", 2, *FAST)
    assert status == 0, err
    status, _, err = mlpf_cli("train", "-p", tmp_path / "a" / "best.yaml", "--output", tmp_path / "run")
    assert status == 0, err


def test_the_fine_tuning_begins_with_a_trained_model(mlpf_cli, tmp_path):
    dataset = random_dataset(tmp_path / "dataset", num_events=40, mean_elements=20)
    trained, tuned = tmp_path / "trained", tmp_path / "tuned"
    where = ("--data", dataset, *FAST)
    assert mlpf_cli("train", "-p", FOLDER / "window.yaml", *where, "--output", trained)[0] == 0
    status, output, err = mlpf_cli("train", "-p", FOLDER / "finetune.yaml", *where, "--init-from", trained, "--output", tuned)
    assert status == 0, err
    assert "missing" not in output
    losses = [json.loads((run / "model.json").read_text())["validation_loss"] for run in (trained, tuned)]
    assert losses[1] < losses[0]  # the second epoch of the two


@pytest.mark.parametrize("path", having("mix"), ids=lambda path: path.stem)
def test_a_parameter_file_mixes(path, mlpf_cli, write_dataset, random_dataset, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    sources = load_parameters(path)["mix"]["sources"]
    for seed, folder in enumerate(folder for source in sources for folder in source["datasets"]):  # where the file says they are
        write_dataset(random_dataset(20, 30.0, seed), folder)
    status, _, err = mlpf_cli("mix", "-p", path, "--output", "mixture", "mix.bins={}")  # random events have jets of any pt
    assert status == 0, err
    assert [source["num_events"] for source in ShardedDataset("mixture").manifest["sources"]] == [20 * len(source["datasets"]) for source in sources]


@pytest.mark.parametrize("path", PARAMETERS, ids=lambda path: path.stem)
def test_a_parameter_file_begins_with_its_purpose(path):
    assert path.read_text().startswith("# ")


def test_there_is_one_for_each_model_and_each_sample():
    files = {path.stem: load_parameters(path) for path in having("training")}
    assert {name for name in MODELS if files[name]["model"]["name"] == name} == set(MODELS)
    samples = {path.stem.removeprefix("simulate_") for path in PARAMETERS if path.stem.startswith("simulate_") and "gun" not in path.stem}
    assert {sample for sample in samples if files[f"{sample}_window"]["training"]["dataset"] == f"output/{sample}"} == samples


def test_what_differs_between_the_files_of_the_models_is_the_model():
    files = {name: yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) for name in MODELS}
    for section in ("loss", "training"):
        assert all(content[section] == files["window"][section] for content in files.values())


def test_there_is_one_of_each():
    assert having("mix")
    assert having("simulation")
    assert having("tune")
