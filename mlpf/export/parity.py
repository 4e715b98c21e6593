"""ONNX against torch, in numbers and in candidates."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mlpf.export.behaviour import Runner, difference, run_ascending
from mlpf.export.decisions import MOMENTUM_TOLERANCES, as_outputs, certain, compare, decoded, library_candidates
from mlpf.export.events import contract_events
from mlpf.export.report import Check
from mlpf.random_elements import random_elements


def check_parity(module: torch.nn.Module, path: Path, events: Sequence[np.ndarray] | None = None) -> Check:
    """Compare the outputs of a file with those of the module it was made from.

    Args:
        module: of features and mask, in float32.
        path: ONNX file.
        events: ``(N, 55)`` features each, N ascending; None: `contract_events`. Random ones, none at all, all joined, and a padded batch are added.
    """
    model = Runner(path)
    events = contract_events() if events is None else events
    nothing = random_elements(np.random.default_rng(6), 0)
    runs = [(nothing, model.alone(nothing)), *run_ascending(model, events)]
    measured = {f"N = {len(features)}": difference(outputs, _torch(module, features[None])) for features, outputs in runs}
    batch, mask = padded_batch()
    real = mask > 0
    measured["B = 2, padded"] = difference([output[real] for output in model(batch, mask)], [output[real] for output in _torch(module, batch, mask)])
    worst = max(measured, key=lambda size: measured[size])
    name, summary = "same numbers as torch", f"largest difference {measured[worst]:.2g} ({worst}; {len(measured)} sizes up to {len(runs[-1][0])})"
    return Check(name, "" if measured[worst] <= model.tolerance else f"{summary}, allowed {model.tolerance:g}", summary)


def padded_batch() -> tuple[np.ndarray, np.ndarray]:
    """Two random events, one of them padded: ``(2, N, 55)`` features and ``(2, N)`` mask."""
    rng = np.random.default_rng(6)
    batch = np.stack([random_elements(rng, 300), random_elements(rng, 300)])
    mask = np.ones(batch.shape[:2], dtype=np.float32)
    mask[1, 111:] = 0.0
    return batch, mask


def check_same_candidates(module: torch.nn.Module, path: Path, events: Sequence[np.ndarray] | None = None) -> Check:
    """Compare what the consumer decodes from the file's outputs with what `mlpf.candidates` makes of torch's.

    Elements on the edge of a decision, where the file's tolerance may turn it, are counted but not compared.
    """
    model = Runner(path)
    events = contract_events() if events is None else events
    num_candidates = num_elements = num_uncertain = num_other = 0
    largest = 0.0
    for features in (random_elements(np.random.default_rng(9), 1000), *events):
        expected = as_outputs(_torch(module, features[None]))
        sure = certain(expected, model.tolerance)
        candidates = library_candidates(features, expected)
        other, momentum = compare(decoded(features, as_outputs(model.alone(features))), candidates, sure)
        num_candidates += candidates.size("mlpfcandidate")
        num_elements, num_uncertain, num_other = num_elements + len(features), num_uncertain + int((~sure).sum()), num_other + other
        largest = max(largest, momentum)
    name, allowed = "same candidates as torch", MOMENTUM_TOLERANCES[model.precision]
    summary = f"{num_candidates} candidates, {num_uncertain} of {num_elements} elements on the edge of a decision, largest difference {largest:.2g}"
    problem = f"{num_other} elements have another candidate" if num_other else f"momenta differ by {largest:.2g}, allowed {allowed:g}"
    return Check(name, problem if num_other or largest > allowed else "", summary)


@torch.no_grad()
def _torch(module: torch.nn.Module, features: np.ndarray, mask: np.ndarray | None = None) -> list[np.ndarray]:
    mask = np.ones(features.shape[:2], dtype=np.float32) if mask is None else mask
    return [output.numpy() for output in module(torch.from_numpy(features), torch.from_numpy(mask))]
