"""What `mlpf scale` and `mlpf validate` cost beside reading the same columns with pyarrow.

    python scripts/measure_scaling.py output/ttbar output/qcd

Medians of rounds in which every step has its turn. One process: CPU time, beside pyarrow with one thread. Two: time on the clock, beside pyarrow with all
threads; that wants an idle machine, and enough events to make up for the start of the processes.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from mlpf import schema
from mlpf.io.shards import ShardedDataset
from mlpf.samples.split import SplitConfig
from mlpf.samples.statistics import measure_features
from mlpf.samples.validation.compare import validate
from mlpf.samples.validation.config import ValidationConfig

SCALED = (*(f"element_{name}" for name in schema.FEATURES if name not in ("sin_phi", "cos_phi")), "element_phi", *schema.IDENTITY)
VALIDATED = ("source", "element_type", "element_pt", "element_eta", "target_class", "target_pt", "target_eta")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", type=Path, nargs="+", help="of two shards or more")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    datasets = [ShardedDataset(path) for path in arguments.datasets]
    steps = make_steps(datasets)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(arguments.rounds + 1):
        for name, (clock, action) in steps.items():
            before = clock()
            action()
            if number:  # the first round compiles
                times[name].append((clock() - before) / sum(map(len, datasets)) * 1e3)
    for name, values in times.items():
        print(f"{name:36} {statistics.median(values):8.4f} ms/event")


def make_steps(datasets: list[ShardedDataset]) -> dict[str, tuple[Callable[[], float], Callable[[], object]]]:
    """Name -> clock and action."""
    cpu, wall = time.process_time, time.perf_counter
    return {
        "pyarrow, columns of scale, 1 thread": (cpu, lambda: read(datasets, SCALED, threads=False)),
        "mlpf scale, 1 job": (cpu, lambda: measure_features(datasets, None, SplitConfig())),
        "pyarrow, the same, all threads": (wall, lambda: read(datasets, SCALED, threads=True)),
        "mlpf scale, 2 jobs": (wall, lambda: measure_features(datasets, None, SplitConfig(), jobs=2)),
        "pyarrow, columns of validate": (cpu, lambda: read(datasets, VALIDATED, threads=False)),
        "mlpf validate, without figures": (cpu, lambda: [validate(dataset, ValidationConfig()) for dataset in datasets]),
    }


def read(datasets: Sequence[ShardedDataset], columns: Sequence[str], threads: bool) -> None:
    for dataset in datasets:
        for shard in dataset.shards:
            file = pq.ParquetFile(dataset.path / shard.name)
            for first in range(0, file.num_row_groups, 8):  # all at once takes longer: memory that is new
                file.read_row_groups(list(range(first, min(first + 8, file.num_row_groups))), columns=list(columns), use_threads=threads)


if __name__ == "__main__":
    main()
