"""Events that are there twice, found among any number of them with 16 bytes each, `mlpf.hashes.event_marks`.

Samples of simulation share event numbers legitimately, so an event is the same as another only if its elements are, too.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

NO_MARKS = np.zeros((0, 2), dtype=np.uint64)


class Twin(NamedTuple):
    """An event that was there before.

    Attributes:
        entry: its place in its file.
        source: index of the source that has the older one.
        older_entry: place of that one in its file.
    """

    entry: int
    source: int
    older_entry: int


def repeated_numbers(marks: Mapping[int, np.ndarray]) -> int:
    """Events whose run, lumi and event number are those of an earlier one, whatever their elements."""
    numbers = np.sort(np.concatenate([NO_MARKS[:, 0], *(mark[:, 0] for mark in marks.values())]))
    return int((numbers[1:] == numbers[:-1]).sum())


def find_twins(marks: Mapping[int, np.ndarray]) -> dict[int, Twin]:
    """Sources that hold an event twice, or one that an earlier source holds; what is found is left out for those that follow.

    Args:
        marks: source -> `mlpf.hashes.event_marks` of its events from the first on, by ascending source.

    Returns:
        source -> its first such event.
    """
    twins: dict[int, Twin] = {}
    sources, ends = list(marks), np.cumsum([len(mark) for mark in marks.values()])
    starts = ends - [len(mark) for mark in marks.values()]
    groups, positions = _groups_of_equals(np.concatenate([NO_MARKS, *marks.values()]))
    oldest = np.full(int(groups.max(initial=-1)) + 1, -1, dtype=np.int64)  # position of the first of every group among the sources that are kept
    for source, start, end in zip(sources, starts, ends, strict=True):
        mine = slice(*np.searchsorted(positions, [start, end]))
        group, position = groups[mine], positions[mine]
        _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
        older = np.where(oldest[group] >= 0, oldest[group], position[first][inverse])
        again = np.flatnonzero(older != position)
        if len(again):
            where = int(older[again[0]])
            owner = int(np.searchsorted(ends, where, side="right"))
            twins[source] = Twin(int(position[again[0]] - start), sources[owner], int(where - starts[owner]))
        else:
            oldest[group] = position
    return twins


def _groups_of_equals(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the events that are equal to others: a number for each group of equals, and their positions; by ascending position."""
    if len(marks) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    order = np.lexsort((marks[:, 1], marks[:, 0]))
    numbers, prints = marks[order, 0], marks[order, 1]
    equal = (numbers[1:] == numbers[:-1]) & (prints[1:] == prints[:-1]) & (prints[1:] > 0)
    grouped = np.append(equal, False) | np.append(False, equal)
    group = np.cumsum(np.append(True, ~equal))[grouped]
    by_position = np.argsort(order[grouped])
    _, group = np.unique(group, return_inverse=True)
    return group[by_position], order[grouped][by_position]
