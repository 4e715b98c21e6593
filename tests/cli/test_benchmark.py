"""`mlpf benchmark inference` as a user runs it."""

import numpy as np
import pytest
from toy_graph import write_toy_model
from typer.testing import CliRunner

from mlpf.cli.main import app
from mlpf.errors import MlpfError
from mlpf.io.ntuple import write_ntuple
from mlpf.random_ntuple import random_events


@pytest.fixture
def model_path(tmp_path):
    return write_toy_model(tmp_path / "toy.onnx")


@pytest.fixture
def benchmark():
    """Runs the command: words -> what it prints; raises what it raises."""

    def run(*words):
        result = CliRunner().invoke(app, ["benchmark", "inference", *map(str, words)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_times_memory_and_operators_of_random_events(benchmark, model_path, tmp_path):
    out = benchmark("--model", model_path, "--size", 1000, "--size", 1500, "--repeats", 2, "--figure", tmp_path / "cost.png")
    assert "elements of random events, one event per call, 2 calls, 1 thread(s)" in out
    assert "toy.onnx on cpu: one call" in out
    assert "1500 elements take" in out
    assert "MatMul" in out
    assert (tmp_path / "cost.png").stat().st_size > 0


def test_elements_of_a_file(benchmark, model_path, tmp_path):
    write_ntuple(tmp_path / "events.root", [random_events(np.random.default_rng(1), 5, 40)])
    words = ("--model", model_path, "--input", tmp_path / "events.root", "--repeats", 1)
    assert "events.root" in benchmark(*words, "--size", 20)
    with pytest.raises(MlpfError, match=r"events.root: \d+ elements that the consumer selects; choose a --size of no more"):
        benchmark(*words, "--size", 5000)


def test_without_a_model_the_user_is_told_how_to_get_one(benchmark):
    with pytest.raises(MlpfError, match=r"pass --model MODEL.onnx, as mlpf export writes it"):
        benchmark()
