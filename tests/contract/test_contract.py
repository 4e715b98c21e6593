import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from toy_graph import BROKEN, BROKEN_SIGNATURE, CLASS_NONE_OF_REJECTED, toy_model, write_toy_model

from mlpf.errors import ModelError
from mlpf.export import behaviour, contract
from mlpf.export.contract import check_contract
from mlpf.random_elements import random_elements

FEW = [random_elements(np.random.default_rng(n), n) for n in (3, 40)]  # where the events are not what a test is about


def failures(path, events=None):
    return {check.name: check.problem for check in check_contract(path, events).checks if not check.passed}


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
    assert not failures(tmp_path / "toy.onnx", FEW)  # named, but not used
    next(node for node in model.graph.node if node.output[0] == "pu").output[0] = "all"
    model.graph.node.append(onnx.helper.make_node("Scaler", ["all"], ["pu"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0]))
    onnx.save(model, tmp_path / "toy.onnx")
    assert "needs operators of ai.onnx.ml" in failures(tmp_path / "toy.onnx", FEW)["opset <= 20"]


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


def test_the_mask_counts_as_used_only_if_an_output_depends_on_it(tmp_path):
    read_for_nothing = [("column = Unsqueeze(mask, last)", "unused = Unsqueeze(mask, last) column = Constant<value_float = 1.0>()")]
    assert "mask is used" in failures(write_toy_model(tmp_path / "dead.onnx", read_for_nothing))
    in_a_branch = """
        yes_always = Constant<value = bool {1}>()
        column = If (yes_always) <
            then_branch = inside () => (float[a, b, 1] c) { c = Unsqueeze(mask, last) },
            else_branch = beside () => (float[a, b, 1] d) { d = Unsqueeze(mask, last) }
        >"""
    assert not failures(write_toy_model(tmp_path / "branch.onnx", [("column = Unsqueeze(mask, last)", in_a_branch)]))


OTHER_AXES = [  # as torch's older exporter names those of inputs, and of outputs by the operation that made them
    (
        "(float[batch, elements, 55] Xfeat_normed, float[batch, elements] mask)",
        "(float[num_batch, num_elements, 55] Xfeat_normed, float[num_batch, num_elements] mask)",
    ),
    ("float[batch, elements, 2] bid", "float[Where_0, Where_1, 2] bid"),
    ("float[batch, elements, 9] id", "float[Addid_dim_0, Addid_dim_1, 9] id"),
    (", float[batch, elements, 1] pu", ", float[a, b, c] pu"),
]


def test_a_file_that_others_made_is_checked_by_the_same_clauses(tmp_path):
    assert not failures(write_toy_model(tmp_path / "others.onnx", OTHER_AXES))
    found = failures(write_toy_model(tmp_path / "poisoned.onnx", OTHER_AXES + BROKEN["non-finite and absurd features"]))
    assert set(found) == {"non-finite and absurd features"}


AT_MOST_4000 = (
    "start = Constant<value_ints = [0]>() axis = Constant<value_ints = [1]>() end = Constant<value_ints = [4000]>() "
    "few = Slice(p4, start, end, axis) momentum = Tanh(few)"
)


def test_real_events_find_what_random_elements_do_not(tmp_path):
    """A model that fails on events with more elements than random ones have."""
    path = write_toy_model(tmp_path / "long.onnx", [("momentum = Tanh(p4)", AT_MOST_4000)])
    assert failures(path) == {"any number of elements": "momentum has shape (1, 4000, 5) for 4755 elements"}
    assert check_contract(path, [random_elements(np.random.default_rng(1), 30)]).passed


def test_events_of_the_user_take_the_place_of_the_simulated_ones(tmp_path):
    events = [random_elements(np.random.default_rng(n), n) for n in (3, 40)]
    measured = {check.name: check.measured for check in check_contract(write_toy_model(tmp_path / "toy.onnx"), events).checks}
    assert measured["any number of elements"] == "N = 1, 2, 3, 7, 40, 43, 64, 257, 1500"


def test_sizes_that_would_take_too_long_are_left_out_and_said_so(tmp_path, monkeypatch):
    path = write_toy_model(tmp_path / "toy.onnx")
    monkeypatch.setattr(behaviour, "MAX_SECONDS", 60.0)
    clock = iter(range(10_000))
    monkeypatch.setattr(behaviour.time, "perf_counter", lambda: float(next(clock)))  # every call takes a second
    finding = behaviour.any_size(behaviour.Runner(path), [random_elements(np.random.default_rng(1), 3000)])
    assert finding == ("", "N = 1, 2, 7; 5 larger ones would take over 60 s or 4 GB each")


