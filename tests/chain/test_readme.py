"""The README's chain, command by command, as a newcomer would type it (with a shorter training)."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlpf import schema
from mlpf.candidates import compare_candidates
from mlpf.io.ntuple import read_candidates, read_ntuple
from mlpf.io.shards import ShardedDataset, table_to_events


def readme_blocks(repository: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)


def commands(block: str) -> list[list[str]]:
    """Words of every line that calls mlpf, without its comment."""
    return [line.partition(" #")[0].split() for line in block.splitlines() if line.startswith("mlpf ")]


@pytest.fixture(scope="module")
def newcomer(repository, tmp_path_factory) -> Path:
    """A folder in which all commands of the README have been run."""
    folder = tmp_path_factory.mktemp("newcomer")
    for name in ("data", "parameters"):
        (folder / name).symlink_to(repository / name)
    (block,) = [block for block in readme_blocks(repository, "bash") if "mlpf train" in block]
    for words in commands(block):
        if words[1] == "train":
            words = [*words, "training.epochs=3"]
        done = subprocess.run([sys.executable, "-m", "mlpf.cli.main", *words[1:]], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return folder


def test_every_stage_leaves_its_product(newcomer):
    output = newcomer / "output"
    assert len(read_ntuple(output / "more.root", ["element_pt"])) == 20
    assert len(ShardedDataset(output / "dataset", verify=True)) == len(read_ntuple(newcomer / "data" / "ttbar.root", ["element_pt"]))
    for name in ("run/model.json", "evaluation/metrics.json", "evaluation/report.html", "model.json", "event.html"):
        assert (output / name).stat().st_size > 100, name
    assert not [path for path in output.rglob("*") if ".partial" in path.name]


def test_the_producer_makes_the_candidates_that_the_evaluation_made(newcomer):
    evaluated = table_to_events(pq.read_table(newcomer / "output" / "evaluation" / "predictions.parquet"), schema.CANDIDATES)
    produced = read_candidates(newcomer / "output" / "candidates.root")
    comparison = compare_candidates(evaluated, produced)
    assert comparison.agree, comparison
    assert comparison.num_events == len(evaluated) > 0
    assert comparison.num_shared > 10 * len(evaluated)


def test_the_produced_tree_is_a_friend_of_its_input(newcomer):
    produced = read_candidates(newcomer / "output" / "candidates.root")
    ntuple = read_ntuple(newcomer / "data" / "ttbar.root", ["event", "run", "lumi", "element_type"])
    for name in ("event", "run", "lumi"):
        assert produced[name].tolist() == ntuple[name].tolist()
    assert (produced["mlpfcandidate_element"] >= 0).all()
    counts = ntuple.counts("element").repeat(produced.counts("mlpfcandidate"))
    assert (produced["mlpfcandidate_element"] < counts).all()


def test_the_python_example_runs(newcomer, repository):
    (block,) = readme_blocks(repository, "python")
    done = subprocess.run([sys.executable, "-c", block], cwd=newcomer, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs", "data/README.md"])
def test_links_between_pages_lead_somewhere(repository, page):
    path = repository / page
    for file in sorted(path.glob("*.md")) if path.is_dir() else [path]:
        links = re.findall(r"\]\(([^)#]+)\)", file.read_text())
        assert [link for link in links if "://" not in link and not (file.parent / link).exists()] == [], file
