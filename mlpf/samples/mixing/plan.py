"""Which events a mixture holds, in which order and with which weight: computed from the indices alone, before anything is read.

The events of one bin and source are a stream: they come in the order of their files, the first ``q`` of them, where ``q`` is the source's part of the bin's
quota. The ``j``-th gets the position ``(j + u) / q`` with ``u`` uniform in [0, 1), and the mixture is all events by position. Up to any position ``x``
a stream has then given ``q x`` events, give or take one: it is random which event comes next, but not how many a stream gives, so every contiguous window
has the composition of the whole to about two events per stream. Drawing the next bin at random in proportion to its size instead (and again if it is dry) lets
a bin's part of the first half fluctuate by the square root of its size, and after the common bins ran dry the last events come from a few of them.

The random numbers of a stream follow from the seed, the name of the source and the bin: they do not depend on the order in which sources are listed.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mlpf.errors import MlpfError
from mlpf.samples.index import EventIndex
from mlpf.samples.mixing.bins import Bins, share_quota
from mlpf.samples.mixing.config import Duplicates, MixConfig, Parity, SourceConfig

MAX_WEIGHT_RATIO = 1e7  # of the largest to the smallest: float32 holds 7 digits


@dataclass(frozen=True)
class Pool:
    """All B events of a source, in the order of its files.

    Attributes:
        config: the source.
        events: index of its datasets, one after the other.
        dataset: ``(B,) int32`` dataset of each event, counted over all sources.
        mixed: whether any of them is a mixture.
    """

    config: SourceConfig
    events: EventIndex
    dataset: np.ndarray
    mixed: bool = False


@dataclass(frozen=True)
class SourceCounts:
    """What became of a source's events: found, left out for one reason each, and available."""

    found: int
    duplicates: int
    other_parity: int
    outside_bins: int

    @property
    def available(self) -> int:
        """Events that may be written."""
        return self.found - self.duplicates - self.other_parity - self.outside_bins

    def __str__(self) -> str:
        return f"{self.found} found, {self.duplicates} duplicates, {self.other_parity} of the other parity, {self.outside_bins} outside the bins"


@dataclass(frozen=True)
class Plan:
    """N events in the order of the mixture; every array is ``(N,)``.

    Attributes:
        source: ``int32`` position in the list of sources.
        dataset: ``int32`` see `Pool.dataset`.
        shard, row: ``int32``, ``int64`` place in the dataset.
        bin: ``int32`` see `Bins`.
        num_elements: ``int32`` size of the event.
        weight: ``float32`` mean 1 over the whole mixture; None if no weights are asked for.
    """

    source: np.ndarray
    dataset: np.ndarray
    shard: np.ndarray
    row: np.ndarray
    bin: np.ndarray
    num_elements: np.ndarray
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.source)

    def select(self, chosen: np.ndarray | slice) -> "Plan":
        """Some of the events, by a mask, positions or a slice."""
        parts = {name: values[chosen] for name, values in vars(self).items() if values is not None}
        return Plan(**parts)


@dataclass(frozen=True)
class Mixture:
    """A plan and how it came about, for S sources and all bins.

    Attributes:
        bins: the bins.
        counts: of every source.
        available, quota: ``(S, len(bins)) int64`` events that may be written, and those to write.
        plan: what is written.
    """

    bins: Bins
    counts: tuple[SourceCounts, ...]
    available: np.ndarray
    quota: np.ndarray
    plan: Plan

    def written(self, plan: Plan | None = None) -> np.ndarray:
        """``(S, len(bins)) int64`` events of the plan, or of a part of it."""
        plan = self.plan if plan is None else plan
        size = self.available.size
        return np.bincount(plan.source.astype(np.int64) * len(self.bins) + plan.bin, minlength=size).reshape(self.available.shape)


def plan_mixture(config: MixConfig, pools: Sequence[Pool]) -> Mixture:
    """Choose and order the events; ``pools`` belong to the configuration's sources, in their order.

    Raises:
        MlpfError: a source gives no event, or weights cannot be calculated.
    """
    bins = Bins.of(config)
    chosen = [_choose(pool, bins, config) for pool in pools]
    counts = tuple(source_counts for _, _, source_counts in chosen)
    for pool, source_counts in zip(pools, counts, strict=True):
        if not source_counts.available:
            raise MlpfError(f"source '{pool.config.name}': no event is left ({source_counts}); change the bins or the parity, or leave the source out")
    available = np.stack([np.bincount(event_bins, minlength=len(bins)) for _, event_bins, _ in chosen])
    quota = _quotas(available, config)
    parts, positions = [], []
    for source, (pool, (rows, event_bins, _)) in enumerate(zip(pools, chosen, strict=True)):
        taken, position = _streams(event_bins, quota[source], f"{config.seed} {pool.config.name}", bins.cells)
        parts.append(_entries(pool, rows[taken], event_bins[taken], source))
        positions.append(position)
    plan = _ordered(parts, np.concatenate(positions), len(bins), config.ensure_uniformity)
    for source, pool in enumerate(pools):
        if not (plan.source == source).any():
            raise MlpfError(f"source '{pool.config.name}': gets no event; raise its weight or max_bin_occupancy, or do without ensure_uniformity")
    if config.calc_weights:
        plan = replace(plan, weight=event_weights(plan.bin, bins))
    return Mixture(bins, counts, available, quota, plan)


