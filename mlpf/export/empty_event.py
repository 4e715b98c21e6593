"""``python -m mlpf.export.empty_event MODEL.onnx FEATURES MASK`` (names of the inputs): run a model on an event without elements.

In a process of its own, since some runtimes die of it: ONNX Runtime 1.20 to 1.26 divides by N in its fused attention (SIGFPE).
"""

import sys
from collections.abc import Sequence

import numpy as np
import onnxruntime

from mlpf import schema


def run_empty_event(path: str, inputs: Sequence[str]) -> None:
    """Run with N = 0; print what is wrong with the outputs, if anything is."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    features = np.zeros((1, 0, schema.NUM_FEATURES), dtype=np.float32)
    outputs = session.run(None, dict(zip(inputs, (features, features[:, :, 0]), strict=True)))
    for output, value in zip(session.get_outputs(), outputs, strict=True):
        if value.shape[:2] != (1, 0):
            sys.stdout.write(f"{output.name} has shape {value.shape} for no elements")


if __name__ == "__main__":
    run_empty_event(sys.argv[1], sys.argv[2:])
