"""Parquet files of events, written in half the time that Arrow needs: columns of a collection share the levels that say where events begin, which are encoded
once, and the compressor knows that it sees 4-byte values.

A file holds row groups of some events each, in them one page per column, and at its end the footer with the places of all pages (`mlpf.io.parquet_metadata`)::

    "PAR1" | row group 0: page, page, ... | row group 1 | ... | footer | its length (4 bytes) "PAR1"
    page:    header with sizes | levels, of a list: how many entries each event has | values, one after another

Levels and values are one LZ4 block where that pays. Pages are of version 1, which all readers know.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa

import mlpf
from mlpf.errors import DatasetError
from mlpf.events import Events
from mlpf.io.parquet_metadata import ColumnFormat, chunk, footer, page_header, page_header_end, row_group
from mlpf.io.parquet_pages import compress, encode_levels

CREATED_BY = "mlpf version "
MAX_PAGE_BYTES = 1 << 30  # Parquet counts the bytes of a page in 31 bits
MAX_ENTRIES = 1 << 26  # in a row group; with 8 bytes each, and their levels, they fit into a page
MIN_COMPRESSED = 512  # bytes; smaller pages gain less than their decompression costs
WORTHWHILE = 0.9  # pages that LZ4 leaves larger than this stay as they are


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

    def followed_by(self, other: "Rows") -> "Rows":
        """These events, then others."""
        chunk = np.concatenate([self.chunk, other.chunk + len(self.chunks)])
        return Rows((*self.chunks, *other.chunks), chunk, np.concatenate([self.row, other.row]))

    def part(self, start: int, stop: int) -> "Rows":
        """Some of the events, without the chunks that they do not need."""
        used, chunk = np.unique(self.chunk[start:stop], return_inverse=True)
        return Rows([self.chunks[i] for i in used] or self.chunks[:1], chunk, self.row[start:stop])

    def pieces(self) -> list[tuple[Events, int, int]]:
        """Chunk, first row and last row + 1 of events that follow each other there."""
        breaks = np.flatnonzero((np.diff(self.chunk) != 0) | (np.diff(self.row) != 1)) + 1
        starts = [0, *breaks.tolist()] if len(self) else []
        stops = [*starts[1:], len(self)]
        return [(self.chunks[self.chunk[a]], int(self.row[a]), int(self.row[b - 1]) + 1) for a, b in zip(starts, stops, strict=False)]


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
        self._collections: dict[str, list[tuple[ColumnFormat, bytes]]] = {}
        for column in self._columns:
            self._collections.setdefault(layout.collection_of[column.name], []).append((column, column.chunk_head()))
        self._pending = Rows.all_of(example).part(0, 0)
        self._values, self._block = np.empty(0, np.uint64), np.empty(0, np.uint8)  # memory that is used again costs a tenth of new memory
        self._row_groups: list[bytes] = []
        self._num_rows = self._offset = 0
        self._write(b"PAR1")

    def write(self, rows: Rows) -> None:
        """Append events; what does not fill a row group waits for more.

        Raises:
            DatasetError: events are too large for a page.
        """
        names = {column.name for column in self._columns}
        for events in rows.chunks:
            assert events.columns.keys() == names, f"{events.source}: other columns than the events before"
        known = self._pending.followed_by(rows)
        whole = len(known) // self._rows_per_group * self._rows_per_group
        for start in range(0, whole, self._rows_per_group):
            self._write_group(known.part(start, start + self._rows_per_group))
        self._pending = known.part(whole, len(known))

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

    def _write(self, content: bytes | memoryview) -> None:
        self._offset += self._stream.write(content)

    def _write_group(self, rows: Rows) -> None:
        begin, chunks, uncompressed = self._offset, [], 0
        pieces = rows.pieces()
        for name, columns in self._collections.items():
            spans, levels, num_values = pieces, np.empty(0, np.uint8), len(rows)
            if columns[0][0].is_list:
                spans, counts = _find_entries(name, pieces)
                assert len(counts) == len(rows), f"{name}: impossible offsets"
                levels, num_values = encode_levels(counts), int(np.maximum(counts, 1).sum())
            header_end = page_header_end(num_values)
            for column, head in columns:
                values = self._gather([events.columns[column.name][start:stop] for events, start, stop in spans], column.dtype)
                assert len(values) == sum(stop - start for _, start, stop in spans), f"{column.name}: {len(values)} values do not fit to the offsets"
                offset = self._offset
                num_bytes = self._write_page(levels, values, header_end)
                chunks.append(chunk(head, num_values, num_bytes, self._offset - offset, offset))
                uncompressed += num_bytes
        self._row_groups.append(row_group(chunks, len(rows), uncompressed, self._offset - begin, begin))
        self._num_rows += len(rows)

    def _gather(self, parts: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray:
        """The parts as one array, which is valid until the next call."""
        if len(parts) == 1 and parts[0].dtype == dtype:
            return parts[0]
        size = sum(map(len, parts))
        if self._values.nbytes < size * dtype.itemsize:
            self._values = np.empty(size, np.uint64)
        values = self._values.view(dtype)[:size]
        return np.concatenate(parts, out=values) if parts else values

    def _write_page(self, levels: np.ndarray, values: np.ndarray, header_end: bytes) -> int:
        """Write a page; number of its bytes if it were not compressed."""
        size = levels.nbytes + values.nbytes
        if len(self._block) < size:
            self._block = np.empty(size, np.uint8)
        num_bytes = compress(levels, values.view(np.uint32), self._block[: int(WORTHWHILE * size)]) if size >= MIN_COMPRESSED else 0
        header = page_header(size, num_bytes or size, header_end)
        self._write(header)
        for content in (self._block[:num_bytes],) if num_bytes else (levels, values):
            self._write(content.data)
        return len(header) + size


def _find_entries(collection: str, pieces: Sequence[tuple[Events, int, int]]) -> tuple[list[tuple[Events, int, int]], np.ndarray]:
    """Entries of a collection in some events: the same `Rows.pieces`, but counted in entries, and ``(R,) int64`` entries per event."""
    edges = [events.offsets[collection][start : stop + 1] for events, start, stop in pieces]
    spans = [(piece[0], int(edge[0]), int(edge[-1])) for piece, edge in zip(pieces, edges, strict=True)]
    counts = np.concatenate([np.empty(0, np.int64), *(edge[1:] - edge[:-1] for edge in edges)])
    assert (counts >= 0).all(), f"{collection}: impossible offsets"
    if counts.sum() > MAX_ENTRIES:
        number, source = counts.sum(), pieces[0][0].source
        raise DatasetError(f"{source}: {len(counts)} events with {number} entries of {collection}, too many for a page of Parquet; leave out such events")
    return spans, counts
