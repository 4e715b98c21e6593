"""Ntuple files -> a dataset folder: one shard per file, several files at a time, memory bounded by chunks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.events import Events
from mlpf.io.files import atomic_directory, check_replaceable, sha256
from mlpf.io.ntuple import Ntuple, empty_events
from mlpf.io.shards import MANIFEST, Shard, write_manifest, write_parquet
from mlpf.io.workers import map_in_order
from mlpf.postprocess.policy import AnyPolicy, PostprocessConfig
from mlpf.postprocess.rows import NonFinite, columns_to_read, postprocess_events
from mlpf.postprocess.summary import Summary

CHUNK_BYTES = 60_000_000  # of ntuple columns read at a time, per process; the rest of the memory is a few times this


@dataclass(frozen=True)
class Report:
    """What `postprocess_files` did.

    Attributes:
        policy: name of the policy.
        summary: counts over all files.
        duplicated_events: events whose (run, lumi, event) was there before.
        skipped: unusable file -> reason.
        missing_columns: element columns that at least one file lacks; they are 0 there.
    """

    policy: str
    summary: Summary
    duplicated_events: int
    skipped: dict[str, str] = field(default_factory=dict)
    missing_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Task:
    """One file to do; travels to another process."""

    path: Path
    shard: Path
    policy: AnyPolicy
    source_index: int
    nonfinite: NonFinite
    max_events: int | None


@dataclass(frozen=True)
class _Done:
    """One file done, or ``problem`` says why not."""

    path: Path
    shard: Shard | None = None
    summary: Summary = field(default_factory=Summary)
    version: str = ""
    missing: tuple[str, ...] = ()
    identities: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    problem: str = ""


def postprocess_files(
    inputs: Sequence[str | Path],
    output_dir: str | Path,
    config: PostprocessConfig | None = None,
    *,
    jobs: int = 1,
    nonfinite: NonFinite = "error",
    skip_bad: bool = False,
    overwrite: bool = False,
    max_events: int | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> Report:
    """Make a dataset from ntuples. The result does not depend on ``jobs``; nothing is left under ``output_dir`` unless all went well.

    Args:
        inputs: ntuple files; their positions are the values of the column ``source``.
        output_dir: the new folder.
        config: the choices; the default ones if None. A policy ``auto`` follows the first usable file and then holds for all.
        jobs: files done at a time, each by a process of its own.
        nonfinite: see `postprocess_events`.
        skip_bad: set unusable files aside instead of giving up.
        overwrite: replace an older dataset (never anything else).
        max_events: read only the first events of every file.
        on_file: called after each file.

    Raises:
        NtupleError: a file cannot be used (with ``skip_bad``: no file can).
        MlpfError: the output folder exists or cannot be written, or a process died.
    """
    if overwrite:
        check_replaceable(output_dir, MANIFEST)
    with atomic_directory(output_dir, overwrite) as folder:
        policy = _choose_policy(inputs, config or PostprocessConfig(), skip_bad)
        tasks = [_Task(Path(path), folder / f"shard_{i:05d}.parquet", policy, i, nonfinite, max_events) for i, path in enumerate(inputs)]
        results = []
        for done in map_in_order(_postprocess_file, tasks, jobs):
            if done.problem and not skip_bad:
                raise NtupleError(done.problem)
            results.append(done)
            on_file()
        report = _report(results, policy)
        write_manifest(folder, [done.shard for done in results if done.shard], _description(results, report, policy, nonfinite))
    return report


def _choose_policy(inputs: Sequence[str | Path], config: PostprocessConfig, skip_bad: bool) -> AnyPolicy:
    problems = []
    for path in inputs:
        try:
            with Ntuple(path) as ntuple:
                return config.choose(ntuple.branches)
        except NtupleError as error:
            if not skip_bad:
                raise
            problems.append(str(error))
    raise _none_usable(problems)


def _none_usable(problems: Sequence[str]) -> NtupleError:
    return NtupleError(f"none of the {len(problems)} input files can be used; the first: {problems[0]}" if problems else "no input files")


def _postprocess_file(task: _Task) -> _Done:
    chunks = _Chunks(task)
    try:
        with Ntuple(task.path) as ntuple:
            num_events, num_elements = write_parquet(task.shard, chunks.of(ntuple))
            missing = tuple(name for name in schema.NTUPLE.names("element") if name not in ntuple.branches)
            version = ntuple.version
    except NtupleError as error:
        return _Done(task.path, problem=str(error))
    shard = Shard(task.shard.name, num_events, num_elements, sha256(task.shard))
    return _Done(task.path, shard, chunks.summary, version, missing, np.concatenate(chunks.identities))


class _Chunks:
    """Streams the dataset rows of one file and keeps count."""

    def __init__(self, task: _Task) -> None:
        self.task = task
        self.summary = Summary()
        self.identities: list[np.ndarray] = []

    def of(self, ntuple: Ntuple) -> Iterator[Events]:
        """Rows of the file, chunk by chunk; an empty chunk where it has no events."""
        columns = columns_to_read(self.task.policy)
        yielded = False
        for events in ntuple.iterate(columns, CHUNK_BYTES, self.task.max_events):
            yield self._rows(events)
            yielded = True
        if not yielded:
            yield self._rows(empty_events([name for name in columns if name in ntuple.branches], str(ntuple.path)))

    def _rows(self, events: Events) -> Events:
        rows, summary = postprocess_events(events, self.task.policy, self.task.source_index, self.task.nonfinite)
        self.summary += summary
        known = len(rows) if events.has("run", "lumi", "event") else 0
        self.identities.append(np.stack([rows[name][:known] for name in ("run", "lumi", "event")], axis=1))
        return rows


def _report(results: Sequence[_Done], policy: AnyPolicy) -> Report:
    good = [done for done in results if done.shard]
    if not good:
        raise _none_usable([done.problem for done in results])
    identities = np.concatenate([done.identities for done in good])
    return Report(
        policy=policy.name,
        summary=sum((done.summary for done in good), Summary()),
        duplicated_events=len(identities) - len(np.unique(identities, axis=0)),
        skipped={str(done.path): done.problem for done in results if done.problem},
        missing_columns=tuple(dict.fromkeys(name for done in good for name in done.missing)),
    )


def _description(results: Sequence[_Done], report: Report, policy: AnyPolicy, nonfinite: NonFinite) -> dict[str, Any]:
    """What the manifest says of how the dataset was made."""
    sources = [
        {"file": str(done.path), "skipped": done.problem}
        if done.problem
        else {"file": str(done.path), "version": done.version, "num_events": done.summary.num_events, "missing_columns": list(done.missing)}
        for done in results
    ]
    return {
        "made_by": "mlpf postprocess",
        "policy": policy.name,
        "policy_options": policy.model_dump(mode="json"),
        "nonfinite": nonfinite,
        "sources": sources,
        "missing_columns": list(report.missing_columns),
        "counts": {**vars(report.summary), "duplicated_events": report.duplicated_events},
    }
