#!/usr/bin/env python
"""Exported models in the ONNX Runtimes of CMSSW and in the newest: `python scripts/measure_inference.py`, some minutes.

Writes the models (untrained: time does not depend on the weights) and a table of CPU time and memory of one event per call, one thread. Within a runtime all
models take turns, call by call, so that what else the machine does meets all alike; `mlpf benchmark inference` says where the time of one goes.
The older runtimes are those of `scripts/onnxruntimes.sh`; where there are none, only the installed one is measured.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RUNTIMES = Path(os.environ.get("MLPF_ONNXRUNTIMES", ROOT / ".onnxruntime"))
MEMORY_PROGRAM = ROOT / "mlpf" / "producer" / "memory_program.py"
SIZES = (500, 1000, 5000, 10_000)
MAX_SIZE = {"attention": 5000}  # its weights of all pairs: 1.6 GB each at 10 000
# Name: parameter file, what is changed of it, variant of the export.
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "window": ("window", {}, "plain"),
    "window_6_layers": ("window", {"num_layers": 6}, "plain"),
    "attention": ("attention", {}, "plain"),
    "attention_fused": ("attention", {}, "fused"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--repeat", type=int, default=9, help="calls of which the median counts")
    parser.add_argument("--input", type=Path, help="ntuple whose elements to take instead of random ones")
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "inference_cost", help="gets the models, the events and inference.md")
    parser.add_argument("--times", action="store_true", help=argparse.SUPPRESS)  # what the process of a runtime is told
    arguments = parser.parse_args()
    if arguments.times:
        print(json.dumps(times(arguments.output, arguments.sizes, arguments.repeat)))
        return
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        export(name, arguments.output)
    write_events(arguments.output, arguments.sizes, arguments.input)
    interpreters = [*sorted(RUNTIMES.glob("[0-9]*/bin/python")), Path(sys.executable)]
    text = "\n".join(line for python in interpreters for line in rows_of(python, arguments))
    head = "".join(f" {size} |" for size in arguments.sizes)
    table = f"| ONNX Runtime | model |{head} memory of the largest event [MB] |\n|---|---|{'--:|' * (len(arguments.sizes) + 1)}\n{text}\n"
    (arguments.output / "inference.md").write_text(table)
    print(table)


def export(name: str, folder: Path) -> None:
    """Write an untrained model as `mlpf export` does, without its checks."""
    import torch

    from mlpf.config import load_parameters
    from mlpf.export.exporter import ConsumerModule, make_graph
    from mlpf.nn.model import build_model, model_config

    parameters, changes, variant = MODELS[name]
    path = ROOT / "parameters" / f"{parameters}.yaml"
    torch.manual_seed(1)
    model = build_model(model_config({"model": {**load_parameters(path)["model"], **changes}}, path))
    (folder / f"{name}.onnx").write_bytes(make_graph(ConsumerModule(model.eval()), "cmssw", variant).SerializeToString())


def write_events(folder: Path, sizes: list[int], source: Path | None) -> None:
    """One event of each size."""
    from mlpf.cli.benchmark_inference import pool_of
    from mlpf.producer import consumer_input
    from mlpf.producer.cost import event_of_size

    pool = pool_of(source, max(sizes))
    for size in sizes:
        np.save(folder / f"{size}.npy", consumer_input(event_of_size(pool, size)).features)


def times(folder: Path, sizes: list[int], repeat: int) -> dict[str, Any]:
    """Version of this runtime, and median CPU seconds per model and size."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"]) for name in MODELS}
    medians: dict[str, dict[int, float]] = {name: {} for name in MODELS}
    for size in sizes:
        features = np.load(folder / f"{size}.npy")[None]
        feed = {"Xfeat_normed": features, "mask": np.ones(features.shape[:2], dtype=np.float32)}
        measured: dict[str, list[float]] = {name: [] for name in MODELS if size <= MAX_SIZE.get(name, size)}
        for _ in range(repeat + 1):
            for name, values in measured.items():
                start = time.process_time()
                sessions[name].run(None, feed)
                values.append(time.process_time() - start)
        for name, values in measured.items():
            medians[name][size] = float(np.median(values[1:]))
    return {"version": onnxruntime.__version__, "seconds": medians}


def rows_of(python: Path, arguments: argparse.Namespace) -> list[str]:
    """Lines of the table for one runtime."""
    words = ["--times", "--output", str(arguments.output), "--repeat", str(arguments.repeat), "--sizes", *map(str, arguments.sizes)]
    found = json.loads(run(python, __file__, *words))
    rows = []
    for name, seconds in found["seconds"].items():
        largest = max(map(int, seconds))
        event = int(run(python, "-P", str(MEMORY_PROGRAM), str(arguments.output / f"{name}.onnx"), str(arguments.output / f"{largest}.npy"), "1").split()[1])
        cells = [f"{1e3 * seconds[str(size)]:.3g}" if str(size) in seconds else "" for size in arguments.sizes]
        rows.append(f"| {found['version']} | {name} | {' | '.join(cells)} | {event / 1e6:.0f} (N = {largest}) |")
    return rows


def run(python: Path, *words: str) -> str:
    return subprocess.run([python, *words], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
