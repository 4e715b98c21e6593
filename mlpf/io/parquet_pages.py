"""Content of Parquet pages: values of chosen events, gathered and compressed column by column, and the levels that say where each event begins.

Formats: https://github.com/apache/parquet-format/blob/master/Encodings.md (plain values; levels as run-length encoding, bit width 1) and
https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md.

The compressor knows that it sees 4-byte values: it compares whole values, never bytes, so that it looks at a quarter of the positions, and takes matches of two
values or more. On our columns it needs two thirds of the time of the usual LZ4, and its blocks decompress in two thirds of the time; they are a tenth larger.
"""

from typing import Any

import numba
import numpy as np
from numba.core import types

MIN_COMPRESSED = 512  # bytes; smaller pages gain less than their decompression costs
WORTHWHILE = 0.9  # pages that LZ4 leaves larger than this stay as they are
PAGE_SIZES = (3, 9)  # where in the header of a page its sizes are, in five digits each
_UNCOMPRESSED, _LZ4_RAW, _I64 = 0, 7, 6  # codecs; type of a field in the metadata: see `mlpf.io.parquet_metadata`
_HASH_BITS = 11  # 8 kB of candidates for matches, which stay in the cache
_HASH_FACTOR = np.uint32(2654435761)  # 2**32 / golden ratio: Knuth, The Art of Computer Programming 3, section 6.4
_MAX_DISTANCE = 16383  # values: LZ4 looks back 65535 bytes
_SKIP_SHIFT = 2  # steps grow by a value after every 4 positions without a match
_u = numba.uint64  # of an index: signed ones cost a comparison each, since they may count from the end


@numba.extending.intrinsic
def _pointer(_context: Any, _address: Any) -> Any:
    """Address of 4-byte values, an integer -> pointer to them. Lets one call see the columns of any number of chunks."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint32)(types.int64), generate


@numba.njit(cache=True, nogil=True)
def find_entries(offset_addresses: np.ndarray, chunk: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the entries of some events are.

    Args:
        offset_addresses: ``(K,) int64`` address of the ``int64`` offsets of a collection in each chunk, 0 where every event has one entry.
        chunk, row: ``(R,) int64`` chunk of each event and its row there.

    Returns:
        ``(R,) int64`` position of the first entry in the chunk, and number of entries.
    """
    starts, counts = row.copy(), np.ones_like(row)
    for i in range(len(row)):
        if offset_addresses[chunk[i]]:
            offsets = numba.carray(_pointer(offset_addresses[chunk[i]]), (2 * (row[i] + 2),)).view(np.int64)  # type: ignore[call-arg]
            starts[i], counts[i] = offsets[row[i]], offsets[row[i] + 1] - offsets[row[i]]
    return starts, counts


