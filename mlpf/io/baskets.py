"""Branches of a TTree straight into flat arrays: baskets are decompressed once, and copied once while their bytes are swapped.

uproot reads what the file says about itself (trees, branches, where the baskets lie); the baskets are taken apart here, as an array of numbers needs neither
uproot's objects per basket nor awkward's per branch. Every number that comes from a basket is checked before anything is allocated, sliced or given to a kernel
because of it. Layout of keys and baskets: TKey and TBasket, https://root.cern/doc/master/classTBasket.html.
"""

import struct
from dataclasses import dataclass, replace
from pathlib import Path

import awkward as ak
import numba
import numpy as np
import uproot

from mlpf.io.compression import decompress, find_blocks, require

_KEY = struct.Struct(">ihiIh")  # bytes with the key, version, bytes uncompressed, date, bytes of the key
_BASKET = struct.Struct(">Hiiiib")  # last bytes of the key: version, buffer size, size of an entry or of the offsets, entries, end of the values, flag
_VECTOR_HEADER = 10  # of each std::vector: bytes, version, length
_VECTORS = {"vector<float>": ">f4", "vector<int>": ">i4"}  # uproot needs 1.6 ms per branch to find this out
# Touching new pages takes 8 times as long as copying into them, but numpy asks for large pages from 4 MB on: smaller columns share blocks of memory.
_LARGE_BYTES = 1 << 22
_BLOCK_BYTES = 1 << 24


@dataclass(frozen=True)
class _Basket:
    """One decompressed basket of n entries: ``(n + 1,)`` byte positions of the entries in its data, ``(n,)`` numbers of values."""

    number: int
    data: np.ndarray
    edges: np.ndarray
    counts: np.ndarray


