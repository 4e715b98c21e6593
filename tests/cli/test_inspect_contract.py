"""`mlpf inspect MODEL.onnx --contract` on files of any origin."""

import numpy as np
import onnx
import pytest
from toy_graph import BROKEN, toy_model, write_toy_model

from mlpf.io.ntuple import write_ntuple
from mlpf.random_ntuple import random_events


@pytest.fixture
def small_ntuple(tmp_path):
    path = tmp_path / "events.root"
    write_ntuple(path, [random_events(np.random.default_rng(1), 6)])
    return path


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def answers(out):
    """Clause -> yes or no, from the table."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    return {row[0]: row[1] for row in rows if row[0]}


def test_a_model_says_what_it_is_without_being_run(mlpf_cli, tmp_path):
    status, out, _ = mlpf_cli("inspect", write_toy_model(tmp_path / "[red]toy.onnx", note="[bold]mine[/]"))
    assert status == 0
    for text in ("opset 20, IR 9, plain operators, float32 inside", "input  Xfeat_normed float32 (?, ?, 55)", "output momentum float32 (?, ?, 5)"):
        assert text in out
    assert "note: [bold]mine[/]" in out
    model = toy_model()
    model.graph.input[0].name = "[/bold]x"
    onnx.save(model, tmp_path / "odd.onnx")
    status, out, _ = mlpf_cli("inspect", tmp_path / "odd.onnx")
    assert status == 0
    assert "[/bold]x float32" in out


def test_a_model_of_others_that_keeps_the_contract_passes(mlpf_cli, tmp_path):
    status, out, err = mlpf_cli("inspect", write_toy_model(tmp_path / "toy.onnx"), "--contract")
    assert status == 0, err
    assert set(answers(out).values()) == {"yes"}
    assert set(answers(out)) >= set(BROKEN)
    assert "the contract of the target cmssw, on 13 events of 1 to 5077 elements simulated by this library" in out
    assert f"{len(answers(out))} of {len(answers(out))} clauses hold" in out


def test_the_users_events_are_taken_and_named(mlpf_cli, tmp_path, small_ntuple):
    status, out, err = mlpf_cli("inspect", write_toy_model(tmp_path / "toy.onnx"), "--contract", "--events", small_ntuple)
    assert status == 0, err
    assert f"elements of {small_ntuple}" in out


def test_a_broken_clause_is_named_with_its_reason_and_fails_the_command(mlpf_cli, tmp_path, small_ntuple):
    path = write_toy_model(tmp_path / "toy.onnx", BROKEN["superclusters"])
    status, out, err = mlpf_cli("inspect", path, "--contract", "--events", small_ntuple)
    assert status == 1
    assert [name for name, answer in answers(out).items() if answer == "no"] == ["superclusters"]
    assert "toy.onnx: breaks the consumer's contract: superclusters:" in err
    assert "become particles of pt 0" in err


def test_a_file_that_the_runtime_cannot_load_still_gets_its_table(mlpf_cli, tmp_path, small_ntuple):
    model = toy_model()
    next(node for node in model.graph.node if node.op_type == "Tanh").domain = "com.microsoft"  # no such operator there
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, tmp_path / "odd.onnx")
    status, out, err = mlpf_cli("inspect", tmp_path / "odd.onnx", "--contract", "--events", small_ntuple)
    assert status == 1
    assert answers(out)["opset <= 20"] == "yes"
    assert "breaks the consumer's contract" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data/ttbar.root", "--contract"], "--contract applies to ONNX models"),
        (["toy.onnx", "--events", "data/ttbar.root"], "--events says what --contract runs the model on; pass both"),
        (["toy.onnx", "--contract", "--events", "none.root"], "none.root"),
        (["none.onnx", "--contract"], "none.onnx: cannot be read (No such file or directory)"),
    ],
)
def test_wrong_requests_are_one_line_of_error(mlpf_cli, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    write_toy_model(tmp_path / "toy.onnx")
    status, _, err = mlpf_cli("inspect", *words)
    assert status == 1
    assert message in " ".join(err.split())