def _choose(pool: Pool, bins: Bins, config: MixConfig) -> tuple[np.ndarray, np.ndarray, SourceCounts]:
    """Rows of the events that may be written, their bins, and what became of the others."""
    events = pool.events
    unique = first_of_equals(events, "elements" if pool.mixed else config.duplicates)  # the samples of a mixture share event numbers legitimately
    right = unique & has_parity(events.event, config.parity)
    event_bins = bins.assign(events, pool.config.type)
    inside = right & (event_bins >= 0)
    rows = np.flatnonzero(inside)
    remaining = [len(events), *(int(mask.sum()) for mask in (unique, right, inside))]
    return rows, event_bins[rows], SourceCounts(len(events), *(before - after for before, after in pairwise(remaining)))


def first_of_equals(events: EventIndex, duplicates: Duplicates) -> np.ndarray:
    """``(B,) bool``: false for events that are duplicates of an earlier one."""
    keys = [events.run, events.lumi, events.event, *([events.mark] if duplicates == "elements" else [])]
    order = np.lexsort(keys)  # stable: the earliest of equals comes first
    differs = np.zeros(max(len(events) - 1, 0), dtype=bool)
    for key in keys:
        differs |= key[order[1:]] != key[order[:-1]]
    first = np.ones(len(events), dtype=bool)
    first[order[1:]] = differs
    return first


def has_parity(number: np.ndarray, parity: Parity) -> np.ndarray:
    """``(B,) bool``: whether event numbers are even or odd, as asked."""
    return np.ones(len(number), dtype=bool) if parity == "none" else (number % 2 == 1) == (parity == "odd")


def _quotas(available: np.ndarray, config: MixConfig) -> np.ndarray:
    """``(S, number of bins)`` events to take; sources share in the order of their names, so that the list's order does not matter."""
    total = available.sum(axis=0)
    wanted = np.minimum(total, config.max_bin_occupancy or total.max())
    quota = np.minimum(available, wanted)  # right already where a bin has one source
    by_name = sorted(range(len(config.sources)), key=lambda source: config.sources[source].name)
    weights = [config.sources[source].weight for source in by_name]
    for number in np.flatnonzero(np.count_nonzero(available, axis=0) > 1):
        quota[by_name, number] = share_quota(int(wanted[number]), available[by_name, number].tolist(), weights)
    return quota


def _streams(event_bins: np.ndarray, quota: np.ndarray, name: str, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The streams of a source, one after the other.

    Args:
        event_bins: ``(B,)`` bins of its events.
        quota: events to take of every bin.
        name: what the random numbers follow from, besides the bin.
        cells: bins of one type; which type does not matter, as the source tells.

    Returns:
        the places of the events that are taken, and their positions in the mixture, in [0, 1).
    """
    order = np.argsort(event_bins, kind="stable")
    starts = np.searchsorted(event_bins[order], np.arange(len(quota)))
    taken, positions = [order[:0]], [np.zeros(0)]
    for number in np.flatnonzero(quota):
        q = int(quota[number])
        digest = hashlib.sha256(f"{number % cells} {name}".encode()).digest()
        offset = np.random.default_rng(int.from_bytes(digest, "little")).random(q)
        taken.append(order[starts[number] : starts[number] + q])
        positions.append((np.arange(q) + offset) / q)
    return np.concatenate(taken), np.concatenate(positions)


def _entries(pool: Pool, rows: np.ndarray, event_bins: np.ndarray, source: int) -> Plan:
    events = pool.events
    numbers = np.full(len(rows), source, dtype=np.int32)
    return Plan(numbers, pool.dataset[rows], events.shard[rows], events.row[rows], event_bins, events.num_elements[rows])


def _ordered(parts: Sequence[Plan], positions: np.ndarray, num_bins: int, ensure_uniformity: bool) -> Plan:
    """Streams of all sources in the order of the mixture; if asked for, up to the last event of the bin that runs dry first."""
    together = {name: np.concatenate([getattr(part, name) for part in parts]) for name, values in vars(parts[0]).items() if values is not None}
    order = np.argsort(positions, kind="stable")
    if ensure_uniformity:
        last = np.full(num_bins, -1, dtype=np.int64)
        np.maximum.at(last, together["bin"][order], np.arange(len(order)))
        order = order[: last[last >= 0].min() + 1]
    return Plan(**together).select(order)


def event_weights(event_bins: np.ndarray, bins: Bins) -> np.ndarray:
    """``(N,) float32`` weights with which all bins together count the same: 1 / (number of bins x events of the bin), times N so that their mean is 1.

    Raises:
        MlpfError: a bin is empty, or the largest weight is `MAX_WEIGHT_RATIO` times the smallest.
    """
    counts = np.bincount(event_bins, minlength=len(bins))
    if not counts.all():
        empty = np.flatnonzero(counts == 0)
        more = f" (and {len(empty) - 1} more)" if len(empty) > 1 else ""
        raise MlpfError(f"calc_weights: no event in the bin '{bins.label(int(empty[0]))}'{more}; join bins by other edges")
    if counts.max() / counts.min() >= MAX_WEIGHT_RATIO:
        few, many = int(counts.argmin()), int(counts.argmax())
        found = f"{counts[few]} events in the bin '{bins.label(few)}', {counts[many]} in '{bins.label(many)}'"
        raise MlpfError(f"calc_weights: {found}: weights differ by {MAX_WEIGHT_RATIO:g} or more; join bins by other edges, or set max_bin_occupancy")
    return (len(event_bins) / (len(bins) * counts[event_bins])).astype(np.float32)
