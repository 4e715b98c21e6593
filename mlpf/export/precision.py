"""Half precision inside a graph: the matrix products and what lies between them; everything that decides or leaves the graph stays float32.

The division is that of mixed-precision training (`torch.autocast`): products of matrices, biases, activations and the sums of residual connections in half
precision, norms, softmax, exponentials and distances in float32. In addition these products stay float32:

- those that lead to an order (a space in which neighbours are looked for), so that no element changes its group by rounding;
- the last ones before an output, so that logits and momenta are not rounded.
"""

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mlpf.errors import ModelError

PRODUCTS = {"MatMul", "Gemm", "MultiHeadAttention"}  # the last is ONNX Runtime's own
NORMS = {"LayerNormalization", "SkipLayerNormalization"}  # whatever came before is forgotten but for its direction
ORDERS = {"TopK"}
LAYOUT = {"Concat", "Expand", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}  # move values, change none
ELEMENTWISE = {"Add", "Mul", "Sigmoid", "Sub"}  # biases, activations, residual connections (of which exact sums make no output more exact)
NUM_VALUES = {"MatMul": 2, "Gemm": 3, "MultiHeadAttention": 3, "Add": 2, "Mul": 2, "Sub": 2}  # inputs that are numbers; Concat: all; of others the first
HALF_MAX = float(np.finfo(np.float16).max)


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model that computes in half precision where that does no harm; its inputs and outputs keep their types.

    Weights become float16, which halves the file. Values beyond 65504 would become infinite: what enters a product is bounded by the model itself (scaled
    features, norms, weights of an attention), a product one of whose weights is larger stays float32, and `mlpf export` checks that outputs are finite
    whatever the features.

    Raises:
        ModelError: the graph has no product that could be in half precision.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = _Graph(half.graph)
    chosen = graph.choose()
    if not chosen:
        raise ModelError("precision 'float16': the model has no matrix products between its inputs and its heads; export it in float32")
    graph.rewrite(chosen)
    return half


class _Graph:
    """The nodes of a graph by what they read and write. Nodes are named by their positions."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.nodes = list(graph.node)
        self.writer = {name: i for i, node in enumerate(self.nodes) for name in node.output}
        self.readers: dict[str, list[int]] = {}
        for i, node in enumerate(self.nodes):
            for name in node.input:
                self.readers.setdefault(name, []).append(i)
        self.weights = {weights.name: weights for weights in graph.initializer}
        self.outputs = {value.name for value in graph.output}

    def choose(self) -> set[int]:
        """Nodes that are to compute in half precision."""
        exact = self._before((self.nodes[i].input[0] for i, node in enumerate(self.nodes) if node.op_type in ORDERS), lambda node: node.op_type in NORMS)
        exact |= self._before(self.outputs, lambda node: node.op_type in PRODUCTS)
        chosen = {i for i, node in enumerate(self.nodes) if node.op_type in PRODUCTS and i not in exact and self._constants_fit(node)}
        for i, node in enumerate(self.nodes):  # what is made of nothing but halves, in the order of the computation
            if node.op_type in LAYOUT | ELEMENTWISE and i not in exact and self._reads_halves(node, chosen):
                chosen.add(i)
        for i in reversed(range(len(self.nodes))):  # what is moved only to be read as halves: round first
            if self.nodes[i].op_type in LAYOUT and i not in chosen and self._is_read_as_half(i, chosen):
                chosen.add(i)
        return chosen

    def _before(self, names: Iterable[str], last: Callable[[onnx.NodeProto], bool]) -> set[int]:
        """Nodes that lead to a tensor, up to and with the nearest ones that are ``last``."""
        found: set[int] = set()
        waiting = [self.writer[name] for name in names if name in self.writer]
        while waiting:
            i = waiting.pop()
            if i in found:
                continue
            found.add(i)
            if not last(self.nodes[i]):
                waiting += [self.writer[name] for name in self.nodes[i].input if name in self.writer]
        return found

    def _constants_fit(self, node: onnx.NodeProto) -> bool:
        constants = [numpy_helper.to_array(self.weights[name]) for name in values_of(node) if name in self.weights]
        return all(values.dtype == np.float32 and np.abs(values).max(initial=0.0) <= HALF_MAX for values in constants)

    def _reads_halves(self, node: onnx.NodeProto, chosen: set[int]) -> bool:
        variable = [name for name in values_of(node) if name not in self.weights]
        return bool(variable) and all(self.writer.get(name) in chosen for name in variable) and self._constants_fit(node)

    def _is_read_as_half(self, i: int, chosen: set[int]) -> bool:
        node = self.nodes[i]
        readers = [reader for name in node.output for reader in self.readers.get(name, [])]
        others = self.outputs.intersection(node.output) or [r for r in readers if r not in chosen or not set(node.output) & set(values_of(self.nodes[r]))]
        return bool(readers) and not others and self._constants_fit(node)

    def rewrite(self, chosen: set[int]) -> None:
        """Give the chosen nodes halves to read, and all others what they read before."""
        halves = {name for i in chosen for name in self.nodes[i].output}
        wanted = {name for i in chosen for name in values_of(self.nodes[i])} - halves  # float32, read as half
        returned = {name for name in halves if any(reader not in chosen for reader in self.readers.get(name, []))}  # half, read as float32
        for i, node in enumerate(self.nodes):
            renamed = {name: f"{name}_half" for name in values_of(node) if name in wanted} if i in chosen else {name: f"{name}_float" for name in returned}
            for position, name in enumerate(node.input):
                node.input[position] = renamed.get(name, name)
        casts = {name: helper.make_node("Cast", [name], [f"{name}_half"], f"{name}_half", to=TensorProto.FLOAT16) for name in wanted - set(self.weights)}
        casts |= {name: helper.make_node("Cast", [name], [f"{name}_float"], f"{name}_float", to=TensorProto.FLOAT) for name in returned}
        self._insert(casts)
        self._round_weights(wanted & set(self.weights))
        for value in self.graph.value_info:
            if value.name in halves:
                value.type.tensor_type.elem_type = TensorProto.FLOAT16

    def _insert(self, casts: dict[str, onnx.NodeProto]) -> None:
        """Put each cast behind the node that writes what it reads, those of inputs of the graph first."""
        ordered = [cast for name, cast in casts.items() if name not in self.writer]
        for node in self.nodes:
            ordered += [node, *(casts[name] for name in node.output if name in casts)]
        del self.graph.node[:]
        self.graph.node.extend(ordered)

    def _round_weights(self, names: set[str]) -> None:
        for name in sorted(names):
            rounded = numpy_helper.from_array(numpy_helper.to_array(self.weights[name]).astype(np.float16), f"{name}_half")
            self.graph.initializer.append(rounded)
        read = {name for node in self.graph.node for name in node.input}
        kept = [weights for weights in self.graph.initializer if weights.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)


def values_of(node: onnx.NodeProto) -> list[str]:
    """Inputs of a node that are numbers to compute with or to move, not shapes, positions or masks."""
    count = len(node.input) if node.op_type == "Concat" else NUM_VALUES.get(node.op_type, 1)
    return [name for name in node.input[:count] if name]