def test_sizes_that_would_take_too_much_memory_are_left_out_of_all_checks_and_said_so(tmp_path, monkeypatch):
    runner, asked = behaviour.Runner, []

    class Greedy(runner):
        """As attention of all elements to each other, in what it says and in what the process then takes: 400 bytes per pair."""

        def __call__(self, features, mask=None):
            asked.append(features.shape[1])
            return super().__call__(features, mask)

    monkeypatch.setattr(behaviour, "Runner", Greedy)
    monkeypatch.setattr(behaviour, "resident_bytes", lambda: 400 * max(asked, default=0) ** 2)
    events = [random_elements(np.random.default_rng(n), n) for n in (30, 2500, 4000)]
    report = check_contract(write_toy_model(tmp_path / "toy.onnx"), events)
    assert report.passed
    assert "N = 1, 2, 7, 30, 64, 257, 1500, 2500; 2 larger ones would take over 30 s or 4 GB each" in {check.measured for check in report.checks}
    assert max(asked) == 2500


def test_large_events_alone_make_no_huge_batch(tmp_path):
    model = behaviour.Runner(write_toy_model(tmp_path / "toy.onnx"))
    sizes = []

    def noting(features, mask=None):
        sizes.append(features.shape)
        return model(features, mask)

    noting.output_names, noting.difference, noting.tolerance = model.output_names, model.difference, model.tolerance
    assert not behaviour.poison(noting, [random_elements(np.random.default_rng(1), 3000)]).problem
    assert max(n for _, n, _ in sizes) == 256


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="Linux only")
def test_the_memory_of_the_process_is_seen():
    before = behaviour.resident_bytes()
    block = np.frombuffer(mmap.mmap(-1, 50_000_000), dtype=np.uint8)  # new pages, where np.ones may take what the process freed before
    block[:] = 1
    assert len(block) * 0.8 < behaviour.resident_bytes() - before < len(block) * 1.5


def test_class_none_may_win_where_the_binary_head_says_no_particle(tmp_path):
    says_both = [("id = Add(pid, class_none)", CLASS_NONE_OF_REJECTED)]
    assert not failures(write_toy_model(tmp_path / "toy.onnx", says_both), FEW)
    vetoes = [(old, new.replace("Less", "Greater")) for old, new in says_both]
    found = failures(write_toy_model(tmp_path / "vetoes.onnx", vetoes), FEW)
    assert set(found) == {"class none"}
    assert "of the" in found["class none"]


def test_functions_that_the_file_defines_itself_are_no_foreign_operators(tmp_path):
    path = write_toy_model(tmp_path / "toy.onnx", [("momentum = Tanh(p4)", "momentum = mine.Bounded(p4)")])
    assert "needs operators of mine" in failures(path, FEW)["opset <= 20"]
    model = onnx.load(path)
    body = onnx.helper.make_node("Tanh", ["x"], ["y"])
    model.opset_import.append(onnx.helper.make_opsetid("mine", 1))
    for version, name in ((20, "own.onnx"), (21, "newer.onnx")):
        del model.functions[:]
        model.functions.append(onnx.helper.make_function("mine", "Bounded", ["x"], ["y"], [body], [onnx.helper.make_opsetid("", version)]))
        onnx.save(model, tmp_path / name)
    assert not failures(tmp_path / "own.onnx", FEW)
    assert "opset 21" in failures(tmp_path / "newer.onnx", FEW)["opset <= 20"]


def test_types_of_values_that_onnx_does_not_know_are_a_broken_clause(tmp_path):
    model = toy_model()
    model.graph.output[0].type.tensor_type.elem_type = 99
    onnx.save(model, tmp_path / "toy.onnx")
    assert "output 0 is bid unknown" in failures(tmp_path / "toy.onnx", FEW)["inputs and outputs"]


@pytest.mark.parametrize(("text", "precision", "variant"), [
    ("z = Relu(x)", "float32", "plain"),
    ("h = Cast<to = 10>(x) z = Cast<to = 1>(h)", "float16", "plain"),
    ("h = Cast<to = 1>(x) z = Cast<to = 1>(h)", "float32", "plain"),
    ("h = Constant<value = float16[1] {1}>() i = Cast<to = 1>(h) z = Add(x, i)", "float16", "plain"),
    ("z = com.microsoft.Gelu(x)", "float32", "fused"),
    ("y = Constant<value = bool {1}>() z = If (y) <then_branch = a () => (float[1] b) { b = com.microsoft.Gelu(x) }, else_branch = c () => (float[1] d) "
     "{ h = Cast<to = 10>(x) d = Cast<to = 1>(h) }>", "float16", "fused"),
])  # fmt: skip
def test_precision_and_variant_are_read_from_the_graph(text, precision, variant):
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 20, "com.microsoft" : 1]> g (float[1] x) => (float[1] z) {{ {text} }}')
    assert (contract.precision_of(model), contract.variant_of(model)) == (precision, variant)


def test_weights_in_half_precision_make_a_model_of_half_precision():
    model = toy_model()
    assert contract.precision_of(model) == "float32"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(3, dtype=np.float16), "half"))
    assert contract.precision_of(model) == "float16"
