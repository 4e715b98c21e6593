import json
import re
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest
from toy_events import toy_events
from toy_graph import BROKEN_SIGNATURE, MEAN_OVER_PADDING, write_toy_model

from mlpf import schema
from mlpf.errors import ModelError
from mlpf.events import Events
from mlpf.features import element_features
from mlpf.producer import ConsumerInput, Producer, consumer_input
from mlpf.producer.signature import STANDALONE_OUTPUTS
from mlpf.random_elements import random_elements


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("model") / "toy.onnx")


def test_outputs_of_one_event_are_what_the_runtime_gives(model_path):
    features = random_elements(np.random.default_rng(1), 23)
    outputs = Producer(model_path).run(features)
    session = onnxruntime.InferenceSession(str(model_path), providers=["CPUExecutionProvider"])
    raw = session.run(None, {"Xfeat_normed": features[None], "mask": np.ones((1, 23), np.float32)})
    assert [column.shape for column in outputs] == [(23, 2), (23, 9), (23, 5), (23,)]
    for column, expected in zip(outputs, raw, strict=True):
        np.testing.assert_array_equal(column, expected[0].reshape(column.shape))


def test_many_events_give_what_each_gives_alone(model_path):
    producer = Producer(model_path)
    events = toy_events([12, 0, 3, 50])
    together = producer(events)
    assert len(producer.call_seconds) == 3  # none for the empty event
    for i in range(4):
        alone = producer(events.slice(i, i + 1))
        edges = together.offsets["mlpfcandidate"]
        for name in schema.CANDIDATES.names("mlpfcandidate"):
            np.testing.assert_array_equal(together[name][edges[i] : edges[i + 1]], alone[name])
        assert alone["event"][0] == together["event"][i]


def test_events_without_usable_elements_pass_through(model_path):
    producer = Producer(model_path)
    found = producer(toy_events([4, 2], dropped_share=1.0))
    assert (len(found), found.size("mlpfcandidate"), len(producer.call_seconds)) == (2, 0, 0)
    assert producer(toy_events([])).num_events == 0
    assert producer.run(np.zeros((0, 55))).pid.shape == (0, 9)


def test_non_finite_features_reach_the_model_as_they_are(model_path):
    events = toy_events([40], dropped_share=0.0)
    pterror = events["element_pterror"].copy()
    pterror[:3] = np.nan, np.inf, -np.inf
    poisoned = events.with_columns({"element_pterror": pterror})
    zeroed = events.with_columns({"element_pterror": np.where(np.isfinite(pterror), pterror, 0.0)})
    producer = Producer(model_path)
    assert np.isnan(consumer_input(poisoned).features).sum() == 1
    np.testing.assert_array_equal(producer(poisoned)["mlpfcandidate_pt"], producer(zeroed)["mlpfcandidate_pt"])


