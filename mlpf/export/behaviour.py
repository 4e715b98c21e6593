"""What the consumer relies on when it runs a model: clauses that are checked by running it.

Each check takes a `Runner` and returns a `Finding`. Two results agree if they differ by no more than `TOLERANCE` (absolute up to 1, relative above): room for
the rounding of another summation order, far below what moves a candidate.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime

from mlpf import schema
from mlpf.random_elements import random_elements
from mlpf.schema import FEATURE_INDEX, ElementType

TOLERANCE = 1e-3
SIZES = (1, 2, 7, 64, 257, 1500)  # elements per event; 0 is tried in a process of its own
PROBE_SIZE = 64
POISONS = (np.nan, np.inf, -np.inf, 1e30)


class Finding(NamedTuple):
    """Outcome of one check: why the clause does not hold (empty if it does), and what was measured."""

    problem: str
    measured: str


class Runner:
    """A model on batches of padded events.

    Args:
        session: of the model.
        inputs: names of features and mask.
    """

    def __init__(self, session: onnxruntime.InferenceSession, inputs: Sequence[str] = schema.ONNX_INPUTS) -> None:
        self._session = session
        self._inputs = tuple(inputs)
        self.output_names = [output.name for output in session.get_outputs()]
        self.output_widths = [tuple(output.shape[2:]) for output in session.get_outputs()]

    def __call__(self, features: np.ndarray, mask: np.ndarray | None = None) -> list[np.ndarray]:
        """All outputs for ``(B, N, 55)`` features; every element is real where no ``(B, N)`` mask is given."""
        mask = np.ones(features.shape[:2]) if mask is None else mask
        return self._session.run(None, dict(zip(self._inputs, (features.astype(np.float32), mask.astype(np.float32)), strict=True)))


def difference(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Largest ``|a - b| / max(1, |b|)`` over all outputs; infinite where one is not finite."""
    largest = 0.0
    for x, y in zip(a, b, strict=True):
        relative = np.abs(x.astype(np.float64) - y) / np.maximum(1.0, np.abs(y))
        largest = max(largest, float(np.nan_to_num(relative, nan=np.inf).max(initial=0.0)))
    return largest


def any_size(model: Runner) -> Finding:
    """Every N gives finite outputs of N rows."""
    rng = np.random.default_rng(1)
    for num_elements in SIZES:
        outputs = model(random_elements(rng, num_elements)[None])
        for name, output, width in zip(model.output_names, outputs, model.output_widths, strict=True):
            declared = tuple(found if isinstance(axis, str) else axis for axis, found in zip(width, output.shape[2:], strict=False))  # free axes have names
            if output.shape != (1, num_elements, *declared):
                return Finding(f"{name} has shape {output.shape} for {num_elements} elements", "")
            if not np.isfinite(output).all():
                return Finding(f"{name} has {np.count_nonzero(~np.isfinite(output))} non-finite values for {num_elements} elements", "")
    return Finding("", f"N = {', '.join(map(str, SIZES))}")


def order(model: Runner) -> Finding:
    """Permuted elements give permuted outputs."""
    rng = np.random.default_rng(2)
    features = random_elements(rng, 4 * PROBE_SIZE)
    permutation = rng.permutation(len(features))
    permuted = model(features[None, permutation])
    return _agree(difference(permuted, [output[:, permutation] for output in model(features[None])]), "outputs depend on the order of the elements")


def padding(model: Runner) -> Finding:
    """Rows of mask 0 change nothing, whatever they hold, nor do other events of the batch."""
    rng = np.random.default_rng(3)
    short, long = random_elements(rng, PROBE_SIZE), random_elements(rng, PROBE_SIZE + 37)
    largest = 0.0
    for content in (np.zeros(schema.NUM_FEATURES), random_elements(rng, 1)[0], np.full(schema.NUM_FEATURES, np.nan)):
        batch = np.stack([np.tile(content, (len(long), 1)).astype(np.float32), long])
        batch[0, : len(short)] = short
        mask = np.ones(batch.shape[:2])
        mask[0, len(short) :] = 0.0
        both = model(batch, mask)
        largest = max(largest, difference([output[:1, : len(short)] for output in both], model(short[None])))
        largest = max(largest, difference([output[1:] for output in both], model(long[None])))
    return _agree(largest, "outputs depend on padding or on other events of the batch")


def poison(model: Runner) -> Finding:
    """A non-finite feature counts as 0 (as CMSSW once made it, before it passed raw values), an absurd one keeps outputs finite, in all rows."""
    features = random_elements(np.random.default_rng(4), PROBE_SIZE)
    zeroed, poisoned = _with_each_feature(features, 0.0), {value: model(_with_each_feature(features, value)) for value in POISONS}
    for value, outputs in poisoned.items():
        for name, output in zip(model.output_names, outputs, strict=True):
            bad = np.flatnonzero(~np.isfinite(output).reshape(len(output), -1).all(axis=1))
            if len(bad):
                return Finding(f"{name} is not finite where {schema.FEATURES[bad[0]]} of one element is {value} ({len(bad)} such features)", "")
    reference = model(zeroed)
    largest = max(difference(outputs, reference) for value, outputs in poisoned.items() if not np.isfinite(value))
    return _agree(largest, "one non-finite feature changes outputs otherwise than a 0 in its place")


def _with_each_feature(features: np.ndarray, value: float) -> np.ndarray:
    """``(55, N, 55)``: event f has feature f of one element replaced."""
    events = np.tile(features, (schema.NUM_FEATURES, 1, 1))
    index = np.arange(schema.NUM_FEATURES)
    events[index, index % len(features), index] = value
    return events


def superclusters(model: Runner) -> Finding:
    """No particle from a supercluster: its pt would be 0, since the consumer scales the element's."""
    features = _many_elements()
    binary = model(features)[0]
    is_sc = features[..., FEATURE_INDEX["type"]] == ElementType.SC
    particles = int(np.count_nonzero((binary[..., 1] > binary[..., 0])[is_sc]))
    return Finding(f"{particles} of {is_sc.sum()} superclusters become particles of pt 0" if particles else "", f"{is_sc.sum()} superclusters")


def class_none(model: Runner) -> Finding:
    """Class 0 never wins, or the class head vetoes what the binary head decided."""
    pid = model(_many_elements())[1]
    vetoes = int(np.count_nonzero(pid.argmax(axis=-1) == 0))
    return Finding(f"class 0 wins for {vetoes} of {pid.shape[0] * pid.shape[1]} elements" if vetoes else "", f"{pid.shape[0] * pid.shape[1]} elements")


def _many_elements() -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.stack([random_elements(rng, 10 * PROBE_SIZE) for _ in range(4)])


def _agree(largest: float, problem: str) -> Finding:
    measured = f"largest difference {largest:.2g}"
    return Finding("" if largest <= TOLERANCE else f"{problem} ({measured}, allowed {TOLERANCE:g})", measured)


Checks = dict[str, Callable[[Runner], Finding]]
CHECKS: Checks = {
    "any number of elements": any_size,
    "order of elements": order,
    "padding and batch": padding,
    "non-finite and absurd features": poison,
}
CONSUMER_CHECKS: Checks = {**CHECKS, "superclusters": superclusters, "class none": class_none}  # of the raw outputs that CMSSW decodes
