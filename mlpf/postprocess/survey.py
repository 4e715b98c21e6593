"""A first look at all input files, before hours of work: which can be used, and into which parts they are divided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.io.inputs import open_input
from mlpf.io.workers import Workers
from mlpf.postprocess.policy import AnyPolicy, PostprocessConfig
from mlpf.postprocess.rows import columns_to_read


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes:
        path: the file.
        index: its place among the sources of the dataset.
        uuid: what tells it from other files, see `Input`.
        size: its bytes.
        version: kind and version of the file.
        num_events: events to use.
        missing: element columns that it lacks.
        numbered: its events have numbers; run and lumi may be missing.
        parts: ranges of events, one shard each.
        problem: why it cannot be used; empty if it can.
    """

    path: Path
    index: int = 0
    uuid: str = ""
    size: int = 0
    version: str = ""
    num_events: int = 0
    missing: tuple[str, ...] = ()
    numbered: bool = False
    parts: tuple[tuple[int, int], ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class _Look:
    """One file to look at; travels to another process."""

    path: Path
    policy: AnyPolicy
    part_bytes: int
    max_events: int | None

    def __str__(self) -> str:
        return str(self.path)


def choose_policy(inputs: Sequence[str | Path], config: PostprocessConfig) -> AnyPolicy:
    """The policy for all files: the named one, or what fits the first usable file.

    Raises:
        NtupleError: no file can be used.
    """
    problems = []
    for path in inputs:
        try:
            with open_input(path) as source:
                return config.choose(source.branches)
        except NtupleError as error:
            problems.append(str(error))
    raise none_usable(problems)


def none_usable(problems: Sequence[str]) -> NtupleError:
    """The error that says so."""
    if len(problems) == 1:
        return NtupleError(problems[0])
    return NtupleError(f"none of the {len(problems)} input files can be used; the first: {problems[0]}" if problems else "no input files")


def survey(inputs: Sequence[str | Path], policy: AnyPolicy, workers: Workers, part_bytes: int, max_events: int | None = None) -> list[Source]:
    """Look at all files; problems do not end it.

    Args:
        inputs: the files.
        policy: what is to be made of them.
        workers: who looks.
        part_bytes: uncompressed size of the columns of one part.
        max_events: use only the first events of every file.

    Returns:
        one source per input, in order.
    """
    looks = [_Look(Path(path), policy, part_bytes, max_events) for path in inputs]
    seen: dict[str, Path] = {}
    sources = []
    for index, source in enumerate(workers.map_in_order(_look, looks)):
        if not source.problem and source.uuid in seen:
            source = replace(source, problem=f"{source.path}: the same file as {seen[source.uuid]}, or a copy of it", uuid="")
        elif not source.problem:
            seen[source.uuid] = source.path
        sources.append(replace(source, index=index))
    return sources


def number_like(previous: Sequence[Mapping[str, Any]], sources: Sequence[Source]) -> list[Source]:
    """Sources in the order of an older dataset, so that its shards stay what they are; what is new follows.

    Args:
        previous: ``sources`` of its manifest.
        sources: of the survey.
    """
    by_uuid = {entry["uuid"]: number for number, entry in enumerate(previous) if "uuid" in entry}
    by_name = {entry["file"]: number for number, entry in enumerate(previous) if "uuid" not in entry}
    old: dict[int, Source] = {}
    new = []
    for source in sources:
        number = by_uuid.get(source.uuid, by_name.get(str(source.path), -1))
        if number < 0 or number in old:
            new.append(source)
        else:
            old[number] = source
    for number, entry in enumerate(previous):
        if number not in old and "skipped" in entry:  # no longer given, but it keeps its number
            old[number] = Source(Path(entry["file"]), problem=entry["skipped"])
    return [replace(source, index=index) for index, source in enumerate([*(old[number] for number in sorted(old)), *new])]


def _look(look: _Look) -> Source:
    try:
        with open_input(look.path) as source:
            for name in look.policy.required_columns:
                if name not in source.branches:
                    need = f"which the policy {look.policy.name} needs; choose another with postprocess.policy"
                    raise NtupleError(f"{look.path}: branch '{name}' is missing, {need}")
            if source.num_events == 0:
                raise NtupleError(f"{look.path}: holds no events")
            stop = source.num_events if look.max_events is None else min(source.num_events, look.max_events)
            parts = source.parts(columns_to_read(look.policy), look.part_bytes)
            return Source(
                path=look.path,
                uuid=source.uuid,
                size=look.path.stat().st_size,
                version=source.version,
                num_events=stop,
                missing=tuple(name for name in schema.NTUPLE.names("element") if name not in source.branches),
                numbered="event" in source.branches,  # Delphes and EDM4hep have no lumi, some of these files no run: 0
                parts=tuple((start, min(end, stop)) for start, end in parts if start < stop),
            )
    except NtupleError as error:
        return Source(look.path, problem=str(error))
    except FileNotFoundError:
        return Source(look.path, problem=f"{look.path}: removed while it was in use")
