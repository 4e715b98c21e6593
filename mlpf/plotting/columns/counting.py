"""What is counted of a sample, part by part."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.plotting.columns.binning import Binning
from mlpf.plotting.columns.histograms import Histogram, PairHistogram
from mlpf.plotting.columns.samples import WEIGHT, Part
from mlpf.selection import collection_of, column_values, per_entry


@dataclass
class Counted:
    """Histograms of a sample, or of a part of it.

    Attributes:
        columns, pairs: what was counted.
        num_events, num_selected: events read, and of those that passed the cuts.
        weight_selected: sum of the weights of the latter.
        num_entries: of every collection that was read, entries that passed.
    """

    columns: dict[str, Histogram]
    pairs: dict[tuple[str, str], PairHistogram]
    num_events: int = 0
    num_selected: int = 0
    weight_selected: float = 0.0
    num_entries: Counter[str] = field(default_factory=Counter)

    @classmethod
    def empty(cls, binnings: Mapping[str, Binning], columns: Sequence[str], pairs: Sequence[tuple[str, str]]) -> "Counted":
        """Without events."""
        return cls(
            {column: Histogram.empty(binnings[column]) for column in columns},
            {(x, y): PairHistogram.empty(binnings[x], binnings[y]) for x, y in pairs},
        )

    def fill(self, events: Events, weights: np.ndarray | None) -> None:
        """Add what passed the cuts; ``(B,)`` weights of the events, None: all 1."""
        self.num_selected += len(events)
        self.weight_selected += len(events) if weights is None else float(weights.sum())
        self.num_entries.update({collection: events.size(collection) for collection in events.offsets})
        for column, histogram in self.columns.items():
            collection = collection_of(column, events.layout)
            histogram.fill(column_values(events, column), None if weights is None else per_entry(events, weights, collection))
        for (x, y), pair in self.pairs.items():
            collections = [collection_of(column, events.layout) for column in (x, y)]
            both = collections[0] or collections[1]
            x_values, y_values = (
                column_values(events, column) if own else per_entry(events, column_values(events, column), both)
                for column, own in zip((x, y), collections, strict=True)
            )
            pair.fill(x_values, y_values, None if weights is None else per_entry(events, weights, both))

    def add(self, other: "Counted") -> None:
        """Add another part of the sample."""
        self.num_events += other.num_events
        self.num_selected += other.num_selected
        self.weight_selected += other.weight_selected
        self.num_entries.update(other.num_entries)
        for column, histogram in other.columns.items():
            self.columns[column].add(histogram)
        for names, pair in other.pairs.items():
            self.pairs[names].add(pair)


@dataclass(frozen=True)
class CountTask:
    """Count a part of a sample in these bins; travels to another process."""

    part: Part
    binnings: Mapping[str, Binning] = field(repr=False)
    columns: tuple[str, ...] = field(repr=False)
    pairs: tuple[tuple[str, str], ...] = field(repr=False)

    def __str__(self) -> str:
        return str(self.part)


def count(task: CountTask) -> Counted:
    """Do it.

    Raises:
        MlpfError: a weight is negative or not finite.
    """
    counted = Counted.empty(task.binnings, task.columns, task.pairs)
    counted.num_events = task.part.stop - task.part.start
    columns = [*task.columns, *(column for pair in task.pairs for column in pair)]
    for events in task.part.events(columns):
        weights = events[WEIGHT].astype(np.float64) if task.part.sample.weighted else None
        if weights is not None and not np.all(np.isfinite(weights) & (weights >= 0)):
            raise MlpfError(f"{task.part}: a weight is negative or not finite; plot without weights, or mix again")
        counted.fill(events, weights)
    return counted