def test_three_lines_on_arrays_give_the_candidates_of_the_ntuple(model_path):
    events = toy_events([12, 0, 30], seed=4)
    expected = Producer(model_path)(events)
    producer = Producer(model_path)
    for i, (start, stop) in enumerate(pairwise(events.offsets["element"])):
        found = producer.candidates(element_features(events)[start:stop])
        assert (len(found), found["event"].tolist()) == (1, [0])
        edges = expected.offsets["mlpfcandidate"]
        for name in schema.CANDIDATES.names("mlpfcandidate"):
            np.testing.assert_array_equal(found[name], expected[name][edges[i] : edges[i + 1]], err_msg=name)
    found = producer.candidates(element_features(events), events.offsets["element"])
    assert found["event"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.offsets["mlpfcandidate"], expected.offsets["mlpfcandidate"])
    for name in schema.CANDIDATES.names("mlpfcandidate"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_arrays_without_elements_or_events_give_none(model_path):
    producer = Producer(model_path)
    for offsets, num_events in ((None, 1), ([0, 0, 0], 2), ([0], 0)):
        found = producer.candidates(np.zeros((0, 55)), offsets)
        assert (len(found), found.size("mlpfcandidate")) == (num_events, 0)


@pytest.mark.parametrize("kind", [np.nan, np.inf, 1e30, -1.0, 1.5, 12.0])
def test_arrays_with_types_that_no_element_has_are_refused(model_path, kind):
    features = np.zeros((3, 55))
    features[2, 0] = kind
    with pytest.raises(ModelError, match=rf"features: row 2: type {re.escape(f'{kind:g}')} is none of 0 to 11; features go in raw"):
        Producer(model_path).candidates(features)


@pytest.mark.parametrize("features", [[["a"] * 55], [[1.0], [2.0, 3.0]], [[None] * 54 + [{}]]])
def test_what_is_no_array_of_numbers_is_refused(model_path, features):
    with pytest.raises(ModelError, match=r"features: not an array of numbers, \(N, 55\) is expected"):
        Producer(model_path).candidates(features)


@pytest.mark.parametrize("offsets", [[0, 3], [1, 4], [0, 3, 2, 4], [], [0.0, 4.0], [[0, 4]], np.array([0, 3, 2, 4], dtype=np.uint64)])
def test_boundaries_that_do_not_fit_the_elements_are_refused(model_path, offsets):
    with pytest.raises(ModelError, match=r"offsets: expected whole numbers that start at 0, never decrease and end at 4"):
        Producer(model_path).candidates(np.zeros((4, 55)), offsets)


# The momentum of each element depends on all elements of its event: on the mean of what is real.
MEAN_OVER_REAL = (
    "axis = Constant<value_ints = [1]>() sum = ReduceSum(clean, axis) real_float = Cast<to = 1>(real) number = ReduceSum(real_float, axis)"
    " mean = Div(sum, number) added = Add(clean, mean) p4 = MatMul(added, w_momentum)"
)


@pytest.fixture(scope="module")
def context_path(tmp_path_factory):
    replacements = [("p4 = MatMul(clean, w_momentum)", MEAN_OVER_REAL)]
    return write_toy_model(tmp_path_factory.mktemp("model") / "context.onnx", replacements)


def assert_close(found, expected):
    for values, others in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, others, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_elements", [1, 30, 100, 100_000])
def test_events_that_share_a_call_give_what_each_gives_alone(context_path, batch_elements):
    events = toy_events([12, 0, 3, 150, 12, 1, 11], dropped_share=0.0)
    selected = consumer_input(events)
    producer = Producer(context_path, batch_elements=batch_elements)
    together = producer.run_events(selected)
    assert len(producer.call_seconds) == len(list(producer.batches(np.diff(selected.offsets)))) == {1: 6, 30: 4, 100: 2, 100_000: 1}[batch_elements]
    for start, stop in pairwise(selected.offsets):
        assert_close((values[start:stop] for values in together), Producer(context_path).run(selected.features[start:stop]))


def test_a_model_that_minds_its_padding_is_seen_in_batches(tmp_path):
    path = write_toy_model(tmp_path / "padding.onnx", [("p4 = MatMul(clean, w_momentum)", MEAN_OVER_PADDING)])
    selected = consumer_input(toy_events([12, 50]))
    with pytest.raises(AssertionError):
        assert_close(Producer(path, batch_elements=1000).run_events(selected), Producer(path).run_events(selected))


def test_a_poisoned_event_leaves_the_others_of_its_call_alone(context_path):
    events = toy_events([20, 20, 20], dropped_share=0.0)
    selected = consumer_input(events)
    poisoned = selected._replace(features=selected.features.copy())
    poisoned.features[20:40, 1:] = np.nan
    producer = Producer(context_path, batch_elements=100)
    clean, found = producer.run_events(selected), producer.run_events(poisoned)
    assert len(producer.call_seconds) == 2
    for values, expected in zip(found, clean, strict=True):
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(np.delete(values, slice(20, 40), 0), np.delete(expected, slice(20, 40), 0))


def test_a_cpu_runs_one_event_per_call_unless_told(model_path):
    selected = consumer_input(toy_events([9, 8, 7], dropped_share=0.0))
    default, alone = Producer(model_path), Producer(model_path, batch_elements=0)
    for values, expected in zip(default.run_events(selected), alone.run_events(selected), strict=True):
        np.testing.assert_array_equal(values, expected)
    assert len(default.call_seconds) == len(alone.call_seconds) == 3


def test_batches_are_not_kept(model_path):
    rng = np.random.default_rng(1)
    offsets = np.arange(301) * 100
    selected = ConsumerInput(rng.normal(size=(30_000, 55)).astype(np.float32), np.arange(30_000), offsets)
    producer = Producer(model_path, batch_elements=1000)
    producer.run_events(selected)
    tracemalloc.start()
    outputs = producer.run_events(selected)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one_batch = 1000 * (55 + 1) * 4
    assert peak < sum(values.nbytes for values in outputs) + 4 * one_batch  # 30 batches in all


def test_threads_share_a_producer(context_path):
    rng = np.random.default_rng(2)
    events = [random_elements(rng, int(n)) for n in rng.integers(1, 400, 60)]
    producer = Producer(context_path)
    expected = [producer.run(features) for features in events]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(producer.run, events * 3))
    for values, others in zip(found, expected * 3, strict=True):
        for column, other in zip(values, others, strict=True):
            np.testing.assert_array_equal(column, other)
    assert len(producer.call_seconds) == 4 * 60


