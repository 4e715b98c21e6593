"""Where events come from: files and dataset folders alike, read in ranges; and a first look at all of them before the work."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from mlpf import schema
from mlpf.errors import DatasetError, MlpfError, NtupleError
from mlpf.events import Events, concatenate
from mlpf.io.inputs import open_input
from mlpf.io.shards import ROWS_PER_GROUP, ShardedDataset, fingerprint
from mlpf.io.workers import Workers

NUMBERS = schema.NTUPLE.names("event")
COLUMNS = (*NUMBERS, *schema.NTUPLE.names("element"))
"""What the producer reads of an ntuple."""
DATASET_COLUMNS = ("element_index", *COLUMNS)
_AT_ONCE = 1 << 36  # bytes: more than any range has


class EventSource(ABC):
    """One open input; use as a context manager.

    Attributes:
        identity: what tells its content from that of all others.
        version: kind and version, for people.
        num_events: its events.
        missing: element columns that it lacks; they are read as 0.
    """

    identity: str
    version: str
    num_events: int
    missing: tuple[str, ...]

    @abstractmethod
    def parts(self, part_bytes: int) -> list[tuple[int, int]]:
        """Ranges of events that together are the input, of at most about so many bytes; they depend on the input alone."""

    @abstractmethod
    def read(self, start: int, stop: int, columns: Sequence[str] = ()) -> Events:
        """Some events, with these columns or with all that the producer needs.

        Raises:
            MlpfError: they cannot be read.
        """

    def chunks(self, part_bytes: int) -> Iterator[Events]:
        """All events with what the producer needs of them, a part at a time."""
        for start, stop in self.parts(part_bytes):
            yield self.read(start, stop)

    @abstractmethod
    def close(self) -> None:
        """Close the input."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def numbers(self, start: int, stop: int) -> Events:
        """Run, lumi and event number of some events, as events without elements; 0 where even they cannot be read."""
        try:
            return without_elements(self.read(start, stop, NUMBERS))
        except MlpfError:
            return without_elements(Events({}, {}, stop - start, first_entry=start))


class FileSource(EventSource):
    """An ntuple, a Delphes or an EDM4hep file."""

    def __init__(self, path: Path) -> None:
        self._input = open_input(path)
        self.identity = f"{self._input.uuid} {path.stat().st_size}"
        self.version = self._input.version
        self.num_events = self._input.num_events
        self.missing = tuple(name for name in schema.NTUPLE.names("element") if name not in self._input.branches)

    def parts(self, part_bytes: int) -> list[tuple[int, int]]:
        """See `EventSource.parts`."""
        return self._input.parts(COLUMNS, part_bytes)

    def read(self, start: int, stop: int, columns: Sequence[str] = ()) -> Events:
        """See `EventSource.read`."""
        (events,) = self._input.iterate(columns or COLUMNS, _AT_ONCE, stop, start)
        return events

    def close(self) -> None:
        """Close the file."""
        self._input.close()


class DatasetSource(EventSource):
    """A folder that `mlpf postprocess` or `mlpf mix` made."""

    version = "dataset"

    def __init__(self, path: Path) -> None:
        self._dataset = ShardedDataset(path)
        self.identity = fingerprint(self._dataset)
        self.num_events = len(self._dataset)
        self.missing = tuple(self._dataset.manifest.get("missing_columns", ()))

    def parts(self, part_bytes: int) -> list[tuple[int, int]]:
        """See `EventSource.parts`; whole row groups of one shard, their size by the mean of the dataset."""
        num_bytes = sum(shard.num_elements for shard in self._dataset.shards) * len(DATASET_COLUMNS) * np.dtype(np.float32).itemsize
        step = ROWS_PER_GROUP * max(1, self.num_events * part_bytes // max(num_bytes, 1) // ROWS_PER_GROUP)
        offsets = self._dataset.shard_offsets.tolist()
        return [(first, min(first + step, end)) for start, end in pairwise(offsets) for first in range(start, end, step)]

    def read(self, start: int, stop: int, columns: Sequence[str] = ()) -> Events:
        """See `EventSource.read`."""
        ranges = list(self._dataset.read_range(start, stop, columns or DATASET_COLUMNS))
        if sum(map(len, ranges)) != stop - start:
            raise DatasetError(f"{self._dataset.path}: rows {start} to {stop - 1} are not all there; make the dataset again with mlpf postprocess")
        return concatenate(ranges, str(self._dataset.path))

    def close(self) -> None:
        """Close all shards."""
        self._dataset.keep_open(())


def open_source(path: Path) -> EventSource:
    """Open an input.

    Raises:
        MlpfError: it is none, or cannot be read.
    """
    return DatasetSource(path) if path.is_dir() else FileSource(path)


def without_elements(events: Events) -> Events:
    """The same events with their numbers only."""
    numbers = {name: events[name] for name in NUMBERS}
    return Events(numbers, {"element": np.zeros(len(events) + 1)}, len(events), events.source, events.first_entry, events.layout)


@dataclass(frozen=True)
class Source:
    """What the first look at an input found.

    Attributes:
        path: the file or folder.
        identity, version, num_events, missing: see `EventSource`; events are those to use.
        parts: ranges of events, see `EventSource.parts`.
        problem: why it cannot be used; empty if it can.
    """

    path: Path
    identity: str = ""
    version: str = ""
    num_events: int = 0
    missing: tuple[str, ...] = ()
    parts: tuple[tuple[int, int], ...] = ()
    problem: str = ""

    def first(self, num_events: int) -> "Source":
        """The same without the events after so many."""
        parts = tuple((start, min(stop, num_events)) for start, stop in self.parts if start < num_events)
        return replace(self, parts=parts, num_events=min(num_events, self.num_events))


def survey(inputs: Sequence[str | Path], workers: Workers | None, part_bytes: int, max_events: int | None = None) -> list[Source]:
    """Look at all inputs; problems do not end it.

    Args:
        inputs: files and dataset folders.
        workers: who looks; None: this process alone.
        part_bytes: size of one part.
        max_events: use only so many events of all inputs together, the first ones.

    Returns:
        what was found of each; those after ``max_events`` are not looked at and left out.
    """
    look: Callable[[Path], Source] = partial(_look, part_bytes=part_bytes)
    paths = [Path(path) for path in inputs]
    sources = []
    for source in map(look, paths) if workers is None else workers.map_in_order(look, paths):
        sources.append(source if max_events is None else source.first(max_events))
        if max_events is not None:
            max_events -= sources[-1].num_events
            if max_events == 0:
                break
    return sources


def _look(path: Path, part_bytes: int) -> Source:
    try:
        with open_source(path) as source:
            return Source(path, source.identity, source.version, source.num_events, source.missing, tuple(source.parts(part_bytes)))
    except (NtupleError, DatasetError) as error:
        return Source(path, problem=str(error))
    except FileNotFoundError:
        return Source(path, problem=f"{path}: removed while it was in use")
