"""MLflow's entry points call commands that exist, with options that they have."""

import shlex

import pytest
import yaml
from typer.main import get_command

from mlpf.cli.main import app


@pytest.fixture
def project(repository):
    return yaml.safe_load((repository / "MLproject").read_text())


def commands(project):
    """Each entry point's command line with its defaults, and with others."""
    for name, entry in project["entry_points"].items():
        defaults = {key: value["default"] for key, value in entry["parameters"].items()}
        others = {key: 7 if value["type"] == "float" else "standalone" for key, value in entry["parameters"].items()}
        for values in (defaults, others):
            yield name, shlex.split(entry["command"].format(**{key: shlex.quote(str(value)) for key, value in values.items()}))


def test_every_entry_point_calls_the_command_of_its_name_as_it_can_be_called(project):
    known = get_command(app).commands
    for name, (program, command, *words) in commands(project):
        assert program == "mlpf"
        assert command == ("train" if name == "main" else name)
        known[command].make_context(command, words)  # raises where an option does not exist or an argument is missing


def test_the_main_commands_are_there_and_their_parameter_files_exist(project, repository):
    entries = project["entry_points"]
    assert {"main", "simulate", "postprocess", "train", "tune", "evaluate", "export", "produce"} == set(entries)
    for entry in entries.values():
        path = entry["parameters"].get("parameters", {}).get("default", "README.md")
        assert (repository / path).is_file()


def test_mlflow_understands_the_file(repository):
    loading = pytest.importorskip("mlflow.projects._project_spec")
    entry = loading.load_project(repository).get_entry_point("train")
    command = entry.compute_command({"data": "a b"}, str(repository / "unused"))
    assert command == "mlpf train -p parameters/tiny.yaml --data 'a b' --output output/run training.mlflow.experiment=mlpf"
