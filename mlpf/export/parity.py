"""ONNX against torch, in numbers."""

from pathlib import Path

import numpy as np
import torch

from mlpf.export.behaviour import TOLERANCE, Runner, difference
from mlpf.export.report import Check
from mlpf.producer.session import open_session
from mlpf.random_elements import random_elements

SIZES = (0, 1, 2, 7, 64, 257, 1500)  # elements; the exporter traced another size


def check_parity(module: torch.nn.Module, path: Path) -> Check:
    """Compare the outputs of a file with those of the module it was made from: single events of every size, and a padded batch."""
    model = Runner(open_session(path))
    rng = np.random.default_rng(6)
    events = [random_elements(rng, num_elements)[None] for num_elements in SIZES]
    measured = {f"N = {event.shape[1]}": _largest_difference(module, model, event, np.ones(event.shape[:2])) for event in events}
    batch = np.stack([random_elements(rng, 300), random_elements(rng, 300)])
    mask = np.ones(batch.shape[:2])
    mask[1, 111:] = 0.0
    measured["B = 2, padded"] = _largest_difference(module, model, batch, mask)
    worst = max(measured, key=lambda size: measured[size])
    name, summary = "same numbers as torch", f"largest difference {measured[worst]:.2g} ({worst})"
    return Check(name, "" if measured[worst] <= TOLERANCE else f"{summary}, allowed {TOLERANCE:g}", summary)


@torch.no_grad()
def _largest_difference(module: torch.nn.Module, model: Runner, features: np.ndarray, mask: np.ndarray) -> float:
    expected = [output.numpy() for output in module(torch.from_numpy(features), torch.from_numpy(mask.astype(np.float32)))]
    real = mask > 0
    return difference([output[real] for output in model(features, mask)], [output[real] for output in expected])
