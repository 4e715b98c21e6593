import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from mlpf.errors import ModelError
from mlpf.export.exporter import ConsumerModule, to_onnx
from mlpf.export.precision import HALF_MAX, to_half
from mlpf.nn.model import build_model, model_config
from mlpf.random_elements import random_elements

WIDTH = 4
MODELS = {
    "window": {"num_layers": 1, "num_heads": 2, "num_curves": 1, "window_size": 8},
    "message_passing": {"num_layers": 1, "num_neighbors": 4, "message_dim": 8},
    "gravnet": {"num_layers": 2, "num_neighbors": 4, "propagate_dim": 8},
    "gnn_lsh": {"num_layers": 1, "bin_size": 8, "message_dim": 8, "num_heads": 2},
    "attention": {"num_layers": 1, "num_heads": 2},
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("gravnet", "gnn_lsh", "attention")]


def network(nodes, weights, output="y", output_type=TensorProto.FLOAT):
    """A graph of ``x (N, 4) float32`` and one output."""
    shape = ["n", None] if output_type == TensorProto.FLOAT else ["n"]
    inputs, outputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])], [helper.make_tensor_value_info(output, output_type, shape)]
    initializers = [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()]
    nodes = [node if isinstance(node, onnx.NodeProto) else helper.make_node(*node) for node in nodes]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)], ir_version=9)


def run(model, *values):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([value.name for value in session.get_inputs()], values, strict=True)))


def types(model):
    """Type of each weight and of each tensor that a cast writes."""
    found = {weights.name: weights.data_type for weights in model.graph.initializer}
    return found | {node.output[0]: node.attribute[0].i for node in model.graph.node if node.op_type == "Cast"}


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in {"w": (WIDTH, 8), "b": (8,), "v": (8, 3)}.items()}


HIDDEN_AND_HEAD = [
    ("MatMul", ["x", "w"], ["h"]),
    ("Add", ["h", "b"], ["a"]),
    ("Sigmoid", ["a"], ["s"]),
    ("Mul", ["a", "s"], ["z"]),
    ("MatMul", ["z", "v"], ["y"]),
]


def test_the_first_layer_is_rounded_as_half_precision_rounds_and_the_last_is_not(weights):
    model = network(HIDDEN_AND_HEAD, weights)
    half = to_half(model)
    x = np.random.default_rng(1).normal(size=(100, WIDTH)).astype(np.float32)
    h = (x.astype(np.float16).astype(np.float64) @ weights["w"].astype(np.float16).astype(np.float64)).astype(np.float16)
    a = h + weights["b"].astype(np.float16)
    z = (a * (1 / (1 + np.exp(-a.astype(np.float64)))).astype(np.float16)).astype(np.float16)
    expected = z.astype(np.float64) @ weights["v"]
    (found,) = run(half, x)
    exact = run(model, x)[0]
    assert found.dtype == np.float32
    # CPU kernels may keep float32 between two operators of half precision, so that they round less often than the oracle, but not more coarsely.
    size = np.abs(z.astype(np.float64)) @ np.abs(weights["v"])
    assert (np.abs(found - expected) < 4 * 2.0**-11 * (size + 1)).all()
    assert 1e-5 < np.abs(found - exact).max() < 1e-2  # it is half precision, and no worse