class BasketFile:
    """An open file, memory that its branches share, and baskets of which a part is still to be read.

    Args:
        path: the file.
        keep_bytes: largest size of all baskets kept together; what does not fit is decompressed again.
    """

    def __init__(self, path: Path, keep_bytes: int) -> None:
        self._stream = path.open("rb")  # buffered: raw reads may return less than there is
        self._size = path.stat().st_size
        self._buffers = {"compressed": np.empty(0, np.uint8), "data": np.empty(0, np.uint8)}
        self._block, self._block_used = np.empty(0, np.uint8), 0
        self._kept: dict[str, _Basket] = {}
        self._keep_bytes = keep_bytes

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def read(self, position: int, size: int) -> np.ndarray:
        """``size`` bytes, valid until the next call."""
        require(0 < size <= self._size and 0 <= position <= self._size - size, f"a basket of {size} bytes at {position} lies outside the file")
        buffer = self.buffer("compressed", size)
        self._stream.seek(position)
        require(self._stream.readinto(buffer.data) == size, "the file ends inside a basket")
        return buffer

    def buffer(self, name: str, size: int) -> np.ndarray:
        """``size`` uninitialised bytes, the same memory each time."""
        if len(self._buffers[name]) < size:
            self._buffers[name] = np.empty(size, np.uint8)
        return self._buffers[name][:size]

    def allocate(self, size: int, dtype: np.dtype) -> np.ndarray:
        """An uninitialised array, which may keep a block of memory alive that it shares with others."""
        num_bytes = -(-size * dtype.itemsize // 64) * 64  # a cache line
        if num_bytes >= _LARGE_BYTES:
            return np.empty(size, dtype)
        if self._block_used + num_bytes > len(self._block):
            self._block, self._block_used = np.empty(_BLOCK_BYTES, np.uint8), 0
        start = self._block_used
        self._block_used += num_bytes
        return self._block[start : start + size * dtype.itemsize].view(dtype)

    def keep(self, branch: str, basket: _Basket) -> None:
        """Keep a copy of a basket if there is room."""
        if basket is self._kept.get(branch):
            return
        others = sum(len(kept.data) for name, kept in self._kept.items() if name != branch)
        if others + len(basket.data) <= self._keep_bytes:
            self._kept[branch] = replace(basket, data=basket.data.copy())

    def kept(self, branch: str, number: int) -> _Basket | None:
        """The kept basket of a branch; forgotten if it is another one."""
        basket = self._kept.get(branch)
        if basket is not None and basket.number != number:
            del self._kept[branch]
            return None
        return basket


class Branch:
    """One branch of numbers or of lists of numbers.

    Args:
        branch: as uproot found it.
        member: of an unsplit vector of pairs, ``first`` or ``second``; empty for all other branches.

    Attributes:
        edges: first entry of each basket, and the number of entries; increasing.
        total_bytes: uncompressed size of all baskets.

    Raises:
        ValueError: what the file says of the branch is inconsistent.
    """

    def __init__(self, branch: uproot.TBranch, member: str = "") -> None:
        self._branch, self._member = branch, member
        self.name = branch.object_path
        self.total_bytes = int(branch.uncompressed_bytes)
        self.edges = np.array(branch.entry_offsets, dtype=np.int64)
        require(self.edges[0] == 0 and bool((np.diff(self.edges) >= 0).all()), "entries of its baskets decrease")
        require(self.total_bytes >= 0, f"{self.total_bytes} bytes of baskets")
        self._seeks, self._sizes = branch.member("fBasketSeek"), branch.member("fBasketBytes")
        self._jagged, self._header, self._stored = _stored_type(branch)
        self._direct = self._stored.kind != "V" and not branch.embedded_baskets

    def read(self, file: BasketFile, start: int, stop: int, size: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
        """Values of the entries ``start`` to ``stop``.

        Args:
            file: where the baskets are.
            start, stop: entries, ``0 <= start <= stop <= edges[-1]``.
            size: how many values there will be, if that is known (saves copies).

        Returns:
            flat values, and the number of values per entry (None where each has one value).

        Raises:
            ValueError: a basket is damaged, or the branch holds something else than numbers.
        """
        if not self._direct:
            return self._read_by_uproot(start, stop)
        values = file.allocate(size if self._jagged else stop - start, self._stored.newbyteorder("="))
        counts = np.empty(stop - start, np.int64)
        used, entry = 0, start
        while entry < stop:
            number = int(np.searchsorted(self.edges, entry, side="right")) - 1
            first, last = int(self.edges[number]), int(self.edges[number + 1])
            end = min(stop, last)
            basket = file.kept(self.name, number) or self._load(file, number)
            some = basket.counts[entry - first : end - first]
            counts[entry - start : end - start] = some
            before, used = used, used + int(some.sum())
            if used > len(values):
                values, older = file.allocate(max(used, 2 * len(values)), values.dtype), values
                values[:before] = older[:before]
            self._copy(basket.data, basket.edges[entry - first : end - first + 1], values[before:used])
            if end < last:
                file.keep(self.name, basket)
            entry = end
        return values[:used], counts if self._jagged else None

    def _copy(self, data: np.ndarray, edges: np.ndarray, target: np.ndarray) -> None:
        if self._header == 0:
            target[...] = data[edges[0] : edges[-1]].view(self._stored)
            return
        wrong = _copy_vectors(data, edges, target.view(np.uint32))
        require(wrong < 0, "the length of a vector disagrees with the place it takes")

    def _load(self, file: BasketFile, number: int) -> _Basket:
        raw = file.read(int(self._seeks[number]), int(self._sizes[number]))
        require(len(raw) >= _KEY.size + _BASKET.size, f"basket {number} has {len(raw)} bytes")
        num_bytes, _, size, _, key_size = _KEY.unpack_from(raw.data)
        require(num_bytes == len(raw) and _KEY.size + _BASKET.size <= key_size <= num_bytes, f"the header of basket {number} disagrees with the tree")
        require(0 <= size <= self.total_bytes, f"basket {number} claims {size} bytes, all baskets have {self.total_bytes}")
        *_, num_entries, end, _ = _BASKET.unpack_from(raw.data, key_size - _BASKET.size)
        expected = int(self.edges[number + 1] - self.edges[number])
        require(num_entries == expected, f"basket {number} has {num_entries} entries, {expected} by the tree")
        require(0 <= end - key_size <= size, f"the values of basket {number} end outside it")
        data = raw[key_size:]
        if len(data) != size:
            blocks = find_blocks(data, size)
            data = file.buffer("data", size)
            decompress(blocks, data)
        edges = self._entry_edges(data, end - key_size, key_size, num_entries)
        sizes = edges[1:] - edges[:-1] - self._header
        counts = sizes // self._stored.itemsize
        require(bool((sizes >= 0).all()) and np.array_equal(counts * self._stored.itemsize, sizes), f"offsets of the entries of basket {number} are impossible")
        return _Basket(number, data[: end - key_size], edges, counts)

    def _entry_edges(self, data: np.ndarray, end: int, key_size: int, num_entries: int) -> np.ndarray:
        """Byte positions of the entries: multiples of the size of a value, or behind the values (a count, then a position in the key and buffer each)."""
        if not self._jagged:
            require(end == num_entries * self._stored.itemsize, f"{end} bytes for {num_entries} values")
            return np.arange(0, end + 1, self._stored.itemsize)
        require(len(data) >= end + 4 * (num_entries + 1), "offsets of the entries are missing")
        edges = np.empty(num_entries + 1, np.int64)
        edges[:-1] = data[end + 4 : end + 4 * (num_entries + 1)].view(">i4")
        edges[:-1] -= key_size
        edges[-1] = end
        require(edges[0] == 0, "the first entry does not start where the basket does")
        return edges

    def _read_by_uproot(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Whatever else uproot can read as lists of numbers: unsplit vectors of pairs, trees whose writer died."""
        array = self._branch.array(entry_start=start, entry_stop=stop, library="ak")
        if self._member:
            array = array[self._member if self._member in array.fields else {"first": "0", "second": "1"}[self._member]]
        problem = ak.validity_error(array)
        require(not problem and len(array) == stop - start, problem or f"{len(array)} entries")
        if array.ndim == 1:
            return ak.to_numpy(array), None
        return ak.to_numpy(ak.flatten(array)), ak.to_numpy(ak.num(array))


def _stored_type(branch: uproot.TBranch) -> tuple[bool, int, np.dtype]:
    """Whether a branch holds lists, the bytes in front of each, and the type of the values in the file (void: nothing as simple as that)."""
    vector = _VECTORS.get(branch.member("fClassName", none_if_missing=True) or "")
    if vector is not None and branch.member("fType") == 0:
        return True, _VECTOR_HEADER, np.dtype(vector)
    form = branch.interpretation
    jagged = isinstance(form, uproot.AsJagged)
    values, header = (form.content, form.header_bytes) if jagged else (form, 0)
    if not isinstance(values, uproot.AsDtype) or values.from_dtype.shape or values.from_dtype.names:
        return jagged, 0, np.dtype("V")
    if jagged and (header not in (0, _VECTOR_HEADER) or values.from_dtype.itemsize != 4 or branch.member("fEntryOffsetLen") == 0):
        return jagged, 0, np.dtype("V")
    return jagged, header, values.from_dtype


@numba.njit(cache=True)
def _copy_vectors(data: np.ndarray, edges: np.ndarray, out: np.ndarray) -> int:
    """Copy 4-byte values of C++ vectors, big endian to native; the first entry whose length is not the one in its header, -1 if there is none.

    Args:
        data: ``uint8``.
        edges: ``(B + 1,) int64`` positions of the vectors in it, each at least 10 bytes long.
        out: ``uint32``, as long as the vectors together.
    """
    used = 0
    for entry in range(len(edges) - 1):
        source = data[edges[entry] : edges[entry + 1]]
        size = (len(source) - 10) // 4
        if size != (np.int64(source[6]) << 24) | (np.int64(source[7]) << 16) | (np.int64(source[8]) << 8) | np.int64(source[9]):
            return entry
        source = source[10:]
        target = out[used : used + size]
        for k in range(size):  # vectorised as a shuffle of bytes
            a, b, c, d = np.uint32(source[4 * k]), np.uint32(source[4 * k + 1]), np.uint32(source[4 * k + 2]), np.uint32(source[4 * k + 3])
            target[k] = (a << np.uint32(24)) | (b << np.uint32(16)) | (c << np.uint32(8)) | d
        used += size
    return -1
