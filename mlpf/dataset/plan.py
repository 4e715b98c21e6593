"""Which events make which batch of which epoch, decided from the index alone.

An epoch: shards and their row groups are shuffled, datasets interleaved, ranks dealt their shares, and consecutive row groups collected in pools; the events of
a pool are shuffled, sorted by size and cut into batches, and the batches of the pool are shuffled. So every row group is read once per epoch, and no more than
a pool is in memory at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np

from mlpf.dataset.sample import Sample
from mlpf.errors import DatasetError
from mlpf.events import offsets_from_counts

SIZE_SPREAD = 1.25  # largest over smallest event of a batch; at most 20 % of a batch is padding
SHARDS_AT_ONCE = 8  # of a dataset, whose row groups are shuffled together: opening a shard takes longer than reading a row group
_RING, _GROUPS, _EVENTS = range(3)  # what random numbers are for: every purpose has its own stream


@dataclass(frozen=True, eq=False)
class Pool:
    """Batches of K events together, and the row groups to read for them.

    Attributes:
        groups: ``(G, 4) int64`` dataset, shard, row group and its number of rows, in the order of reading.
        group: ``(K,) int64`` position in ``groups`` of each event, batch after batch.
        place: ``(K,) int64`` its place among the rows of the row group.
        num_elements: ``(K,) int64`` its elements.
        offsets: ``(n + 1,) int64`` first event of each of the n batches.
    """

    groups: np.ndarray
    group: np.ndarray
    place: np.ndarray
    num_elements: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def longest(self) -> np.ndarray:
        """``(n,) int64`` elements of the largest event of each batch."""
        return np.maximum.reduceat(self.num_elements, self.offsets[:-1]) if len(self) else np.zeros(0, dtype=np.int64)

    def after(self, count: int) -> "Pool":
        """All but the first ``count`` batches, and only the row groups that they need."""
        first = self.offsets[count]
        needed, group = np.unique(self.group[first:], return_inverse=True)
        return Pool(self.groups[needed], group, self.place[first:], self.num_elements[first:], self.offsets[count:] - first)


@dataclass(frozen=True, eq=False)
class _Batches:
    """Batches of one rank: events (numbered through all samples) in the order of their pool and size, and where each batch begins and ends among them."""

    event: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    pool: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def split_until(self, wanted: int) -> "_Batches":
        """Halve batches of most events until there are ``wanted``, or no batch has more than one event."""
        start, stop, pool = self.start, self.stop, self.pool
        while len(start) < wanted and (stop - start).max() > 1:
            largest = np.argsort(start - stop, kind="stable")[: wanted - len(start)]
            largest = largest[stop[largest] - start[largest] > 1]
            middle = (start[largest] + stop[largest]) // 2
            start, pool, ends = np.concatenate([start, middle]), np.concatenate([pool, pool[largest]]), stop[largest]
            stop = stop.copy()
            stop[largest] = middle
            stop = np.concatenate([stop, ends])
        return _Batches(self.event, start, stop, pool)


class Plan:
    """Batches of every epoch and rank; the same arguments always give the same.

    Shuffled epochs all have the same number of batches, on all ranks: that of the first epoch and a few more. An epoch whose events make fewer has some batches
    halved; one whose events make more, which nearly never happens, goes without the last few. (Where every batch is a single event nothing can be halved;
    a rank may then repeat a few.)
    Without shuffling nothing is halved or dropped.

    Args:
        samples: events of each dataset.
        max_elements: budget of a batch, padding included; an event larger than that is a batch of its own.
        pool_elements: elements that are shuffled and sorted together.
        shuffle: otherwise pools follow the datasets' order, always the same, with events by size in each.
        seed: of the shuffling.
        proportions: shares of the datasets in the events of an epoch, which then ends when the first of them runs out; each dataset goes on in the next epoch
            where it stopped, so that none of its events is seen more often than another. Without: all events of all.
        world: number of ranks.

    Raises:
        DatasetError: a dataset without events has a proportion, or there are fewer row groups than ranks.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        max_elements: int,
        pool_elements: int,
        shuffle: bool = True,
        seed: int = 0,
        proportions: Sequence[float] | None = None,
        world: int = 1,
    ) -> None:
        self.max_elements = max_elements
        self.pool_elements = pool_elements
        self.shuffle = shuffle
        self.seed = seed
        self.world = world
        self._size = np.concatenate([sample.num_elements for sample in samples])
        self._place = np.concatenate([sample.place for sample in samples])
        self._groups = np.concatenate([_group_table(number, sample) for number, sample in enumerate(samples)])
        self._first = offsets_from_counts(np.concatenate([np.diff(sample.group_offsets) for sample in samples]))
        self._group_elements = np.diff(offsets_from_counts(self._size)[self._first])
        self._quotas = _quotas(samples, proportions)

    def num_batches(self, rank: int = 0) -> int:
        """Batches of an epoch of a rank."""
        return self._length if self.shuffle else len(self._cut(0, rank))

    @cached_property
    def _length(self) -> int:
        """Batches of a shuffled epoch of every rank."""
        shares = [self._cut(0, rank) for rank in range(self.world)]
        most = max(len(share) for share in shares)
        if not most:
            return 0
        num_groups = sum(self._fewest_groups(dataset) for dataset in range(len(self._quotas)))
        if num_groups < self.world:
            raise DatasetError(f"{num_groups} row groups of events cannot be shared out to {self.world} processes; use fewer, or more events")
        fewest = max(1, min(len(share.event) for share in shares) - sum(self._slack(dataset) for dataset in range(len(self._quotas))))
        num_pools = max(share.pool.max() + 1 for share in shares)
        always_alike = num_pools == 1 and self.world == 1 and sum(self._quotas) == len(self._size)
        # Each pool ends with a batch that is not full. Measured on 1e2 to 1e5 events, the number has a standard deviation of 0.2 to 0.4 sqrt(pools), so that
        # this many more are enough for all but a few of 1e5 epochs.
        return int(min(most if always_alike else most + np.ceil(2.0 * np.sqrt(num_pools)), fewest))

    def num_events(self, dataset: int) -> int:
        """Events of a dataset in an epoch, all ranks together; with proportions up to a row group more or less."""
        return self._quotas[dataset]

    def pools(self, epoch: int, rank: int = 0) -> list[Pool]:
        """The epoch of a rank: pools in order, with their batches in order."""
        batches = self._cut(epoch, rank)
        if self.shuffle:
            batches = batches.split_until(self._length)
        if not len(batches):
            return []
        key = self._random(_EVENTS, epoch, rank, 1).random(len(batches)) if self.shuffle else batches.start
        order = np.lexsort((key, batches.pool))
        turn = np.zeros(len(order), dtype=np.int64)
        if self.shuffle:
            turn = np.arange(self._length) // len(order)
            order = np.resize(order, self._length)
        new = (np.diff(batches.pool[order]) != 0) | (np.diff(turn) != 0)
        return [self._pool(batches, part) for part in np.split(order, np.flatnonzero(new) + 1)]

    def _pool(self, batches: _Batches, chosen: np.ndarray) -> Pool:
        counts = batches.stop[chosen] - batches.start[chosen]
        event = batches.event[_ranges(batches.start[chosen], counts)]
        groups, group = np.unique(np.searchsorted(self._first, event, side="right") - 1, return_inverse=True)
        return Pool(self._groups[groups], group, self._place[event], self._size[event], offsets_from_counts(counts))

    def _cut(self, epoch: int, rank: int) -> _Batches:
        """The events of a rank in batches under the budget, as many as that makes."""
        groups = self._order(epoch)
        if self.world > 1:
            groups = groups[_deal(self._group_elements[groups], self.world) == rank]
        counts = np.diff(self._first)[groups]
        pool = np.repeat(_pool_of(self._group_elements[groups], self.pool_elements), counts)
        event = _ranges(self._first[:-1][groups], counts)
        key = self._random(_EVENTS, epoch, rank, 0).random(len(event)) if self.shuffle else event
        order = np.lexsort((key, self._size[event], pool))
        event, pool = event[order], pool[order]
        start = _cut_by_size(self._size[event], pool, self.max_elements, SIZE_SPREAD)
        return _Batches(event, start, np.append(start, len(event))[1:], pool[start])

    def _order(self, epoch: int) -> np.ndarray:
        """Row groups of an epoch, all ranks, in order.

        A dataset's shards are shuffled, and the row groups of every `SHARDS_AT_ONCE` of them. They are spread evenly, one at random in each of as many equal
        stretches as the dataset has, so that any part of the epoch holds the same mixture.
        """
        if not self.shuffle:
            return np.arange(len(self._groups))
        chosen, position = [], []
        for dataset in range(len(self._quotas)):
            groups = self._turn(dataset, epoch)
            random = self._random(_GROUPS, epoch, dataset)
            shard = self._groups[groups, 1]
            window = random.permutation(shard.max(initial=-1) + 1)[shard] // SHARDS_AT_ONCE
            groups = groups[np.lexsort((random.random(len(groups)), window))]
            counts = np.diff(self._first)[groups]
            chosen.append(groups)
            position.append((np.cumsum(counts) - random.random(len(groups)) * counts) / max(1, counts.sum()))
        return np.concatenate(chosen)[np.argsort(np.concatenate(position), kind="stable")]

    def _turn(self, dataset: int, epoch: int) -> np.ndarray:
        """Row groups of a dataset whose turn it is: all lie on a ring in an order of their own, and each epoch goes on where the one before stopped."""
        groups, start, total = self._rings[dataset]
        return groups[(start - epoch * self._quotas[dataset]) % max(1, total) < self._quotas[dataset]]

    @cached_property
    def _rings(self) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """Per dataset: its row groups in the ring's order, the number of events before each, and of all."""
        rings = []
        for dataset in range(len(self._quotas)):
            groups = self._random(_RING, dataset).permutation(np.flatnonzero(self._groups[:, 0] == dataset))
            offsets = offsets_from_counts(np.diff(self._first)[groups])
            rings.append((groups, offsets[:-1], int(offsets[-1])))
        return rings

    def _slack(self, dataset: int) -> int:
        """Events by which an epoch may fall short of a dataset's quota, as it takes whole row groups."""
        groups, _, total = self._rings[dataset]
        return 0 if self._quotas[dataset] == total else int(np.diff(self._first)[groups].max())

    def _fewest_groups(self, dataset: int) -> int:
        """Row groups of a dataset in the epoch that has the fewest: one begins in any stretch of the ring as long as the longest of them."""
        slack = self._slack(dataset)
        return self._quotas[dataset] // slack if slack else len(self._rings[dataset][0])

    def _random(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([len(purpose), *purpose, self.seed])


def _group_table(dataset: int, sample: Sample) -> np.ndarray:
    """Rows of `Pool.groups`."""
    first = sample.group_offsets[:-1]
    columns = np.full(len(first), dataset), sample.index.shard[first], sample.index.group[first], sample.group_rows
    return np.stack(columns, axis=1).astype(np.int64)


def _quotas(samples: Sequence[Sample], proportions: Sequence[float] | None) -> list[int]:
    """Events of each dataset in an epoch."""
    counts = np.array([len(sample) for sample in samples])
    if proportions is None:
        return counts.tolist()
    assert len(proportions) == len(samples)
    for sample, proportion in zip(samples, proportions, strict=True):
        if not proportion > 0.0:
            raise DatasetError(f"{sample.dataset.path}: proportion {proportion:g} of the events; choose a number above 0, or leave the dataset out")
        if not len(sample):
            raise DatasetError(f"{sample.dataset.path}: no events for a proportion of {proportion:g}; use more events, or leave the dataset out")
    shares = np.asarray(proportions, dtype=np.float64)
    return np.clip(np.rint(shares * (counts / shares).min()), 1, counts).astype(np.int64).tolist()


def _ranges(start: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``start[0], start[0] + 1, ...``, ``counts[0]`` numbers, then those of the next."""
    offsets = offsets_from_counts(counts)
    return np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], counts)


def _pool_of(elements: np.ndarray, pool_elements: int) -> np.ndarray:
    """``(G,)`` pool of consecutive row groups of ``(G,)`` elements: as many pools as it takes, of equal size up to a row group."""
    total = max(1, int(elements.sum()))
    num_pools = -(-total // pool_elements)
    middle = np.cumsum(elements) - elements / 2
    return np.minimum((middle * num_pools / total).astype(np.int64), num_pools - 1)


@numba.njit(cache=True)
def _deal(elements: np.ndarray, world: int) -> np.ndarray:
    """Rank of each row group: in every round of ``world`` row groups each rank gets one, the largest goes to the rank that has the fewest elements so far."""
    rank = np.empty(len(elements), dtype=np.int64)
    load = np.zeros(world, dtype=np.int64)
    for first in range(0, len(elements), world):
        own = elements[first : first + world]
        largest_first = np.argsort(-own, kind="mergesort")
        least_first = np.argsort(load, kind="mergesort")
        for i in range(len(own)):
            rank[first + largest_first[i]] = least_first[i]
            load[least_first[i]] += own[largest_first[i]]
    return rank


@numba.njit(cache=True)
def _cut_by_size(size: np.ndarray, pool: np.ndarray, max_elements: int, spread: float) -> np.ndarray:
    """Where batches begin among events that are sorted by pool, then size."""
    starts = np.empty(len(size), dtype=np.int64)
    count = 0
    for i in range(len(size)):
        first = starts[count - 1] if count else 0
        full = (i - first + 1) * max(1, size[i]) > max_elements or size[i] > spread * max(1, size[first])
        if count == 0 or full or pool[i] != pool[first]:
            starts[count] = i
            count += 1
    return starts[:count].copy()
