"""The events of a plan, in its order, some at a time: what is decoded once serves until it has been used, as far as memory allows."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from mlpf.errors import DatasetError
from mlpf.events import Events
from mlpf.io.parquet import Rows
from mlpf.io.shards import ShardedDataset
from mlpf.samples.mixing.gather import gather
from mlpf.samples.mixing.plan import Plan

CHUNK_ELEMENTS = 250_000  # given at a time; about 350 bytes each with all columns
HELD_ELEMENTS = 1_000_000  # events this far ahead are kept if a row group that holds them is decoded; a chunk and this bound the memory

OpenDataset = Callable[[int], ShardedDataset]


class PlannedRows:
    """Where the events of a plan are: in which row group, and where in it.

    Args:
        plan: n events.
        open_dataset: number of a dataset, see `Plan.dataset`, -> the dataset.

    Attributes:
        group: ``(n,)`` number of each event's row group among those of the plan.
        row: ``(n,)`` row in it.
        groups: per row group: dataset, shard, number in the shard.
    """

    def __init__(self, plan: Plan, open_dataset: OpenDataset) -> None:
        number = np.zeros(len(plan), dtype=np.int64)
        self.row = np.zeros(len(plan), dtype=np.int64)
        for dataset, shard in np.unique(np.stack([plan.dataset, plan.shard]), axis=1).T.tolist():
            here = np.flatnonzero((plan.dataset == dataset) & (plan.shard == shard))
            offsets = open_dataset(dataset).group_offsets(shard)
            number[here] = np.searchsorted(offsets, plan.row[here], side="right") - 1
            self.row[here] = plan.row[here] - offsets[number[here]]
        keys, self.group = np.unique(np.stack([plan.dataset, plan.shard, number]), axis=1, return_inverse=True)
        self.groups = [(dataset, shard, group) for dataset, shard, group in keys.T.tolist()]
        self._order = np.argsort(self.group, kind="stable")
        self._starts = np.searchsorted(self.group[self._order], np.arange(len(self.groups) + 1))

    def events_of(self, group: int) -> np.ndarray:
        """Places in the plan of all events of a row group, ascending."""
        return self._order[self._starts[group] : self._starts[group + 1]]


def read_plan(
    plan: Plan,
    open_dataset: OpenDataset,
    columns: Sequence[str],
    chunk_elements: int = CHUNK_ELEMENTS,
    held_elements: int = HELD_ELEMENTS,
) -> Iterator[Rows]:
    """Stream the events of a plan, with the columns that only the plan knows: ``source``, and ``weight`` if there are weights.

    Args:
        plan: the events.
        open_dataset: number of a dataset, see `Plan.dataset`, -> the dataset.
        columns: what to read.
        chunk_elements: elements given at a time, give or take an event.
        held_elements: elements of events kept for later. More memory, fewer row groups that are decoded again.

    Raises:
        DatasetError: a shard is damaged, or lacks a column.
    """
    rows = PlannedRows(plan, open_dataset)
    elements = np.cumsum(plan.num_elements, dtype=np.int64) - plan.num_elements  # before each event
    horizons = np.searchsorted(elements, elements + held_elements, side="right")
    holder = np.full(len(plan), -1, dtype=np.int64)
    row = np.zeros(len(plan), dtype=np.int64)
    held: dict[int, Events] = {}
    last: dict[int, int] = {}  # the place at which each of them was used up
    for start, stop in pairwise(_cuts(elements, chunk_elements)):
        for place in range(start, stop):
            if holder[place] < 0:
                group = int(rows.group[place])
                places = rows.events_of(group)
                places = places[(places >= start) & (places < max(stop, horizons[start])) & (holder[places] < 0)]
                held[place] = _pick(open_dataset, rows.groups[group], columns, rows.row[places]).with_columns(_own_columns(plan, places))
                holder[places], row[places], last[place] = place, np.arange(len(places)), places[-1]
        keys, chunk = np.unique(holder[start:stop], return_inverse=True)
        yield Rows([held[key] for key in keys.tolist()], chunk, row[start:stop])
        held = {place: events for place, events in held.items() if last[place] >= stop}


def _cuts(elements: np.ndarray, chunk_elements: int) -> list[int]:
    """Places at which the events are cut into chunks; the first and the last included."""
    number = elements // chunk_elements
    return [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(elements)]


def _own_columns(plan: Plan, places: np.ndarray) -> dict[str, np.ndarray]:
    return {"source": plan.source[places]} | ({} if plan.weight is None else {"weight": plan.weight[places]})


def _pick(open_dataset: OpenDataset, group: tuple[int, int, int], columns: Sequence[str], rows: np.ndarray) -> Events:
    """Some rows of a row group."""
    dataset, shard, number = group
    events = open_dataset(dataset).read_groups(shard, [number], columns)
    lacking = next((name for name in columns if name not in events), None)
    if lacking is not None:
        raise DatasetError(f"{events.source}: no column '{lacking}', which other shards have; make the dataset again with mlpf postprocess")
    return events if len(rows) == len(events) and (np.diff(rows) == 1).all() else gather([events], np.zeros_like(rows), rows)
