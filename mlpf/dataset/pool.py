"""Row groups on disk -> the padded batches of a pool, in a few tensors that travel between processes as they are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mlpf import schema
from mlpf.dataset.batch import Batch, Edges, Targets
from mlpf.dataset.edges import EDGE_COLUMNS, EventEdges, require_edges
from mlpf.dataset.padding import fill_features, place_elements
from mlpf.dataset.plan import Pool
from mlpf.dataset.targets import TARGET_COLUMNS, training_targets
from mlpf.errors import DatasetError, MlpfError
from mlpf.events import Events, offsets_from_counts
from mlpf.io.shards import ShardedDataset

COLUMNS = (*schema.NTUPLE.names("element"), *TARGET_COLUMNS, *schema.IDENTITY, "weight")

ElementWeighting = Callable[[Events], np.ndarray]
"""Events of a dataset -> ``(N,) float32`` weights of their elements, as `mlpf.samples.element_weights.ElementWeights`."""


class PackedBatches(NamedTuple):
    """The batches of a pool, one after the other; ``R`` rows are the elements of all, padding included.

    Attributes:
        features: ``(R, 55) float32``.
        mask: ``(R,) float32``.
        weight: ``(R,) float32``.
        targets: each ``(R, ...)``.
        event_id: ``(K, 3) int64`` of the events of all.
        shape: ``(n, 2) int64`` events and elements per event of each batch.
        edges: of all batches, between rows that count from the first of their batch; none unless they were asked for.
        num_edges: ``(n,) int64`` of each batch.
    """

    features: Tensor
    mask: Tensor
    weight: Tensor
    targets: Targets
    event_id: Tensor
    shape: Tensor
    edges: Edges | None = None
    num_edges: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """All that it holds."""
        tensors = [self.features, self.mask, self.weight, *self.targets, self.event_id, self.shape, *(self.edges or ()), self.num_edges]
        return [tensor for tensor in tensors if tensor is not None]

    def batches(self) -> Iterator[Batch]:
        """The batches; they share the memory of the pool."""
        first = first_event = 0
        for (events, longest), edges in zip(self.shape.tolist(), self._edges_of_batches(), strict=False):
            rows = slice(first, first + events * longest)
            features, mask, weight, *targets = (
                values[rows].view(events, longest, *values.shape[1:]) for values in (self.features, self.mask, self.weight, *self.targets)
            )
            yield Batch(features, mask, weight, Targets(*targets), self.event_id[first_event : first_event + events], edges)
            first, first_event = rows.stop, first_event + events

    def _edges_of_batches(self) -> Iterable[Edges | None]:
        if self.edges is None or self.num_edges is None:
            return repeat(None)
        return map(Edges, *(values.split(self.num_edges.tolist(), dim=-1) for values in self.edges))


class PoolReader(Dataset):
    """Reads a pool; `torch.utils.data.DataLoader` passes the `Pool` itself where other datasets get a number.

    Args:
        datasets: that the pools' row groups count.
        element_weights: weights of elements; 1 without.
        edges: read the edges, too.
    """

    def __init__(self, datasets: Sequence[ShardedDataset], element_weights: ElementWeighting | None = None, edges: bool = False) -> None:
        self._datasets = [copy(dataset) for dataset in datasets]  # a copy has no open files, which a forked process must not share
        self._element_weights = element_weights
        self._edges = edges
        self._columns = (*COLUMNS, *(EDGE_COLUMNS if edges else ()))

    def __getitem__(self, pool: Pool) -> PackedBatches | MlpfError:
        """The batches of a pool, or what went wrong: an error raised in a worker would come with a traceback in its message."""
        try:
            return self._read(pool)
        except MlpfError as error:
            return error

    def _read(self, pool: Pool) -> PackedBatches:
        counts = np.diff(pool.offsets)
        rows = counts * pool.longest  # of each batch
        start_in_batch = (np.arange(len(pool.place)) - np.repeat(pool.offsets[:-1], counts)) * np.repeat(pool.longest, counts)
        start = np.repeat(offsets_from_counts(rows)[:-1], counts) + start_in_batch
        edges = []  # of each row group
        packed = _empty(int(rows.sum()), len(pool.place), torch.from_numpy(np.stack([counts, pool.longest], axis=1)))
        by_group = np.argsort(pool.group, kind="stable")
        bounds = np.searchsorted(pool.group[by_group], np.arange(len(pool.groups) + 1))
        for number, (dataset, shard, group, num_rows) in enumerate(pool.groups.tolist()):
            own = by_group[bounds[number] : bounds[number + 1]]
            events = self._datasets[dataset].read_groups(shard, [group], self._columns)
            if len(events) != num_rows:
                raise _changed(events)
            start_of_row, expected = np.full(num_rows, -1), np.zeros(num_rows, dtype=np.int64)
            start_of_row[pool.place[own]] = start[own]
            expected[pool.place[own]] = pool.num_elements[own]
            packed.event_id.numpy()[own] = np.stack([events[name] for name in schema.IDENTITY], axis=1)[pool.place[own]]
            self._fill(packed, events, start_of_row, expected)
            if self._edges:
                require_edges(events)
                edges.append(EventEdges.of(events))
        return packed if not self._edges else _with_edges(packed, EventEdges.concatenate(edges), pool, start_in_batch)

    def _fill(self, packed: PackedBatches, events: Events, start: np.ndarray, expected: np.ndarray) -> None:
        """Write the wanted events of a row group into their rows."""
        element, row, counts = place_elements(events, start)
        if (counts != expected).any():
            raise _changed(events)
        fill_features(packed.features.numpy(), events, element, row)
        packed.mask.numpy()[row] = 1.0
        packed.weight.numpy()[row] = self._weights(events)[element]
        for out, values in zip(packed.targets, training_targets(events), strict=True):
            out.numpy()[row] = values.numpy()[element]

    def _weights(self, events: Events) -> np.ndarray:
        """``(N,) float32``: an element's weight is its event's times its own."""
        weights = np.ones(events.size("element"), dtype=np.float32) if self._element_weights is None else self._element_weights(events)
        return weights * np.repeat(events["weight"], events.counts("element")) if "weight" in events else weights


def _empty(rows: int, num_events: int, shape: Tensor) -> PackedBatches:
    event_id = torch.zeros(num_events, len(schema.IDENTITY), dtype=torch.int64)
    return PackedBatches(torch.zeros(rows, schema.NUM_FEATURES), torch.zeros(rows), torch.zeros(rows), Targets.zeros(rows), event_id, shape)


def _with_edges(packed: PackedBatches, edges: EventEdges, pool: Pool, start: np.ndarray) -> PackedBatches:
    """Batches with their edges: of ``edges``, those of all events in the pool's row groups, that of the events in the pool, which begin at rows ``start``."""
    event = offsets_from_counts(pool.groups[:, 3])[pool.group] + pool.place
    num_edges = np.add.reduceat(np.diff(edges.offsets)[event], pool.offsets[:-1])
    return packed._replace(edges=edges.in_rows(event, start), num_edges=torch.from_numpy(num_edges))


def _changed(events: Events) -> DatasetError:
    return DatasetError(f"{events.source}: events from {events.first_entry} on are not those of the index; was it changed meanwhile? start again")
