"""ROOT's references between objects of one event: TRef and TRefArray.

An object that is referred to carries a number in its ``fUniqueID``; the lower 24 bits count, the upper 8 tell the process (ROOT, ``TProcessID``). References
hold those lower bits.
"""

import numba
import numpy as np

from mlpf.errors import NtupleError
from mlpf.io.tables import first_match

_UNIQUE_BITS = 0xFFFFFF
_IS_REFERENCED = 1 << 4  # of TObject's bits; such an object is followed by the number of its process


@numba.njit(cache=True)
def _big_endian(data: np.ndarray, start: int, size: int) -> int:
    value = 0
    for i in range(start, start + size):
        value = value * 256 + data[i]
    return value


@numba.njit(cache=True)
def _array_header(data: np.ndarray, start: int, end: int) -> tuple[int, int, int]:
    """First reference, number of references and end of the TRefArray at ``start``; -1s if it is not one."""
    if start + 27 > end:  # size, version; TObject: version, number, bits; TString: size; references: number, lowest index, process
        return -1, -1, -1
    stop = start + 4 + (_big_endian(data, start, 4) & 0x3FFFFFFF)
    position = start + 16
    if _big_endian(data, start + 12, 4) & _IS_REFERENCED:
        position += 2
    length = _big_endian(data, position, 1)
    position += 1 + length
    if length == 255 or position + 10 > end:  # a name of 255 letters or more has its size elsewhere; Delphes gives none
        return -1, -1, -1
    count = _big_endian(data, position, 4)
    if stop > end or position + 10 + 4 * count != stop:
        return -1, -1, -1
    return position + 10, count, stop


@numba.njit(cache=True)
def _scan(data: np.ndarray, edges: np.ndarray, num_arrays: np.ndarray, counts: np.ndarray, references: np.ndarray) -> int:
    """Fill the number of references per TRefArray, and the references if there is room; returns their number, or -1 - event of the first damaged event."""
    array, total = 0, 0
    for event in range(len(num_arrays)):
        position, end = edges[event], edges[event + 1]
        for _ in range(num_arrays[event]):
            first, count, position = _array_header(data, position, end)
            if first < 0:
                return -1 - event
            counts[array] = count
            array += 1
            for i in range(count if len(references) else 0):
                references[total + i] = _big_endian(data, first + 4 * i, 4)
            total += count
        if position != end:
            return -1 - event
    return total


def parse_reference_arrays(data: np.ndarray, edges: np.ndarray, num_arrays: np.ndarray, place: str, first_event: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """References out of the bytes of a split branch of TRefArrays.

    Args:
        data: ``(bytes,) uint8``.
        edges: ``(B + 1,)`` where each event's bytes start.
        num_arrays: ``(B,)`` TRefArrays in each event.
        place: file and branch, for the message.
        first_event: entry of the first event, for the message.

    Returns:
        ``(N,) int64`` number of references in each TRefArray, and all references ``(R,) int64``.

    Raises:
        NtupleError: the bytes are not what they should be.
    """
    counts = np.zeros(int(num_arrays.sum()), dtype=np.int64)
    total = _scan(data, edges, num_arrays, counts, np.zeros(0, dtype=np.int64))
    if total < 0:
        raise NtupleError(f"{place}: event {first_event - 1 - total}: references that cannot be read, damaged?")
    references = np.zeros(total, dtype=np.int64)
    if total:
        _scan(data, edges, num_arrays, counts, references)
    return counts, references


def resolve(event: np.ndarray, reference: np.ndarray, object_event: np.ndarray, unique_id: np.ndarray) -> np.ndarray:
    """``(R,)`` row of the object in the same event that each reference names, -1 where there is none.

    Args:
        event, reference: ``(R,)`` of the references.
        object_event, unique_id: ``(N,)`` of the objects, ``fUniqueID`` as the file has it.
    """

    def key(events: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return (events.astype(np.int64) << 24) | (numbers.astype(np.int64) & _UNIQUE_BITS)

    return first_match(key(object_event, unique_id), key(event, reference))
