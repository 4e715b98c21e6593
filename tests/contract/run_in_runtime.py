"""`python run_in_runtime.py MODEL.onnx IN.npz OUT.npz`, for interpreters that have NumPy and ONNX Runtime only: outputs i of each event NAME (N, 55) as NAME_i.

The session is the consumer's: one thread, the CPU, nothing else set.
"""

import sys

import numpy as np
import onnxruntime


def main(path, events_path, output_path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = {"version": np.array(onnxruntime.__version__)}
    with np.load(events_path) as events:
        for name in events.files:
            features = events[name][None]
            outputs = session.run(None, {"Xfeat_normed": features, "mask": np.ones(features.shape[:2], np.float32)})
            found.update({f"{name}_{i}": output for i, output in enumerate(outputs)})
    np.savez(output_path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