def test_elements_of_a_dataset_keep_their_positions_in_the_ntuple():
    ntuple = toy_events([6], dropped_share=0.0)
    columns = {name: ntuple[name] for name in schema.NTUPLE.names("element")} | {"element_index": np.array([0, 2, 3, 7, 8, 11])}
    dataset = Events(columns, ntuple.offsets, 1, "dataset", 0, schema.DATASET)
    assert consumer_input(dataset).element_index.tolist() == [0, 2, 3, 7, 8, 11]


def test_a_model_without_a_pileup_head_is_undecided_about_pileup(tmp_path):
    replacements = [(", float[batch, elements, 1] pu)", ")"), ("pu = MatMul(clean, w_pileup)", "")]
    outputs = Producer(write_toy_model(tmp_path / "three.onnx", replacements)).run(random_elements(np.random.default_rng(1), 4))
    assert outputs.pileup.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("case", [case for case in BROKEN_SIGNATURE if case != "an undeclared rank"])  # ONNX Runtime infers the rank
def test_a_model_of_another_signature_is_refused_with_what_was_found(case, tmp_path):
    replacements, message = BROKEN_SIGNATURE[case]
    path = write_toy_model(tmp_path / "toy.onnx", replacements)
    with pytest.raises(ModelError, match=r"toy\.onnx: not a model for this consumer") as error:
        Producer(path)
    assert message in str(error.value)


def test_a_model_made_for_other_features_is_refused(tmp_path):
    swapped = [schema.FEATURES[1], schema.FEATURES[0], *schema.FEATURES[2:]]
    path = write_toy_model(tmp_path / "toy.onnx", **{"mlpf.features": json.dumps(swapped), "mlpf.version": "0.0.9"})
    with pytest.raises(ModelError, match=r"made by mlpf 0\.0\.9 for other features"):
        Producer(path)
    same = write_toy_model(tmp_path / "same.onnx", **{"mlpf.features": json.dumps(schema.FEATURES)})
    assert "mlpf.features" in Producer(same).metadata


@pytest.mark.parametrize("shape", [(3, 54), (55,), (1, 3, 55)])
def test_features_of_another_shape_are_refused(shape, model_path):
    with pytest.raises(ModelError, match=r"expected \(N, 55\)"):
        Producer(model_path).run(np.zeros(shape))


