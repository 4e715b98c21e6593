import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_physics.py"
BLOCKS = ("verdict", "jets", "met", "particles", "operating", "charged", "events", "pileup")


@pytest.fixture
def measure(monkeypatch):
    """Run the script in this process."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return run


@pytest.mark.usefixtures("without_figures")
def test_the_script_fills_in_the_document_and_draws_its_figure(measure, onnx_file, random_dataset, write_dataset, tmp_path, capsys):
    folders = [write_dataset(random_dataset(40, 30, seed=seed), name) for seed, name in enumerate(("ttbar", "qcd"))]
    document = tmp_path / "docs" / "physics.md"
    document.parent.mkdir()
    document.write_text("".join(f"<!-- measured: {name} -->\n<!-- end -->\n" for name in BLOCKS))
    measure(onnx_file, *folders, "--output", tmp_path / "out", "--document", document)
    assert "| claim | ttbar | qcd |" in capsys.readouterr().out
    assert document.read_text().count("| ttbar |") > 10
    assert (document.parent / "images" / "physics" / "gains.png").is_file()
    assert set(json.loads((tmp_path / "out" / "operating_points.json").read_text())) == {"ttbar", "qcd"}


def test_what_is_missing_is_said_before_the_work(measure, onnx_file, random_dataset, write_dataset, tmp_path):
    folder = write_dataset(random_dataset(4, 30))
    for words, message in (
        ([onnx_file, folder, "--document", tmp_path / "none.md"], r"none\.md: no such file"),
        ([onnx_file, folder, folder], "two have this name"),
        ([onnx_file, tmp_path], "neither"),
    ):
        with pytest.raises(SystemExit, match=message):
            measure(*words, "--output", tmp_path / "out")
        assert not (tmp_path / "out").exists()
