"""Models that make candidates: a run folder of `mlpf train` (needs torch) or an ONNX file (does not)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime

from mlpf import schema
from mlpf.candidates import Outputs, make_candidates
from mlpf.errors import ModelError
from mlpf.events import Events
from mlpf.io.files import sha256
from mlpf.producer.producer import METADATA_SPLIT, Producer, consumer_input, empty_outputs
from mlpf.samples.split import SplitConfig

ALL, TEST = "all", "test"
MAX_ELEMENTS = 8000  # per batch of a torch model, padding included


class Predictor(Protocol):
    """A model that makes candidates.

    Attributes:
        description: what it is, for the report.
        split: how events were shared when it was trained.
        default_split: events to evaluate unless told.
    """

    description: dict[str, str]
    split: SplitConfig
    default_split: str

    def __call__(self, events: Events) -> Events:
        """Candidates (`schema.CANDIDATES`) of a dataset's events."""


class OnnxPredictor:
    """An ONNX model, one event per call as the consumer runs it; a file of other origin does not say which events it has seen."""

    def __init__(self, path: Path, device: str) -> None:
        self._producer = Producer(path, device)
        split = self._producer.metadata.get(METADATA_SPLIT)
        self.split = SplitConfig() if split is None else SplitConfig.model_validate_json(split)
        self.default_split = ALL if split is None else TEST
        self.description = {"model": str(path), "sha256": sha256(path)[:16], "ONNX Runtime": onnxruntime.__version__}

    def __call__(self, events: Events) -> Events:
        """See `Predictor`."""
        return self._producer(events)


class TorchPredictor:
    """The best model of a run folder; events of similar size share a batch."""

    default_split = TEST

    def __init__(self, path: Path, device: str) -> None:
        try:
            import torch

            from mlpf.nn.saved import load_model
        except ImportError as error:
            raise ModelError(f"{path}: a run folder needs PyTorch ({error}); pip install 'mlpf[train]', or evaluate its ONNX file") from error
        if device not in ("cpu", "cuda"):
            raise ModelError(f"device '{device}': unknown; choose one of cpu, cuda")
        if device == "cuda" and not torch.cuda.is_available():
            raise ModelError("device 'cuda': PyTorch sees no GPU; pass --device cpu")
        self._model, info = load_model(path)
        self._model.to(device)
        self._device = device
        self.split = info.split
        self.description = {
            "model": str(path),
            "epoch": str(info.epoch),
            "weights sha256": info.weights_sha256[:16],
            "trained on": info.dataset,
            "PyTorch": torch.__version__,
        }

    def __call__(self, events: Events) -> Events:
        """See `Predictor`."""
        selected = consumer_input(events)
        outputs = Outputs(*(np.zeros((len(selected.features), *empty.shape[1:]), dtype=np.float32) for empty in empty_outputs()))
        for batch in batches_of_similar_size(np.diff(selected.offsets), MAX_ELEMENTS):
            self._predict(selected.features, selected.offsets, batch, outputs)
        return make_candidates(events, *selected, outputs)

    def _predict(self, features: np.ndarray, offsets: np.ndarray, batch: np.ndarray, outputs: Outputs) -> None:
        """Fill the outputs of a batch of events."""
        import torch

        counts = offsets[batch + 1] - offsets[batch]
        mask = np.arange(counts.max()) < counts[:, None]
        padded = np.zeros((*mask.shape, schema.NUM_FEATURES), dtype=np.float32)
        own = np.concatenate([np.arange(offsets[event], offsets[event + 1]) for event in batch])
        padded[mask] = features[own]
        with torch.inference_mode():
            result = self._model(torch.from_numpy(padded).to(self._device), torch.from_numpy(mask.astype(np.float32)).to(self._device))
        for name, values in {"binary": result.binary, "pid": result.pid, "momentum": result.momentum, "pileup": result.pileup[..., 0]}.items():
            getattr(outputs, name)[own] = values.cpu().numpy()[mask]


def batches_of_similar_size(counts: np.ndarray, max_elements: int) -> Iterator[np.ndarray]:
    """Indices of events, by size, in batches whose padded size stays below ``max_elements``; a larger event goes alone, an empty one not at all."""
    order = np.argsort(counts, kind="stable")
    batch: list[int] = []
    for event in order[counts[order] > 0]:
        if batch and counts[event] * (len(batch) + 1) > max_elements:
            yield np.array(batch)
            batch = []
        batch.append(int(event))
    if batch:
        yield np.array(batch)


def load_predictor(path: str | Path, device: str = "cpu") -> Predictor:
    """A predictor for an ONNX file or a run folder.

    Args:
        path: ``.onnx`` file or folder.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        ModelError: it is neither, or cannot be used.
    """
    path = Path(path)
    if path.is_dir():
        return TorchPredictor(path, device)
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: neither a run folder nor a model (.onnx)")
    return OnnxPredictor(path, device)
