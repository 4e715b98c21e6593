"""Ntuple files -> a dataset folder: surveyed, divided into parts, made by any number of workers, one shard per part, memory bounded by chunks.

What a run leaves undone, by an error, Ctrl-C, a kill or a power cut, the next run with the same arguments does; what is done, it finds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlpf.errors import NtupleError
from mlpf.io.cluster import ClusterConfig, open_cluster
from mlpf.io.files import check_replaceable, keep_only
from mlpf.io.resumable import Unfinished, resumable_directory
from mlpf.io.shards import MANIFEST
from mlpf.io.workers import LocalWorkers, Workers
from mlpf.postprocess.finished import adopt, problems_of, publish, read_finished
from mlpf.postprocess.policy import PostprocessConfig
from mlpf.postprocess.rows import NonFinite
from mlpf.postprocess.summary import Summary
from mlpf.postprocess.survey import Source, choose_policy, none_usable, number_like, survey
from mlpf.postprocess.tasks import ShardDone, ShardTask, lost_shard, make_shard, plan, read_note, summary_from

PART_BYTES = 1_000_000_000  # uncompressed ntuple columns of one shard: seconds of work, so that little is lost and many can share it


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        shards: in all.
        shards_found: made by an earlier run.
        events: of the others.
        events_made: of those that are made.
    """

    shards: int
    shards_found: int
    events: int
    events_made: int = 0


@dataclass(frozen=True)
class Report:
    """What `postprocess_files` did.

    Attributes:
        policy: name of the policy.
        summary: counts over all files.
        repeated_numbers: events whose (run, lumi, event) was there before, with other elements.
        num_files: in all.
        skipped: unusable file -> reason.
        missing_columns: element columns that at least one file lacks; they are 0 there.
        num_shards: shards of the dataset.
        shards_found: those that an earlier run had made.
        complete: nothing was missing, and nothing was done.
    """

    policy: str
    summary: Summary
    repeated_numbers: int
    num_files: int
    skipped: dict[str, str] = field(default_factory=dict)
    missing_columns: tuple[str, ...] = ()
    num_shards: int = 0
    shards_found: int = 0
    complete: bool = False


def postprocess_files(
    inputs: Sequence[str | Path],
    output_dir: str | Path,
    config: PostprocessConfig | None = None,
    *,
    jobs: int = 1,
    cluster: ClusterConfig | None = None,
    nonfinite: NonFinite = "error",
    skip_bad: bool = False,
    overwrite: bool = False,
    max_events: int | None = None,
    part_bytes: int = PART_BYTES,
    on_progress: Callable[[Progress], object] = lambda _: None,
) -> Report:
    """Make a dataset from files of events, or what is missing of it; who makes it, and how often that was interrupted, does not change its bytes.

    A dataset that is there stays as it is if nothing is missing, and grows if files were added; older files keep their place in it.

    Args:
        inputs: files that `open_input` knows; their positions are the values of the column ``source``.
        output_dir: the folder. Until it is complete it is ``.<name>.partial`` beside it, where the next run finds what is finished.
        config: the choices; the default ones if None. A policy ``auto`` follows the first usable file and then holds for all.
        jobs: parts done at a time, each by a process of its own.
        cluster: processes elsewhere that do the parts instead; they write straight into the folder, so they must see the same file system.
        nonfinite: see `postprocess_events`.
        skip_bad: set unusable files aside, whole, and list them in ``skipped.txt``, instead of giving up.
        overwrite: replace an older dataset (never anything else).
        max_events: read only the first events of every file.
        part_bytes: uncompressed size of what becomes one shard.
        on_progress: called at the start and after each shard that was made.

    Raises:
        NtupleError: a file cannot be used (with ``skip_bad``: no file can). What was finished stays for the next run.
        MlpfError: the folder exists and is something else, is being made by another process, or cannot be written.
    """
    if overwrite:
        check_replaceable(output_dir, MANIFEST)
    with resumable_directory(output_dir) as unfinished, LocalWorkers(jobs) if cluster is None else open_cluster(cluster) as workers:
        finished = None if overwrite else read_finished(unfinished.final)
        policy = choose_policy(inputs, config or PostprocessConfig())
        sources = survey(inputs, policy, workers, part_bytes, max_events)
        _check([source.problem for source in sources], sources, skip_bad)
        if finished:
            sources = number_like(finished["sources"], sources)
        tasks = plan(sources, policy, nonfinite, unfinished)
        if finished:
            tasks = adopt(finished, tasks, unfinished)
            if all(task.trusted for task in tasks):
                unfinished.discard()
                return _report(finished, len(tasks), complete=True)
        _remove_strays(unfinished, tasks)
        made = []
        for task, done in _make(tasks, workers, on_progress):
            _check([done.problem], sources, skip_bad)
            made.append((task, done))
        problems = problems_of(sources, made)
        _check(problems.values(), sources, skip_bad)
        good = [(task, done) for task, done in made if task.source.index not in problems]
        description = publish(unfinished, sources, good, problems, policy, nonfinite)
    return _report(description, sum(done.found for _, done in good))


def _check(found: Iterable[str], sources: Sequence[Source], skip_bad: bool) -> None:
    """Give up because of the problems (empty: none), unless they are to be skipped and leave something."""
    problems = [problem for problem in found if problem]
    if len(problems) == len(sources):
        raise none_usable(problems)
    if problems and not skip_bad:
        more = f" (and {len(problems) - 1} more files cannot be used)" if len(problems) > 1 else ""
        raise NtupleError(f"{problems[0]}{more}; pass --skip-bad to set such files aside")


def _remove_strays(unfinished: Unfinished, tasks: Sequence[ShardTask]) -> None:
    keep_only(unfinished.new, {task.shard.name for task in tasks})
    keep_only(unfinished.notes, {task.note.name for task in tasks})


def _make(tasks: Sequence[ShardTask], workers: Workers, on_progress: Callable[[Progress], object]) -> Iterator[tuple[ShardTask, ShardDone]]:
    """All shards in order, made or found."""
    to_do = [task.num_events for task in tasks if read_note(task) is None]
    progress = Progress(len(tasks), len(tasks) - len(to_do), sum(to_do))
    on_progress(progress)
    for task, done in zip(tasks, workers.map_in_order(make_shard, tasks, lost_shard), strict=True):
        yield task, done
        if not done.found:
            made = progress.events_made + task.num_events
            progress = replace(progress, events_made=made, events=max(made, progress.events))  # more where a shard that was there is damaged
            on_progress(progress)


def _report(description: Mapping[str, Any], shards_found: int, complete: bool = False) -> Report:
    counts = dict(description["counts"])
    return Report(
        policy=description["policy"],
        repeated_numbers=counts.pop("repeated_numbers"),
        summary=summary_from(counts),
        num_files=len(description["sources"]),
        skipped={source["file"]: source["skipped"] for source in description["sources"] if "skipped" in source},
        missing_columns=tuple(description["missing_columns"]),
        num_shards=len(description["records"]),
        shards_found=shards_found,
        complete=complete,
    )
