import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from toy_graph import BROKEN, BROKEN_SIGNATURE, toy_model, write_toy_model

from mlpf.errors import ModelError
from mlpf.export import contract
from mlpf.export.contract import check_contract


def failures(path):
    return {check.name: check.problem for check in check_contract(path).checks if not check.passed}


def test_a_model_that_keeps_the_contract_passes_every_clause(tmp_path):
    report = check_contract(write_toy_model(tmp_path / "toy.onnx"))
    assert report.passed
    assert (report.opset, report.ir_version) == (20, 9)
    report.require()
    assert {check.name for check in report.checks} >= set(BROKEN)


@pytest.mark.parametrize("clause", BROKEN)
def test_a_broken_clause_is_found_and_no_other(clause, tmp_path):
    assert set(failures(write_toy_model(tmp_path / "toy.onnx", BROKEN[clause]))) == {clause}


@pytest.mark.parametrize("case", BROKEN_SIGNATURE)
def test_a_wrong_signature_is_found_and_named(case, tmp_path):
    replacements, message = BROKEN_SIGNATURE[case]
    assert message in failures(write_toy_model(tmp_path / "toy.onnx", replacements))["inputs and outputs"]


def test_a_process_that_fails_without_a_word_is_a_broken_clause_too(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", ""))
    assert failures(write_toy_model(tmp_path / "toy.onnx"))["an event without elements"] == "the model fails: no message"


def test_three_outputs_are_enough_and_further_ones_must_be_float(tmp_path):
    without_pileup = [(", float[batch, elements, 1] pu)", ")"), ("pu = MatMul(clean, w_pileup)", "")]
    assert not failures(write_toy_model(tmp_path / "three.onnx", without_pileup))
    as_integer = [("float[batch, elements, 1] pu", "int64[batch, elements, 1] pu"), ("pu = MatMul(clean, w_pileup)", "pu = Cast<to = 7>(type)")]
    assert "output 3 is pu int64" in failures(write_toy_model(tmp_path / "integer.onnx", as_integer))["inputs and outputs"]


def test_weights_in_another_file_are_found(tmp_path):
    onnx.save(toy_model(), tmp_path / "toy.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert "another file" in failures(tmp_path / "toy.onnx")["one self-contained file"]


def test_operators_that_the_consumer_lacks_are_found(tmp_path):
    model = toy_model()
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 3))
    onnx.save(model, tmp_path / "toy.onnx")
    assert "ai.onnx.ml" in failures(tmp_path / "toy.onnx")["opset <= 20"]


def test_a_model_that_dies_of_an_empty_event_does_not_take_us_with_it(tmp_path, monkeypatch):
    dying = tmp_path / "dying_python"
    dying.write_text("#!/bin/sh\nkill -FPE $$\n")
    dying.chmod(0o755)
    monkeypatch.setattr(contract.sys, "executable", str(dying))
    assert failures(write_toy_model(tmp_path / "toy.onnx")) == {"an event without elements": "kills the process (signal 8)"}


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x09"])
def test_what_is_not_onnx_is_refused_by_name(content, tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    try:
        assert not check_contract(path).passed
    except ModelError as error:
        assert str(path) in str(error)


def test_a_truncated_file_is_refused(tmp_path):
    path = write_toy_model(tmp_path / "toy.onnx")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ModelError, match=r"toy\.onnx"):
        check_contract(path).require()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        check_contract(tmp_path / "none.onnx")


def test_the_error_names_file_clause_and_the_others_that_fail(tmp_path):
    path = write_toy_model(tmp_path / "toy.onnx", BROKEN["superclusters"] + BROKEN["class none"])
    with pytest.raises(ModelError, match=r"toy.onnx: breaks the consumer's contract: superclusters: .* \(and 1 more: class none\)"):
        check_contract(path).require()


def test_the_contract_needs_no_torch(tmp_path):
    path = write_toy_model(tmp_path / "toy.onnx")
    code = f"import sys; sys.modules['torch'] = None\nfrom mlpf.export.contract import check_contract\nassert check_contract({str(path)!r}).passed"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif("MLPF_ONNXRUNTIME_1_17_PYTHON" not in os.environ, reason="MLPF_ONNXRUNTIME_1_17_PYTHON names no interpreter with onnxruntime 1.17.1")
def test_the_oldest_runtime_agrees_with_the_newest(tmp_path):
    from mlpf.export.behaviour import SIZES, TOLERANCE, Runner, difference
    from mlpf.producer.session import open_session
    from mlpf.random_elements import random_elements

    path = Path(os.environ["MLPF_ONNX_MODEL"]) if "MLPF_ONNX_MODEL" in os.environ else write_toy_model(tmp_path / "toy.onnx")
    events = {str(n): random_elements(np.random.default_rng(n), n)[None] for n in (0, *SIZES)}
    np.savez(tmp_path / "in.npz", **events)
    code = (
        "import sys, numpy as np, onnxruntime as ort\nassert ort.__version__ == '1.17.1'\n"
        "model, events = ort.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']), np.load(sys.argv[2])\n"
        "runs = {n: model.run(None, {'Xfeat_normed': x, 'mask': np.ones(x.shape[:2], np.float32)}) for n, x in events.items()}\n"
        "np.savez(sys.argv[3], **{f'{n}_{i}': output for n, outputs in runs.items() for i, output in enumerate(outputs)})\n"
    )
    old = os.environ["MLPF_ONNXRUNTIME_1_17_PYTHON"]
    subprocess.run([old, "-c", code, str(path), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")], check=True)
    found, model = np.load(tmp_path / "out.npz"), Runner(open_session(path))
    for size, features in events.items():
        expected = model(features)
        assert difference([found[f"{size}_{i}"] for i in range(len(expected))], expected) < TOLERANCE
