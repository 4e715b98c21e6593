import pytest
import yaml

from mlpf.testing import random_dataset

CONTENT = {
    "model": {"name": "gravnet", "width": 8, "num_layers": 1, "num_neighbors": 4},
    "training": {"epochs": 1, "max_elements": 400, "device": "cpu"},
    "tune": {"search": {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}, "trials": 5, "pruner": "none"},
}


@pytest.fixture
def arguments(tmp_path):
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump(CONTENT))
    data = random_dataset(tmp_path / "data", num_events=40, mean_elements=20.0)
    return ["tune", "-p", tmp_path / "tune.yaml", "--study", "a", "--output", tmp_path / "studies", "--data", data]


def test_tune_says_what_it_tries_and_finds(arguments, mlpf_cli, tmp_path):
    status, output, error = mlpf_cli(*arguments, "--trials", 2)
    assert status == 0, error
    for words in ("trial 0: training.learning_rate=0.001", "trial 1: complete after 1 validations", "2 trials: 2 complete", "the best by", "best.yaml"):
        assert words in output
    assert {path.name for path in (tmp_path / "studies" / "a").iterdir()} == {
        "parameters.yaml",
        "journal.log",
        "trials",
        "best.yaml",
        "trials.csv",
        "study.png",
    }
    status, _, error = mlpf_cli("train", "-p", tmp_path / "studies" / "a" / "best.yaml", "--output", tmp_path / "run")
    assert status == 0, error
    status, output, _ = mlpf_cli(*arguments, "--trials", 3)
    assert status == 0
    assert "trial 2: " in output
    assert "trial 1: " not in output


def test_other_parameters_for_a_study_are_one_clear_line(arguments, mlpf_cli):
    assert mlpf_cli(*arguments, "--trials", 1)[0] == 0
    status, _, error = mlpf_cli(*arguments, "model.width=16")
    assert status == 1
    assert "this study was made with model.width=8, not 16" in error
    assert error.count("\n") == 1


def test_a_file_without_a_search_is_one_clear_line(arguments, mlpf_cli, tmp_path):
    (tmp_path / "tune.yaml").write_text("model: {width: 8}\n")
    status, _, error = mlpf_cli(*arguments, "--trials", 1)
    assert status == 1
    assert "tune.yaml: tune: search" in error
    assert error.count("\n") == 1
