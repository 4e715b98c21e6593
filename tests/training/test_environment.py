import getpass
import json
import os
import platform
import socket
import subprocess
from pathlib import Path

import pytest
import torch

from mlpf.training import environment
from mlpf.training.environment import environment_record, git_state


def git(folder, *words):
    subprocess.run(["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x", *words], check=True, capture_output=True)


@pytest.fixture
def package(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "a.py").write_text("x = 1\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "x")
    return tmp_path / "package"


def test_the_record_names_code_machine_and_versions():
    record = environment_record()
    assert record["python"] == platform.python_version()
    assert record["cpu"]["cores"] == os.cpu_count()
    assert torch.__version__.startswith(record["versions"]["torch"])  # the package index knows nothing of +cu130
    assert set(record["versions"]) >= {"mlpf", "torch", "lightning", "torch-geometric", "numpy", "numba", "onnx"}
    assert len(record["gpu"]) == torch.cuda.device_count()


def test_the_record_goes_through_json_and_names_no_people_machines_or_folders():
    record = environment_record()
    text = json.dumps(record)
    assert json.loads(text) == record
    words = set(text.replace('"', " ").replace(",", " ").split())
    assert not words & {getpass.getuser(), socket.gethostname()}
    assert str(Path.home()) not in text
    assert str(Path(environment.__file__).parent) not in text


def test_a_checkout_gives_its_commit_and_whether_the_package_differs_from_it(package):
    state = git_state(package)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (package.parent / "notes.txt").write_text("of no consequence")
    assert git_state(package)["dirty"] is False
    (package / "b.py").write_text("y = 1\n")
    assert git_state(package) == {"commit": state["commit"], "dirty": True}
    (package / "b.py").unlink()
    (package / "a.py").write_text("x = 2\n")
    assert git_state(package)["dirty"] is True


def test_a_package_that_only_lies_in_somebodys_repository_has_no_commit(package):
    inner = package.parent / "venv" / "site-packages" / "package"
    inner.mkdir(parents=True)
    assert git_state(inner) is None


def test_without_git_or_a_repository_there_is_no_commit(package, monkeypatch, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    assert git_state(outside) is None
    monkeypatch.setenv("PATH", str(outside))
    assert git_state(package) is None
