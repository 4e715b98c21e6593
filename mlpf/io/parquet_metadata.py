"""Structures of a Parquet file, in Thrift's compact protocol: page headers, and the footer that says where the pages are.

Only what `mlpf.io.parquet` writes. Fields and their numbers: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift;
bytes: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. In short: a structure is its fields in rising order, then a 0. A field
is a byte that says how far its number is from the last one's (upper half) and its type (lower half), then the value. Numbers have 7 bits a byte; lists and
texts begin with their length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Types of fields (compact protocol), and what an integer type is in a file: physical type, legacy type, (bits, signed).
_FALSE, _I8, _I32, _I64, _BINARY, _LIST, _STRUCT = 2, 3, 5, 6, 8, 9, 12
_INT32, _INT64, _FLOAT = 1, 2, 4
PHYSICAL_TYPES = {"int32": _INT32, "uint32": _INT32, "int64": _INT64, "uint64": _INT64, "float32": _FLOAT}
_LEGACY_UNSIGNED = {"uint32": 13, "uint64": 14}
_LEGACY_LIST = 3
_REQUIRED, _REPEATED = 0, 2
_PLAIN, _RLE = 0, 3
_UNCOMPRESSED, _LZ4_RAW = 0, 7
_DATA_PAGE = 0
_STOP = b"\0"

Field = tuple[int, int, bytes]  # number, type, value


def varint(value: int) -> bytes:
    """7 bits a byte, from the lowest; all bytes but the last have the highest bit set."""
    out = []
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(value: int) -> bytes:
    """A number that is not negative; the lowest bit would be the sign."""
    return varint(value << 1)


def binary(content: bytes | str) -> bytes:
    """Length and content."""
    content = content.encode() if isinstance(content, str) else content
    return varint(len(content)) + content


def sequence(kind: int, items: Sequence[bytes]) -> bytes:
    """A list of values of one type."""
    header = bytes([len(items) << 4 | kind]) if len(items) < 15 else bytes([0xF0 | kind]) + varint(len(items))
    return header + b"".join(items)


def struct(*fields: Field, stop: bool = True) -> bytes:
    """Fields in rising order; more can follow if ``stop`` is off."""
    out, last = [], 0
    for number, kind, value in fields:
        out += [bytes([(number - last) << 4 | kind]), value]
        last = number
    return b"".join(out) + _STOP * stop


@dataclass(frozen=True)
class ColumnFormat:
    """How a column is written.

    Attributes:
        name: its name.
        dtype: of its values.
        is_list: whether it holds a list per row.
    """

    name: str
    dtype: np.dtype
    is_list: bool

    def schema_elements(self) -> list[bytes]:
        """The column in the schema: ``required`` value, or the three levels of a list of them. Names are those that Arrow uses."""
        if not self.is_list:
            return [self._value_element(self.name)]
        is_list = (6, _I32, integer(_LEGACY_LIST)), (10, _STRUCT, struct((3, _STRUCT, struct())))
        outer = struct((3, _I32, integer(_REQUIRED)), (4, _BINARY, binary(self.name)), (5, _I32, integer(1)), *is_list)
        middle = struct((3, _I32, integer(_REPEATED)), (4, _BINARY, binary("list")), (5, _I32, integer(1)))
        return [outer, middle, self._value_element("element")]

    def _value_element(self, name: str) -> bytes:
        fields = [(1, _I32, integer(PHYSICAL_TYPES[self.dtype.name])), (3, _I32, integer(_REQUIRED)), (4, _BINARY, binary(name))]
        if self.dtype.kind == "u":
            logical = struct((1, _I8, bytes([8 * self.dtype.itemsize])), (2, _FALSE, b""))
            fields += [(6, _I32, integer(_LEGACY_UNSIGNED[self.dtype.name])), (10, _STRUCT, struct((10, _STRUCT, logical)))]
        return struct(*fields)

    def chunk_head(self) -> bytes:
        """What the metadata of all chunks of the column begin with, up to the codec; see `chunk`."""
        path = [self.name, "list", "element"] if self.is_list else [self.name]
        constant = struct(
            (1, _I32, integer(PHYSICAL_TYPES[self.dtype.name])),
            (2, _LIST, sequence(_I32, [integer(_RLE), integer(_PLAIN)] if self.is_list else [integer(_PLAIN)])),
            (3, _LIST, sequence(_BINARY, [binary(name) for name in path])),
            stop=False,
        )
        return struct((2, _I64, integer(0)), (3, _STRUCT, constant), stop=False)


# There are a hundred pages and chunks in a row group: their structures are put together of what they have in common.
_PAGE_START = struct((1, _I32, integer(_DATA_PAGE)), stop=False)
_NEXT_I32, _NEXT_I64, _I64_AFTER_NEXT = (bytes([delta << 4 | kind]) for delta, kind in ((1, _I32), (1, _I64), (2, _I64)))


def page_header_end(num_values: int) -> bytes:
    """End of the header of a data page (version 1), after its sizes; a list without entries counts as a value."""
    content = struct((1, _I32, integer(num_values)), (2, _I32, integer(_PLAIN)), (3, _I32, integer(_RLE)), (4, _I32, integer(_RLE)))
    return bytes([2 << 4 | _STRUCT]) + content + _STOP


def page_header(uncompressed: int, compressed: int, end: bytes) -> bytes:
    """Header of a page by its sizes and its `page_header_end`."""
    return _PAGE_START + _NEXT_I32 + integer(uncompressed) + _NEXT_I32 + integer(compressed) + end


def chunk(head: bytes, num_values: int, uncompressed: int, compressed: int, offset: int) -> bytes:
    """Metadata of a column in a row group: a page at ``offset`` of so many bytes, with its header; ``head`` is of `ColumnFormat.chunk_head`."""
    codec = _LZ4_RAW if compressed < uncompressed else _UNCOMPRESSED
    numbers = _NEXT_I64 + integer(num_values) + _NEXT_I64 + integer(uncompressed) + _NEXT_I64 + integer(compressed)
    return head + _NEXT_I32 + integer(codec) + numbers + _I64_AFTER_NEXT + integer(offset) + _STOP + _STOP


def row_group(chunks: Sequence[bytes], num_rows: int, uncompressed: int, compressed: int, offset: int) -> bytes:
    """Metadata of a row group; ``chunks`` are those of its columns."""
    sizes = (5, _I64, integer(offset)), (6, _I64, integer(compressed))
    return struct((1, _LIST, sequence(_STRUCT, chunks)), (2, _I64, integer(uncompressed)), (3, _I64, integer(num_rows)), *sizes)


def footer(columns: Sequence[ColumnFormat], num_rows: int, row_groups: Sequence[bytes], metadata: Mapping[str, str], created_by: str) -> bytes:
    """All that stands after the last page."""
    root = struct((4, _BINARY, binary("schema")), (5, _I32, integer(len(columns))))
    elements = [root] + [element for column in columns for element in column.schema_elements()]
    pairs = [struct((1, _BINARY, binary(key)), (2, _BINARY, binary(value))) for key, value in metadata.items()]
    content = struct(
        (1, _I32, integer(1)),
        (2, _LIST, sequence(_STRUCT, elements)),
        (3, _I64, integer(num_rows)),
        (4, _LIST, sequence(_STRUCT, row_groups)),
        (5, _LIST, sequence(_STRUCT, pairs)),
        (6, _BINARY, binary(created_by)),
    )
    return content + len(content).to_bytes(4, "little") + b"PAR1"
