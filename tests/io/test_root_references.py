"""References between ROOT objects, against bytes written by hand from ROOT's description of TRefArray (io/doc/TFile/trefarray.md)."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.errors import NtupleError
from mlpf.io.root_references import parse_reference_arrays, resolve


def reference_array(references: list[int], name: bytes = b"", referenced: bool = False) -> bytes:
    """One TRefArray as ROOT streams it."""
    tobject = struct.pack(">HII", 1, 0, 0x03000000 | (0x10 if referenced else 0)) + (b"\0\1" if referenced else b"")
    body = (
        struct.pack(">H", 1)
        + tobject
        + bytes([len(name)])
        + name
        + struct.pack(">iiH", len(references), 0, 0)
        + struct.pack(f">{len(references)}I", *references)
    )
    return struct.pack(">I", 0x40000000 | len(body)) + body


def as_bytes(events: list[list[bytes]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    joined = [b"".join(arrays) for arrays in events]
    edges = np.concatenate([[0], np.cumsum([len(data) for data in joined])])
    return np.frombuffer(b"".join(joined), dtype=np.uint8), edges, np.array([len(arrays) for arrays in events])


def test_references_come_out_in_order_whatever_the_name_and_the_bits_of_the_array():
    events = [[reference_array([7, 9]), reference_array([], b"towers")], [], [reference_array([16_777_215], referenced=True)]]
    counts, references = parse_reference_arrays(*as_bytes(events), "file")
    assert counts.tolist() == [2, 0, 1]
    assert references.tolist() == [7, 9, 16_777_215]


def test_no_events_and_no_references_are_fine():
    counts, references = parse_reference_arrays(*as_bytes([[], []]), "file")
    assert len(counts) == len(references) == 0


def test_a_truncated_array_is_named_with_its_event():
    data, edges, num_arrays = as_bytes([[reference_array([1])], [reference_array([2, 3])]])
    edges[-1] -= 4
    with pytest.raises(NtupleError, match=r"^file: event 11: references that cannot be read, damaged\?$"):
        parse_reference_arrays(data[:-4], edges, num_arrays, "file", first_event=10)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(st.integers(0, 2**24 - 1), max_size=3), min_size=1, max_size=4), st.integers(0, 10**6), st.integers(0, 255))
def test_a_damaged_byte_gives_an_error_or_other_references_but_never_reads_elsewhere(arrays, position, value):
    data, edges, num_arrays = as_bytes([[reference_array(references) for references in arrays]])
    data = data.copy()
    data[position % len(data)] = value
    try:
        counts, references = parse_reference_arrays(data, edges, num_arrays, "file")
    except NtupleError:
        return
    assert counts.sum() == len(references)
    assert 4 * len(references) <= len(data)


def test_references_find_the_object_of_their_own_event_by_the_lower_24_bits():
    object_event, unique_id = np.array([0, 0, 1, 1]), np.array([5, 6, 0x01000005, 0x01000007])
    found = resolve(np.array([0, 1, 1, 1, 0]), np.array([5, 5, 7, 6, 7]), object_event, unique_id)
    assert found.tolist() == [0, 2, 3, -1, -1]
