"""Parquet files of events, written in half the time that Arrow needs: columns of a collection share the levels that say where events begin, which are encoded
once, and events are gathered from any number of decoded chunks on their way into the page.

Every column of a row group is one page of version 1, which all readers know: levels, then plain values, as LZ4 where that pays.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa

import mlpf
from mlpf.errors import DatasetError
from mlpf.events import Events, offsets_from_counts
from mlpf.io.parquet_metadata import ColumnFormat, footer, page_header, row_group
from mlpf.io.parquet_pages import describe_chunks, encode_columns, encode_levels, find_entries

CREATED_BY = "mlpf version "
MAX_PAGE_BYTES = 1 << 30  # Parquet counts the bytes of a page in 31 bits
MAX_ENTRIES = 1 << 26  # in a row group; with 8 bytes each, and their levels, they fit into a page
_OUT_BYTES = 1 << 20  # of pages encoded in one call; a buffer of this size stays in the processor's cache
_MAX_CHUNK_TAIL = 46  # bytes of what `describe_chunks` adds to the head of a column: four numbers of up to 11 bytes, two ends


@dataclass(frozen=True)
class Rows:
    """Events to write, of any of several chunks.

    Attributes:
        chunks: K chunks that hold the same columns.
        chunk: ``(R,) int64`` the chunk of each event.
        row: ``(R,) int64`` and its position there.
    """

    chunks: Sequence[Events]
    chunk: np.ndarray
    row: np.ndarray

    def __post_init__(self) -> None:
        assert self.chunks, "rows of no chunk"
        lengths = np.array([len(events) for events in self.chunks], dtype=np.int64)
        assert len(self.chunk) == len(self.row), "every event needs a chunk and a row"
        assert ((self.chunk >= 0) & (self.chunk < len(lengths))).all(), "no such chunk"
        assert ((self.row >= 0) & (self.row < lengths[self.chunk])).all(), "no such row"

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def all_of(cls, events: Events) -> "Rows":
        """A chunk as it is."""
        return cls((events,), np.zeros(len(events), dtype=np.int64), np.arange(len(events)))

    def count(self, collection: str) -> int:
        """Entries of a collection in all the events."""
        return sum(int(events.counts(collection)[self.row[self.chunk == i]].sum()) for i, events in enumerate(self.chunks))


@dataclass(frozen=True)
class _Located:
    """`Rows` by the addresses of their values: ``(columns, K)`` and ``(collections, K)``."""

    chunks: tuple[Events, ...]  # keeps the values alive
    values: np.ndarray
    offsets: np.ndarray
    chunk: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def followed_by(self, other: "_Located") -> "_Located":
        chunks = self.chunks + other.chunks
        values, offsets = np.hstack([self.values, other.values]), np.hstack([self.offsets, other.offsets])
        return _Located(chunks, values, offsets, np.concatenate([self.chunk, other.chunk + len(self.chunks)]), np.concatenate([self.row, other.row]))

    def part(self, start: int, stop: int) -> "_Located":
        return _Located(self.chunks, self.values, self.offsets, self.chunk[start:stop], self.row[start:stop])

    def without_unused_chunks(self) -> "_Located":
        used, chunk = np.unique(self.chunk, return_inverse=True)
        return _Located(tuple(self.chunks[i] for i in used), self.values.take(used, axis=1), self.offsets.take(used, axis=1), chunk, self.row)


class EventWriter:
    """Writes events into a binary stream. The bytes depend on the events and ``metadata`` alone, not on how they came.

    Args:
        stream: open for writing, at its beginning.
        example: events of the layout and the columns that all will have.
        metadata: pairs for the footer.
        rows_per_group: events of every row group but the last.
    """

    def __init__(self, stream: BinaryIO, example: Events, metadata: Mapping[str, str], rows_per_group: int) -> None:
        layout = example.layout
        self._stream, self._metadata, self._rows_per_group = stream, metadata, rows_per_group
        self._columns = [ColumnFormat(name, layout.dtype(name), not layout.is_scalar(name)) for name in layout.columns if name in example]
        heads = [column.chunk_head() for column in self._columns]
        self._heads, self._head_edges = np.frombuffer(b"".join(heads), np.uint8), offsets_from_counts(np.array([len(head) for head in heads]))
        self._chunks = np.empty(len(self._heads) + _MAX_CHUNK_TAIL * len(heads), np.uint8)
        self._widths = np.array([column.dtype.itemsize // 4 for column in self._columns])
        self._collections: dict[str, range] = {}  # positions of their columns
        for position, column in enumerate(self._columns):
            name = layout.collection_of[column.name]
            self._collections[name] = range(self._collections.get(name, range(position, 0)).start, position + 1)
        nothing = np.zeros(0, dtype=np.int64)
        self._pending = _Located((), nothing.reshape(len(self._columns), 0), nothing.reshape(len(self._collections), 0), nothing, nothing)
        self._scratch, self._out = np.empty(0, np.uint32), np.empty(_OUT_BYTES, np.uint8)
        self._row_groups: list[bytes] = []
        self._num_rows = self._offset = 0
        self._write(b"PAR1")

    def write(self, rows: Rows) -> None:
        """Append events; what does not fill a row group waits for more.

        Raises:
            DatasetError: events are too large for a page.
        """
        known = self._pending.followed_by(self._locate(rows))
        whole = len(known) // self._rows_per_group * self._rows_per_group
        for start in range(0, whole, self._rows_per_group):
            self._write_group(known.part(start, start + self._rows_per_group))
        self._pending = known.part(whole, len(known)).without_unused_chunks()

    def close(self) -> None:
        """Write what waits, and the footer; the stream stays open."""
        if len(self._pending) or not self._row_groups:  # awkward cannot read a file of no row group
            self._write_group(self._pending)
        metadata = {**self._metadata, "ARROW:schema": base64.b64encode(self._arrow_schema().serialize()).decode()}
        self._write(footer(self._columns, self._num_rows, self._row_groups, metadata, CREATED_BY + mlpf.__version__))

    def _arrow_schema(self) -> pa.Schema:
        """Types as Arrow has them: Arrow, awkward and pandas read them back the same."""
        fields = []
        for column in self._columns:
            kind = pa.from_numpy_dtype(column.dtype)
            fields.append(pa.field(column.name, pa.list_(pa.field("element", kind, nullable=False)) if column.is_list else kind, nullable=False))
        return pa.schema(fields, metadata=dict(self._metadata))

    def _locate(self, rows: Rows) -> _Located:
        values = np.zeros((len(self._columns), len(rows.chunks)), dtype=np.int64)
        offsets = np.zeros((len(self._collections), len(rows.chunks)), dtype=np.int64)
        for i, events in enumerate(rows.chunks):
            assert events.columns.keys() == {column.name for column in self._columns}, f"{events.source}: other columns than the events before"
            values[:, i] = [_address(events.columns[column.name]) for column in self._columns]
            offsets[:, i] = [_address(events.offsets[name]) if name in events.offsets else 0 for name in self._collections]
        return _Located(tuple(rows.chunks), values, offsets, rows.chunk, rows.row)

    def _write(self, content: bytes | memoryview) -> None:
        self._stream.write(content)
        self._offset += len(content)

    def _write_group(self, rows: _Located) -> None:
        begin, uncompressed, chunks = self._offset, 0, b""
        for number, (name, columns) in enumerate(self._collections.items()):
            starts, counts = find_entries(rows.offsets[number], rows.chunk, rows.row)
            if counts.sum() > MAX_ENTRIES:
                source = rows.chunks[rows.chunk[0]].source
                raise DatasetError(f"{source}: {len(rows)} events with {counts.sum()} entries of {name}, too many for a page of Parquet; leave out such events")
            is_list = self._columns[columns.start].is_list
            num_values = int(np.maximum(counts, 1).sum()) if is_list else len(rows)
            sizes = np.zeros((len(columns), 2), dtype=np.int64)
            levels = encode_levels(counts) if is_list else np.empty(0, np.uint32)
            header = np.frombuffer(page_header(num_values), np.uint8)
            chunk_offset = self._offset
            self._write_pages(
                rows.values[columns.start : columns.stop], self._widths[columns.start : columns.stop], rows.chunk, starts, counts, levels, header, sizes
            )
            size = describe_chunks(self._heads, self._head_edges[columns.start :], num_values, sizes, chunk_offset, self._chunks)
            chunks += self._chunks[:size].tobytes()
            uncompressed += int(sizes[:, 0].sum())
        self._row_groups.append(row_group(chunks, len(self._columns), len(rows), uncompressed, self._offset - begin, begin))
        self._num_rows += len(rows)

    def _write_pages(
        self,
        addresses: np.ndarray,
        widths: np.ndarray,
        chunk: np.ndarray,
        starts: np.ndarray,
        counts: np.ndarray,
        levels: np.ndarray,
        header: np.ndarray,
        sizes: np.ndarray,
    ) -> None:
        """Write the columns of a collection; arguments as of `encode_columns`."""
        num_words = len(levels) + int(counts.sum()) * int(widths.max())
        if len(self._scratch) < num_words:
            self._scratch = np.empty(num_words, np.uint32)
        if len(self._out) < len(header) + 4 * num_words:
            self._out = np.empty(len(header) + 4 * num_words, np.uint8)
        done = 0
        while done < len(addresses):
            some = sizes[done:]
            num_done = encode_columns(addresses[done:], widths[done:], chunk, starts, counts, levels, header, self._scratch, self._out, some)
            self._write(self._out[: some[:num_done, 1].sum()].data)
            done += num_done


def _address(values: np.ndarray) -> int:
    return values.__array_interface__["data"][0]
