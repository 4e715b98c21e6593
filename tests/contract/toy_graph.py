"""A hand-made model in ONNX's text form that keeps the consumer's contract, and variants that break one clause each."""

import numpy as np
import onnx

from mlpf.schema import FEATURE_INDEX

# Per element: binary, class and momentum are linear in the clean features; superclusters (type 10) are no particles; class 0 never wins.
GRAPH = """
<ir_version: 9, opset_import: ["" : 20]>
toy (float[batch, elements, 55] Xfeat_normed, float[batch, elements] mask)
    => (float[batch, elements, 2] bid, float[batch, elements, 9] id, float[batch, elements, 5] momentum, float[batch, elements, 1] pu)
{
    zero = Constant<value_float = 0.0>()
    last = Constant<value_ints = [2]>()
    nan = IsNaN(Xfeat_normed)
    inf = IsInf(Xfeat_normed)
    bad = Or(nan, inf)
    finite = Where(bad, zero, Xfeat_normed)
    low = Constant<value_float = -1000.0>()
    high = Constant<value_float = 1000.0>()
    bounded = Clip(finite, low, high)
    column = Unsqueeze(mask, last)
    half = Constant<value_float = 0.5>()
    real = Greater(column, half)
    clean = Where(real, bounded, zero)
    type_index = Constant<value_ints = [0]>()
    type = Gather<axis = 2>(clean, type_index)
    ten = Constant<value_float = 10.0>()
    is_sc = Equal(type, ten)
    yes = Constant<value_floats = [1.0, -1.0]>()
    binary = MatMul(clean, w_binary)
    bid = Where(is_sc, yes, binary)
    pid = MatMul(clean, w_pid)
    id = Add(pid, class_none)
    p4 = MatMul(clean, w_momentum)
    momentum = Tanh(p4)
    pu = MatMul(clean, w_pileup)
}
"""

MEAN_OVER_PADDING = "axis = Constant<value_ints = [1]>() mean = ReduceMean(clean, axis) added = Add(clean, mean) p4 = MatMul(added, w_momentum)"
RUNNING_SUM = "axis = Constant<value_int = 1>() sums = CumSum(binary, axis) bid = Where(is_sc, yes, sums)"
DIVISION_BY_OTHERS = (  # by N - 1
    "shape = Shape<start = 1>(mask) n = Cast<to = 1>(shape) one = Constant<value_float = 1.0>() others = Sub(n, one) momentum = Div(p4, others)"
)
CLASS_NONE_OF_REJECTED = (  # class 0 wins exactly there
    "first = Constant<value_ints = [0]>() second = Constant<value_ints = [1]>() no = Gather<axis = 2>(bid, first) so = Gather<axis = 2>(bid, second) "
    "rejected = Less(so, no) pushed = Neg(class_none) up = Add(pid, pushed) down = Add(pid, class_none) id = Where(rejected, up, down)"
)
PADDED_FEATURES = "pads = Constant<value_ints = [0, 0, 0, 0, 0, 14]>() wide = Pad(finite, pads) bounded = Clip(wide, low, high)"
# Clause that breaks -> replacements in the text.
BROKEN = {
    "IR version <= 9": [("ir_version: 9", "ir_version: 10")],
    "opset <= 20": [('"" : 20', '"" : 21')],
    "mask is used": [("column = Unsqueeze(mask, last)", "column = Constant<value_float = 1.0>()")],
    "order of elements": [("bid = Where(is_sc, yes, binary)", RUNNING_SUM)],
    "padding and batch": [("p4 = MatMul(clean, w_momentum)", MEAN_OVER_PADDING)],
    "non-finite and absurd features": [("bad = Or(nan, inf)", "bad = And(nan, inf)")],
    "superclusters": [("bid = Where(is_sc, yes, binary)", "bid = Identity(binary)")],
    "class none": [("id = Add(pid, class_none)", "id = Sub(pid, class_none)")],
    "momentum ratios": [("momentum = Tanh(p4)", "t = Tanh(p4) far = Constant<value_floats = [0.0, 0.0, 0.0, 0.0, 80.0]>() momentum = Add(t, far)")],
    "candidates of the consumer": [  # eta 1000: no energy is finite there
        ("momentum = Tanh(p4)", "t = Tanh(p4) far = Constant<value_floats = [0.0, 1000.0, 0.0, 0.0, 0.0]>() momentum = Add(t, far)")
    ],
    "any number of elements": [("momentum = Tanh(p4)", DIVISION_BY_OTHERS)],
    "an event without elements": [
        (
            "momentum = Tanh(p4)",
            "one = Constant<value_ints = [1]>() few, index = TopK<axis = 1>(p4, one) most = ReduceMax(few) all = Tanh(p4) momentum = Min(all, most)",
        )
    ],
}
# What is wrong with inputs or outputs -> replacements, what the message says.
BROKEN_SIGNATURE = {
    "a missing mask": ([(", float[batch, elements] mask", ""), ("Unsqueeze(mask, last)", "ReduceMax<keepdims = 1>(finite, last)")], "inputs are Xfeat_normed,"),
    "a further input": ([("elements] mask)", "elements] mask, float[1] extra)")], "inputs are Xfeat_normed, mask, extra"),
    "a double output": (
        [
            ("float[batch, elements, 2] bid", "double[batch, elements, 2] bid"),
            ("bid = Where(is_sc, yes, binary)", "b = Where(is_sc, yes, binary) bid = Cast<to = 11>(b)"),
        ],
        "output 0 is bid float64",
    ),
    "a fixed number of elements": ([("elements", "400")], "(?, 400, 55)"),
    "a fixed batch of one output": ([("float[batch, elements, 5] momentum", "float[1, elements, 5] momentum")], "output 2 is momentum float32 (1, ?, 5)"),
    "other features": ([("elements, 55]", "elements, 41]"), ("bounded = Clip(finite, low, high)", PADDED_FEATURES)], "(?, ?, 41)"),
    "swapped outputs": (
        [("float[batch, elements, 2] bid, float[batch, elements, 9] id", "float[batch, elements, 9] id, float[batch, elements, 2] bid")],
        "output 0 is id",
    ),
    "an undeclared rank": ([("float[batch, elements, 5] momentum", "float[] momentum")], "momentum float32 undeclared shape"),
}


def toy_model(replacements=(), seed=0):
    """The toy graph with pieces of its text replaced."""
    text = GRAPH
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(seed)
    class_none = np.zeros(9, dtype=np.float32)
    class_none[0] = -1e6
    weights = {name: 0.05 * rng.normal(size=(55, width)) for name, width in (("w_binary", 2), ("w_pid", 9), ("w_momentum", 5), ("w_pileup", 1))}
    weights["w_momentum"][FEATURE_INDEX["energy"]] = 0.0
    for name, values in (*weights.items(), ("class_none", class_none)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float32), name))
    return model


def write_toy_model(path, replacements=(), **metadata):
    """Write the toy graph; returns the path."""
    model = toy_model(replacements)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path
