"""Mean, width, range and quantiles of the features of elements, per element type: streaming, and mergeable in any order.

Events are shared among pieces by a hash of their identity, so that the moments of a random half, quarter, eighth ... of them are known as well, from which one
sees whether there were enough (`mlpf.plotting.scaling`). The hash knows the dataset, too: simulated samples all count their events from 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.events import Events
from mlpf.features import FEATURE_LIMITS, SCALED_FEATURES, consumer_elements, feature_column
from mlpf.io.shards import ShardedDataset, fingerprint
from mlpf.io.workers import map_in_order
from mlpf.samples.feature_kernels import NUM_BINS, add_column, group_elements
from mlpf.samples.histogram import quantiles
from mlpf.samples.split import SplitConfig, in_split, uniform_hash

NUM_PIECES = 20
ALL_TYPES = schema.NUM_ELEMENT_TYPES
"""Row of a `FeatureSummary` that is over elements of all types."""
SIGMAS = (-3, -2, -1, 0, 1, 2, 3)
SIGMA_PROBABILITIES = (0.0013498980316301, 0.0227501319481792, 0.1586552539314571, 0.5, 0.8413447460685429, 0.9772498680518208, 0.9986501019683699)
"""Share of a normal distribution below the median and 1, 2, 3 standard deviations beside it."""
_PIECE_SEED = 0x5CA1E  # another than those of splits
_LIMITS = np.array([FEATURE_LIMITS[schema.FEATURE_INDEX[name]] for name in SCALED_FEATURES], dtype=np.float32)
_SEEN_TYPES = consumer_elements(np.arange(schema.NUM_ELEMENT_TYPES))
_COLUMNS = (*schema.IDENTITY, *(f"element_{name}" for name in schema.FEATURES if name not in ("sin_phi", "cos_phi")), "element_phi")
_TASK_ELEMENTS = 2**20  # of one task of a process: less than a second
_CHUNK_ELEMENTS = 2**17  # in memory at once: 30 MB


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
        every_type = np.ones(schema.NUM_ELEMENT_TYPES, dtype=bool)
        group = group_elements(element_type, np.array([0, len(features)]), np.zeros(1, dtype=np.int64), every_type, NUM_PIECES)
        self._add(*group, lambda name: np.ascontiguousarray(features[:, schema.FEATURE_INDEX[name]], dtype=np.float32))
        self.num_events[0] += num_events

    def add_events(self, events: Events, chosen: np.ndarray | None = None, seed: int = 0) -> None:
        """Add the elements that a model sees (without PS1, PS2, BREM).

        Args:
            events: of a dataset, with identity and columns of elements.
            chosen: ``(B,) bool`` the events to add; None: all.
            seed: of the dataset, for the sharing among pieces.
        """
        piece = _pieces(events, seed)
        if chosen is not None:
            piece = np.where(chosen, piece, -1)
        events.validate(["element_type"])
        group = group_elements(events["element_type"], events.collection_offsets("element"), piece, _SEEN_TYPES, NUM_PIECES)
        self._add(*group, lambda name: feature_column(events, name))
        self.num_events += np.bincount(piece + 1, minlength=NUM_PIECES + 1)[1:]

    def _add(self, order: np.ndarray, starts: np.ndarray, column: Callable[[str], np.ndarray]) -> None:
        """Add elements in the order of `group_elements`."""
        for i, name in enumerate(SCALED_FEATURES):
            add_column(column(name), order, starts, _LIMITS[i], self.counts, self.moments[i], self.extremes[i], self.histogram[i])
        self.counts += np.diff(starts).reshape(self.counts.shape)

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

    def __getstate__(self) -> dict[str, Any]:
        """Most bins are empty: only the others travel to another process."""
        filled = np.flatnonzero(self.histogram)
        return {**self.__dict__, "histogram": (self.histogram.shape, filled, self.histogram.ravel()[filled])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        shape, filled, counts = state["histogram"]
        self.__dict__.update(state, histogram=np.zeros(shape, dtype=np.int64))
        self.histogram.ravel()[filled] = counts

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


def _pieces(events: Events, seed: int) -> np.ndarray:
    """``(B,)`` piece of each event: k where its hash is in [2^-(k + 1), 2^-k), the last one for all below."""
    _, exponent = np.frexp(uniform_hash(events["run"], events["lumi"], events["event"], _PIECE_SEED ^ seed))
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
        return str(self.dataset.shard_path(self.shard))


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
    if max_events is None or max_events >= sum(map(len, datasets)):
        tasks = _tasks(datasets, _all_groups(datasets), split, split_config)
    else:
        tasks = _drawn_tasks(datasets, split, split_config, max_events)
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
    statistics, left, seed = FeatureStatistics(), task.max_events, int(fingerprint(task.dataset), 16)
    for first in range(0, len(task.groups), task.groups_per_chunk):
        events = task.dataset.read_groups(task.shard, task.groups[first : first + task.groups_per_chunk], _COLUMNS)
        chosen = in_split(events["run"], events["lumi"], events["event"], task.split, task.split_config)
        if left is not None:
            chosen &= np.cumsum(chosen) <= left
            left -= int(chosen.sum())
        statistics.add_events(events, chosen, seed)
    return statistics


def _rows(task: _Task) -> int:
    return int(np.diff(task.dataset.group_offsets(task.shard))[list(task.groups)].sum())


_Groups = dict[tuple[int, int], list[int]]  # by dataset and shard


def _all_groups(datasets: Sequence[ShardedDataset]) -> _Groups:
    places = [(number, shard) for number, dataset in enumerate(datasets) for shard in range(len(dataset.shards))]
    return {(number, shard): list(range(len(datasets[number].group_offsets(shard)) - 1)) for number, shard in places}


def _tasks(datasets: Sequence[ShardedDataset], groups: _Groups, split: str | None, config: SplitConfig) -> list[_Task]:
    """Row groups shared among tasks of about equal size, in order."""
    tasks = []
    for (number, shard), chosen in groups.items():
        dataset = datasets[number]
        per_group = dataset.shards[shard].num_elements / max(len(dataset.group_offsets(shard)) - 1, 1)
        per_task, per_chunk = (max(int(elements / max(per_group, 1)), 1) for elements in (_TASK_ELEMENTS, _CHUNK_ELEMENTS))
        parts = (tuple(chosen[i : i + per_task]) for i in range(0, len(chosen), per_task))
        tasks += [_Task(dataset, shard, part, per_chunk, split, config) for part in parts]
    return tasks


def _drawn_tasks(datasets: Sequence[ShardedDataset], split: str | None, config: SplitConfig, max_events: int) -> list[_Task]:
    """Row groups in a fixed random order, until they hold ``max_events`` of the split; of the last one, not all events."""
    places = [(*place, group) for place, groups in _all_groups(datasets).items() for group in groups]
    drawn: _Groups = {}
    left = max_events
    for i in np.random.default_rng(_PIECE_SEED).permutation(len(places)):
        number, shard, group = places[i]
        events = datasets[number].read_groups(shard, [group], schema.IDENTITY)
        count = int(in_split(events["run"], events["lumi"], events["event"], split, config).sum())
        if count >= left:
            last = _Task(datasets[number], shard, (group,), 1, split, config, left)
            return [*_tasks(datasets, drawn, split, config), last]
        drawn.setdefault((number, shard), []).append(group)
        left -= count
    return _tasks(datasets, drawn, split, config)
