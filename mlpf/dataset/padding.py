"""Flat elements of a row group -> rows of padded buffers."""

import numba
import numpy as np

from mlpf import schema
from mlpf.events import Events

_BLOCK = 16  # elements that are turned from columns into rows together: a cache line of float32
_FEATURE_COLUMNS = tuple(f"element_{name}" for name in schema.FEATURES)
_SIN_PHI, _COS_PHI = schema.FEATURE_INDEX["sin_phi"], schema.FEATURE_INDEX["cos_phi"]
_DROPPED = np.isin(np.arange(schema.NUM_ELEMENT_TYPES), schema.CONSUMER_DROPPED_TYPES)


def place_elements(events: Events, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the elements that a model sees (without PS1, PS2, BREM) go.

    Args:
        events: B events.
        start: ``(B,) int64`` row of each event's first element, -1 for events that are not wanted.

    Returns:
        ``(N,) int64`` positions of the wanted elements among all, ``(N,) int64`` their rows, and ``(B,) int64`` how many each event has.
    """
    return _place(events["element_type"], events.collection_offsets("element"), start, _DROPPED)


def fill_features(out: np.ndarray, events: Events, element: np.ndarray, row: np.ndarray) -> None:
    """Write the raw features of some elements, the same as `mlpf.features.element_features`, into rows of ``out``.

    Args:
        out: ``(M, 55) float32``.
        events: the events.
        element: ``(N,) int64`` elements of them.
        row: ``(N,) int64`` row of each.
    """
    phi = events["element_phi"]
    columns = np.empty((schema.NUM_FEATURES, len(phi)), dtype=np.float32)
    np.sin(phi, out=columns[_SIN_PHI])
    np.cos(phi, out=columns[_COS_PHI])
    for i, name in enumerate(_FEATURE_COLUMNS):
        if i not in (_SIN_PHI, _COS_PHI):
            columns[i] = events[name]
    _turn(out, columns, element, row, _BLOCK)


@numba.njit(cache=True, nogil=True)
def _place(element_type: np.ndarray, offsets: np.ndarray, start: np.ndarray, dropped: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    element = np.empty(len(element_type), dtype=np.int64)
    row = np.empty(len(element_type), dtype=np.int64)
    counts = np.zeros(len(start), dtype=np.int64)
    total = 0
    for event in range(len(start)):
        if start[event] < 0:
            continue
        for i in range(offsets[event], offsets[event + 1]):
            kind = element_type[i]
            if not (0 <= kind < len(dropped) and dropped[kind]):
                element[total] = i
                row[total] = start[event] + counts[event]
                counts[event] += 1
                total += 1
    return element[:total], row[:total], counts


@numba.njit(cache=True, nogil=True)
def _turn(out: np.ndarray, columns: np.ndarray, element: np.ndarray, row: np.ndarray, block: int) -> None:
    """``out[row] = columns[:, element].T``."""
    for first in range(0, len(element), block):
        last = min(first + block, len(element))
        for column in range(len(columns)):
            for i in range(first, last):
                out[row[i], column] = columns[column, element[i]]
