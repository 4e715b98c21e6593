"""The events of a split and where they lie on disk, known from the index alone."""

from dataclasses import dataclass

import numpy as np

from mlpf.events import offsets_from_counts
from mlpf.io.shards import ShardedDataset
from mlpf.samples.index import EventIndex, index_dataset
from mlpf.samples.split import SPLITS, SplitConfig, in_split


@dataclass(frozen=True, eq=False)
class Sample:
    """B events of one dataset in its order, and the G row groups that hold any of them.

    Attributes:
        dataset: the dataset.
        index: of the B events.
        place: ``(B,) int64`` place of each event among the rows of its row group.
        group_offsets: ``(G + 1,) int64`` first event of each row group.
        group_rows: ``(G,) int64`` rows of each row group, also of events that are not of the split.
    """

    dataset: ShardedDataset
    index: EventIndex
    place: np.ndarray
    group_offsets: np.ndarray
    group_rows: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def num_elements(self) -> np.ndarray:
        """``(B,) int64`` elements that a model sees."""
        return self.index.num_consumer_elements.astype(np.int64)


def select_split(dataset: ShardedDataset, split: str | None = None, config: SplitConfig | None = None, jobs: int = 1) -> Sample:
    """The events of a split.

    Args:
        dataset: the dataset.
        split: one of `SPLITS`, or none for all events.
        config: how events are shared among the splits.
        jobs: processes that read the shards whose index is not in the cache.

    Raises:
        DatasetError: a damaged shard.
    """
    assert split is None or split in SPLITS
    index = index_dataset(dataset, jobs)
    chosen = in_split(index.run, index.lumi, index.event, split, config or SplitConfig())
    starts, rows, number = _groups(index)
    held = np.bincount(number[chosen], minlength=len(rows))
    return Sample(dataset, index.select(chosen), (np.arange(len(index)) - starts[number])[chosen], offsets_from_counts(held[held > 0]), rows[held > 0])


def _groups(index: EventIndex) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First event and number of rows of every row group, and the row group of every event, counted through the dataset."""
    new = np.ones(len(index), dtype=bool)
    new[1:] = (np.diff(index.shard) != 0) | (np.diff(index.group) != 0)
    starts = np.flatnonzero(new)
    return starts, np.diff(np.append(starts, len(index))), np.cumsum(new) - 1
