"""Events of a Parquet dataset as PyTorch Geometric graphs.

A split is read into memory once: 220 bytes of features per element, so 5 GB for 4000 events of 6000 elements.
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mlpf import schema
from mlpf.dataset.batch import Targets
from mlpf.dataset.targets import TARGET_COLUMNS, training_targets
from mlpf.errors import DatasetError
from mlpf.events import Events, offsets_from_counts
from mlpf.features import consumer_elements, element_features
from mlpf.io.shards import ShardedDataset
from mlpf.samples.split import SPLITS, SplitConfig, split_index

if TYPE_CHECKING:
    from torch_geometric.data import Data

_COLUMNS = (*schema.IDENTITY, "element_index", *schema.NTUPLE.names("element"), *TARGET_COLUMNS)


class GraphDataset(Dataset):
    """One graph per event: its elements, without those that the consumer drops (PS1, PS2, BREM).

    Args:
        dataset: the folder of shards.
        split: one of `SPLITS`, or none for all events.
        split_config: how events are shared among the splits.

    Attributes:
        features: ``(N, 55) float32`` raw features of all elements.
        targets: `Targets` of all elements, each ``(N, ...)``.
        element_index: ``(N,) int64`` positions of the elements in the ntuple.
        event_id: ``(B, 3) int64`` run, luminosity block, event number.
        row: ``(B,) int64`` position of the event in the dataset.
        offsets: ``(B + 1,) int64`` event boundaries in the arrays of elements.
    """

    def __init__(self, dataset: ShardedDataset, split: str | None = None, split_config: SplitConfig | None = None) -> None:
        assert split is None or split in SPLITS
        self.split = split
        self.split_config = split_config or SplitConfig()
        parts = [self._read(chunk) for chunk in dataset.iterate(_COLUMNS)]
        if not parts:
            raise DatasetError(f"{dataset.path}: holds no shards")
        features, targets, element_index, event_id, row, counts = zip(*parts, strict=True)
        self.features = torch.cat(features)
        self.targets = Targets(*(torch.cat(values) for values in zip(*targets, strict=True)))
        self.element_index = torch.cat(element_index)
        self.event_id = torch.cat(event_id)
        self.row = torch.cat(row)
        self.offsets = offsets_from_counts(np.concatenate(counts))

    def _read(self, chunk: Events) -> tuple[Tensor, Targets, Tensor, Tensor, Tensor, np.ndarray]:
        ids = np.stack([chunk[name] for name in schema.IDENTITY], axis=1)
        chosen = np.ones(len(chunk), dtype=bool)
        if self.split is not None:
            chosen = split_index(chunk["run"], chunk["lumi"], chunk["event"], self.split_config) == SPLITS.index(self.split)
        event = np.repeat(np.arange(len(chunk)), chunk.counts("element"))
        kept = chosen[event] & consumer_elements(chunk["element_type"])
        keep = torch.from_numpy(np.flatnonzero(kept))
        return (
            torch.from_numpy(element_features(chunk))[keep],
            Targets(*(values[keep] for values in training_targets(chunk))),
            torch.from_numpy(chunk["element_index"].astype(np.int64))[keep],
            torch.from_numpy(ids[chosen]),
            torch.from_numpy(chunk.first_entry + np.flatnonzero(chosen)),
            np.bincount(event[kept], minlength=len(chunk))[chosen],
        )

    def __len__(self) -> int:
        return len(self.event_id)

    def __getitem__(self, i: int) -> "Data":
        """Graph of event ``i``: ``x (N, 55)``, ``y_<target> (N, ...)`` for every field of `Targets`, ``element (N,)`` place in the ntuple, ``event_id (1, 3)``.

        No name contains "index": PyG would shift such values when it makes a batch.
        """
        from torch_geometric.data import Data  # imports for 5 s

        own = slice(self.offsets[i], self.offsets[i + 1])
        targets = {f"y_{name}": values[own] for name, values in self.targets._asdict().items()}
        return Data(x=self.features[own], element=self.element_index[own], event_id=self.event_id[i : i + 1], num_nodes=own.stop - own.start, **targets)

    def __iter__(self) -> Iterator["Data"]:
        return (self[i] for i in range(len(self)))

    @property
    def num_elements(self) -> np.ndarray:
        """``(B,) int64`` elements per event."""
        return np.diff(self.offsets)


def fingerprint(dataset: ShardedDataset) -> str:
    """16 hex digits that change whenever a shard's content does."""
    return hashlib.sha256("".join(shard.sha256 for shard in dataset.shards).encode()).hexdigest()[:16]
