"""What the producer read, dropped and wrote, and how fast, as numbers that add up over chunks and processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlpf.events import Events, event_index
from mlpf.features import consumer_elements

# Bins of times per event: 1 % wide, from a microsecond to a quarter of an hour.
_FIRST_SECONDS, _BIN_RATIO, _NUM_BINS = 1e-6, 1.01, 2080


class Failure(NamedTuple):
    """An event that keeps its entry, but without candidates.

    Attributes:
        entry: its number in the file or the dataset.
        run, lumi, event: its numbers; 0 where they cannot be read.
        reason: why.
    """

    entry: int
    run: int
    lumi: int
    event: int
    reason: str


@dataclass(frozen=True)
class Counts:
    """Counts of one chunk or of many (``a + b``)."""

    num_events: int = 0
    """Events read and written."""
    num_empty_events: int = 0
    """Those without an element that the consumer selects."""
    num_failed: int = 0
    """Those that could not be read, or on which the model fails; they have no candidates."""
    num_elements: int = 0
    """Elements read."""
    num_dropped: int = 0
    """Those that the consumer never sees (PS1, PS2, BREM)."""
    num_candidates: int = 0
    """Candidates written."""
    num_non_finite: int = 0
    """Candidates whose pt, eta, phi or energy is not finite, since their element's was not."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @classmethod
    def of(cls, events: Events, candidates: Events) -> "Counts":
        """Counts of events that did not fail, and their candidates."""
        selected = consumer_elements(events["element_type"])
        per_event = np.bincount(event_index(events.collection_offsets("element"))[selected], minlength=len(events))
        momentum = [candidates[f"mlpfcandidate_{name}"] for name in ("pt", "eta", "phi", "energy")]
        return cls(
            num_events=len(events),
            num_empty_events=int(np.count_nonzero(per_event == 0)),
            num_elements=len(selected),
            num_dropped=int(np.count_nonzero(~selected)),
            num_candidates=candidates.size("mlpfcandidate"),
            num_non_finite=int(np.count_nonzero(~np.isfinite(momentum).all(axis=0))),
        )


class Latency:
    """Times per event of any number of events in memory that does not grow, to 1 %; ``a + b`` are those of both."""

    def __init__(self, counts: np.ndarray | None = None) -> None:
        self._counts = np.zeros(_NUM_BINS, dtype=np.int64) if counts is None else counts

    def __len__(self) -> int:
        return int(self._counts.sum())

    def __add__(self, other: "Latency") -> "Latency":
        return Latency(self._counts + other._counts)

    def add(self, seconds: np.ndarray, num_events: np.ndarray | int = 1) -> None:
        """Add times.

        Args:
            seconds: ``(C,)`` time per event.
            num_events: how many events took that, ``(C,)`` or the same for all.
        """
        bins = np.log(np.maximum(seconds, _FIRST_SECONDS) / _FIRST_SECONDS) / np.log(_BIN_RATIO)
        np.add.at(self._counts, np.minimum(bins.astype(np.int64), _NUM_BINS - 1), num_events)

    def quantile(self, fraction: float) -> float:
        """Time per event [s] that this fraction of the events stays below; NaN where there are none."""
        if not len(self):
            return float("nan")
        position = int(np.searchsorted(np.cumsum(self._counts), fraction * len(self)))
        return float(_FIRST_SECONDS * _BIN_RATIO ** (position + 0.5))


@dataclass
class Work:
    """What one process did.

    Attributes:
        num_events: events.
        seconds: time at work on them.
    """

    num_events: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class ProduceReport:
    """What `produce_files` did.

    Attributes:
        counts: over all inputs.
        left_out: input that cannot be used -> reason.
        first_failures: input and event, the first few of those counted as failed.
        bad_list: text file with all of both, None where there are none.
        num_parts: ranges of events that were made one by one.
        parts_found: those that an earlier run had made.
        latency: time of the model per event, in this run.
        work: of each process of this run, by its number.
        seconds: wall time of this run.
    """

    counts: Counts
    left_out: Mapping[Path, str] = field(default_factory=dict)
    first_failures: tuple[tuple[Path, Failure], ...] = ()
    bad_list: Path | None = None
    num_parts: int = 0
    parts_found: int = 0
    latency: Latency = field(default_factory=Latency)
    work: Mapping[int, Work] = field(default_factory=dict)
    seconds: float = 0.0
