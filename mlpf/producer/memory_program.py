"""``python mlpf/producer/memory_program.py MODEL.onnx FEATURES.npy THREADS``: prints the peak memory of this process, and how much of it came with the event.

A program of its own that imports nothing but what a model needs, so that its memory is that of the model. Bytes; Linux only.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

NUM_CALLS = 3  # the first one grows the arena, another may grow it further


def peak_bytes() -> int:
    """Largest resident set so far; of this program alone, whereas getrusage would count that of its parent too."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def measure(path: str, features_path: str, threads: int) -> tuple[int, int]:
    """Peak memory, and its growth by the calls."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    features = np.load(features_path)[None]
    mask = np.ones(features.shape[:2], dtype=np.float32)
    feed = {tensor.name: features if len(tensor.shape) == features.ndim else mask for tensor in session.get_inputs()}
    loaded = peak_bytes()
    for _ in range(NUM_CALLS):
        session.run(None, feed)
    return peak_bytes(), peak_bytes() - loaded


if __name__ == "__main__":
    sys.stdout.write("{} {}".format(*measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
