"""What the consumer relies on when it runs a model: clauses that are checked by running it.

Each check takes a `Runner` and events, and returns a `Finding`. The events are those that physics makes; every check adds random elements, which are hostile:
all types anywhere, no energy, noise in every column.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlpf import schema
from mlpf.export.events import joined
from mlpf.export.graph import precision_of, read_model
from mlpf.producer.session import open_session
from mlpf.random_elements import random_elements
from mlpf.schema import FEATURE_INDEX, ElementType

# Two results agree if they differ by no more (absolute up to 1, relative above). float32: room for another order of a sum, far below what moves a candidate.
# float16: a product is rounded to 5e-4; after the window model's four layers that is 5e-3 at most (26 000 elements), so there is room for deeper ones.
TOLERANCES = {"float32": 1e-3, "float16": 3e-2}
# Share of elements whose decisions (the integers of a standalone file) rounding may turn, and one more: beyond it they depend on what they must not depend on.
# Of the window model's, 6e-4 and 2e-2 lie within the tolerances of an edge, and most results agree far better than that.
EDGE_SHARES = {"float32": 1e-4, "float16": 1e-2}
SIZES = (1, 2, 7, 64, 257, 1500)  # random elements per event; 0 is tried in a process of its own
LARGEST = 12_000  # elements, of several events joined: more than any crossing has
# For one event; attention of all elements to each other in plain operators takes more at 12 000: a minute, 7 to 19 GB.
MAX_SECONDS = 30.0
MAX_BYTES = 4e9
PROBE_SIZE = 64
POISONS = (np.nan, np.inf, -np.inf, 1e30, -1e30)
# exp() of it times any momentum of a collider (1e6 GeV) is still a float32
MAX_LOG_RATIO = float(np.log(np.finfo(np.float32).max / 1e6))


class Finding(NamedTuple):
    """Outcome of one check: why the clause does not hold (empty if it does), and what was measured."""

    problem: str
    measured: str


class Runner:
    """A model on batches of padded events, in ONNX Runtime with one thread.

    Args:
        path: of the model.
        inputs: names of features and mask.

    Attributes:
        precision: inside the graph.
        tolerance: within which two results agree.

    Raises:
        ModelError: it does not load.
    """

    def __init__(self, path: str | Path, inputs: Sequence[str] = schema.ONNX_INPUTS) -> None:
        self.path = path
        self.precision = precision_of(read_model(path))
        self.tolerance = TOLERANCES[self.precision]
        self._session = open_session(path)
        self._inputs = tuple(inputs)
        self._alone: dict[bytes, list[np.ndarray]] = {}
        self.output_names = [output.name for output in self._session.get_outputs()]
        self.output_widths = [tuple(output.shape[2:]) for output in self._session.get_outputs()]

    def __call__(self, features: np.ndarray, mask: np.ndarray | None = None) -> list[np.ndarray]:
        """All outputs for ``(B, N, 55)`` features; every element is real where no ``(B, N)`` mask is given."""
        mask = np.ones(features.shape[:2]) if mask is None else mask
        return self._session.run(None, dict(zip(self._inputs, (features.astype(np.float32), mask.astype(np.float32)), strict=True)))

    def has_run(self, features: np.ndarray) -> bool:
        """Whether `alone` was asked for this event."""
        return features.tobytes() in self._alone

    def alone(self, features: np.ndarray) -> list[np.ndarray]:
        """All outputs ``(1, N, ...)`` for one event ``(N, 55)``; remembered, since most checks ask for the same events."""
        key = features.tobytes()
        if key not in self._alone:
            self._alone[key] = self(features[None])
        return self._alone[key]

    def difference(self, a: list[np.ndarray], b: list[np.ndarray]) -> float:
        """`difference` of two results ``(B, N, ...)``, but for elements whose decisions turned; infinite where these are more than `EDGE_SHARES` allow."""
        decisions = [x != y for x, y in zip(a, b, strict=True) if x.dtype.kind == "i"]
        if not decisions:
            return difference(a, b)
        turned = np.logical_or.reduce(decisions)
        if np.count_nonzero(turned) > 1 + EDGE_SHARES[self.precision] * turned.size:
            return np.inf
        return difference([x[~turned] for x in a], [y[~turned] for y in b])


def difference(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Largest ``|a - b| / max(1, |b|)`` over all outputs; infinite where one is not finite."""
    largest = 0.0
    for x, y in zip(a, b, strict=True):
        relative = np.abs(x.astype(np.float64) - y) / np.maximum(1.0, np.abs(y))
        largest = max(largest, float(np.nan_to_num(relative, nan=np.inf).max(initial=0.0)))
    return largest


