"""Row groups on disk -> the padded batches of a pool, in a few tensors that travel between processes as they are."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
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
        edges: between rows, sources growing; none unless they were asked for.
    """

    features: Tensor
    mask: Tensor
    weight: Tensor
    targets: Targets
    event_id: Tensor
    shape: Tensor
    edges: Edges | None = None

    def tensors(self) -> list[Tensor]:
        """All that it holds."""
        return [self.features, self.mask, self.weight, *self.targets, self.event_id, self.shape, *(self.edges or ())]

    def batches(self) -> Iterator[Batch]:
        """The batches; they share the memory of the pool, but for the ends of edges."""
        first = first_event = 0
        for events, longest in self.shape.tolist():
            rows = slice(first, first + events * longest)
            features, mask, weight, *targets = (
                values[rows].view(events, longest, *values.shape[1:]) for values in (self.features, self.mask, self.weight, *self.targets)
            )
            event_id = self.event_id[first_event : first_event + events]
            yield Batch(features, mask, weight, Targets(*targets), event_id, self._edges_between(first, rows.stop))
            first, first_event = rows.stop, first_event + events

    def _edges_between(self, first: int, last: int) -> Edges | None:
        """Those of the rows ``[first, last)``, counted from the first."""
        if self.edges is None:
            return None
        own = slice(*torch.searchsorted(self.edges.index[0], torch.tensor([first, last])).tolist())
        return Edges(self.edges.index[:, own] - first, self.edges.distance[own], self.edges.kind[own])


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
        start = np.repeat(offsets_from_counts(rows)[:-1] - pool.offsets[:-1] * pool.longest, counts) + np.arange(len(pool.place)) * np.repeat(
            pool.longest, counts
        )
        edges: list[Edges] = []
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
                edges.append(EventEdges.of(events).in_rows(pool.place[own], start[own]))
        return packed._replace(edges=_sorted(edges)) if self._edges else packed

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


def _sorted(edges: list[Edges]) -> Edges:
    """All edges together, sources growing."""
    index, distance, kind = (torch.cat(parts, dim=-1) for parts in zip(*edges, strict=True))
    order = index[0].argsort(stable=True)
    return Edges(index[:, order], distance[order], kind[order])


def _changed(events: Events) -> DatasetError:
    return DatasetError(f"{events.source}: events from {events.first_entry} on are not those of the index; was it changed meanwhile? start again")
