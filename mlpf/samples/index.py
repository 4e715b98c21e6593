"""What is known of every event of a dataset without its elements: identity, size and the variables that samples are binned in.

Made by one pass over a few columns, shard by shard, and kept for the next time in the user's cache (`cache_folder`) as long as path, size and modification time
of the shard are the same, and its checksum in the manifest.
"""

import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
import xxhash

from mlpf import schema
from mlpf.errors import DatasetError, MlpfError
from mlpf.events import Events, event_index
from mlpf.features import consumer_elements
from mlpf.hashes import event_marks
from mlpf.io.files import atomic_file, cache_folder
from mlpf.io.shards import ShardedDataset
from mlpf.io.workers import map_in_order
from mlpf.jets import HT_MAX_ETA, HT_MIN_PT

VERSION = 3  # of the cached files; raised whenever older ones would be wrong
_CHECKSUM_BYTES = 16  # in front of a cached file: NumPy's own reader meets damage with exceptions of any kind
COLUMNS = (*schema.IDENTITY, "source", "element_type", "element_energy", "genjet_pt", "genjet_eta", "targetjet_pt", "targetjet_eta")


@dataclass(frozen=True)
class EventIndex:
    """B events; every array is ``(B,)``.

    Attributes:
        run, lumi, event: ``int64`` identity.
        source: ``int32`` position in the manifest's list of sources.
        shard: ``int32`` position in the manifest's list of shards.
        row: ``int64`` row in the shard.
        group: ``int32`` row group in the shard.
        mark: ``uint64`` fingerprint of the elements: equal for events whose numbers and energies of elements are, 0 without elements.
        num_elements: ``int32`` all elements.
        num_consumer_elements: ``int32`` those that a model sees (without PS1, PS2, BREM).
        leading_jet_pt, leading_jet_eta: ``float32`` of the hardest generator jet [GeV], 0 where there is none; jets of targets where the dataset has no others.
        ht: ``float32`` scalar sum of pt of the same jets above 30 GeV within abs(eta) 2.5 [GeV].
    """

    run: np.ndarray
    lumi: np.ndarray
    event: np.ndarray
    source: np.ndarray
    shard: np.ndarray
    row: np.ndarray
    group: np.ndarray
    mark: np.ndarray
    num_elements: np.ndarray
    num_consumer_elements: np.ndarray
    leading_jet_pt: np.ndarray
    leading_jet_eta: np.ndarray
    ht: np.ndarray

    def __len__(self) -> int:
        return len(self.event)

    def select(self, chosen: np.ndarray) -> Self:
        """Events of a mask ``(B,) bool`` or of positions, in their order."""
        return type(self)(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def index_dataset(dataset: ShardedDataset, jobs: int = 1) -> EventIndex:
    """All events of a dataset, in its order; see `index_datasets`."""
    return index_datasets([dataset], jobs)[0]


def index_datasets(datasets: Sequence[ShardedDataset], jobs: int = 1) -> list[EventIndex]:
    """All events of each dataset, in its order.

    Args:
        datasets: the datasets.
        jobs: processes that read the shards whose index is not in the cache.

    Raises:
        DatasetError: a damaged shard, or one with other events than the manifest says.
    """
    tasks = [[_Task(dataset, shard, _key(dataset, shard)) for shard in range(len(dataset.shards))] for dataset in datasets]
    parts = [[_load(task) for task in of_dataset] for of_dataset in tasks]
    missing = [(number, shard) for number, known in enumerate(parts) for shard, index in enumerate(known) if index is None]
    made = map_in_order(_index_shard, [tasks[number][shard] for number, shard in missing], jobs)
    for (number, shard), index in zip(missing, made, strict=True):
        _store(tasks[number][shard], index)
        parts[number][shard] = index
    return [
        join_indices([replace(index, shard=np.full(len(index), shard, dtype=np.int32)) for shard, index in enumerate(known) if index is not None])
        for known in parts
    ]  # the place of a shard is not in the cache, as a dataset may grow


@dataclass(frozen=True)
class _Task:
    """A shard to index, and what its index is valid for: from before it is read, as it may be replaced meanwhile; travels to another process."""

    dataset: ShardedDataset
    shard: int
    key: str

    @property
    def path(self) -> Path:
        return self.dataset.shard_path(self.shard)

    def __str__(self) -> str:
        return str(self.path)


def _index_shard(task: _Task) -> EventIndex:
    offsets = task.dataset.group_offsets(task.shard)
    groups = range(len(offsets) - 1)
    step = 64  # row groups: enough to keep pyarrow's threads busy, little memory
    parts = [_index_events(task.dataset.read_groups(task.shard, groups[first : first + step], COLUMNS)) for first in groups[::step]]
    index = join_indices(parts)
    expected = task.dataset.shards[task.shard].num_events
    if len(index) != expected:
        raise DatasetError(f"{task}: holds {len(index)} events, the manifest says {expected}; make the dataset again")
    row = np.arange(len(index), dtype=np.int64)
    return replace(index, row=row, group=np.searchsorted(offsets, row, side="right").astype(np.int32) - 1)


def _index_events(events: Events) -> EventIndex:
    """Index of a chunk, whose place in the shard is still unknown."""
    jets = "genjet" if "genjet_pt" in events else "targetjet"
    offsets, pt, eta = events.collection_offsets(jets), events[f"{jets}_pt"], events[f"{jets}_eta"]
    counts, owner = np.diff(offsets), event_index(offsets)
    leading = np.lexsort((-pt, owner))[offsets[:-1][counts > 0]]  # by event, hardest first
    leading_pt, leading_eta = np.zeros((2, len(events)), dtype=np.float32)
    leading_pt[counts > 0], leading_eta[counts > 0] = pt[leading], eta[leading]
    in_ht = (pt > HT_MIN_PT) & (np.abs(eta) < HT_MAX_ETA)
    element = event_index(events.collection_offsets("element"))
    seen = np.bincount(element[consumer_elements(events["element_type"])], minlength=len(events))
    nowhere = np.zeros(len(events), dtype=np.int64)
    return EventIndex(
        run=events["run"],
        lumi=events["lumi"],
        event=events["event"],
        source=events["source"],
        shard=nowhere.astype(np.int32),
        row=nowhere,
        group=nowhere.astype(np.int32),
        mark=event_marks(events)[:, 1],
        num_elements=events.counts("element").astype(np.int32),
        num_consumer_elements=seen.astype(np.int32),
        leading_jet_pt=leading_pt,
        leading_jet_eta=leading_eta,
        ht=np.bincount(owner[in_ht], pt[in_ht], minlength=len(events)).astype(np.float32),
    )


def join_indices(parts: Sequence[EventIndex]) -> EventIndex:
    """Events of several indices, one after the other."""
    parts = parts or [_index_events(Events({}, {}, 0, layout=schema.DATASET))]
    return EventIndex(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(EventIndex)})