def test_weights_of_the_inner_products_are_halves_and_nothing_else_is(weights):
    half = to_half(network(HIDDEN_AND_HEAD, weights))
    assert types(half) == {
        "w_half": TensorProto.FLOAT16,
        "b_half": TensorProto.FLOAT16,
        "x_half": TensorProto.FLOAT16,
        "v": TensorProto.FLOAT,
        "z_float": TensorProto.FLOAT,
    }
    onnx.checker.check_model(half, full_check=True)
    for value in (*half.graph.input, *half.graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT


def test_a_residual_connection_of_halves_is_one_and_a_norm_of_it_is_not(weights):
    residual = [("MatMul", ["z", "u"], ["update"]), ("Add", ["z", "update"], ["sum"]), ("LayerNormalization", ["sum", "gain"], ["n"])]
    weights |= {"u": np.eye(8, dtype=np.float32), "gain": np.ones(8, dtype=np.float32)}
    half = to_half(network([*HIDDEN_AND_HEAD[:-1], *residual, ("MatMul", ["n", "v"], ["y"])], weights))
    casts = {node.output[0] for node in half.graph.node if node.op_type == "Cast"}
    assert casts == {"x_half", "sum_float"}  # on entry, and before the norm


def test_the_graph_that_was_given_is_not_changed(weights):
    model = network(HIDDEN_AND_HEAD, weights)
    before = model.SerializeToString()
    to_half(model)
    assert model.SerializeToString() == before


def test_a_weight_that_is_used_on_both_sides_is_kept_in_both_types(weights):
    nodes = [*HIDDEN_AND_HEAD[:-1], ("Add", ["z", "b"], ["t"]), ("Exp", ["t"], ["e"]), ("Mul", ["e", "b"], ["f"]), ("MatMul", ["f", "v"], ["y"])]
    model = network(nodes, weights)
    half = to_half(model)
    assert {"b", "b_half"} <= set(types(half))
    x = np.ones((2, WIDTH), dtype=np.float32)
    np.testing.assert_allclose(run(half, x)[0], run(model, x)[0], rtol=0.1, atol=0.1)


def test_a_product_that_leads_to_an_order_is_exact_up_to_the_norm_before_it(weights):
    """Keys that half precision cannot tell apart, beside a chain that it may round."""
    order = [("MatMul", ["x", "direction"], ["key"]), ("Squeeze", ["key", "axes"], ["flat"]), ("TopK", ["flat", "k"], ["largest", "order"])]
    weights |= {"direction": np.ones((WIDTH, 1), dtype=np.float32), "axes": np.array([1]), "k": np.array([50])}
    half = to_half(network([*HIDDEN_AND_HEAD, *order], weights))
    half.graph.output.append(helper.make_tensor_value_info("order", TensorProto.INT64, [50]))
    assert types(half)["direction"] == TensorProto.FLOAT
    assert types(half)["w_half"] == TensorProto.FLOAT16
    keys = 1.0 + 1e-5 * np.random.default_rng(3).permutation(50)
    x = np.zeros((50, WIDTH), dtype=np.float32)
    x[:, 0] = keys
    np.testing.assert_array_equal(run(half, x)[1], np.argsort(-keys))
    assert len(np.unique(keys.astype(np.float16))) == 2  # half precision would have made ties of them


def test_a_norm_parts_what_may_be_rounded_from_what_leads_to_an_order(weights):
    norm = ("LayerNormalization", ["z", "gain"], ["n"])
    order = [
        ("MatMul", ["n", "v"], ["space"]),
        ("ReduceSum", ["space", "axes"], ["key"]),
        ("Squeeze", ["key", "axes"], ["flat"]),
        ("TopK", ["flat", "k"], ["largest", "order"]),
    ]
    weights |= {"gain": np.ones(8, dtype=np.float32), "axes": np.array([1]), "k": np.array([3])}
    half = to_half(network([*HIDDEN_AND_HEAD[:-1], norm, *order], weights, "order", TensorProto.INT64))
    assert (types(half)["w_half"], types(half)["v"]) == (TensorProto.FLOAT16, TensorProto.FLOAT)
    without = to_half(network([*HIDDEN_AND_HEAD[:-1], norm, ("MatMul", ["n", "v"], ["y"])], weights))
    assert types(without)["w_half"] == TensorProto.FLOAT16


def test_a_product_with_a_weight_beyond_half_precision_stays_exact(weights):
    weights["w"][0, 0] = 2 * HALF_MAX
    nodes = [*HIDDEN_AND_HEAD[:-1], ("LayerNormalization", ["z", "gain"], ["n"]), ("MatMul", ["n", "u"], ["m"]), ("MatMul", ["m", "v"], ["y"])]
    weights |= {"gain": np.ones(8, dtype=np.float32), "u": np.eye(8, dtype=np.float32)}
    model = network(nodes, weights)
    half = to_half(model)
    assert types(half)["w"] == TensorProto.FLOAT
    assert types(half)["u_half"] == TensorProto.FLOAT16
    x = np.ones((3, WIDTH), dtype=np.float32)
    np.testing.assert_allclose(run(half, x)[0], run(model, x)[0], rtol=2e-3, atol=2e-3)


def test_a_fused_attention_is_in_half_precision_but_for_its_mask(weights):
    attention = helper.make_node("MultiHeadAttention", ["q", "q", "q", "", "mask"], ["o"], domain="com.microsoft", num_heads=2)
    nodes = [("MatMul", ["x", "w"], ["h"]), ("Unsqueeze", ["h", "axis"], ["q"]), attention, ("Squeeze", ["o", "axis"], ["z"]), ("MatMul", ["z", "v"], ["y"])]
    weights |= {"axis": np.array([0]), "mask": np.array([[1, 1, 0]], dtype=np.int32)}
    model = network(nodes, weights)
    half = to_half(model)
    assert types(half)["mask"] == TensorProto.INT32
    (fused,) = (node for node in half.graph.node if node.op_type == "MultiHeadAttention")
    assert fused == attention  # reads and writes halves as they are
    x = np.random.default_rng(5).normal(size=(3, WIDTH)).astype(np.float32)
    np.testing.assert_allclose(run(half, x)[0], run(model, x)[0], atol=0.02)


def test_a_model_without_inner_products_is_refused(weights):
    with pytest.raises(ModelError, match="precision 'float16': the model has no matrix products"):
        to_half(network([("MatMul", ["x", "w"], ["y"])], weights))


@pytest.fixture(scope="module", params=["window", "message_passing", *SLOW])
def pair(request):
    """A model with weights that are not those of the start, in both precisions."""
    torch.manual_seed(0)
    model = build_model(model_config({"model": {"name": request.param, "width": 16, **MODELS[request.param]}})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.preprocess.fit(torch.from_numpy(random_elements(np.random.default_rng(11), 2000)))
    graph = to_onnx(ConsumerModule(model).eval())
    return graph, to_half(graph)


def test_any_model_is_valid_and_half_as_large_inside(pair):
    graph, half = pair
    onnx.checker.check_model(half, full_check=True)
    assert half.ir_version == graph.ir_version
    products = [node for node in half.graph.node if node.op_type in ("MatMul", "Gemm")]
    found = {value.name: value.type.tensor_type.elem_type for value in half.graph.value_info} | types(half)
    in_half = [node for node in products if all(found[name] == TensorProto.FLOAT16 for name in node.input)]
    assert len(in_half) >= 0.5 * len(products)
    # the last layers of binary, class, momentum and pileup
    assert sum(all(found.get(name) == TensorProto.FLOAT for name in node.input) for node in products) >= 4


def test_any_model_gives_nearly_the_same_outputs_and_decisions(pair):
    for num_elements in (0, 1, 9, 300):
        features = random_elements(np.random.default_rng(num_elements), num_elements)[None]
        exact, found = (run(model, features, np.ones(features.shape[:2], dtype=np.float32)) for model in pair)
        for a, b in zip(exact, found, strict=True):
            assert b.dtype == np.float32
            np.testing.assert_allclose(b, a, atol=0.03, rtol=0.03)
        margin = np.abs(exact[0][..., 1] - exact[0][..., 0]) > 0.06
        assert ((exact[0][..., 1] > exact[0][..., 0]) == (found[0][..., 1] > found[0][..., 0]))[margin].all()
    assert np.abs(exact[2] - found[2]).max() > 0  # it is not the same file


def test_any_model_gives_finite_outputs_for_absurd_features(pair):
    _, half = pair
    features = random_elements(np.random.default_rng(4), 110)[None]
    for value in (1e30, -1e30, np.inf, np.nan, 7e4):
        one, every = features.copy(), np.full_like(features, value)
        one[0, np.arange(110), np.arange(110) % 55] = value
        every[..., 0] = features[..., 0]
        for absurd in (one, every):
            assert all(np.isfinite(output).all() for output in run(half, absurd, np.ones(absurd.shape[:2], dtype=np.float32)))


def test_elements_are_ordered_by_nearly_the_same_numbers_and_by_the_same_bits_where_nothing_is_learned(pair):
    """Positions and curves are exact; a learned space is, too, but for the state that it is made of."""
    orders = []
    for model in pair:
        traced = copy.deepcopy(model)
        sorts = [node for node in traced.graph.node if node.op_type == "TopK"]
        if not sorts:
            pytest.skip("no order in this model")
        traced.graph.output.append(helper.make_empty_tensor_value_info(sorts[0].input[0]))
        features = random_elements(np.random.default_rng(8), 300)[None]
        orders.append(run(traced, features, np.ones((1, 300), dtype=np.float32))[-1])
    exact, found = orders
    learned = any("state_to_space" in name for name in types(pair[0])) or len(sorts) > 1  # a space for each layer or round
    assert found.dtype in (np.float32, np.float64)
    if learned:
        np.testing.assert_allclose(found, exact, rtol=0.01, atol=0.03)
    else:
        np.testing.assert_array_equal(found, exact)