@numba.njit(cache=True, nogil=True)
def encode_levels(counts: np.ndarray) -> np.ndarray:
    """Levels of lists: the repetition level is 0 where an event begins, else 1; the definition level is 1, or 0 for the one that stands for no entries.

    Args:
        counts: ``(R,) int64`` entries per event.

    Returns:
        ``uint32``: the repetition levels, after the number of their bytes, and the same of the definition levels.
    """
    repetition = np.empty(20 * len(counts), np.uint8)  # at most 2 runs per event of up to 10 bytes each
    definition = np.empty(20 * len(counts), np.uint8)
    num_repetition = num_definition = zeros = ones = 0
    for i in range(len(counts)):
        zeros += 1
        if counts[i] > 1 or i == len(counts) - 1:
            num_repetition = _put_run(repetition, _put_run(repetition, num_repetition, zeros, 0), max(counts[i] - 1, 0), 1)
            zeros = 0
    for i in range(len(counts)):
        ones += counts[i]
        zeros += counts[i] == 0
        if i == len(counts) - 1 or (counts[i] == 0) != (counts[i + 1] == 0):
            num_definition = _put_run(definition, _put_run(definition, num_definition, zeros, 0), ones, 1)
            zeros = ones = 0
    padding = -(num_repetition + num_definition) % 4
    out = np.empty((8 + num_repetition + num_definition + padding) // 4, np.uint32)
    content = out.view(np.uint8)
    _put_length_of(content[:4], num_repetition + padding)
    _pad_first_number(repetition[:num_repetition], content[4 : 4 + num_repetition + padding])
    _put_length_of(content[4 + num_repetition + padding :], num_definition)
    content[8 + num_repetition + padding :] = definition[:num_definition]
    return out


@numba.njit(cache=True, nogil=True)
def _put_run(out: np.ndarray, size: int, length: int, level: int) -> int:
    """Append a run: twice its length, then the level."""
    if length == 0:
        return size
    size = _put_number(out, size, 2 * length)
    out[size] = level
    return size + 1


@numba.njit(cache=True, nogil=True)
def _put_number(out: np.ndarray, size: int, number: int) -> int:
    """Append a number: 7 bits a byte from the lowest, all but the last marked."""
    while number >= 128:
        out[size] = number & 127 | 128
        size += 1
        number >>= 7
    out[size] = number
    return size + 1


@numba.njit(cache=True, nogil=True)
def _put_length_of(out: np.ndarray, length: int) -> None:
    for i in range(4):
        out[i] = length >> 8 * i & 255


@numba.njit(cache=True, nogil=True)
def _pad_first_number(runs: np.ndarray, out: np.ndarray) -> None:
    """Copy runs into a little more room: the length of the first one, which has a byte or two, gets leading zeros, up to five digits together as usual.

    That lets the values begin at a whole word.
    """
    padding = len(out) - len(runs)
    last = 0
    while last < len(runs) and runs[last] >= 128:
        last += 1
    out[:last] = runs[:last]
    out[last + padding :] = runs[last:]
    if padding:
        out[last] = runs[last] | 128
        out[last + 1 : last + padding] = 128
        out[last + padding] = 0


@numba.njit(cache=True, nogil=True)
def encode_columns(
    addresses: np.ndarray,
    widths: np.ndarray,
    chunk: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
    levels: np.ndarray,
    header: np.ndarray,
    scratch: np.ndarray,
    out: np.ndarray,
    sizes: np.ndarray,
) -> int:
    """Pages of columns of one collection with their headers, one after another, as many as there is room for.

    Args:
        addresses: ``(C, K) int64`` address of the values of each column in each chunk.
        widths: ``(C,) int64`` 4-byte words per value.
        chunk, starts, counts: of the entries of each event, see `find_entries`.
        levels: ``uint32`` what the content of every page begins with.
        header: ``uint8`` header of every page, with room for its sizes: `PAGE_SIZES`.
        scratch: ``uint32`` room for the words of one page.
        out: ``uint8`` where the pages go.
        sizes: ``(C, 2) int64`` is filled with the bytes of each page, uncompressed and as it is; if that is less, it is LZ4.

    Returns:
        number of columns done.
    """
    candidates = np.empty(1 << _HASH_BITS, np.uint32)
    scratch[: len(levels)] = levels
    used = 0
    for column in range(len(addresses)):
        width = widths[column]
        num_words = len(levels)
        for i in range(len(chunk)):
            if counts[i]:
                values = numba.carray(_pointer(addresses[column, chunk[i]]), ((starts[i] + counts[i]) * width,))  # type: ignore[call-arg]
                for k in range(counts[i] * width):
                    scratch[_u(num_words + k)] = values[_u(starts[i] * width + k)]
                num_words += counts[i] * width
        if used + len(header) + 4 * num_words > len(out):
            return column
        page = out[used + len(header) :]
        size = _compress(scratch[:num_words], page, int(WORTHWHILE * 4 * num_words), candidates) if 4 * num_words >= MIN_COMPRESSED else 0
        if not size:
            size = _copy(scratch, 0, num_words, page, 0)
        out[used : used + len(header)] = header
        _put_page_size(out, used + PAGE_SIZES[0], 4 * num_words)
        _put_page_size(out, used + PAGE_SIZES[1], size)
        sizes[column, 0] = len(header) + 4 * num_words
        sizes[column, 1] = len(header) + size
        used += len(header) + size
    return len(addresses)


@numba.njit(cache=True, nogil=True)
def _put_page_size(out: np.ndarray, start: int, size: int) -> None:
    """Twice the size (the lowest bit would be the sign) in five digits, so that there is as much room whatever the size."""
    for i in range(5):
        out[start + i] = 2 * size >> 7 * i & 127 | 128 * (i < 4)


@numba.njit(cache=True, nogil=True)
def describe_chunks(heads: np.ndarray, edges: np.ndarray, num_values: int, sizes: np.ndarray, offset: int, out: np.ndarray) -> int:
    """Metadata of chunks that follow each other in the file; number of bytes.

    Args:
        heads: ``uint8`` what the metadata of each column begin with, up to the codec; one after another.
        edges: ``(C + 1,)`` where they begin.
        num_values: of each column.
        sizes: see `encode_columns`.
        offset: of the first.
        out: ``uint8`` where the metadata go.
    """
    size = 0
    for column in range(len(sizes)):
        head = heads[edges[column] : edges[column + 1]]
        out[size : size + len(head)] = head
        size += len(head)
        out[size - 1] = 2 * (_LZ4_RAW if sizes[column, 1] < sizes[column, 0] else _UNCOMPRESSED)
        for delta, number in ((1, num_values), (1, sizes[column, 0]), (1, sizes[column, 1]), (2, offset)):
            out[size] = delta << 4 | _I64
            size = _put_number(out, size + 1, 2 * number)
        out[size] = out[size + 1] = 0  # the end of ColumnMetaData and of ColumnChunk
        size += 2
        offset += sizes[column, 1]
    return size


@numba.njit(cache=True, nogil=True)
def _compress(words: np.ndarray, out: np.ndarray, limit: int, candidates: np.ndarray) -> int:
    """LZ4 block of the words; number of bytes, 0 if it would be longer than ``limit`` (or nearly so)."""
    candidates[:] = 0
    size = done = misses = 0
    last_start, end = len(words) - 3, len(words) - 2  # matches begin 12 bytes and end 5 bytes before the end of the block, or earlier
    here = 1
    while here < last_start:
        word = words[_u(here)]
        distance = 1
        if words[_u(here - 1)] != word:
            bucket = _u(numba.uint32(word * _HASH_FACTOR) >> np.uint32(32 - _HASH_BITS))
            candidate = candidates[bucket]
            candidates[bucket] = here
            distance = here - numba.int64(candidate)
            if words[_u(candidate)] != word or distance > _MAX_DISTANCE:
                misses += 1
                here += 1 + (misses >> _SKIP_SHIFT)
                continue
        stop = _end_of_match(words, here + 1, distance, end)
        if stop == here + 1:
            here += 1
            continue
        while here > done and here > distance and words[_u(here - 1)] == words[_u(here - 1 - distance)]:
            here -= 1
        num_bytes, rest = 4 * (here - done), 4 * (stop - here) - 4
        if size + num_bytes + ((num_bytes + rest) >> 7) + 16 > limit:
            return 0
        size = _put_literals(words, done, here, out, size, min(rest, 15))
        out[_u(size)] = 4 * distance & 255
        out[_u(size + 1)] = 4 * distance >> 8
        size += 2
        if rest >= 15:
            size = _put_length(rest - 15, out, size)
        done = here = stop
        misses = 0
    num_bytes = 4 * (len(words) - done)
    if size + num_bytes + (num_bytes >> 7) + 16 > limit:
        return 0
    return _put_literals(words, done, len(words), out, size, 0)


@numba.njit(cache=True, nogil=True, inline="always")
def _end_of_match(words: np.ndarray, start: int, distance: int, end: int) -> int:
    """First position from ``start`` whose word differs from the one at ``distance`` before it, or ``end``; most are found 8 at a time."""
    while start + 8 <= end:
        difference = numba.uint32(0)
        for k in range(8):
            difference |= words[_u(start + k)] ^ words[_u(start + k - distance)]
        if difference:
            break
        start += 8
    while start < end and words[_u(start)] == words[_u(start - distance)]:
        start += 1
    return start


@numba.njit(cache=True, nogil=True, inline="always")
def _put_literals(words: np.ndarray, start: int, stop: int, out: np.ndarray, size: int, match_nibble: int) -> int:
    """Begin a sequence: token, number of literals, literals."""
    num_bytes = 4 * (stop - start)
    out[_u(size)] = min(num_bytes, 15) << 4 | match_nibble
    size += 1
    if num_bytes >= 15:
        size = _put_length(num_bytes - 15, out, size)
    return _copy(words, start, stop, out, size)


@numba.njit(cache=True, nogil=True, inline="always")
def _put_length(rest: int, out: np.ndarray, size: int) -> int:
    """What of a length is beyond 15: bytes of 255 and one smaller."""
    while rest >= 255:
        out[_u(size)] = 255
        size += 1
        rest -= 255
    out[_u(size)] = rest
    return size + 1


@numba.njit(cache=True, nogil=True, inline="always")
def _copy(words: np.ndarray, start: int, stop: int, out: np.ndarray, size: int) -> int:
    """Bytes of words, lowest first; the compiler makes one store of the four."""
    for i in range(start, stop):
        word = words[_u(i)]
        out[_u(size)] = word & 255
        out[_u(size + 1)] = word >> 8 & 255
        out[_u(size + 2)] = word >> 16 & 255
        out[_u(size + 3)] = word >> 24
        size += 4
    return size
