"""Mean, width, range and quantiles of the features of elements, per element type: streaming, and mergeable in any order.

Events are shared among pieces by a hash of their identity, so that the moments of a random half, quarter, eighth ... of them are known as well, from which one
sees whether there were enough (`mlpf.plotting.scaling`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.events import Events, event_index
from mlpf.features import FEATURE_LIMITS, SCALED_FEATURES, consumer_elements, feature_column
from mlpf.io.shards import ShardedDataset
from mlpf.io.workers import map_in_order
from mlpf.samples.feature_kernels import NUM_BINS, add_column
from mlpf.samples.histogram import quantiles
from mlpf.samples.split import SPLITS, SplitConfig, split_index, uniform_hash

NUM_PIECES = 20
ALL_TYPES = schema.NUM_ELEMENT_TYPES
"""Row of a `FeatureSummary` that is over elements of all types."""
SIGMAS = (-3, -2, -1, 0, 1, 2, 3)
SIGMA_PROBABILITIES = (0.0013498980316301, 0.0227501319481792, 0.1586552539314571, 0.5, 0.8413447460685429, 0.9772498680518208, 0.9986501019683699)
"""Share of a normal distribution below the median and 1, 2, 3 standard deviations beside it."""
_PIECE_SEED = 0x5CA1E  # another than those of splits
_LIMITS = np.array([FEATURE_LIMITS[schema.FEATURE_INDEX[name]] for name in SCALED_FEATURES], dtype=np.float32)
_COLUMNS = (*schema.IDENTITY, *(f"element_{name}" for name in schema.FEATURES if name not in ("sin_phi", "cos_phi")), "element_phi")
_TASK_ELEMENTS = 2**19  # of one task of a process: half a second with pileup
_CHUNK_ELEMENTS = 2**18  # in memory at once: 60 MB


class FeatureSummary(NamedTuple):
    """What scaling needs to know; T + 1 rows: the element types, then all types together. NaN where there are no elements.

    Attributes:
        num_elements: ``(T + 1,) int64``.
        mean, std: ``(T + 1, F)`` of the features `SCALED_FEATURES`.
        log_mean, log_std: ``(T + 1, F)`` of sign(x) log(1 + abs(x)).
    """

    num_elements: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    log_mean: np.ndarray
    log_std: np.ndarray


class FeatureStatistics:
    """Statistics of F = 52 features (`SCALED_FEATURES`) of T = 12 element types in P = 20 pieces.

    Attributes:
        num_events: ``(P,) int64`` events of each piece; piece k holds about 2^-(k + 1) of all.
        counts: ``(P, T) int64`` elements.
        moments: ``(F, P, T, 4) float64`` mean and sum of squared deviations, of x and of sign(x) log(1 + abs(x)).
        extremes: ``(F, T, 2) float32`` lowest and highest value; infinity and -infinity without elements.
        histogram: ``(F, T, NUM_BINS) int64``, see `mlpf.samples.histogram`.
    """

    def __init__(self) -> None:
        pieces, types, features = NUM_PIECES, schema.NUM_ELEMENT_TYPES, len(SCALED_FEATURES)
        self.num_events = np.zeros(pieces, dtype=np.int64)
        self.counts = np.zeros((pieces, types), dtype=np.int64)
        self.moments = np.zeros((features, pieces, types, 4))
        self.extremes = np.tile(np.array([np.inf, -np.inf], dtype=np.float32), (features, types, 1))
        self.histogram = np.zeros((features, types, NUM_BINS), dtype=np.int64)

    def add(self, features: np.ndarray, num_events: int = 1) -> None:
        """Add elements, ``(N, 55)`` raw features, of events whose identity is unknown: all go to the first piece.

        Values are cleaned as the model does it: non-finite ones count as 0, those beyond `FEATURE_LIMITS` as the limit.
        """
        kinds = np.nan_to_num(features[:, schema.FEATURE_INDEX["type"]], nan=0.0, posinf=0.0, neginf=0.0)
        element_type = np.clip(kinds, 0, schema.NUM_ELEMENT_TYPES - 1).astype(np.int64)
        self.num_events[0] += num_events
        self._add(element_type, lambda name: np.ascontiguousarray(features[:, schema.FEATURE_INDEX[name]], dtype=np.float32))

    def add_events(self, events: Events, chosen: np.ndarray | None = None) -> None:
        """Add the elements that a model sees (without PS1, PS2, BREM).

        Args:
            events: of a dataset, with identity and columns of elements.
            chosen: ``(B,) bool`` the events to add; None: all.
        """
        kinds = events["element_type"]
        event = event_index(events.collection_offsets("element"))
        piece = _pieces(events)
        kept = consumer_elements(kinds)
        if chosen is not None:
            kept &= chosen[event]
            self.num_events += np.bincount(piece[chosen], minlength=NUM_PIECES)
        else:
            self.num_events += np.bincount(piece, minlength=NUM_PIECES)
        group = piece[event] * schema.NUM_ELEMENT_TYPES + kinds
        self._add(np.where(kept, group, -1), lambda name: feature_column(events, name))

    def _add(self, group: np.ndarray, column: Callable[[str], np.ndarray]) -> None:
        """Add elements; ``group (N,)`` is piece x T + type, or -1 for those to leave out."""
        num_groups = self.counts.size
        sizes = np.bincount(group + 1, minlength=num_groups + 1)
        order = np.argsort(group.astype(np.int16), kind="stable")[sizes[0] :].astype(np.uint32)
        starts = np.concatenate([[0], np.cumsum(sizes[1:])])
        for i, name in enumerate(SCALED_FEATURES):
            add_column(column(name), order, starts, _LIMITS[i], self.counts, self.moments[i], self.extremes[i], self.histogram[i])
        self.counts += sizes[1:].reshape(self.counts.shape)

    def merge(self, other: Self) -> None:
        """Add the elements of other statistics: counts and histograms exactly, moments to rounding (Chan, Golub, LeVeque 1979, STAN-CS-79-773)."""
        total = np.maximum(self.counts + other.counts, 1)
        share = (other.counts / total)[..., None]
        weight = (self.counts * (other.counts / total))[..., None]
        difference = other.moments[..., 0::2] - self.moments[..., 0::2]
        self.moments[..., 0::2] += difference * share
        self.moments[..., 1::2] += other.moments[..., 1::2] + difference**2 * weight
        self.num_events += other.num_events
        self.counts += other.counts
        self.histogram += other.histogram
        self.extremes[..., 0] = np.minimum(self.extremes[..., 0], other.extremes[..., 0])
        self.extremes[..., 1] = np.maximum(self.extremes[..., 1], other.extremes[..., 1])

    @property
    def num_elements(self) -> int:
        """Elements of all types."""
        return int(self.counts.sum())

    def summary(self, first_piece: int = 0) -> FeatureSummary:
        """Moments of the events in the pieces from ``first_piece`` on: of all, of a random half, quarter ... of them."""
        counts, moments = self.counts[first_piece:], self.moments[:, first_piece:]
        count, by_type = _pool(counts, moments)  # over pieces
        _, total = _pool(count, by_type)  # over types
        rows = np.concatenate([by_type, total[:, None]], axis=1).transpose(1, 0, 2)
        count = np.append(count, count.sum())
        rows[count == 0] = np.nan
        spread = np.sqrt(rows[..., 1::2] / np.maximum(count, 1)[:, None, None])
        return FeatureSummary(count, rows[..., 0], spread[..., 0], rows[..., 2], spread[..., 1])

    def range(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest values ``(T + 1, F)``, all types in the last row; infinity and -infinity without elements."""
        low, high = self.extremes[..., 0].T, self.extremes[..., 1].T
        return np.vstack([low, low.min(axis=0)]), np.vstack([high, high.max(axis=0)])

    def quantiles(self, probabilities: Sequence[float] = SIGMA_PROBABILITIES) -> np.ndarray:
        """``(T + 1, F, Q)`` to 3 % (see `mlpf.samples.histogram`), all types in the last row; NaN without elements."""
        by_type = self.histogram.transpose(1, 0, 2)
        histogram = np.concatenate([by_type, by_type.sum(axis=0, keepdims=True)])
        return quantiles(histogram, np.asarray(probabilities), *self.range())


