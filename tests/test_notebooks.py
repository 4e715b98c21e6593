"""The tutorials: run from top to bottom, committed without outputs, and more than code."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=300, resources={"metadata": {"path": "."}}).execute()
nbformat.write(notebook, sys.argv[2])
"""


def cells_of(path):
    return json.loads(path.read_text())["cells"]


def text_of(path, kind):
    return ["".join(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == kind]


@pytest.fixture
def project(tmp_path):
    """A folder with what a fresh clone has for the notebooks, where they may write."""
    for name in ("data", "parameters"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "notebooks").mkdir()
    return tmp_path


def run(path, project):
    """Execute a notebook in its folder, as in a shell where the environment is active; what it printed and showed."""
    shutil.copy(path, project / "notebooks")
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    command = [sys.executable, "-c", EXECUTE, path.name, project / "executed.ipynb"]
    done = subprocess.run(command, cwd=project / "notebooks", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [output for cell in cells_of(project / "executed.ipynb") for output in cell.get("outputs", ())]


@pytest.mark.parametrize(("path", "num_pictures"), [*zip(NOTEBOOKS, (2, 3, 3, 1), strict=True)], ids=lambda value: getattr(value, "stem", ""))
def test_a_notebook_runs_from_top_to_bottom_and_shows_its_pictures(path, num_pictures, project):
    outputs = run(path, project)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == num_pictures
    printed = "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
    assert "Traceback" not in printed
    assert "\x1b[2K" not in printed  # no moving bars
    assert {entry.name for entry in project.iterdir()} == {"data", "parameters", "notebooks", "output", "executed.ipynb"}
    assert [entry.name for entry in (project / "notebooks").iterdir()] == [path.name]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path):
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells_of(path) if cell["cell_type"] == "code")
    assert json.loads(path.read_text())["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_teaches(path):
    words = text_of(path, "markdown")
    assert words[0].startswith(f"# {path.stem[0]} · ")
    assert sum(len(text.split()) for text in words) > 250
    assert "**To try:**" in words[-1]
    kinds = [cell["cell_type"] for cell in cells_of(path)]
    assert "code code code" not in " ".join(kinds[2:])  # something is said of every step


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_points_only_to_what_is_there(path):
    text = "\n".join(text_of(path, "markdown"))
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    missing = [link for link in links if not (path.parent / link.partition("#")[0]).is_file()]
    assert missing == []
    assert not re.search(r"(?<![\w.])/(home|tmp|work|afs|eos)/", text + "\n".join(text_of(path, "code")))
