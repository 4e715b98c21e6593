"""A model of the consumer's contract, run on NumPy arrays or on events, one event per call."""

import json
import time
from array import array
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlpf import schema
from mlpf.candidates import Outputs, make_candidates
from mlpf.errors import ModelError
from mlpf.events import Events, event_index, offsets_from_counts
from mlpf.features import consumer_elements, element_features
from mlpf.producer.session import open_session, reason, session_tensors
from mlpf.producer.signature import OUTPUT_WIDTHS, PILEUP, signature_problems

# Keys of the model's metadata that `mlpf export` writes.
METADATA_FEATURES = "mlpf.features"
METADATA_SCHEMA_DIGEST = "mlpf.schema_digest"
METADATA_SPLIT = "mlpf.split"  # which events the model was trained on, a SplitConfig in JSON
METADATA_VERSION = "mlpf.version"


class ConsumerInput(NamedTuple):
    """What the consumer passes to the model, for B events of N selected elements together.

    Attributes:
        features: ``(N, 55) float32`` raw features.
        element_index: ``(N,)`` positions of the elements in the ntuple.
        offsets: ``(B + 1,)`` event boundaries.
    """

    features: np.ndarray
    element_index: np.ndarray
    offsets: np.ndarray


def consumer_input(events: Events) -> ConsumerInput:
    """Select the consumer's elements of an ntuple's or a dataset's events, in their order."""
    selected = np.flatnonzero(consumer_elements(events["element_type"]))
    offsets = events.collection_offsets("element")
    event = event_index(offsets)
    position = events["element_index"] if "element_index" in events else np.arange(len(event)) - offsets[event]
    counts = np.bincount(event[selected], minlength=len(events))
    return ConsumerInput(element_features(events)[selected], position[selected].astype(np.int32), offsets_from_counts(counts))


class Producer:
    """Runs an ONNX model as `MLPFProducer` of CMSSW does: B = 1, exactly the selected elements, no padding.

    Features go in raw: the graph itself replaces what is not finite. An event without selected elements never reaches the model.

    Args:
        path: ONNX file.
        device: ``"cpu"`` or ``"cuda"``.
        threads: intra-op threads; the consumer uses 1.

    Attributes:
        call_seconds: wall time of every model call so far.

    Raises:
        ModelError: the file cannot be loaded, has other inputs or outputs, or was made for other features.
    """

    def __init__(self, path: str | Path, device: str = "cpu", threads: int = 1) -> None:
        self.path = Path(path)
        self._session = open_session(path, device, threads)
        self._check()
        names = [tensor.name for tensor in session_tensors(self._session.get_outputs()) if tensor == PILEUP]
        self._fetched = [output.name for output in self._session.get_outputs()[: len(OUTPUT_WIDTHS)]] + names
        self.call_seconds = array("d")

    def _check(self) -> None:
        problems = signature_problems(session_tensors(self._session.get_inputs()), session_tensors(self._session.get_outputs()))
        if problems:
            raise ModelError(f"{self.path}: not a model for this consumer: {problems[0]}; export one with mlpf export --target cmssw")
        features = self.metadata.get(METADATA_FEATURES)
        if features is not None and features != json.dumps(schema.FEATURES):
            version = self.metadata.get(METADATA_VERSION, "?")
            raise ModelError(f"{self.path}: made by mlpf {version} for other features or another order of them; export it again with this version")

    @property
    def metadata(self) -> dict[str, str]:
        """The model's own metadata; empty for files that others made."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, features: np.ndarray) -> Outputs:
        """Outputs for one event.

        Args:
            features: ``(N, 55)`` raw features in the order of `schema.FEATURES`; N may be 0.

        Raises:
            ModelError: the features have another shape, or the model fails on them.
        """
        features = np.ascontiguousarray(features, dtype=np.float32)
        if features.ndim != 2 or features.shape[1] != schema.NUM_FEATURES:
            raise ModelError(f"features: shape {features.shape}, expected (N, {schema.NUM_FEATURES}) of one event")
        if not len(features):
            return empty_outputs()
        feed = {schema.ONNX_INPUTS[0]: features[None], schema.ONNX_INPUTS[1]: np.ones((1, len(features)), dtype=np.float32)}
        start = time.perf_counter()
        try:
            binary, pid, momentum, *pileup = self._session.run(self._fetched, feed)
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise ModelError(f"{self.path}: fails on an event of {len(features)} elements ({reason(error)})") from error
        self.call_seconds.append(time.perf_counter() - start)
        # Logit 0 (even odds) where a model has no pileup head.
        return Outputs(binary[0], pid[0], momentum[0], pileup[0][0, :, 0] if pileup else np.zeros(len(features), dtype=np.float32))

    def run_events(self, selected: ConsumerInput) -> Outputs:
        """Outputs for the selected elements of many events, one call per event."""
        outputs = [self.run(selected.features[start:stop]) for start, stop in pairwise(selected.offsets)]
        return Outputs(*(np.concatenate(columns) for columns in zip(empty_outputs(), *outputs, strict=True)))

    def __call__(self, events: Events) -> Events:
        """Candidates (`schema.CANDIDATES`) of an ntuple's or a dataset's events."""
        selected = consumer_input(events)
        return make_candidates(events, *selected, self.run_events(selected))


def empty_outputs() -> Outputs:
    """Outputs of no elements."""
    binary, pid, momentum = (np.zeros((0, width), dtype=np.float32) for width in OUTPUT_WIDTHS)
    return Outputs(binary, pid, momentum, np.zeros(0, dtype=np.float32))
