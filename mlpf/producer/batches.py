"""Events of similar size together in one padded batch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class PaddedBatch(NamedTuple):
    """Some of many events, each filled up with zeros to the largest of them, of N elements.

    Attributes:
        features: ``(B, N, F) float32``.
        is_real: ``(B, N) bool``, false where there is no element.
        rows: where the M elements of these events stand among those of all, in the order of ``features[is_real]``: positions ``(M,)`` or a slice.
    """

    features: np.ndarray
    is_real: np.ndarray
    rows: np.ndarray | slice


def plan_batches(counts: np.ndarray, max_elements: int) -> Iterator[np.ndarray]:
    """Share events among batches, the largest events first; those without elements are in none.

    Args:
        counts: ``(B,)`` elements of each event.
        max_elements: of a batch, padding included. A larger event goes alone, so 0 stands for one event per batch.

    Yields:
        positions of the events of a batch, the largest of them first.
    """
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    start = 0
    while start < len(order):
        stop = start + max(1, max_elements // int(counts[order[start]]))
        yield order[start:stop]
        start = stop


def pad(features: np.ndarray, offsets: np.ndarray, batch: np.ndarray) -> PaddedBatch:
    """Bring events into one array.

    Args:
        features: ``(N, F) float32`` of the elements of all events.
        offsets: their boundaries.
        batch: positions of the events to take, as `plan_batches` yields them; the features of one alone are a view.
    """
    starts, counts = offsets[batch], offsets[batch + 1] - offsets[batch]
    if len(batch) == 1:
        rows = slice(int(starts[0]), int(starts[0] + counts[0]))
        return PaddedBatch(features[None, rows], np.ones((1, counts[0]), dtype=bool), rows)
    is_real = np.arange(counts.max()) < counts[:, None]
    padded = np.zeros((*is_real.shape, features.shape[1]), dtype=np.float32)
    positions = (starts[:, None] + np.arange(counts.max()))[is_real]
    padded[is_real] = features[positions]
    return PaddedBatch(padded, is_real, positions)
