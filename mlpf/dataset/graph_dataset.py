"""Events of a Parquet dataset as PyTorch Geometric graphs, read when they are asked for."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mlpf import schema
from mlpf.dataset.batch import Targets
from mlpf.dataset.edges import GRAPH_COLUMNS, EventEdges
from mlpf.dataset.sample import select_split
from mlpf.dataset.targets import TARGET_COLUMNS, training_targets
from mlpf.events import Events, offsets_from_counts
from mlpf.features import consumer_elements, element_features
from mlpf.io.shards import ShardedDataset
from mlpf.samples.split import SplitConfig

if TYPE_CHECKING:
    from torch_geometric.data import Data

MAX_DECODED_GROUPS = 8  # row groups kept in memory: 9 MB each with 16 events of 2000 elements
_COLUMNS = ("element_index", *schema.NTUPLE.names("element"), *TARGET_COLUMNS, *GRAPH_COLUMNS)


class _Group(NamedTuple):
    """A decoded row group: what `GraphDataset` gives of its elements and edges, and where its rows begin and end among them."""

    x: Tensor
    targets: Targets
    element: Tensor
    offsets: np.ndarray
    edge_index: Tensor | None
    edge_distance: Tensor | None
    edge_offsets: np.ndarray


class GraphDataset(Dataset):
    """One graph per event: its elements, without those that the consumer drops (PS1, PS2, BREM).

    Neighbours in the order of the dataset share a row group, so reading in order, or near to it, is fast; `mlpf.dataset.loader.Loader` is faster for training.

    Args:
        dataset: the folder of shards.
        split: one of `mlpf.samples.split.SPLITS`, or none for all events.
        split_config: how events are shared among the splits.

    Attributes:
        sample: the events and where they lie.
        event_id: ``(B, 3) int64`` run, luminosity block, event number.
        row: ``(B,) int64`` position of the event in the dataset.
    """

    def __init__(self, dataset: ShardedDataset, split: str | None = None, split_config: SplitConfig | None = None) -> None:
        self.sample = select_split(dataset, split, split_config)
        index = self.sample.index
        self.event_id = torch.from_numpy(np.stack([getattr(index, name) for name in schema.IDENTITY], axis=1))
        self.row = torch.from_numpy(dataset.shard_offsets[index.shard] + index.row)
        self._decoded: OrderedDict[tuple[int, int], _Group] = OrderedDict()

    def __len__(self) -> int:
        return len(self.sample)

    def __getitem__(self, i: int) -> "Data":
        """Graph of event ``i``, counted from 0.

        ``x (N, 55)``, ``y_<target> (N, ...)`` for every field of `Targets`, ``element (N,)`` place in the ntuple, ``event_id (1, 3)``; where the dataset has
        edges ``edge_index (2, E)`` and ``edge_distance (E,)`` of those whose ends are nodes. No other name contains "index": PyG would shift such values when
        it makes a batch.

        Raises:
            IndexError: there is no such event.
            DatasetError: a damaged shard, or a dataset without targets.
        """
        from torch_geometric.data import Data  # imports for 5 s

        if not 0 <= i < len(self):
            raise IndexError(f"event {i} of {len(self)}")
        group = self._group(int(self.sample.index.shard[i]), int(self.sample.index.group[i]))
        place = self.sample.place[i]
        own = slice(*group.offsets[place : place + 2].tolist())
        targets = {f"y_{name}": values[own] for name, values in group.targets._asdict().items()}
        graph = Data(x=group.x[own], element=group.element[own], event_id=self.event_id[i : i + 1], num_nodes=own.stop - own.start, **targets)
        if group.edge_index is not None and group.edge_distance is not None:
            edges = slice(*group.edge_offsets[place : place + 2].tolist())
            graph.edge_index, graph.edge_distance = group.edge_index[:, edges], group.edge_distance[edges]
        return graph.clone()  # the caller's own: a transformation in place leaves the row group alone, and a saved graph is no larger than it is

    def __iter__(self) -> Iterator["Data"]:
        return (self[i] for i in range(len(self)))

    @property
    def num_elements(self) -> np.ndarray:
        """``(B,) int64`` elements per event."""
        return self.sample.num_elements

    def _group(self, shard: int, group: int) -> _Group:
        """A decoded row group; the ones used last stay in memory."""
        if (shard, group) not in self._decoded:
            while len(self._decoded) >= MAX_DECODED_GROUPS:
                self._decoded.popitem(last=False)
            self._decoded[shard, group] = _decode(self.sample.dataset.read_groups(shard, [group], _COLUMNS))
        self._decoded.move_to_end((shard, group))
        return self._decoded[shard, group]


def _decode(events: Events) -> _Group:
    kept = consumer_elements(events["element_type"])
    keep = torch.from_numpy(np.flatnonzero(kept))
    offsets = offsets_from_counts(kept)[events.collection_offsets("element")]
    edge_index = edge_distance = None
    edge_offsets = np.zeros(len(events) + 1, dtype=np.int64)
    if events.has(*GRAPH_COLUMNS):
        edges = EventEdges.of(events)
        edge_index, edge_distance, edge_offsets = torch.from_numpy(edges.index), torch.from_numpy(edges.distance), edges.offsets
    return _Group(
        x=torch.from_numpy(element_features(events))[keep],
        targets=Targets(*(values[keep] for values in training_targets(events))),
        element=torch.from_numpy(events["element_index"].astype(np.int64))[keep],
        offsets=offsets,
        edge_index=edge_index,
        edge_distance=edge_distance,
        edge_offsets=edge_offsets,
    )
