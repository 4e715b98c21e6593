"""Files of events of all kinds, ntuples, datasets and candidates, read piece by piece through one door."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.candidates import read_candidates
from mlpf.io.inputs import open_input
from mlpf.io.ntuple import holds_candidates
from mlpf.io.shards import MANIFEST, ROWS_PER_GROUP, ShardedDataset
from mlpf.schema import Layout

CHUNK_BYTES = 1 << 25
"""Of uncompressed columns that are in memory at a time."""


class Source(Protocol):
    """An open file or dataset; use as a context manager.

    Attributes:
        layout: what its columns are.
        columns: those it has.
        num_events: B.
    """

    layout: Layout
    columns: tuple[str, ...]
    num_events: int

    def chunks(self, columns: Sequence[str], size: int) -> list[tuple[int, int]]:
        """Ranges of events of about ``size`` bytes of these columns, from the first event to the last."""

    def read(self, columns: Sequence[str], start: int, stop: int) -> Iterator[Events]:
        """The events of a range, in order, in one or more pieces."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def open_source(path: str | Path) -> Source:
    """Open whatever holds events.

    Raises:
        MlpfError: it cannot be read, or holds none.
    """
    path = Path(path)
    if path.is_dir():
        return _Dataset(path)
    if path.suffix == ".parquet" or (path.suffix == ".root" and holds_candidates(path)):
        return _Whole(read_candidates(path))
    if path.suffix == ".root":
        return _File(path)
    raise MlpfError(f"{path}: not an ntuple, Delphes or EDM4hep file (.root), candidates (.root, .parquet) or a dataset ({MANIFEST})")


class _File:
    """A ROOT file that `open_input` knows."""

    layout = schema.NTUPLE

    def __init__(self, path: Path) -> None:
        self._file = open_input(path)
        self.columns = tuple(self._file.branches)
        self.num_events = self._file.num_events

    def chunks(self, columns: Sequence[str], size: int) -> list[tuple[int, int]]:
        return self._file.parts(columns, size)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Iterator[Events]:
        return self._file.iterate(columns, CHUNK_BYTES, stop, start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


class _Dataset:
    """A folder of shards."""

    layout = schema.DATASET

    def __init__(self, path: Path) -> None:
        self._dataset = ShardedDataset(path)
        if not self._dataset.shards:
            raise MlpfError(f"{path}: holds no events")
        self.columns = tuple(self._dataset.read_groups(0, []).columns)
        self.num_events = len(self._dataset)

    def chunks(self, columns: Sequence[str], size: int) -> list[tuple[int, int]]:
        num_elements = sum(shard.num_elements for shard in self._dataset.shards)
        bytes_per_event = 4 * (1 + len(columns)) * (1 + num_elements / max(self.num_events, 1))
        step = max(1, int(size / bytes_per_event) // ROWS_PER_GROUP) * ROWS_PER_GROUP
        return [(start, min(start + step, self.num_events)) for start in range(0, self.num_events, step)]

    def read(self, columns: Sequence[str], start: int, stop: int) -> Iterator[Events]:
        return self._dataset.read_range(start, stop, columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass


class _Whole:
    """Events that are in memory."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.layout = events.layout
        self.columns = tuple(events.columns)
        self.num_events = len(events)

    def chunks(self, columns: Sequence[str], size: int) -> list[tuple[int, int]]:  # noqa: ARG002
        return [(0, self.num_events)]

    def read(self, columns: Sequence[str], start: int, stop: int) -> Iterator[Events]:  # noqa: ARG002
        yield self._events.slice(start, stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass
