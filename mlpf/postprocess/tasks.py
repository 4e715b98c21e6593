"""One part of one file -> one shard: what a worker does, and the note that says what a finished shard was made of."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.events import Events
from mlpf.hashes import event_marks
from mlpf.io import notes
from mlpf.io.files import flush_to_disk, sha256, writing
from mlpf.io.inputs import Input, open_input
from mlpf.io.notes import key_of, write_note
from mlpf.io.resumable import Unfinished
from mlpf.io.shards import Shard, table_to_events, write_parquet
from mlpf.io.workers import NO_PROCESS_SURVIVES
from mlpf.postprocess.duplicates import NO_MARKS
from mlpf.postprocess.policy import AnyPolicy
from mlpf.postprocess.rows import NonFinite, columns_to_read, postprocess_blocks
from mlpf.postprocess.summary import Summary
from mlpf.postprocess.survey import Source

CHUNK_BYTES = 60_000_000  # of ntuple columns read at a time, per process; the rest of the memory is a few times this


@dataclass(frozen=True)
class ShardTask:
    """One shard to make; travels to another process.

    Attributes:
        source: the file.
        start, stop: range of its events.
        policy, nonfinite: what to do, see `postprocess_events`.
        shard: path of the shard.
        note: path of the note on it.
        trusted: a shard that is there needs no check of its content.
    """

    source: Source
    start: int
    stop: int
    policy: AnyPolicy
    nonfinite: NonFinite
    shard: Path
    note: Path
    trusted: bool = False

    def __str__(self) -> str:
        return f"{self.source.path}: events {self.start} to {self.stop - 1}"

    @property
    def num_events(self) -> int:
        """Events of the shard."""
        return self.stop - self.start

    @property
    def key(self) -> str:
        """Digest of all that the content of the shard depends on."""
        made_of = {
            "input": [self.source.uuid, self.source.size, self.start, self.stop, self.source.index],
            "policy": [self.policy.name, self.policy.model_dump(mode="json"), self.nonfinite],
        }
        return key_of(made_of)


@dataclass(frozen=True)
class Note:
    """What a finished shard is.

    Attributes:
        key: see `ShardTask.key`.
        shard: as the manifest lists it.
        summary: what was read, dropped and matched.
    """

    key: str
    shard: Shard
    summary: Summary

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_note(path, self.key, {"shard": vars(self.shard), "summary": vars(self.summary)})


@dataclass(frozen=True)
class ShardDone:
    """A shard that is there, or ``problem`` says why not.

    Attributes:
        note: what it is.
        marks: `event_marks` of its events, none where they have no numbers.
        found: it was there before.
        problem: why the file cannot be used.
    """

    note: Note | None = None
    marks: np.ndarray = field(default_factory=lambda: NO_MARKS)
    found: bool = False
    problem: str = ""


def plan(sources: Sequence[Source], policy: AnyPolicy, nonfinite: NonFinite, unfinished: Unfinished) -> list[ShardTask]:
    """One task per part of every usable file; names of shards depend on the files alone."""
    tasks = []
    for source in sources:
        for number, (start, stop) in enumerate(source.parts):
            name = f"shard_{source.index:05d}_{number:03d}"
            tasks.append(ShardTask(source, start, stop, policy, nonfinite, unfinished.new / f"{name}.parquet", unfinished.notes / f"{name}.json"))
    return tasks


def read_note(task: ShardTask) -> Note | None:
    """The note on the task's shard, if both are there and it was made of the same."""
    content = notes.read_note(task.note, task.key, task.shard)
    return None if content is None else Note(content["key"], Shard(**content["shard"]), summary_from(content["summary"]))


def summary_from(content: Mapping[str, Any]) -> Summary:
    """A summary as JSON holds it."""
    counts: dict[str, Any] = {name: Counter(value) if isinstance(value, dict) else value for name, value in content.items()}
    return Summary(**counts)


def lost_shard(task: ShardTask) -> ShardDone:
    """What becomes of a task that no process survives."""
    return ShardDone(problem=f"{task}: {NO_PROCESS_SURVIVES}")


def make_shard(task: ShardTask) -> ShardDone:
    """Make a shard and its note, unless they are there."""
    note = read_note(task)
    if note is not None and (task.trusted or sha256(task.shard) == note.shard.sha256):
        with suppress(pa.ArrowException, OSError):  # damaged since then: made again
            return ShardDone(note, _marks_of_shard(task), found=True)
    rows = _Rows(task)
    try:
        with open_input(task.source.path) as source:
            if source.uuid != task.source.uuid:
                raise NtupleError(f"{source.path}: replaced by another file while it was in use")
            num_events, num_elements = write_parquet(task.shard, rows.of(source))
    except NtupleError as error:
        return ShardDone(problem=str(error))
    with writing(task.shard):
        flush_to_disk(task.shard)
    note = Note(task.key, Shard(task.shard.name, num_events, num_elements, sha256(task.shard)), rows.summary)
    note.write(task.note)
    return ShardDone(note, np.concatenate([NO_MARKS, *rows.marks]))


def _marks_of_shard(task: ShardTask) -> np.ndarray:
    if not task.source.numbered:
        return NO_MARKS
    return event_marks(table_to_events(pq.read_table(task.shard, columns=[*schema.IDENTITY, "element_energy"])))


class _Rows:
    """Streams the dataset rows of one part, a few events at a time, and keeps count."""

    def __init__(self, task: ShardTask) -> None:
        self.task = task
        self.summary = Summary()
        self.marks: list[np.ndarray] = []

    def of(self, source: Input) -> Iterator[Events]:
        """Rows of the part, in order."""
        task = self.task
        for events in source.iterate(columns_to_read(task.policy), CHUNK_BYTES, task.stop, task.start):
            for rows, summary in postprocess_blocks(events, task.policy, task.source.index, task.nonfinite):
                self.summary += summary
                if task.source.numbered:
                    self.marks.append(event_marks(rows))
                yield rows