def _pool(counts: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moments ``(F, K, ..., 4)`` of K sets of ``(K, ...)`` elements -> of all elements, ``(...)`` and ``(F, ..., 4)``."""
    count = counts.sum(axis=0)
    share = (counts / np.maximum(count, 1))[..., None]
    mean = (moments[..., 0::2] * share).sum(axis=1)
    deviation = moments[..., 0::2] - mean[:, None]
    squares = (moments[..., 1::2] + counts[..., None] * deviation**2).sum(axis=1)
    return count, np.stack([mean, squares], axis=-1).reshape(*mean.shape[:-1], 4)


def _pieces(events: Events) -> np.ndarray:
    """``(B,)`` piece of each event: k where its hash is in [2^-(k + 1), 2^-k), the last one for all below."""
    _, exponent = np.frexp(uniform_hash(events["run"], events["lumi"], events["event"], _PIECE_SEED))
    return np.minimum(-exponent, NUM_PIECES - 1)


@dataclass(frozen=True)
class _Task:
    """Row groups of a shard to measure; travels to another process."""

    dataset: ShardedDataset
    shard: int
    groups: tuple[int, ...]
    groups_per_chunk: int
    split: str | None
    split_config: SplitConfig
    max_events: int | None = None

    def __str__(self) -> str:
        return str(self.dataset.path / self.dataset.shards[self.shard].name)


def measure_features(
    datasets: Sequence[ShardedDataset],
    split: str | None,
    split_config: SplitConfig,
    jobs: int = 1,
    max_events: int | None = None,
    on_events: Callable[[int, int], None] = lambda _done, _total: None,
) -> FeatureStatistics:
    """Statistics of the elements that a model sees in the events of a split.

    Args:
        datasets: all of them together.
        split: one of `SPLITS`; None: all events.
        split_config: how events are shared among the splits.
        jobs: processes; the numbers do not depend on it.
        max_events: use no more than these, in row groups drawn at random from all datasets.
        on_events: receives the number of events that are done, and of all.

    Raises:
        DatasetError: a damaged shard, or no events to measure.
    """
    tasks = _tasks(datasets, split, split_config) if max_events is None else _drawn_tasks(datasets, split, split_config, max_events)
    num_events = [_rows(task) for task in tasks]
    statistics, done = FeatureStatistics(), 0
    for measured, count in zip(map_in_order(_measure, tasks, jobs), num_events, strict=True):
        statistics.merge(measured)
        done += count
        on_events(done, sum(num_events))
    if not statistics.num_elements:
        names = ", ".join(str(dataset.path) for dataset in datasets)
        raise DatasetError(f"{names}: no elements in the events{f' of split {split}' if split else ''}; use more events, or another split")
    return statistics


def _measure(task: _Task) -> FeatureStatistics:
    statistics, left = FeatureStatistics(), task.max_events
    for first in range(0, len(task.groups), task.groups_per_chunk):
        events = task.dataset.read_groups(task.shard, task.groups[first : first + task.groups_per_chunk], _COLUMNS)
        chosen = _in_split(events, task.split, task.split_config)
        if left is not None:
            chosen &= np.cumsum(chosen) <= left
            left -= int(chosen.sum())
        statistics.add_events(events, chosen)
    return statistics


def _in_split(events: Events, split: str | None, config: SplitConfig) -> np.ndarray:
    if split is None:
        return np.ones(len(events), dtype=bool)
    return split_index(events["run"], events["lumi"], events["event"], config) == SPLITS.index(split)


def _rows(task: _Task) -> int:
    return int(np.diff(task.dataset.group_offsets(task.shard))[list(task.groups)].sum())


def _tasks(datasets: Sequence[ShardedDataset], split: str | None, config: SplitConfig) -> list[_Task]:
    """All row groups, in order."""
    tasks = []
    for dataset in datasets:
        for shard in range(len(dataset.shards)):
            num_groups = len(dataset.group_offsets(shard)) - 1
            per_task, per_chunk = (_groups_of(dataset, shard, elements) for elements in (_TASK_ELEMENTS, _CHUNK_ELEMENTS))
            starts = range(0, num_groups, per_task)
            tasks += [_Task(dataset, shard, tuple(range(i, min(i + per_task, num_groups))), per_chunk, split, config) for i in starts]
    return tasks


def _groups_of(dataset: ShardedDataset, shard: int, elements: int) -> int:
    """Row groups that hold about so many elements."""
    num_groups = len(dataset.group_offsets(shard)) - 1
    return max(elements * num_groups // max(dataset.shards[shard].num_elements, 1), 1)


def _drawn_tasks(datasets: Sequence[ShardedDataset], split: str | None, config: SplitConfig, max_events: int) -> list[_Task]:
    """Single row groups in a fixed random order, until they hold ``max_events`` of the split."""
    places = [(dataset, shard, group) for dataset in datasets for shard in range(len(dataset.shards)) for group in range(len(dataset.group_offsets(shard)) - 1)]
    tasks, left = [], max_events
    for i in np.random.default_rng(_PIECE_SEED).permutation(len(places)):
        if left <= 0:
            break
        dataset, shard, group = places[i]
        tasks.append(_Task(dataset, shard, (group,), 1, split, config, left))
        left -= int(_in_split(dataset.read_groups(shard, [group], schema.IDENTITY), split, config).sum())
    return tasks
