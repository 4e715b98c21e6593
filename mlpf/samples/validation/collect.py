"""One pass over a few columns of a dataset, which leaves the sums of all its parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.events import Events, event_index
from mlpf.features import class_positions
from mlpf.io.shards import MANIFEST, ShardedDataset
from mlpf.io.workers import map_in_order
from mlpf.samples.validation.config import ValidationConfig
from mlpf.samples.validation.sums import CountSums, HistogramSums, bin_numbers

EVENTS_PER_TASK = 4096  # a second of work or less
GROUPS_PER_READ = 16  # row groups, some tens of MB with pileup 200
EVERYTHING = "all"
MAX_SOURCES = 50  # files of a postprocessed dataset may be thousands; their distributions would fill the memory


@dataclass(frozen=True)
class Space:
    """What a dataset is compared in.

    Attributes:
        config: how.
        bins: names of the bins of each variable that is compared.
        left_out: variables of the configuration that are not, and why.
    """

    config: ValidationConfig
    bins: dict[str, tuple[str, ...]]
    left_out: dict[str, str]

    @classmethod
    def of(cls, dataset: ShardedDataset, config: ValidationConfig) -> Self:
        """Variables of the configuration as far as the dataset has them.

        Raises:
            DatasetError: events are to be weighted, but have no weights; none of the variables can be compared.
        """
        stored = dataset.read_groups(0, ()) if dataset.shards else Events({}, {}, 0, layout=schema.DATASET)
        bins: dict[str, tuple[str, ...]] = {
            "source": source_names(dataset),
            "class": schema.CLASS_NAMES,
            "type": tuple(kind.name for kind in schema.ElementType),
            "multiplicity": multiplicity_names(config.multiplicity_edges),
        }
        left_out = {}
        if "target_class" not in stored:
            left_out["class"] = "the dataset has no targets"
        if len(bins["source"]) > MAX_SOURCES:
            left_out["source"] = f"{len(bins['source'])} sources, more than {MAX_SOURCES}"
        left_out = {name: reason for name, reason in left_out.items() if name in config.variables}
        if left_out.keys() == set(config.variables):
            raise DatasetError(f"{dataset.path}: nothing to compare ({', '.join(left_out.values())}); name other validation.variables")
        if config.weighted and "weight" not in stored:
            raise DatasetError(f"{dataset.path}: its events have no weights (column weight); leave out validation.weighted")
        return cls(config, {name: bins[name] for name in config.variables if name not in left_out}, left_out)

    @property
    def histograms(self) -> tuple[tuple[str, str], ...]:
        """(quantity, variable in whose bins) of every family of distributions."""
        groupings = (EVERYTHING, "source") if len(self.bins.get("source", ())) > 1 else (EVERYTHING,)  # a single source is everything
        of_number = tuple(("multiplicity", name) for name in groupings if "multiplicity" in self.bins)
        return of_number + tuple((quantity, name) for name in self.bins for quantity in self.config.inside)

    def names(self, grouping: str) -> tuple[str, ...]:
        """Names of the bins of a variable, or of the one bin that holds everything."""
        return (EVERYTHING,) if grouping == EVERYTHING else self.bins[grouping]

    @property
    def columns(self) -> list[str]:
        """What has to be read."""
        wanted = {"element_type"} | ({"source"} & self.bins.keys()) | ({"weight"} if self.config.weighted else set())
        wanted |= {f"element_{quantity}" for quantity in self.config.inside if self.bins.keys() - {"class"}}
        if "class" in self.bins:
            wanted |= {"target_class", *(f"target_{quantity}" for quantity in self.config.inside)}
        return sorted(wanted)


def source_names(dataset: ShardedDataset) -> tuple[str, ...]:
    """Names of the samples of a mixture, or of the files of a postprocessed dataset."""
    sources = dataset.manifest.get("sources") or ["all events"]
    return tuple(str(source.get("name", source.get("file"))) if isinstance(source, dict) else str(source) for source in sources)


def multiplicity_names(edges: Sequence[int]) -> tuple[str, ...]:
    """``100, 200`` -> ``below 100``, ``100 to 199``, ``200 or more``."""
    if not edges:
        return ("any number",)
    between = (f"{low} to {high - 1}" for low, high in pairwise(edges))
    return (f"below {edges[0]}", *between, f"{edges[-1]} or more")


class Sums:
    """Sums of some parts of a dataset.

    Attributes:
        space: what is summed.
        counts: by variable.
        histograms: by (quantity, variable).
        not_finite: values that are NaN or infinite, by column.
    """

    def __init__(self, space: Space, num_parts: int) -> None:
        binnings = {name: getattr(space.config, name) for name in ("pt", "eta", "multiplicity")}
        self.space = space
        self.counts = {name: CountSums.empty(num_parts, len(names)) for name, names in space.bins.items()}
        self.histograms = {(quantity, name): HistogramSums.empty(num_parts, len(space.names(name)), binnings[quantity]) for quantity, name in space.histograms}
        self.not_finite: dict[str, int] = {}

    def add(self, events: Events, part: np.ndarray) -> None:
        """Add events, whose parts are ``(B,)``."""
        config, offsets = self.space.config, events.collection_offsets("element")
        number, event = np.diff(offsets), event_index(offsets)
        weight = _weights(events) if config.weighted else np.ones(len(events))
        of_event = {"source": _sources(events, self.space), "multiplicity": np.searchsorted(config.multiplicity_edges, number, side="right")}
        of_element = {"type": events["element_type"].astype(np.int64), "class": _classes(events)}
        bins = {column: self._bins(events, column) for column in self.space.columns if column.endswith(("_pt", "_eta"))}
        one_each = np.arange(len(events) + 1)
        for name, sums in self.counts.items():
            if name in of_event:
                sums.add(part, one_each[:-1], of_event[name], weight)
            else:
                sums.add(part, event, of_element[name], weight)
        number_bins = bin_numbers(number, config.multiplicity)[0]
        for (quantity, name), histogram in self.histograms.items():
            if quantity == "multiplicity":
                stratum = of_event["source"] if name == "source" else np.zeros(len(events), dtype=np.int64)
                histogram.add(part, one_each, stratum, number_bins, weight)
            elif name == "class":
                histogram.add(part, offsets, np.where(of_element["class"] == 0, -1, of_element["class"]), bins[f"target_{quantity}"], weight)
            else:
                histogram.add(part, offsets, of_event[name][event] if name in of_event else of_element[name], bins[f"element_{quantity}"], weight)

    def _bins(self, events: Events, column: str) -> np.ndarray:
        bins, not_finite = bin_numbers(events[column], getattr(self.space.config, column.partition("_")[2]))
        if not_finite:
            self.not_finite[column] = self.not_finite.get(column, 0) + not_finite
        return bins

    def merge(self, other: "Sums", first_part: int) -> None:
        """Add sums whose parts are ours from ``first_part`` on."""
        for name, counts in other.counts.items():
            self.counts[name].merge(counts, first_part)
        for key, histogram in other.histograms.items():
            self.histograms[key].merge(histogram, first_part)
        for column, number in other.not_finite.items():
            self.not_finite[column] = self.not_finite.get(column, 0) + number


def _weights(events: Events) -> np.ndarray:
    weight = events["weight"].astype(np.float64) if "weight" in events else np.ones(len(events))
    if not np.isfinite(weight).all():
        raise DatasetError(f"{events.source}: event {events.first_entry + int(np.argmin(np.isfinite(weight)))}: weight is not finite")
    return weight


def _sources(events: Events, space: Space) -> np.ndarray:
    source, known = events["source"].astype(np.int64), len(space.bins.get("source", ()))
    wrong = (source < 0) | (source >= known)
    if "source" in space.bins and wrong.any():
        row = int(np.argmax(wrong))
        raise DatasetError(f"{events.source}: event {events.first_entry + row}: source {source[row]}, but the manifest lists {known}; make the dataset again")
    return source


def _classes(events: Events) -> np.ndarray:
    kind = events["target_class"]
    position = class_positions(kind)
    wrong = position < 0
    if wrong.any():
        event, place = events.locate("target_class", int(np.argmax(wrong)))
        raise DatasetError(f"{events.source}: event {event}: target_class[{place}] = {kind[np.argmax(wrong)]} is no class; make the dataset again")
    return position


@dataclass(frozen=True)
class _Task:
    """One of equal pieces of a shard, to sum; travels to another process."""

    dataset: ShardedDataset
    shard: int
    piece: int
    num_pieces: int
    space: Space
    edges: np.ndarray

    @property
    def path(self) -> Path:
        return self.dataset.shard_path(self.shard)

    def __str__(self) -> str:
        return f"{self.path}: piece {self.piece + 1} of {self.num_pieces}"


def sum_parts(dataset: ShardedDataset, space: Space, edges: np.ndarray, jobs: int = 1, on_events: Callable[[int], None] = lambda _: None) -> Sums:
    """Sums of the parts of a dataset.

    Args:
        dataset: the dataset.
        space: what is summed.
        edges: ``(P + 1,)`` number of the first event of each part, and of the first that is not there; growing.
        jobs: processes; their number does not change the result.
        on_events: called with a number of events that are done.

    Raises:
        DatasetError: a damaged shard, values that cannot be.
    """
    tasks = []
    for number, shard in enumerate(dataset.shards):
        num_pieces = -(-shard.num_events // EVENTS_PER_TASK)
        tasks += [_Task(dataset, number, piece, num_pieces, space, edges) for piece in range(num_pieces)]
    sums = Sums(space, len(edges) - 1)
    for first_part, num_events, part in map_in_order(_sum_piece, tasks, jobs):
        sums.merge(part, first_part)
        on_events(num_events)
    return sums


def _sum_piece(task: _Task) -> tuple[int, int, Sums]:
    """First part that the piece belongs to, how many events it holds, and their sums."""
    dataset, shard = task.dataset, task.dataset.shards[task.shard]
    rows = dataset.group_offsets(task.shard)
    if rows[-1] != shard.num_events:
        raise DatasetError(f"{task.path}: holds {rows[-1]} events, {MANIFEST} says {shard.num_events}; make the dataset again")
    first_group, last_group = ((len(rows) - 1) * piece // task.num_pieces for piece in (task.piece, task.piece + 1))
    first, last = dataset.shard_offsets[task.shard] + rows[[first_group, last_group]]
    first_part, last_part = np.searchsorted(task.edges, [first, max(last - 1, first)], side="right") - 1
    sums = Sums(task.space, int(last_part - first_part + 1))
    for start in range(first_group, last_group, GROUPS_PER_READ):
        events = dataset.read_groups(task.shard, range(start, min(start + GROUPS_PER_READ, last_group)), task.space.columns)
        events.validate(())
        sums.add(events, np.searchsorted(task.edges, events.first_entry + np.arange(len(events)), side="right") - 1 - first_part)
    return int(first_part), int(last - first), sums
