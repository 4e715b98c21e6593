#!/usr/bin/env python
"""Time and memory of an evaluation: `python scripts/measure_evaluation.py --data output/ttbar --model output/run`, minutes on two cores.

The events are made of a dataset's own: as many that follow each other are joined into one as it takes to have `--elements` elements on average (with the jets
and particles of all of them, and the sum of their missing momenta). Such an event is as large as one with more pileup, but not what a detector would record.

Every measurement is made in a process of its own, which finds its kernels compiled. `models` is the time in the models, with what makes their
input and the candidates; `metrics` that of all numbers, `figures` that of figures and report; reading, writing and start-up are the rest of `all`.
`processor` is the time of all cores together: where it is far below `all` times the threads, others were busy on the machine, or one core waited for the other.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlpf.events import Events
from mlpf.io.files import sha256
from mlpf.io.shards import Shard, ShardedDataset, write_manifest, write_parquet

EVENTS_AT_ONCE = 512  # of the dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset to make the events of")
    parser.add_argument("--model", type=Path, nargs="+", required=True, help="run folders or .onnx files, each measured alone")
    parser.add_argument("--events", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--elements", type=int, default=1000, help="per event, on average")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # what the process of a measurement is told: model, events
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.data, Path(options.one[0]), int(options.one[1]))))
        return
    with tempfile.TemporaryDirectory(prefix="measure_evaluation_") as scratch:
        dataset = make_dataset(ShardedDataset(options.data), Path(scratch) / "events", options.elements, max(options.events))
        mean = sum(shard.num_elements for shard in dataset.shards) / len(dataset)
        print(f"{len(dataset)} events of {mean:.0f} elements, {options.threads} threads\n")
        print("| model | events | models | metrics | figures | all | processor | peak memory |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        for model in options.model:
            in_process(dataset.path, model, 10, options.threads)  # kernels are compiled, files are in memory
            for number in options.events:
                result = in_process(dataset.path, model, number, options.threads)
                seconds = " | ".join(f"{result['seconds'][name]:.1f} s" for name in ("models", "metrics", "figures", "all", "processor"))
                print(f"| {model.name} | {number} | {seconds} | {result['bytes'] / 1e6:.0f} MB |", flush=True)


def make_dataset(source: ShardedDataset, folder: Path, num_elements: int, num_events: int) -> ShardedDataset:
    """A dataset of events that are joined from those of another."""
    number = max(1, round(num_elements * len(source) / sum(shard.num_elements for shard in source.shards)))
    shard = folder / "shard.parquet"
    counts = write_parquet(shard, joined_events(source, number, num_events))
    write_manifest(folder, [Shard(shard.name, *counts, sha256(shard))], {"made_of": str(source.path)})
    if counts[0] < num_events:
        sys.exit(f"{source.path}: {len(source)} events make {counts[0]} by joining {number} of them, fewer than {num_events}; give a larger dataset")
    return ShardedDataset(folder)


def joined_events(source: ShardedDataset, number: int, num_events: int) -> Iterator[Events]:
    """Chunks of ``num_events`` events, each joined from ``number`` that follow each other; first from the 0th on, then from the 1st on ..."""
    made = 0
    for first in range(number):
        for start in range(first, len(source), number * EVENTS_AT_ONCE):
            for events in source.read_range(start, min(start + number * EVENTS_AT_ONCE, len(source))):
                left = min(len(events) // number, num_events - made)
                if left:
                    yield join(events.slice(0, left * number), number, made)
                    made += left


def join(events: Events, number: int, first: int) -> Events:
    """Every ``number`` events as one; their numbers count from ``first``."""
    columns = {name: values[::number] if events.layout.is_scalar(name) else values for name, values in events.columns.items()}
    offsets = {name: values[::number] for name, values in events.offsets.items()}
    met = [np.add.reduceat(events["genmet_pt"] * f(events["genmet_phi"]), np.arange(0, len(events), number)) for f in (np.cos, np.sin)]
    counts = np.diff(offsets["element"])
    columns |= {
        "event": np.arange(first, first + len(counts)),
        "genmet_pt": np.hypot(*met),
        "genmet_phi": np.arctan2(met[1], met[0]),
        "element_index": np.arange(counts.sum()) - np.repeat(offsets["element"][:-1] - offsets["element"][0], counts),
    }
    edges = {name for name, collection in events.layout.collection_of.items() if collection.endswith("edge")}  # they count elements
    return Events(
        {name: values for name, values in columns.items() if name not in edges},
        {name: values for name, values in offsets.items() if not name.endswith("edge")},
        len(counts),
        layout=events.layout,
    )


def in_process(dataset: Path, model: Path, num_events: int, threads: int) -> dict[str, Any]:
    """Result of `measure`."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "1000"}
    words = [sys.executable, __file__, "--data", dataset, "--model", model, "--one", model, num_events]
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{model}, {num_events} events:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(dataset: Path, model: Path, num_events: int) -> dict[str, Any]:
    """Seconds of the stages, and of everything since the process began; largest resident memory [bytes]."""
    from mlpf.evaluation import evaluate, load_predictor

    with tempfile.TemporaryDirectory(prefix="measure_evaluation_") as scratch:
        done = evaluate({"model": load_predictor(model)}, {"events": ShardedDataset(dataset)}, Path(scratch) / "out", "all", num_events)
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    everything = {"all": time.clock_gettime(time.CLOCK_BOOTTIME) - started(), "processor": time.process_time()}
    return {"seconds": {**done.seconds, **everything}, "bytes": 1024 * int(line.split()[1])}


def started() -> float:
    """When this process began, in seconds since the machine did."""
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
