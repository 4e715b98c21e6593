"""What the postprocessing read, dropped and matched, as counts that add up over chunks and files."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from mlpf.events import Events
from mlpf.schema import ElementType


@dataclass(frozen=True)
class Summary:
    """Counts of one chunk or of many (``a + b``)."""

    num_events: int = 0
    """Events read and written."""
    events_without_elements: int = 0
    """Events whose row holds no element."""
    elements_read: int = 0
    """Elements of the ntuple."""
    elements_written: int = 0
    """Elements of the dataset."""
    dropped_by_type: Counter[str] = field(default_factory=Counter)
    """Elements left out, by the name of their type."""
    num_targets: int = 0
    """Elements with a target."""
    num_candidates: int = 0
    """Standard candidates read."""
    unmatched_candidates: int = 0
    """Standard candidates that found no free element."""
    non_finite: Counter[str] = field(default_factory=Counter)
    """Non-finite values read, by column."""

    def __add__(self, other: "Summary") -> "Summary":
        return Summary(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


def summarize(events: Events, dataset: Events, non_finite: Mapping[str, np.ndarray], num_matched: int) -> Summary:
    """Counts of one chunk.

    Args:
        events, dataset: as read; as it will be written.
        non_finite: what `Events.non_finite` found in the ntuple columns that were used.
        num_matched: candidates that found an element.
    """
    return Summary(
        num_events=len(events),
        events_without_elements=int((dataset.counts("element") == 0).sum()),
        elements_read=events.size("element"),
        elements_written=dataset.size("element"),
        dropped_by_type=_count_types(events) - _count_types(dataset),
        num_targets=int((dataset["target_particle_number"] > 0).sum()),
        num_candidates=events.size("pfcandidate"),
        unmatched_candidates=events.size("pfcandidate") - num_matched,
        non_finite=Counter({name: len(bad) for name, bad in non_finite.items()}),
    )


def _count_types(events: Events) -> Counter[str]:
    counts = np.bincount(events["element_type"], minlength=len(ElementType))
    return Counter({kind.name: int(counts[kind]) for kind in ElementType if counts[kind]})
