"""Row groups of files that `mlpf.io.parquet` wrote, read in half the time that Arrow needs: the levels of a collection are decoded once, and the values of
every column lie in its decompressed page as they are wanted.

Whatever stands in a damaged file, nothing is read or written where it must not be; what cannot be right is an error. Values that have changed are not noticed:
that takes the checksum in a dataset's manifest.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import cramjam
import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlpf import schema
from mlpf.events import Events, offsets_from_counts
from mlpf.io.compression import require
from mlpf.io.parquet import CREATED_BY, MAX_PAGE_BYTES

_MAX_HEADER = 40  # bytes, of a page
_MAX_ROWS = 1 << 24  # in a row group
_MAX_RATIO = 256  # LZ4 gives at most 255 bytes for one
_ALIGNMENT = 64  # bytes, of columns in memory
_HUGE_PAGES = 1 << 22  # bytes; numpy asks for huge pages from here on. In small ones, new memory costs as much time as all the rest of reading


def can_read(metadata: pq.FileMetaData) -> bool:
    """Whether a file is one of ours."""
    return metadata.created_by.startswith(CREATED_BY)


class GroupReader:
    """Reads row groups of one file, which stays open until `close`.

    Args:
        path: the file.
        metadata: of it.
        names: its columns; those of the layout are read.
        layout: what they are.

    Attributes:
        group_offsets: ``(G + 1,) int64`` first row of each row group, and of the first that is not there.

    Raises:
        ValueError: damaged.
        OSError: cannot be opened.
    """

    def __init__(self, path: str | Path, metadata: pq.FileMetaData, names: Sequence[str], layout: schema.Layout) -> None:
        require(len(names) == metadata.num_columns, "two lists of its columns differ")
        self._name, self._layout = str(path), layout
        self._positions = {name: position for position, name in enumerate(names) if name in layout.columns}
        self.group_offsets, self._pages = _find_pages(metadata)
        self._scratch = np.empty(0, np.uint8)
        self._file = pa.OSFile(str(path))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, groups: Sequence[int], names: Container[str] | None = None) -> Events:
        """Row groups, one after another; all columns, or those among ``names``.

        Raises:
            ValueError: damaged.
            cramjam.DecompressionError: damaged.
            OSError: cannot be read.
        """
        wanted = {name: position for name, position in self._positions.items() if names is None or name in names}
        num_rows = [int(self.group_offsets[group + 1] - self.group_offsets[group]) for group in groups]
        pages = self._pages[np.array(groups, dtype=np.int64)]
        room = pages[:, list(wanted.values()), 2].sum(axis=0) // _ALIGNMENT * _ALIGNMENT + _ALIGNMENT
        ends = np.cumsum(room)
        num_bytes = int(room.sum())
        block = np.empty(max(num_bytes, _HUGE_PAGES) if 2 * num_bytes > _HUGE_PAGES else num_bytes, np.uint8)
        lists: dict[str, list[_Lists]] = {name: [] for name in map(self._layout.collection_of.__getitem__, wanted) if not self._layout.collections[name].scalar}
        columns = {}
        for (name, position), end, size in zip(wanted.items(), ends.tolist(), room.tolist(), strict=True):
            known = lists.get(self._layout.collection_of[name], [_Lists.one_each(number) for number in num_rows])
            columns[name] = self._read_column(pages[:, position].tolist(), num_rows, known, self._layout.dtype(name), block[end - size : end])
        offsets = {name: offsets_from_counts(np.concatenate([np.empty(0, np.int64), *(part.counts for part in parts)])) for name, parts in lists.items()}
        return Events(columns, offsets, sum(num_rows), self._name, layout=self._layout)

    def _read_column(self, pages: list[list[int]], num_rows: list[int], known: list["_Lists"], dtype: np.dtype, out: np.ndarray) -> np.ndarray:
        """Values of a column, in ``out``; ``known`` is filled for the next of the same collection."""
        filled = 0
        for number, place in enumerate(pages):
            page = self._read_page(*place)
            if number == len(known):
                known.append(_Lists.of(page, num_rows[number]))
            levels = known[number].levels
            require(page[: len(levels)].tobytes() == levels, "columns of a collection have other numbers of entries")
            values = page[len(levels) :]
            require(len(values) == known[number].num_entries * dtype.itemsize, "a page has another number of values than its events have entries")
            out[filled : filled + len(values)] = values
            filled += len(values)
        return out[:filled].view(dtype)

    def _read_page(self, offset: int, compressed: int, uncompressed: int) -> np.ndarray:
        """``uint8`` levels and values of a page, valid until the next is read; the sizes are with its header."""
        content = self._file.read_at(compressed, offset)
        require(len(content) == compressed, "the file is too short")
        num_bytes, at = _size_in_header(content, 2)
        size, at = _size_in_header(content, at)
        header = compressed - size
        require(at < header < at + _MAX_HEADER and num_bytes == uncompressed - header, "sizes of a page are impossible")
        if compressed == uncompressed:
            return np.frombuffer(content, np.uint8)[header:]
        if len(self._scratch) < num_bytes:
            self._scratch = np.empty(num_bytes, np.uint8)
        page = self._scratch[:num_bytes]
        filled = cramjam.lz4.decompress_block_into(memoryview(content)[header:], page.data)
        require(filled == num_bytes, f"a page of {num_bytes} bytes decompressed to {filled}")
        return page


@dataclass(frozen=True)
class _Lists:
    """Entries of every event in a row group, and how the pages say so."""

    counts: np.ndarray
    num_entries: int
    levels: bytes

    @classmethod
    def of(cls, page: np.ndarray, num_rows: int) -> "_Lists":
        counts, size = decode_counts(page, num_rows)
        require(size > 0, "levels are damaged")
        return cls(counts, int(counts.sum()), page[:size].tobytes())

    @classmethod
    def one_each(cls, num_rows: int) -> "_Lists":
        return cls(np.ones(num_rows, np.int64), num_rows, b"")


def _find_pages(metadata: pq.FileMetaData) -> tuple[np.ndarray, np.ndarray]:
    """``(G + 1,) int64`` rows before each row group; ``(G, C, 3) int64`` place of the only page of each column there and its sizes, compressed and not."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    num_rows = np.array([group.num_rows for group in groups], dtype=np.int64)
    chunks = [group.column(column) for group in groups for column in range(metadata.num_columns)]
    pages = np.array([(c.data_page_offset, c.total_compressed_size, c.total_uncompressed_size) for c in chunks], dtype=np.int64)
    pages = pages.reshape(len(groups), metadata.num_columns, 3)
    offset, compressed, uncompressed = np.moveaxis(pages, 2, 0)
    require(bool(((num_rows >= 0) & (num_rows <= _MAX_ROWS)).all()), "the number of events of a row group is impossible")
    possible = (offset >= 0) & (compressed > 0) & (compressed <= uncompressed) & (uncompressed <= MAX_PAGE_BYTES + _MAX_HEADER)
    require(bool((possible & (uncompressed // _MAX_RATIO < compressed)).all()), "sizes of a page are impossible")
    require(bool((offset.flat[1:] == (offset + compressed).flat[:-1]).all()), "its pages do not follow each other")
    return offsets_from_counts(num_rows), pages


def _size_in_header(content: bytes, at: int) -> tuple[int, int]:
    """A size in the header of a page, see `mlpf.io.parquet_metadata.page_header`, and where the next field begins.

    Digits of 7 bits, from the lowest; the lowest bit of all would be the sign.
    """
    number = shift = 0
    for digit in content[at + 1 : at + 6]:
        number |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            break
    return number >> 1, at + 1 + shift // 7


@numba.njit(cache=True, nogil=True)
def decode_counts(content: np.ndarray, num_rows: int) -> tuple[np.ndarray, int]:
    """Entries per event by the levels at the beginning of a page, see `mlpf.io.parquet_pages.encode_levels`.

    Returns:
        ``(num_rows,) int64`` entries; number of bytes of the levels, 0 if they are damaged.
    """
    counts = np.zeros(num_rows, np.int64)
    row, at = -1, 4
    end = at + _length(content, 0)
    if end + 4 > len(content):
        return counts, 0
    while at < end:
        length, at = _run(content, at, end)
        if length <= 0 or (content[at] == 0 and row + length >= num_rows) or row + (content[at] == 0) < 0:
            return counts, 0
        if content[at] == 0:
            counts[row + 1 : row + 1 + length] = 1
            row += length
        else:
            counts[row] += length
        at += 1
    at = end + 4
    end = at + _length(content, end)
    if row != num_rows - 1 or end > len(content):
        return counts, 0
    row = 0
    while at < end:
        length, at = _run(content, at, end)
        if length <= 0:
            return counts, 0
        while length > 0:  # a run of entries holds whole events
            if row == num_rows or counts[row] > length or (content[at] == 0 and counts[row] != 1):
                return counts, 0
            length -= counts[row]
            counts[row] *= content[at] == 1
            row += 1
        at += 1
    return counts, end if row == num_rows else 0


@numba.njit(cache=True, nogil=True)
def _length(content: np.ndarray, at: int) -> int:
    """Length of levels in 4 bytes; 0 if they are not there."""
    if at + 4 > len(content):
        return 0
    length = 0
    for i in range(4):
        length |= numba.int64(content[at + i]) << 8 * i
    return length


@numba.njit(cache=True, nogil=True)
def _run(content: np.ndarray, at: int, end: int) -> tuple[int, int]:
    """Length of a run and where its level stands; 0 if that is beyond the end, or no run of a level."""
    length = shift = 0
    while at < end - 1 and shift < 35:
        digit = numba.int64(content[at])
        length |= (digit & 127) << shift
        shift += 7
        at += 1
        if digit < 128:
            return (0 if length & 1 or content[at] > 1 else length >> 1), at
    return 0, at
