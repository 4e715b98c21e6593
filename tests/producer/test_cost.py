"""What `mlpf benchmark inference` measures, on models whose cost is known."""

import numpy as np
import onnx
import pytest
from toy_graph import write_toy_model

from mlpf import schema
from mlpf.errors import ModelError
from mlpf.events import concatenate
from mlpf.features import consumer_elements
from mlpf.producer import Producer
from mlpf.producer.cost import InferenceCost, call_costs, event_of_size, memory, operator_seconds, pool_size
from mlpf.random_elements import random_elements
from mlpf.random_ntuple import random_events

# Holds a matrix of N x N numbers of 4 bytes.
SQUARE = """
<ir_version: 9, opset_import: ["" : 20]>
square (float[batch, elements, 55] Xfeat_normed, float[batch, elements] mask) => (float[batch, elements] sums)
{
    last = Constant<value_ints = [-1]>()
    middle = Constant<value_ints = [1]>()
    column = Unsqueeze(mask, last)
    row = Unsqueeze(mask, middle)
    matrix = Add(column, row)
    exponential = Exp(matrix)
    sums = ReduceSum<keepdims = 0>(exponential, last)
}
"""


@pytest.fixture(scope="module")
def pool():
    return random_events(np.random.default_rng(1), 6, 50)


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("model") / "toy.onnx")


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "square.onnx"
    onnx.save(onnx.parser.parse_model(SQUARE), path)
    return path


def test_an_event_has_the_size_asked_for_and_elements_of_the_first_events_that_hold_it(pool):
    assert pool_size(pool) == consumer_elements(pool["element_type"]).sum()
    first = pool_size(pool.slice(0, 1))
    for size in (1, first, first + 1, pool_size(pool)):
        event = event_of_size(pool, size)
        assert (len(event), pool_size(event)) == (1, size)
    event = event_of_size(pool, first - 1)
    own = concatenate([pool.slice(0, 1)])
    assert set(event["element_energy"]) <= set(own["element_energy"])
    positions = [own["element_energy"].tolist().index(energy) for energy in event["element_energy"]]
    assert positions == sorted(positions)  # in their order
    assert event_of_size(pool, 20)["element_pt"].tolist() == event_of_size(pool, 20)["element_pt"].tolist()


def test_every_pass_is_timed(model_path, pool):
    producer = Producer(model_path)
    costs = call_costs(producer, [event_of_size(pool, 30), event_of_size(pool, 60)], 4)
    assert len(producer.call_seconds) == 2 * (4 + 1)
    for cost, calls in zip(costs, np.reshape(producer.call_seconds, (5, 2)).T, strict=True):
        assert [times.shape for times in cost] == 3 * [(4,)]
        assert (cost.model > calls[1:]).all()
        assert (cost.model < calls[1:] + 0.1).all()
        assert (cost.around > 0).all()


def test_operators_are_those_of_the_graph_and_the_largest_comes_first(square):
    seconds = operator_seconds(square, random_elements(np.random.default_rng(1), 2000), 2)
    assert set(seconds) == {"Unsqueeze", "Add", "Exp", "ReduceSum"}
    assert list(seconds.values()) == sorted(seconds.values(), reverse=True)
    assert seconds["Exp"] > seconds["Unsqueeze"]


def test_memory_is_that_of_the_event(square):
    """Two matrices of 3000 x 3000 numbers, 36 MB each, for which ONNX Runtime takes up to twice as much; of 10 elements next to nothing."""
    small, large = (memory(square, random_elements(np.random.default_rng(1), n)) for n in (10, 3000))
    assert small.event < 3e6
    assert 72e6 < large.event < 1.1 * 2 * 72e6
    assert large.peak > large.event + 20e6


def test_a_process_that_fails_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none.onnx: a process that runs it on 5 elements ended with status 1"):
        memory(tmp_path / "none.onnx", np.zeros((5, schema.NUM_FEATURES), dtype=np.float32))


def test_a_model_is_measured_at_every_size(model_path, pool):
    cost = InferenceCost.measure(model_path, "cpu", [event_of_size(pool, size) for size in (5, 40)], 2)
    assert cost.sizes == [5, 40]
    assert [len(part) for part in (cost.calls, cost.memory, cost.operators)] == [2, 2, 2]
    assert "MatMul" in cost.operators[0]
    assert cost.latencies[1] is cost.calls[1].model_cpu
