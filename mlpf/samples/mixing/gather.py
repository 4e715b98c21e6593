"""Events picked from several chunks, in any order: every column is copied once."""

from collections.abc import Sequence

import numba
import numpy as np

from mlpf import schema
from mlpf.events import Events, offsets_from_counts


def gather(chunks: Sequence[Events], chunk: np.ndarray, row: np.ndarray) -> Events:
    """Row ``row[i]`` of chunk ``chunk[i]`` as event ``i``.

    Args:
        chunks: events with the same columns each.
        chunk, row: ``(R,)`` where each event is.
    """
    layout, names = chunks[0].layout, chunks[0].columns.keys()
    assert all(part.columns.keys() == names for part in chunks), "chunks hold different columns"
    places = [np.flatnonzero(chunk == number) for number in range(len(chunks))]
    rows = [row[place] for place in places]
    offsets = {}
    for collection in chunks[0].offsets:
        counts = np.zeros(len(row), dtype=np.int64)
        for part, place, wanted in zip(chunks, places, rows, strict=True):
            counts[place] = part.counts(collection)[wanted]
        offsets[collection] = offsets_from_counts(counts)
    columns = {name: np.empty(len(row) if layout.is_scalar(name) else offsets[layout.collection_of[name]][-1], layout.dtype(name)) for name in names}
    for part, place, wanted in zip(chunks, places, rows, strict=True):
        _fill(columns, offsets, part, place, wanted, layout)
    return Events(columns, offsets, len(row), chunks[0].source, layout=layout)


def _fill(columns: dict[str, np.ndarray], offsets: dict[str, np.ndarray], part: Events, place: np.ndarray, wanted: np.ndarray, layout: schema.Layout) -> None:
    """Copy the ``wanted`` rows of a chunk to their places."""
    for name, target in columns.items():
        if layout.is_scalar(name):
            target[place] = part.columns[name][wanted]
        else:
            collection = layout.collection_of[name]
            bits = f"u{target.dtype.itemsize}"  # whatever the type, so that there is one compiled copy per size
            _copy_lists(part.columns[name].view(bits), part.offsets[collection], wanted, target.view(bits), offsets[collection], place)


@numba.njit(cache=True)
def _copy_lists(values: np.ndarray, offsets: np.ndarray, wanted: np.ndarray, target: np.ndarray, target_offsets: np.ndarray, place: np.ndarray) -> None:
    """List ``wanted[i]`` of the values becomes list ``place[i]`` of the target."""
    for i in range(len(wanted)):
        start, stop, to = offsets[wanted[i]], offsets[wanted[i] + 1], target_offsets[place[i]]
        target[to : to + stop - start] = values[start:stop]