ONE_400_5 = (  # the shape (1, 400, 5), so that the runtime does not see it before it runs
    "number = Shape<start = 1, end = 2>(mask) unit = Div(number, number) many = Constant<value_ints = [400]>() rows = Mul(unit, many)"
    " width = Constant<value_ints = [5]>() fixed = Concat<axis = 0>(unit, rows, width)"
)


def only_400(path):
    """A model that works on one event of 400 elements and fails on all others."""
    replacements = [
        ("float[batch, elements, 5] momentum", "float[batch, rows, 5] momentum"),
        ("momentum = Tanh(p4)", f"{ONE_400_5} tanh = Tanh(p4) momentum = Reshape(tanh, fixed)"),
    ]
    return write_toy_model(path, replacements)


@pytest.mark.parametrize("batch_elements", [0, 10_000])
def test_the_event_on_which_a_model_fails_is_named(tmp_path, batch_elements):
    producer = Producer(only_400(tmp_path / "toy.onnx"), batch_elements=batch_elements)
    events = toy_events([400, 7, 400], dropped_share=0.0, first_event=50)
    with pytest.raises(ModelError, match=r"toy\.onnx: fails on toy, entry 1 \(run 3, lumi 7, event 51\), 7 elements \(.*Reshape.*\)$"):
        producer(events)
    with pytest.raises(ModelError, match=r"toy\.onnx: fails on event 1 of 3, 7 elements"):
        producer.candidates(element_features(events), events.offsets["element"])
    with pytest.raises(ModelError, match=r"toy\.onnx: fails on event 0 of 1, 3 elements"):
        producer.run(np.zeros((3, 55)))


def test_events_that_fail_only_together_are_told_from_bad_ones(tmp_path):
    producer = Producer(only_400(tmp_path / "toy.onnx"), batch_elements=10_000)
    with pytest.raises(ModelError, match=r"fails on 2 events together, on none of them alone .*; pass a batch_elements below 10000"):
        producer(toy_events([400, 400], dropped_share=0.0))


def test_a_model_with_other_rows_than_elements_is_named(tmp_path):
    replacements = [
        ("float[batch, elements, 5] momentum", "float[batch, rows, 5] momentum"),
        ("momentum = Tanh(p4)", "tanh = Tanh(p4) momentum = Concat<axis = 1>(tanh, tanh)"),
    ]
    with pytest.raises(ModelError, match=r"fails on event 0 of 1, 6 elements \(output momentum has shape \(1, 12, 5\), expected \(1, 6, 5\)\)"):
        Producer(write_toy_model(tmp_path / "toy.onnx", replacements)).run(np.zeros((6, 55)))


def test_a_standalone_file_is_told_to_need_no_producer(tmp_path):
    outputs = {tensor.name: f"{'int32' if tensor.dtype == 'int32' else 'float'}[batch, elements] {tensor.name}" for tensor in STANDALONE_OUTPUTS}
    nodes = (f"{tensor.name} = Cast<to = {6 if tensor.dtype == 'int32' else 1}>(mask)" for tensor in STANDALONE_OUTPUTS)
    inputs = "float[batch, elements, 55] features, float[batch, elements] mask"
    text = f'<ir_version: 9, opset_import: ["" : 20]> alone ({inputs}) => ({", ".join(outputs.values())}) {{ {" ".join(nodes)} }}'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "alone.onnx")
    with pytest.raises(ModelError, match=r"alone\.onnx: of the target standalone, which makes candidates by itself; .*--target cmssw"):
        Producer(tmp_path / "alone.onnx")


def test_arrays_alone_need_no_readers_of_files():
    code = "import sys, mlpf.producer; assert not {'uproot', 'awkward', 'pyarrow', 'torch', 'pandas', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_producer_runs_with_torch_blocked(model_path):
    code = (
        "import sys; sys.modules['torch'] = None\nimport numpy as np\nfrom mlpf.producer import Producer, produce_files\n"
        f"assert Producer({str(model_path)!r}).run(np.zeros((3, 55))).binary.shape == (3, 2)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
