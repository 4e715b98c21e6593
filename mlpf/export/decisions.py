"""Candidates as the consumer decodes them against those of `mlpf.candidates`."""

from collections.abc import Sequence

import numpy as np

from mlpf import schema
from mlpf.candidates import Outputs, make_candidates
from mlpf.events import Events
from mlpf.export.behaviour import PROBE_SIZE, Finding, Runner
from mlpf.export.consumer import Candidate, ConsumerSession, decode
from mlpf.random_elements import random_elements

ROUNDING = 1e-5  # relative: columns of candidates are float32, the oracle computes in double precision
# Relative, of momenta and directions after decoding; 1.4e-6 and 1.2e-3 measured with the window model.
MOMENTUM_TOLERANCES = {"float32": 1e-4, "float16": 3e-2}
COMPARED = ("pt", "eta", "phi", "energy")


def as_outputs(outputs: Sequence[np.ndarray]) -> Outputs:
    """Outputs ``(1, N, ...)`` of a model for one event; even odds of pileup where there is no fourth one."""
    binary, pid, momentum = (output[0] for output in outputs[:3])
    pileup = outputs[3][0, :, 0] if len(outputs) > 3 else np.zeros(len(binary), dtype=np.float32)
    return Outputs(binary, pid, momentum, pileup)


def library_candidates(features: np.ndarray, outputs: Outputs) -> Events:
    """What `mlpf.candidates` makes of one event, a candidate per row."""
    event = Events({name: np.ones(1, dtype=np.int64) for name in schema.IDENTITY}, {}, 1)
    return make_candidates(event, features, np.arange(len(features)), np.array([0, len(features)]), outputs)


def decoded(features: np.ndarray, outputs: Outputs) -> list[Candidate]:
    """What the consumer makes of one event, but for the charge of GSF electrons, in which this library differs on purpose."""
    return decode(features.tolist(), outputs.binary.tolist(), outputs.pid.tolist(), outputs.momentum.tolist(), gsf_charge=True)


def certain(outputs: Outputs, tolerance: float) -> np.ndarray:
    """``(N,) bool``: no decision on the element lies so near its edge that outputs within the tolerance could turn it."""
    second, first = np.sort(outputs.pid, axis=1)[:, -2:].T
    return _apart(outputs.binary[:, 0], outputs.binary[:, 1], tolerance) & _apart(first, second, tolerance)


def _apart(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    return np.abs(a - b) > tolerance * (np.maximum(1.0, np.abs(a)) + np.maximum(1.0, np.abs(b)))


def compare(found: Sequence[Candidate], expected: Events, elements: np.ndarray) -> tuple[int, float]:
    """How the candidates of one event differ.

    Args:
        found: by the consumer.
        expected: of the library.
        elements: ``(N,) bool``: those whose candidates count.

    Returns:
        elements with another candidate or another pdgId or charge, and the largest relative difference of momenta and directions of the others.
    """
    here = {c.element: c for c in found if elements[c.element]}
    columns = [expected[f"mlpfcandidate_{name}"].tolist() for name in ("element", "pdgid", "charge", *COMPARED)]
    there = {element: values for element, *values in zip(*columns, strict=True) if elements[element]}
    same = [i for i in here.keys() & there.keys() if [here[i].pdgid, here[i].charge] == there[i][:2]]
    a = np.array([[getattr(here[i], name) for name in COMPARED] for i in same]).reshape(-1, len(COMPARED))
    b = np.array([there[i][2:] for i in same]).reshape(-1, len(COMPARED))
    with np.errstate(invalid="ignore", over="ignore"):
        a[:, 2] = b[:, 2] + np.remainder(a[:, 2] - b[:, 2] + np.pi, 2 * np.pi) - np.pi  # azimuth jumps at pi
        relative = np.abs(a - b) / np.maximum(1.0, np.abs(b))
    return len(here.keys() | there.keys()) - len(same), float(np.nan_to_num(relative, nan=np.inf).max(initial=0.0))


def consumer_candidates(model: Runner, events: Sequence[np.ndarray]) -> Finding:
    """The consumer's own steps, from its shape rules to its loop over the elements, end in finite candidates, the same as this library's."""
    session = ConsumerSession(model.path)
    total, largest = 0, 0.0
    for features in (random_elements(np.random.default_rng(8), 4 * PROBE_SIZE), *events):
        found = session.produce(features)
        bad = [c for c in found if not np.isfinite(np.array(c[3:], dtype=np.float32)).all()]
        if bad:
            return Finding(f"{len(bad)} of {len(found)} candidates are not finite (first: {bad[0]})", "")
        outputs = as_outputs(model.alone(features))
        mirrored = decoded(features, outputs)
        other, momentum = compare(mirrored, library_candidates(features, outputs), np.ones(len(features), dtype=bool))
        if other or momentum > ROUNDING or len(mirrored) != len(found):
            return Finding(f"{other} of {len(found)} candidates are not those of mlpf.candidates (largest difference {momentum:.2g})", "")
        total, largest = total + len(found), max(largest, momentum)
    return Finding("", f"{total} candidates of {len(events) + 1} events")
