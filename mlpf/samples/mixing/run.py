"""Datasets -> a mixture: found, indexed, planned, and written by any number of processes, one shard at a time each.

What a run leaves undone, by an error, Ctrl-C, a kill or a power cut, the next run with the same arguments does; what is done, it finds.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mlpf.errors import MlpfError
from mlpf.io.files import check_replaceable, keep_only
from mlpf.io.resumable import Unfinished, resumable_directory
from mlpf.io.shards import MANIFEST, fingerprint, write_manifest
from mlpf.io.workers import map_in_order
from mlpf.samples.index import index_datasets, join_indices
from mlpf.samples.mixing.config import MixConfig
from mlpf.samples.mixing.plan import Mixture, Plan, Pool, plan_mixture
from mlpf.samples.mixing.sources import Source, common_columns, is_mixture, open_sources
from mlpf.samples.mixing.write import Input, ShardDone, ShardTask, close_inputs, make_shard


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
    inputs = tuple(Input(dataset.path, fingerprint(dataset)) for dataset in datasets)
    with ExitStack() as stack:
        places = [stack.enter_context(resumable_directory(folder)) for folder in folders]
        tasks = [list(_tasks(*made_of, config, inputs, columns)) for made_of in zip(plans, ranges, places, strict=True)]
        shards = _make(tasks, jobs, on_progress)
        for plan, made_range, place, made in zip(plans, ranges, places, shards, strict=True):
            description = _describe(config, sources, mixture, plan.select(_events_of(made_range, config)), part)
            write_manifest(place.new, [done.shard for done in made], description)
        for place in places:  # all are complete
            place.publish()
    return Report(mixture, tuple(_output(place.final, made) for place, made in zip(places, shards, strict=True)))


def make_pools(sources: Sequence[Source], jobs: int = 1) -> list[Pool]:
    """Index all datasets of all sources."""
    indices = index_datasets([dataset for source in sources for dataset in source.datasets], jobs)
    pools, first = [], 0
    for source in sources:
        mine = indices[first : first + len(source.datasets)]
        numbers = np.arange(first, first + len(mine), dtype=np.int32)
        pools.append(Pool(source.config, join_indices(mine), np.repeat(numbers, [len(index) for index in mine]), any(map(is_mixture, source.datasets))))
        first += len(mine)
    return pools


def _check_output(folder: Path, sources: Sequence[Source], overwrite: bool) -> None:
    for dataset in (dataset for source in sources for dataset in source.datasets):
        if dataset.path.resolve().is_relative_to(folder.resolve()):
            raise MlpfError(f"{folder}: {'is' if dataset.path.resolve() == folder.resolve() else 'holds'} one of the inputs; choose another output")
    if folder.exists() and not overwrite:
        raise MlpfError(f"{folder}: exists already; choose another output or pass --overwrite")
    check_replaceable(folder, MANIFEST)


def _events_of(shards: range, config: MixConfig) -> slice:
    return slice(shards.start * config.events_per_shard, shards.stop * config.events_per_shard)


def _tasks(plan: Plan, shards: range, place: Unfinished, config: MixConfig, inputs: tuple[Input, ...], columns: tuple[str, ...]) -> Iterator[ShardTask]:
    for number in shards:
        name = f"shard_{number:05d}"
        events = plan.select(_events_of(range(number, number + 1), config))
        yield ShardTask(events, inputs, columns, place.new / f"{name}.parquet", place.notes / f"{name}.json")


def _make(tasks: Sequence[Sequence[ShardTask]], jobs: int, on_progress: Callable[[int, int], object]) -> list[list[ShardDone]]:
    """The shards of every output, made or found; whatever else lies where they are made goes."""
    for mine in tasks:
        keep_only(mine[0].shard.parent, {task.shard.name for task in mine})
        keep_only(mine[0].note.parent, {task.note.name for task in mine})
    together = [task for mine in tasks for task in mine]
    made, total = 0, sum(len(task.plan) for task in together)
    on_progress(made, total)
    done = []
    try:
        for shard in map_in_order(make_shard, together, jobs):
            done.append(shard)
            made += shard.shard.num_events
            on_progress(made, total)
    finally:
        close_inputs()
    results = iter(done)
    return [list(islice(results, len(mine))) for mine in tasks]


def _output(folder: Path, made: Sequence[ShardDone]) -> Output:
    counts = (sum(done.shard.num_events for done in made), sum(done.shard.num_elements for done in made))
    return Output(folder, *counts, len(made), sum(done.found for done in made))


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
