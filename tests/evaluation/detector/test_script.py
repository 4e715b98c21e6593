import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlpf.errors import MissingDependencyError
from mlpf.evaluation.detector.validation import samples, validate

SCRIPT = Path(__file__).parents[3] / "scripts/validate_simulation.py"


def test_names_of_samples_are_their_own():
    names = [sample.name for sample in samples(1.0)]
    assert len(names) == len(set(names))


def test_nothing_is_simulated_without_pythia(monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    done = []
    with pytest.raises(MissingDependencyError, match="Pythia 8"):
        validate(0.01, on_done=lambda *job: done.append(job))
    assert not done


def test_the_script_says_in_one_line_that_pythia_is_missing(tmp_path):
    arguments = ["script", "--quick", "--output", str(tmp_path)]
    code = f"import runpy, sys\nsys.modules['pythia8mc'], sys.argv = None, {arguments}\nrunpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_script_makes_document_numbers_and_figures(tmp_path):
    pytest.importorskip("pythia8mc")
    subprocess.run([sys.executable, str(SCRIPT), "--quick", "--output", str(tmp_path)], check=True, capture_output=True)
    assert len(json.loads((tmp_path / "validation.json").read_text())["checks"]) > 150
    assert "| photons, all candidates, barrel |" in (tmp_path / "simulation.md").read_text()
    assert len(list((tmp_path / "images/simulation").glob("*.png"))) == 11
