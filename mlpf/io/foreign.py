"""Files of other formats, opened and streamed like ntuples: what all such formats share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import awkward as ak
import numpy as np
import uproot

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.events import Events, offsets_from_counts
from mlpf.io.foreign_chunk import ForeignChunk
from mlpf.io.ntuple import CHUNK_BYTES
from mlpf.io.root import open_root, reading, reading_metadata
from mlpf.io.tables import Table


class ForeignFile(ABC):
    """One open file of another format; an `Input`, to be used as a context manager.

    Attributes: as of `mlpf.io.inputs.Input`.

    Raises:
        NtupleError: the file cannot be read as ROOT, or does not hold what the format needs.
    """

    tree_path: str
    version: str

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = open_root(self.path)
        try:
            with reading_metadata(self.path):
                self._tree = self._file[self.tree_path]
                if not isinstance(self._tree, uproot.TTree):
                    raise NtupleError(f"{self.path}: {self.tree_path} is a {self._tree.classname}, not a TTree")
                self.uuid = str(self._file.file.uuid)
                self.num_events = int(self._tree.num_entries)
                self.branches = self._find_branches()
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _find_branches(self) -> dict[str, str]:
        """Ntuple column -> what it is made of."""

    @abstractmethod
    def _chunk(self, start: int, stop: int) -> ForeignChunk:
        """Some events."""

    @property
    @abstractmethod
    def _bytes(self) -> int:
        """Uncompressed size of all branches that are ever read."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Columns of the ntuple that the format, or the file, does not give."""
        return tuple(name for name in schema.NTUPLE.columns if name not in self.branches)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def parts(self, columns: Sequence[str], part_bytes: int) -> list[tuple[int, int]]:  # noqa: ARG002 - columns of other formats share branches
        """Ranges of events that together are the file, of about ``part_bytes`` of uncompressed branches each; they depend on the file alone."""
        step = self._events_per_chunk(part_bytes)
        return [(first, min(first + step, self.num_events)) for first in range(0, self.num_events, step)]

    def _events_per_chunk(self, chunk_bytes: int) -> int:
        return max(1, int(self.num_events * chunk_bytes / max(self._bytes, 1)))

    def iterate(self, columns: Sequence[str] | None = None, chunk_bytes: int = CHUNK_BYTES, stop: int | None = None, start: int = 0) -> Iterator[Events]:
        """Stream the events in order; see `mlpf.io.ntuple.Ntuple.iterate`."""
        wanted = [name for name in (schema.NTUPLE.columns if columns is None else columns) if name in self.branches]
        end = self.num_events if stop is None else min(stop, self.num_events)
        step = self._events_per_chunk(chunk_bytes)
        for first in range(start, end, step):
            last = min(first + step, end)
            with reading(self.path, f"events {first} to {last - 1}"):
                events = self._chunk(first, last).events(wanted, str(self.path), first)
            yield events


def flat(array: ak.Array) -> tuple[np.ndarray, np.ndarray]:
    """Counts per event and flat values of a jagged array."""
    return ak.to_numpy(ak.num(array)), ak.to_numpy(ak.flatten(array, axis=1))


def read_table(members: Sequence[str], read: Callable[[str], tuple[np.ndarray, np.ndarray]], place: str, start: int, stop: int) -> Table:
    """Members of one collection as a table.

    Args:
        members: names.
        read: name -> counts per event and flat values.
        place: file and collection, for the message.
        start, stop: the entries.

    Raises:
        NtupleError: members disagree in length.
    """
    counts: np.ndarray | None = None
    columns = {}
    for name in members:
        found, columns[name] = read(name)
        if len(found) != stop - start:
            raise NtupleError(f"{place}: {name}: {len(found)} entries for events {start} to {stop - 1}, damaged?")
        counts = found if counts is None else counts
        if not np.array_equal(counts, found):
            event = int(np.argmax(counts != found))
            raise NtupleError(f"{place}: event {start + event}: {name}: {found[event]} values, the others have {counts[event]}; damaged?")
    assert counts is not None, f"{place}: no members"
    return Table(offsets_from_counts(counts), columns)
