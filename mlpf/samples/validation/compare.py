"""Every test of a dataset, and what they say together."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from mlpf.errors import DatasetError
from mlpf.io.shards import ShardedDataset, fingerprint
from mlpf.samples.validation.collect import EVERYTHING, Space, Sums, source_names, sum_parts
from mlpf.samples.validation.config import ValidationConfig
from mlpf.samples.validation.statistics import CountScatter, HistogramScatter, Side, chi2_test, ks_test
from mlpf.samples.validation.sums import effective

FEW, CONSTANT = "too few events", "constant"
REST = "the rest"
SMALLEST_P = 1e-300


@dataclass(frozen=True)
class Part:
    """A shard, or a stretch of events."""

    name: str
    first_event: int
    num_events: int


@dataclass(frozen=True)
class Comparison:
    """A quantity in one part, which was to be compared.

    Attributes:
        quantity: source, class, type, multiplicity, pt or eta.
        within: variable in whose bins it was; ``all``: in one bin that holds everything; empty for the shares of categories.
        bin: which of them.
        part: position of the part.
        events: events that contribute, in the part and in what it is compared with.
    """

    quantity: str
    within: str
    bin: str
    part: int
    events: tuple[int, int]


@dataclass(frozen=True)
class Outcome(Comparison):
    """A test that was done, and what came out.

    Attributes:
        method: chi2 or ks.
        statistic: Wald's, or the largest difference of the cumulative distributions.
        dof: degrees of freedom of chi2.
        p: probability of a larger statistic if both are samples of one distribution.
        merged, dropped: rare categories, taken together or left out.
    """

    method: Literal["chi2", "ks"]
    statistic: float
    dof: int | None
    p: float
    merged: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skipped(Comparison):
    """A test that was not done.

    Attributes:
        reason: why.
    """

    reason: str


@dataclass(frozen=True)
class Validation:
    """What the tests of a dataset say.

    Attributes:
        config: how the parts were compared.
        parts: the parts that hold events.
        empty: names of those that hold none.
        reference: position of the part that the others were compared with; None: each with all others.
        tests: those that were done.
        skipped: those that were not.
        sums: of all parts, for figures.
    """

    config: ValidationConfig
    parts: tuple[Part, ...]
    empty: tuple[str, ...]
    reference: int | None
    tests: tuple[Outcome, ...]
    skipped: tuple[Skipped, ...]
    sums: Sums

    @property
    def bonferroni(self) -> float:
        """No p-value may lie below: the threshold shared among all tests, so that a perfectly mixed dataset fails as rarely as the threshold says."""
        return self.config.threshold / max(len(self.tests), 1)

    @property
    def worst(self) -> Outcome:
        """The test with the smallest p-value."""
        return min(self.tests, key=lambda test: test.p)

    @property
    def passed(self) -> bool:
        """Whether the parts may be samples of one distribution."""
        return self.worst.p >= self.bonferroni

    @property
    def warnings(self) -> list[Outcome]:
        """Tests with a p-value below the threshold, the smallest first."""
        return sorted((test for test in self.tests if test.p < self.config.threshold), key=lambda test: test.p)

    @property
    def reference_name(self) -> str:
        """What the parts were compared with."""
        return REST if self.reference is None else self.parts[self.reference].name


def validate(dataset: ShardedDataset, config: ValidationConfig, jobs: int = 1, on_events: Callable[[int], None] = lambda _: None) -> Validation:
    """Compare the parts of a dataset with each other.

    Args:
        dataset: the dataset.
        config: parts, what they are compared in, and when they differ.
        jobs: processes that read; their number does not change the result.
        on_events: called with a number of events that have been read.

    Raises:
        DatasetError: fewer than two parts with events, or too few events for any test; a damaged shard.
    """
    parts, empty = _parts(dataset, config.chunks)
    space = Space.of(dataset, config)
    edges = np.array([*(part.first_event for part in parts), len(dataset)])
    sums = sum_parts(dataset, space, edges, jobs, on_events)
    reference = 0 if config.reference == "first" or len(parts) == 2 else None  # of two, each is the other's rest
    done = [*_chi2_tests(sums, reference), *_ks_tests(sums, reference)]
    tests, skipped = tuple(t for t in done if isinstance(t, Outcome)), tuple(t for t in done if isinstance(t, Skipped))
    if not tests:
        raise DatasetError(
            f"{dataset.path}: {len(dataset)} events in {len(parts)} parts are too few for any test; make fewer parts (--chunks) or lower validation.min_events"
        )
    return Validation(config, tuple(parts), empty, reference, tests, skipped, sums)


def _parts(dataset: ShardedDataset, chunks: int | None) -> tuple[list[Part], tuple[str, ...]]:
    """Parts with events, and the names of the empty ones."""
    if chunks is None:
        names, edges = [shard.name for shard in dataset.shards], dataset.shard_offsets
    elif chunks > len(dataset):
        raise DatasetError(f"{dataset.path}: {len(dataset)} events cannot be cut into {chunks} chunks; lower --chunks")
    else:
        names, edges = [f"chunk {number}" for number in range(chunks)], np.arange(chunks + 1) * len(dataset) // chunks
    parts = [Part(name, int(first), int(last - first)) for name, first, last in zip(names, edges[:-1], edges[1:], strict=True)]
    filled = [part for part in parts if part.num_events]
    if len(filled) < 2:
        raise DatasetError(f"{dataset.path}: {len(filled)} of {len(parts)} shards hold events, nothing to compare; cut the events into chunks: --chunks 10")
    return filled, tuple(part.name for part in parts if not part.num_events)


def sides(content: np.ndarray, events: np.ndarray, part: int, reference: int | None) -> tuple[Side, Side]:
    """A part and what it is compared with; the rest is what is left of the sum of all parts."""
    own = Side(content[part], events[part])
    if reference is None:
        return own, Side(content.sum(axis=0), events.sum(axis=0)).without(own)
    return own, Side(content[reference], events[reference])


def _all_sides(content: np.ndarray, events: np.ndarray, reference: int | None) -> Iterator[tuple[int, Side, Side]]:
    """Every part that is compared, and the two sides; the same as `sides`, with one sum for all."""
    total = Side(content.sum(axis=0), events.sum(axis=0))
    for part in range(len(events)):
        own = Side(content[part], events[part])
        if reference is None:
            yield part, own, total.without(own)
        elif part != reference:
            yield part, own, Side(content[reference], events[reference])


def _chi2_tests(sums: Sums, reference: int | None) -> Iterator[Outcome | Skipped]:
    for name, counts in sums.counts.items():
        scatter, labels = CountScatter.of(counts), np.array(sums.space.bins[name], dtype=object)
        for part, a, b in _all_sides(counts.counts, counts.events, reference):
            result = chi2_test(a, b, scatter, sums.space.config.min_events)
            place: dict[str, Any] = {"quantity": name, "within": "", "bin": EVERYTHING, "part": part, "events": (int(a.events), int(b.events))}
            if result.dof:
                merged, dropped = tuple(labels[result.merged]), tuple(labels[result.dropped])
                yield Outcome(**place, method="chi2", statistic=result.statistic, dof=result.dof, p=result.p, merged=merged, dropped=dropped)
            else:
                yield Skipped(**place, reason=FEW if result.dropped.any() else CONSTANT)


def _ks_tests(sums: Sums, reference: int | None) -> Iterator[Outcome | Skipped]:
    for (quantity, within), histograms in sums.histograms.items():
        scatter, labels, occurs = HistogramScatter.of(histograms), sums.space.names(within), histograms.events.any(axis=0)
        per_event = effective(histograms.weights) / np.maximum(histograms.events.sum(axis=0), 1)
        for part, a, b in _all_sides(histograms.histogram, histograms.events, reference):
            result = ks_test(a, b, scatter)
            for stratum in np.flatnonzero(occurs):
                events = (int(a.events[stratum]), int(b.events[stratum]))
                place: dict[str, Any] = {"quantity": quantity, "within": within, "bin": labels[stratum], "part": part, "events": events}
                if min(events) * per_event[stratum] < sums.space.config.min_events:
                    yield Skipped(**place, reason=FEW)
                elif np.isnan(result.p[stratum]):
                    yield Skipped(**place, reason=CONSTANT)
                else:
                    yield Outcome(**place, method="ks", statistic=float(result.statistic[stratum]), dof=None, p=float(result.p[stratum]))


def p_value(p: float) -> str:
    """A p-value in words; below 1e-300 it is no longer a number of its own."""
    return f"{p:.2g}" if p >= SMALLEST_P else f"below {SMALLEST_P:g}"


def document(dataset: ShardedDataset, validation: Validation) -> dict[str, Any]:
    """Everything about a validation, for JSON."""
    tests, threshold = validation.tests, validation.config.threshold
    below = set(validation.warnings)
    return {
        "dataset": str(dataset.path),
        "fingerprint": fingerprint(dataset),
        "num_events": len(dataset),
        "sources": source_names(dataset),
        "not_finite": validation.sums.not_finite,
        "left_out": validation.sums.space.left_out,
        "parameters": validation.config.model_dump(mode="json"),
        "compared_with": validation.reference_name,
        "parts": [asdict(part) for part in validation.parts],
        "empty_parts": validation.empty,
        "summary": {
            "passed": validation.passed,
            "num_tests": len(tests),
            "num_skipped": len(validation.skipped),
            "smallest_p": validation.worst.p,
            "bonferroni_threshold": validation.bonferroni,
            "num_warnings": len(below),
            "num_warnings_expected": threshold * len(tests),
        },
        "tests": [_record(test, validation.parts) | {"warning": test in below, "failed": test.p < validation.bonferroni} for test in tests],
        "skipped": [_record(skipped, validation.parts) for skipped in validation.skipped],
    }


def _record(comparison: Comparison, parts: tuple[Part, ...]) -> dict[str, Any]:
    return asdict(comparison) | {"part": parts[comparison.part].name}
