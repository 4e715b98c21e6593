"""What `mlpf mix` costs beside reading the same columns with pyarrow, and what its parts cost.

    python scripts/measure_mixing.py output/ttbar output/qcd output/ztautau

Every dataset is a source; all events are mixed. Medians of rounds in which every step has its turn. One job: CPU time, beside pyarrow with one thread. Two
jobs: time on the clock, beside pyarrow with all threads; that wants an idle machine, enough events to make up for the start of the processes, and TMPDIR on a
disk that keeps up.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow.parquet as pq

from mlpf.events import Events
from mlpf.io.files import flush_to_disk, sha256
from mlpf.io.shards import ShardedDataset, write_parquet
from mlpf.samples.mixing.config import MixConfig
from mlpf.samples.mixing.run import mix_datasets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events-per-shard", type=int, default=512)
    arguments = parser.parse_args()
    datasets = [ShardedDataset(path) for path in arguments.datasets]
    files = [dataset.path / shard.name for dataset in datasets for shard in dataset.shards]
    sources = [{"name": f"source{i}", "type": "all", "datasets": [str(path)]} for i, path in enumerate(arguments.datasets)]
    config = MixConfig.model_validate({"sources": sources, "events_per_shard": arguments.events_per_shard, "calc_weights": True})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        mix_datasets(config, folder / "mixture")  # compiles, and indexes the datasets
        size = sum(path.stat().st_size for path in files)
        mixture = ShardedDataset(folder / "mixture")
        if len(mixture) != sum(map(len, datasets)):
            parser.error(f"{sum(map(len, datasets)) - len(mixture)} events are duplicates; choose datasets that have no event in common")
        print(f"{len(mixture)} events, {size / 1e6:.0f} MB; mixture {sum((mixture.path / s.name).stat().st_size for s in mixture.shards) / 1e6:.0f} MB")
        steps = make_steps(datasets, files, config, folder)
        print_table(steps, arguments.rounds, sum(map(len, datasets)))


def make_steps(
    datasets: list[ShardedDataset], files: list[Path], config: MixConfig, folder: Path
) -> dict[str, tuple[Callable[[], float], Callable[[], object]]]:
    """Name -> clock and action."""
    written = sorted((folder / "mixture").glob("*.parquet"))

    def read(paths: Iterable[Path], threads: bool) -> None:
        for path in paths:
            file = pq.ParquetFile(path)
            for first in range(0, file.num_row_groups, 8):  # all at once takes longer: memory that is new
                file.read_row_groups(list(range(first, min(first + 8, file.num_row_groups))), use_threads=threads)

    def mix(jobs: int) -> None:
        shutil.rmtree(folder / "again", ignore_errors=True)
        mix_datasets(config, folder / "again", jobs=jobs)

    def chunks() -> Iterable[Events]:
        for dataset in datasets:
            yield from dataset.iterate(groups_per_chunk=1)

    some = next(iter(datasets[0].iterate(groups_per_chunk=8)))
    share = len(some) / sum(map(len, datasets))
    cpu, wall = time.process_time, time.perf_counter
    return {
        "pyarrow, 1 thread": (cpu, lambda: read(files, False)),
        "mlpf mix, 1 job": (cpu, lambda: mix(1)),
        "  reading row groups": (cpu, lambda: [None for _ in chunks()]),
        "  writing": (lambda: cpu() / share, lambda: write_parquet(folder / "some.parquet", [some])),
        "  sha256": (cpu, lambda: [sha256(path) for path in written]),
        "  flush to disk": (cpu, lambda: [flush_to_disk(path) for path in written]),
        "pyarrow, all threads": (wall, lambda: read(files, True)),
        "mlpf mix, 2 jobs": (wall, lambda: mix(2)),
    }


def print_table(steps: dict[str, tuple[Callable[[], float], Callable[[], object]]], rounds: int, num_events: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, (clock, action) in steps.items():
            before = clock()
            action()
            times[name].append((clock() - before) / num_events * 1e3)
    for name, values in times.items():
        print(f"{name:25} {statistics.median(values):8.3f} ms/event")
    for mixing, reading in (("mlpf mix, 1 job", "pyarrow, 1 thread"), ("mlpf mix, 2 jobs", "pyarrow, all threads")):
        rates = [b / a for a, b in zip(times[mixing], times[reading], strict=True)]
        print(f"{mixing}: {statistics.median(rates):.2f} ({min(rates):.2f} to {max(rates):.2f}) of the rate of {reading}")


if __name__ == "__main__":
    main()
