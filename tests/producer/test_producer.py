import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from toy_events import toy_events
from toy_graph import BROKEN_SIGNATURE, write_toy_model

from mlpf import schema
from mlpf.errors import ModelError
from mlpf.events import Events
from mlpf.producer import Producer, consumer_input
from mlpf.producer.session import open_session
from mlpf.random_elements import random_elements


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("model") / "toy.onnx")


def test_three_lines_on_arrays_give_what_the_runtime_gives(model_path):
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


def test_a_model_that_fails_while_running_is_named(tmp_path):
    replacements = [("momentum = Tanh(p4)", "fixed = Constant<value_ints = [1, 400, 5]>() tanh = Tanh(p4) momentum = Reshape(tanh, fixed)")]
    text = [("float[batch, elements, 5] momentum", "float[batch, rows, 5] momentum")]
    path = write_toy_model(tmp_path / "toy.onnx", text + replacements)
    with pytest.raises(ModelError, match=r"toy\.onnx"):
        Producer(path).run(np.zeros((3, 55)))


def test_what_is_not_a_model_is_refused_by_name(tmp_path):
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"garbage.onnx: ONNX Runtime .* cannot load it"):
        Producer(path)
    with pytest.raises(ModelError, match="no such file"):
        Producer(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match=r"a folder; mlpf export makes a model"):
        Producer(tmp_path)


def test_an_unknown_device_is_refused(model_path):
    with pytest.raises(ModelError, match="choose one of cpu, cuda"):
        open_session(model_path, "tpu")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA")
def test_a_gpu_that_is_not_there_is_no_silent_cpu(model_path):
    with pytest.raises(ModelError, match="pass --device cpu"):
        open_session(model_path, "cuda")


def test_the_producer_runs_with_torch_blocked(model_path):
    code = (
        "import sys; sys.modules['torch'] = None\nimport numpy as np\nfrom mlpf.producer import Producer, produce_files\n"
        f"assert Producer({str(model_path)!r}).run(np.zeros((3, 55))).binary.shape == (3, 2)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
