"""Row groups of files that `mlpf.io.parquet` wrote, read in half the time that Arrow needs: the levels of a collection are decoded once, and the values of
every column lie in its decompressed page as they are wanted.

Whatever stands in a damaged file, nothing is read or written where it must not be; what cannot be right is an error.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cramjam
import numba
import numpy as np
import pyarrow as pa

from mlpf import schema
from mlpf.events import Events, offsets_from_counts
from mlpf.io.compression import require
from mlpf.io.parquet import CREATED_BY, MAX_PAGE_BYTES
from mlpf.io.parquet_pages import PAGE_SIZES

_MIN_HEADER = PAGE_SIZES[1] + 5  # bytes
_MAX_ROWS = 1 << 24  # in a row group


def can_read(metadata: Any) -> bool:
    """Whether a file, by its ``pyarrow.parquet.FileMetaData``, is one of ours."""
    return metadata.created_by.startswith(CREATED_BY)


class GroupReader:
    """Reads row groups of one file, which stays open until `close`.

    Args:
        path: the file.
        metadata: ``pyarrow.parquet.FileMetaData`` of it.
        names: its columns; those of the layout are read.
        layout: what they are.

    Raises:
        OSError: cannot be opened.
    """

    def __init__(self, path: str | Path, metadata: Any, names: Sequence[str], layout: schema.Layout) -> None:
        self._name, self._metadata, self._layout = str(path), metadata, layout
        self._positions = {name: position for position, name in enumerate(names) if name in layout.columns}
        self._scratch = np.empty(0, np.uint32)
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
        row_groups = [self._metadata.row_group(group) for group in groups]
        require(all(0 <= row_group.num_rows <= _MAX_ROWS for row_group in row_groups), "the number of events of a row group is impossible")
        lists: dict[str, list[_Lists]] = {}
        columns = {}
        for name, position in self._positions.items():
            if names is None or name in names:
                collection, is_scalar = self._layout.collection_of[name], self._layout.is_scalar(name)
                known = [_Lists.one_each(row_group.num_rows) for row_group in row_groups] if is_scalar else lists.setdefault(collection, [])
                columns[name] = self._read_column(position, row_groups, known, self._layout.dtype(name))
        offsets = {name: offsets_from_counts(np.concatenate([part.counts for part in parts])) for name, parts in lists.items()}
        return Events(columns, offsets, sum(row_group.num_rows for row_group in row_groups), self._name, layout=self._layout)

    def _read_column(self, position: int, row_groups: Sequence[Any], known: list["_Lists"], dtype: np.dtype) -> np.ndarray:
        """Values of a column; ``known`` is filled for the next of the same collection."""
        chunks = [row_group.column(position) for row_group in row_groups]
        target = np.empty(sum(_num_words(chunk, dtype) for chunk in chunks), np.uint32)
        filled = 0
        for number, chunk in enumerate(chunks):
            words = self._read_page(chunk)
            if number == len(known):
                known.append(_Lists.of(words, row_groups[number].num_rows))
            values = words[known[number].num_words :]
            require(values.nbytes == known[number].num_entries * dtype.itemsize, "a page has another number of values than its events have entries")
            require(filled + len(values) <= len(target), "a page has more values than its chunk")
            target[filled : filled + len(values)] = values
            filled += len(values)
        return target[:filled].view(dtype)

    def _read_page(self, chunk: Any) -> np.ndarray:
        """``uint32`` words of the only page of a column in a row group (``pyarrow.parquet.ColumnChunkMetaData``), valid until the next is read."""
        total, uncompressed = chunk.total_compressed_size, chunk.total_uncompressed_size
        require(_MIN_HEADER < total <= uncompressed <= MAX_PAGE_BYTES + 64 and chunk.data_page_offset >= 0, "sizes of a page are impossible")
        content = self._file.read_at(total, chunk.data_page_offset)
        require(len(content) == total, "the file is too short")
        a, b, c, d, e = content[PAGE_SIZES[1] : _MIN_HEADER]  # digits of 7 bits, from the lowest; the lowest bit of all would be the sign
        size = (a & 127 | (b & 127) << 7 | (c & 127) << 14 | (d & 127) << 21 | e << 28) >> 1
        num_bytes = uncompressed - total + size
        require(total - size > _MIN_HEADER and 0 <= num_bytes <= MAX_PAGE_BYTES and num_bytes % 4 == 0, "sizes of a page are impossible")
        if total == uncompressed:
            return np.frombuffer(content, np.uint8)[total - size :].copy().view(np.uint32)
        if len(self._scratch) < num_bytes // 4:
            self._scratch = np.empty(num_bytes // 4, np.uint32)
        words = self._scratch[: num_bytes // 4]
        filled = cramjam.lz4.decompress_block_into(memoryview(content)[total - size :], words.view(np.uint8).data)
        require(filled == num_bytes, f"a page of {num_bytes} bytes decompressed to {filled}")
        return words


@dataclass(frozen=True)
class _Lists:
    """Entries of every event in a row group, and how many words of a page say so."""

    counts: np.ndarray
    num_entries: int
    num_words: int

    @classmethod
    def of(cls, page: np.ndarray, num_rows: int) -> "_Lists":
        counts, num_words = decode_counts(page, num_rows)
        require(num_words > 0, "levels are damaged")
        return cls(counts, int(counts.sum()), num_words)

    @classmethod
    def one_each(cls, num_rows: int) -> "_Lists":
        return cls(np.ones(num_rows, np.int64), num_rows, 0)


def _num_words(chunk: Any, dtype: np.dtype) -> int:
    """Words of the values in a page, or a few more."""
    num_words = chunk.num_values * dtype.itemsize // 4
    require(0 <= num_words <= MAX_PAGE_BYTES // 4, "sizes of a page are impossible")
    return num_words


@numba.njit(cache=True, nogil=True)
def decode_counts(words: np.ndarray, num_rows: int) -> tuple[np.ndarray, int]:
    """Entries per event by the levels at the beginning of a page, see `mlpf.io.parquet_pages.encode_levels`.

    Returns:
        ``(num_rows,) int64`` entries; number of words of the levels, 0 if they are damaged.
    """
    counts = np.zeros(num_rows, np.int64)
    content = words.view(np.uint8)
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
    if row != num_rows - 1 or end > len(content) or end % 4:
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
    return counts, end // 4 if row == num_rows else 0


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
