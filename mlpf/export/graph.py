"""What the nodes of an ONNX graph tell without running it."""

from collections.abc import Iterator
from pathlib import Path

import onnx

from mlpf.errors import ModelError
from mlpf.producer.session import reason
from mlpf.producer.signature import Tensor

FUSED_DOMAIN = "com.microsoft"  # operators of ONNX Runtime alone
HALF_TYPES = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}


def read_model(path: str | Path) -> onnx.ModelProto:
    """The graph of a file, without the content of external data.

    Raises:
        ModelError: no such file, or not ONNX.
    """
    try:
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # protobuf's DecodeError, or whatever else damaged bytes lead to
        raise ModelError(f"{path}: not an ONNX file, damaged or truncated? ({reason(error)})") from error


def default_opset(model: onnx.ModelProto) -> int:
    """Version of the default operator set, the newest where functions of the file have another one; 0 where it names none."""
    imports = [*model.opset_import, *(opset for function in model.functions for opset in function.opset_import)]
    return max((opset.version for opset in imports if opset.domain in ("", "ai.onnx")), default=0)


def input_tensors(model: onnx.ModelProto) -> list[Tensor]:
    """Inputs of the graph; weights that older files list among them are none."""
    weights = {initializer.name for initializer in model.graph.initializer}
    return [_tensor(value) for value in model.graph.input if value.name not in weights]


def output_tensors(model: onnx.ModelProto) -> list[Tensor]:
    """Outputs of the graph."""
    return [_tensor(value) for value in model.graph.output]


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    known = kind.elem_type != onnx.TensorProto.UNDEFINED and kind.elem_type in onnx.TensorProto.DataType.values()
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)) if known else "unknown"
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim) if kind.HasField("shape") else None
    return Tensor(value.name, dtype, shape)


def graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """The graph, the bodies of its conditions and loops, and the functions of the file."""
    waiting: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += [body for node in graph.node for body in _bodies(node)]


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [body for attribute in node.attribute for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else []))]


def foreign_domains(model: onnx.ModelProto, domains: set[str]) -> list[str]:
    """Operator sets beyond ``domains`` that nodes use and that the file does not define itself, as functions."""
    used = {node.domain for graph in graphs(model) for node in graph.node}
    return sorted(used - domains - {function.domain for function in model.functions})


def external_weights(model: onnx.ModelProto) -> list[str]:
    """Names of weights that lie in another file."""
    return [
        weights.name
        for graph in graphs(model)
        if isinstance(graph, onnx.GraphProto)
        for weights in graph.initializer
        if weights.data_location == onnx.TensorProto.EXTERNAL
    ]


def variant_of(model: onnx.ModelProto) -> str:
    """``"fused"`` if any operator is ONNX Runtime's own, else ``"plain"``."""
    return "fused" if any(node.domain == FUSED_DOMAIN for graph in graphs(model) for node in graph.node) else "plain"


def precision_of(model: onnx.ModelProto) -> str:
    """``"float16"`` if any weight is in half precision or anything is cast to it, else ``"float32"``."""
    return "float16" if any(_holds_halves(graph) for graph in graphs(model)) else "float32"


def _holds_halves(graph: onnx.GraphProto | onnx.FunctionProto) -> bool:
    if isinstance(graph, onnx.GraphProto) and any(weights.data_type in HALF_TYPES for weights in graph.initializer):
        return True
    attributes = [(node.op_type, attribute) for node in graph.node for attribute in node.attribute]
    return any((op == "Cast" and attribute.name == "to" and attribute.i in HALF_TYPES) or attribute.t.data_type in HALF_TYPES for op, attribute in attributes)


def reaches_output(model: onnx.ModelProto, name: str) -> bool:
    """Whether any output is computed from an input."""
    wanted, reached = [output.name for output in model.graph.output], set[str]()
    writers = {output: node for node in model.graph.node for output in node.output}
    while wanted:
        value = wanted.pop()
        if value in reached:
            continue
        reached.add(value)
        if value in writers:
            wanted += _read_by(writers[value])
    return name in reached


def _read_by(node: onnx.NodeProto) -> list[str]:
    """Values that a node reads, also in its bodies; names that a body makes itself do no harm."""
    return [*node.input, *(name for body in _bodies(node) for inner in body.node for name in _read_by(inner))]