def _key(dataset: ShardedDataset, number: int) -> str:
    """What the index of a shard is valid for."""
    status = dataset.shard_path(number).stat()
    return f"{status.st_size} {status.st_mtime_ns} {dataset.shards[number].sha256} {VERSION} {schema.digest()}"


def _cached(path: Path) -> Path:
    return cache_folder() / "index" / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]}.index"


def _load(task: _Task) -> EventIndex | None:
    """Index of a shard from the cache; none if there is none, one of another file, or a damaged one."""
    try:
        stored = _cached(task.path).read_bytes()
    except OSError:
        return None
    checksum, content = stored[:_CHECKSUM_BYTES], stored[_CHECKSUM_BYTES:]
    if xxhash.xxh3_128_digest(content) != checksum:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as values:
        if str(values["key"]) != task.key:
            return None
        return EventIndex(**{field.name: values[field.name] for field in fields(EventIndex)})


def _store(task: _Task, index: EventIndex) -> None:
    stream = io.BytesIO()
    np.savez(stream, key=task.key, **{field.name: getattr(index, field.name) for field in fields(index)})
    content = stream.getvalue()
    with suppress(MlpfError), atomic_file(_cached(task.path)) as temporary:  # a cache that cannot be written is done without
        temporary.write_bytes(xxhash.xxh3_128_digest(content) + content)
