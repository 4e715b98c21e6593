"""Names, types and shapes of a model's inputs and outputs, against what the consumer asks for."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlpf import schema


@dataclass(frozen=True)
class Tensor:
    """One graph input or output.

    Attributes:
        name: its name.
        dtype: type of its values, as NumPy writes it.
        shape: length of each axis, None for a free one; None altogether where even the number of axes is undeclared.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        axes = "undeclared shape" if self.shape is None else f"({', '.join('?' if axis is None else str(axis) for axis in self.shape)})"
        return f"{self.name} {self.dtype} {axes}"


# Inputs are an exact set, found by name; outputs are read by position (CMSSW) or by name (Triton). Axis 0 is the batch, axis 1 the elements.
INPUTS = (Tensor(schema.ONNX_INPUTS[0], "float32", (None, None, schema.NUM_FEATURES)), Tensor(schema.ONNX_INPUTS[1], "float32", (None, None)))
OUTPUT_WIDTHS = (2, schema.NUM_CLASSES, len(schema.MOMENTUM_COMPONENTS))
OUTPUTS = tuple(Tensor(name, "float32", (None, None, width)) for name, width in zip(schema.ONNX_OUTPUTS, OUTPUT_WIDTHS, strict=True))
PILEUP = Tensor("pu", "float32", (None, None, 1))  # optional fourth output, which CMSSW ignores


# A model of the target standalone gives candidates, one row per element.
STANDALONE_INPUTS = (Tensor("features", "float32", (None, None, schema.NUM_FEATURES)), Tensor("mask", "float32", (None, None)))
STANDALONE_OUTPUTS = tuple(
    Tensor(name, "int32" if name in ("pdgid", "charge") else "float32", (None, None))
    for name in ("pdgid", "pt", "eta", "phi", "energy", "charge", "score", "pileup")
)
TENSORS = {"cmssw": (INPUTS, (*OUTPUTS, PILEUP)), "standalone": (STANDALONE_INPUTS, STANDALONE_OUTPUTS)}
"""Inputs and outputs that `mlpf export` gives the files of each target."""


def signature_problems(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[str]:
    """What keeps a model of these inputs and outputs from being run by the consumer, a sentence each; empty if nothing does."""
    problems = []
    if {tensor.name for tensor in inputs} != set(schema.ONNX_INPUTS):
        problems.append(f"inputs are {_names(inputs)}, expected exactly {_names(INPUTS)}")
    expected_inputs = {tensor.name: tensor for tensor in INPUTS}
    problems += [
        f"input is {tensor}, expected {expected_inputs[tensor.name]}"
        for tensor in inputs
        if tensor.name in expected_inputs and tensor != expected_inputs[tensor.name]
    ]
    if len(outputs) < len(OUTPUTS):
        problems.append(f"outputs are {_names(outputs)}, expected {_names(OUTPUTS)} in this order")
    problems += [
        f"output {position} is {tensor}, expected {expected}"
        for position, (tensor, expected) in enumerate(zip(outputs, OUTPUTS, strict=False))
        if tensor != expected
    ]
    problems += [
        f"output {position} is {tensor}, expected float32 with free axes 0 and 1"
        for position, tensor in enumerate(outputs[len(OUTPUTS) :], start=len(OUTPUTS))
        if tensor.dtype != "float32" or tensor.shape is None or len(tensor.shape) < 2 or tensor.shape[:2] != (None, None)
    ]
    return problems


def standalone_problems(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[str]:
    """How inputs and outputs differ from those of the target standalone, a sentence each."""
    pairs = (("inputs", tuple(inputs), STANDALONE_INPUTS), ("outputs", tuple(outputs), STANDALONE_OUTPUTS))
    return [f"{which} are {', '.join(map(str, found))}; expected {', '.join(map(str, expected))}" for which, found, expected in pairs if found != expected]


def _names(tensors: Sequence[Tensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors) or "none"