def run_ascending(model: Runner, events: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """``(N, 55)`` features of random events, of the given ones and of all of these joined, and their outputs; N ascending.

    Ends early where the next event would take more than `MAX_SECONDS` or `MAX_BYTES`, if both grow with the square of N.
    """
    rng = np.random.default_rng(1)
    budget_used = 0.0  # per element squared, 1 is all
    bytes_before = resident_bytes()
    for features in sorted([*(random_elements(rng, n) for n in SIZES), *events, joined(events, LARGEST)], key=len):
        if budget_used * len(features) ** 2 > 1.0:
            return
        start = time.perf_counter()
        outputs = model.alone(features)
        seconds, grown = time.perf_counter() - start, resident_bytes() - bytes_before  # ONNX Runtime keeps the memory of the largest event
        # where both are small it is not yet the square that costs
        budget_used = max(seconds / MAX_SECONDS * (seconds > 0.1), grown / MAX_BYTES * (grown > 5e8)) / len(features) ** 2
        yield features, outputs


def resident_bytes() -> int:
    """Memory of this process; 0 where the system is not Linux, so that no bound holds there."""
    statistics = Path("/proc/self/statm")
    return int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statistics.is_file() else 0


def any_size(model: Runner, events: Sequence[np.ndarray]) -> Finding:
    """Every N gives finite outputs of N rows."""
    sizes = []
    for features, outputs in run_ascending(model, events):
        sizes.append(len(features))
        for name, output, width in zip(model.output_names, outputs, model.output_widths, strict=True):
            declared = tuple(axis if isinstance(axis, int) else found for axis, found in zip(width, output.shape[2:], strict=False))
            if output.shape != (1, len(features), *declared):
                return Finding(f"{name} has shape {output.shape} for {len(features)} elements", "")
            if not np.isfinite(output).all():
                return Finding(f"{name} has {np.count_nonzero(~np.isfinite(output))} non-finite values for {len(features)} elements", "")
    left_out = len(SIZES) + len(events) + 1 - len(sizes)
    return Finding(
        "",
        f"N = {', '.join(map(str, sizes))}" + f"; {left_out} larger ones would take over {MAX_SECONDS:.0f} s or {MAX_BYTES / 1e9:.0f} GB each" * bool(left_out),
    )


def order(model: Runner, events: Sequence[np.ndarray]) -> Finding:
    """Permuted elements give permuted outputs."""
    rng = np.random.default_rng(2)
    largest = 0.0
    for features in (random_elements(rng, 4 * PROBE_SIZE), *events):
        permutation = rng.permutation(len(features))
        permuted = model(features[None, permutation])
        largest = max(largest, model.difference(permuted, [output[:, permutation] for output in model.alone(features)]))
    return _agree(model, largest, "outputs depend on the order of the elements")


def padding(model: Runner, events: Sequence[np.ndarray]) -> Finding:
    """Rows of mask 0 change nothing, whatever they hold, nor do other events of the batch."""
    rng = np.random.default_rng(3)
    contents = (np.zeros(schema.NUM_FEATURES), random_elements(rng, 1)[0], np.full(schema.NUM_FEATURES, np.nan))
    pair = (random_elements(rng, PROBE_SIZE), random_elements(rng, PROBE_SIZE + 37))
    cases = [(*pair, content) for content in contents]
    cases += [(short, long, contents[i % len(contents)]) for i, (short, long) in enumerate(pairwise(sorted(events, key=len)))]
    largest = max(_padded_difference(model, *case) for case in cases)
    return _agree(model, largest, "outputs depend on padding or on other events of the batch")


def _padded_difference(model: Runner, short: np.ndarray, long: np.ndarray, content: np.ndarray) -> float:
    """How far two events in one batch, the shorter one padded with a row's content, are from each alone."""
    batch = np.stack([np.tile(content, (len(long), 1)).astype(np.float32), long])
    batch[0, : len(short)] = short
    mask = np.ones(batch.shape[:2])
    mask[0, len(short) :] = 0.0
    both = model(batch, mask)
    halves = (([output[:1, : len(short)] for output in both], short), ([output[1:] for output in both], long))
    return max(model.difference(half, model.alone(event)) for half, event in halves)


def poison(model: Runner, events: Sequence[np.ndarray]) -> Finding:
    """A non-finite feature counts as 0 (as CMSSW once made it, before it passed raw values), an absurd one keeps outputs finite, in all rows.

    Tried on each feature of one element, on random ones and on the event whose size is the nearest to theirs, and on all features of all elements at once.
    """
    largest = 0.0
    nearest = sorted(events, key=lambda event: abs(len(event) - PROBE_SIZE))[:1]
    # 55 events at once: where all of them are large, a part of one is enough
    for features in (random_elements(np.random.default_rng(4), PROBE_SIZE), *(event[: 4 * PROBE_SIZE] for event in nearest)):
        reference = model(_with_each_feature(features, 0.0))
        for value in (0.0, *POISONS):
            single, everywhere = model(_with_each_feature(features, value)), model(np.full_like(features, value)[None])
            problem = _first_non_finite(model, single, value) or _first_non_finite(model, everywhere, value)
            if problem:
                return Finding(problem, "")
            if not np.isfinite(value):
                largest = max(largest, model.difference(single, reference))
    return _agree(model, largest, "one non-finite feature changes outputs otherwise than a 0 in its place")


def _first_non_finite(model: Runner, outputs: list[np.ndarray], value: float) -> str:
    """What is wrong with the outputs for 55 events, each with one feature of one element replaced, or for one event in which all are."""
    for name, output in zip(model.output_names, outputs, strict=True):
        bad = np.flatnonzero(~np.isfinite(output).reshape(len(output), -1).all(axis=1))
        if len(bad) and len(output) == 1:
            return f"{name} is not finite where all features of all elements are {value}"
        if len(bad):
            return f"{name} is not finite where {schema.FEATURES[bad[0]]} of one element is {value} ({len(bad)} such features)"
    return ""


def _with_each_feature(features: np.ndarray, value: float) -> np.ndarray:
    """``(55, N, 55)``: event f has feature f of one element replaced."""
    events = np.tile(features, (schema.NUM_FEATURES, 1, 1))
    index = np.arange(schema.NUM_FEATURES)
    events[index, index % len(features), index] = value
    return events


def superclusters(model: Runner, events: Sequence[np.ndarray]) -> Finding:
    """No particle from a supercluster: its pt would be 0, since the consumer scales the element's."""
    particles = total = 0
    for features, (binary, *_) in _many_elements(model, events):
        is_sc = features[:, FEATURE_INDEX["type"]] == ElementType.SC
        particles += int(np.count_nonzero((binary[..., 1] > binary[..., 0])[0, is_sc]))
        total += int(is_sc.sum())
    return Finding(f"{particles} of {total} superclusters become particles of pt 0" if particles else "", f"{total} superclusters")


def class_none(model: Runner, events: Sequence[np.ndarray]) -> Finding:
    """Class 0 never wins where the binary head says particle, or the class head vetoes that."""
    vetoes = total = 0
    for _, (binary, pid, *_) in _many_elements(model, events):
        is_particle = binary[..., 1] > binary[..., 0]
        vetoes += int(np.count_nonzero(pid.argmax(axis=-1)[is_particle] == 0))
        total += int(np.count_nonzero(is_particle))
    return Finding(f"class 0 wins for {vetoes} of the {total} elements that the binary head takes for particles" if vetoes else "", f"{total} particles")


def ratios(model: Runner, events: Sequence[np.ndarray]) -> Finding:
    """The consumer takes exp() of the momentum ratios: it must not overflow, whatever the features are."""
    highest = max(float(momentum[..., [0, -1]].max()) for _, (_, _, momentum, *_) in _many_elements(model, events))
    poisoned = [model(_with_each_feature(random_elements(np.random.default_rng(4), PROBE_SIZE), value))[2] for value in POISONS]
    highest = max(highest, *(float(momentum[..., [0, -1]].max()) for momentum in poisoned))
    summary = f"largest log ratio {highest:.3g}"
    return Finding(f"{summary}: its exponential overflows float32 ({MAX_LOG_RATIO:.0f} allowed)" if highest > MAX_LOG_RATIO else "", summary)


def _many_elements(model: Runner, events: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    rng = np.random.default_rng(5)
    for features in (*(random_elements(rng, 10 * PROBE_SIZE) for _ in range(4)), *events):
        yield features, model.alone(features)


def _agree(model: Runner, largest: float, problem: str) -> Finding:
    measured = f"largest difference {largest:.2g}"
    return Finding("" if largest <= model.tolerance else f"{problem} ({measured}, allowed {model.tolerance:g})", measured)


Checks = dict[str, Callable[[Runner, Sequence[np.ndarray]], Finding]]
CHECKS: Checks = {
    "any number of elements": any_size,
    "order of elements": order,
    "padding and batch": padding,
    "non-finite and absurd features": poison,
}
RAW_OUTPUT_CHECKS: Checks = {"superclusters": superclusters, "class none": class_none, "momentum ratios": ratios}  # of what CMSSW decodes
