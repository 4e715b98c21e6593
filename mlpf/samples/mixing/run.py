"""Datasets -> a mixture: found, indexed, planned, and written by any number of processes, one shard at a time each.

What a run leaves undone, by an error, Ctrl-C, a kill or a power cut, the next run with the same arguments does; what is done, it finds.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlpf.errors import MlpfError
from mlpf.io.files import check_replaceable
from mlpf.io.resumable import Unfinished, resumable_directory
from mlpf.io.shards import MANIFEST, write_manifest
from mlpf.io.workers import map_in_order
from mlpf.postprocess.finished import keep_only
from mlpf.samples.index import index_dataset, join_indices
from mlpf.samples.mixing.config import MixConfig
from mlpf.samples.mixing.plan import Mixture, Plan, Pool, plan_mixture
from mlpf.samples.mixing.sources import Source, common_columns, fingerprint, open_sources
from mlpf.samples.mixing.write import Input, ShardTask, close_inputs, make_shard


@dataclass(frozen=True)
class Part:
    """Which of ``n_jobs`` commands this is: each makes a contiguous part of the mixture, together they make all of it."""

    job_index: int = 0
    n_jobs: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.job_index < self.n_jobs:
            raise MlpfError(f"--job-index {self.job_index}: of {self.n_jobs} jobs, expected 0 to {self.n_jobs - 1}")

    def shards(self, num_shards: int, name: str) -> range:
        """The shards that this one makes."""
        if num_shards < self.n_jobs:
            raise MlpfError(f"--n-jobs {self.n_jobs}: {name} has only {num_shards} shards to share; take fewer jobs, or fewer events_per_shard")
        return range(num_shards * self.job_index // self.n_jobs, num_shards * (self.job_index + 1) // self.n_jobs)


@dataclass(frozen=True)
class Output:
    """A dataset that was written.

    Attributes:
        folder: where.
        num_events, num_elements: in it.
        num_shards: in it.
        shards_found: those that an earlier run had made.
    """

    folder: Path
    num_events: int
    num_elements: int
    num_shards: int
    shards_found: int


@dataclass(frozen=True)
class Report:
    """What `mix_datasets` did."""

    mixture: Mixture
    outputs: tuple[Output, ...]


def mix_datasets(
    config: MixConfig,
    output: str | Path,
    *,
    jobs: int = 1,
    part: Part | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], object] = lambda _made, _total: None,
) -> Report:
    """Mix datasets; who makes the shards, and how often that was interrupted, does not change their bytes.

    Args:
        config: what is mixed, and how.
        output: folder of the dataset; with mode per_entry that of their folders. Until complete they are ``.<name>.partial`` beside it.
        jobs: processes.
        part: make only a part of the mixture; all of it if None.
        overwrite: replace older datasets (never anything else).
        on_progress: called with events made and events to make.

    Raises:
        ConfigError: patterns find nothing, sources share a folder, or no column has a name that is disabled.
        DatasetError: an input is damaged, or does not fit to the others.
        MlpfError: a source gives no event, weights cannot be calculated, or the output cannot be written.
    """
    part = part or Part()
    sources = open_sources(config.sources)
    folders = [Path(output)] if config.mode == "all" else [Path(output) / source.name for source in config.sources]
    for folder in folders:
        _check_output(folder, sources, overwrite)
    datasets = [dataset for source in sources for dataset in source.datasets]
    columns = common_columns(datasets, config)
    mixture = plan_mixture(config, make_pools(sources, jobs))
    plans = [mixture.plan] if config.mode == "all" else [mixture.plan.select(mixture.plan.source == i) for i in range(len(sources))]
    ranges = [part.shards(-(-len(plan) // config.events_per_shard), str(folder)) for plan, folder in zip(plans, folders, strict=True)]
    total = sum(len(plan.select(_events_of(shards, config))) for plan, shards in zip(plans, ranges, strict=True))
    inputs = tuple(Input(dataset.path, fingerprint(dataset)) for dataset in datasets)
    outputs: list[Output] = []

    def show(made: int) -> None:
        on_progress(sum(finished.num_events for finished in outputs) + made, total)

    show(0)
    try:
        for folder, plan, shards in zip(folders, plans, ranges, strict=True):
            description = _describe(config, sources, mixture, plan.select(_events_of(shards, config)), part)
            with resumable_directory(folder) as unfinished:
                tasks = list(_tasks(plan, shards, config, inputs, columns, unfinished))
                outputs.append(_write(tasks, jobs, unfinished, description, show))
    finally:
        close_inputs()
    return Report(mixture, tuple(outputs))


def make_pools(sources: Sequence[Source], jobs: int = 1) -> list[Pool]:
    """Index all datasets of all sources."""
    pools, first = [], 0
    for source in sources:
        indices = [index_dataset(dataset, jobs) for dataset in source.datasets]
        numbers = np.repeat(np.arange(first, first + len(indices), dtype=np.int32), [len(index) for index in indices])
        pools.append(Pool(source.config, join_indices(indices), numbers))
        first += len(indices)
    return pools


def _check_output(folder: Path, sources: Sequence[Source], overwrite: bool) -> None:
    if any(folder.resolve() == dataset.path.resolve() for source in sources for dataset in source.datasets):
        raise MlpfError(f"{folder}: is one of the inputs; choose another output")
    if folder.exists() and not overwrite:
        raise MlpfError(f"{folder}: exists already; choose another output or pass --overwrite")
    check_replaceable(folder, MANIFEST)


def _events_of(shards: range, config: MixConfig) -> slice:
    return slice(shards.start * config.events_per_shard, shards.stop * config.events_per_shard)


def _tasks(plan: Plan, shards: range, config: MixConfig, inputs: tuple[Input, ...], columns: tuple[str, ...], unfinished: Unfinished) -> Iterator[ShardTask]:
    for number in shards:
        name = f"shard_{number:05d}"
        events = plan.select(_events_of(range(number, number + 1), config))
        yield ShardTask(events, inputs, columns, unfinished.new / f"{name}.parquet", unfinished.notes / f"{name}.json")


def _write(tasks: Sequence[ShardTask], jobs: int, unfinished: Unfinished, description: dict[str, Any], on_progress: Callable[[int], object]) -> Output:
    keep_only(unfinished.new, {task.shard.name for task in tasks})
    keep_only(unfinished.notes, {task.note.name for task in tasks})
    made, events = [], 0
    for done in map_in_order(make_shard, tasks, jobs):
        made.append(done)
        events += done.shard.num_events
        on_progress(events)
    write_manifest(unfinished.new, [done.shard for done in made], description)
    unfinished.publish()
    return Output(unfinished.final, events, sum(done.shard.num_elements for done in made), len(made), sum(done.found for done in made))


def _describe(config: MixConfig, sources: Sequence[Source], mixture: Mixture, plan: Plan, part: Part) -> dict[str, Any]:
    """The part of the manifest that says how the dataset was made."""
    written = mixture.written(plan)
    first = sources[0].datasets[0].manifest
    missing = dict.fromkeys(name for source in sources for dataset in source.datasets for name in dataset.manifest.get("missing_columns", ()))
    return {
        "made_by": "mlpf mix",
        "policy": first.get("policy"),
        "policy_options": first.get("policy_options"),
        "missing_columns": list(missing),
        "sources": [_entry(source, mixture, i, int(written[i].sum())) for i, source in enumerate(sources)],
        "bins": [_bin_entry(config, mixture, number, written) for number in np.flatnonzero(mixture.available.any(axis=0)).tolist()],
        "options": config.model_dump(mode="json", exclude={"sources"}),
        "part": vars(part),
    }


def _entry(source: Source, mixture: Mixture, number: int, num_events: int) -> dict[str, Any]:
    return {
        "name": source.config.name,
        "type": source.config.type,
        "weight": source.config.weight,
        "datasets": [{"folder": str(dataset.path), "num_events": len(dataset), "fingerprint": fingerprint(dataset)} for dataset in source.datasets],
        **vars(mixture.counts[number]),
        "num_events": num_events,
    }


def _bin_entry(config: MixConfig, mixture: Mixture, number: int, written: np.ndarray) -> dict[str, Any]:
    """A bin that has events: what every source has of them, gives to the whole mixture, and to this dataset."""
    counts = {"available": mixture.available, "quota": mixture.quota, "written": written}
    names = [source.name for source in config.sources]
    having = np.flatnonzero(mixture.available[:, number]).tolist()
    return {"bin": mixture.bins.label(number), **{kind: {names[i]: int(values[i, number]) for i in having} for kind, values in counts.items()}}
