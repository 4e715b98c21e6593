"""A model of the consumer's contract, run on NumPy arrays or on events."""

import json
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlpf import schema
from mlpf.candidates import Outputs, make_candidates
from mlpf.errors import ModelError
from mlpf.events import Events, event_index, index_in_event, offsets_from_counts
from mlpf.features import consumer_elements, element_features
from mlpf.producer.batches import pad, plan_batches
from mlpf.producer.session import open_session, reason, session_tensors
from mlpf.producer.signature import OUTPUT_WIDTHS, PILEUP, signature_problems, standalone_problems

# Keys of the model's metadata that `mlpf export` writes.
METADATA_FEATURES = "mlpf.features"
METADATA_SCHEMA_DIGEST = "mlpf.schema_digest"
METADATA_SPLIT = "mlpf.split"  # which events the model was trained on, a SplitConfig in JSON
METADATA_VERSION = "mlpf.version"

# Padded elements per call unless told; 0 is one event per call, as the consumer does. On a CPU a batch is two to three times as fast as its events alone where
# these have 20 elements, but at 500 as fast at best and 0.6 to 0.8 times where many share a call; on a GPU small events cost the start of each operator.
BATCH_ELEMENTS = {"cpu": 0, "cuda": 16_384, "tensorrt": 0}
# TensorRT builds its engine again, for minutes, whenever a size is outside the range of those before; with both ends first it is built twice at most.
ENGINE_RANGE = {"tensorrt": (1, 16_384)}


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
    offsets = events.collection_offsets("element")
    position = events["element_index"] if "element_index" in events else index_in_event(offsets)
    return _select(element_features(events), events["element_type"], position, offsets)


def _select(features: np.ndarray, element_type: np.ndarray, position: np.ndarray, offsets: np.ndarray) -> ConsumerInput:
    """Those of N elements that the consumer passes on."""
    selected = np.flatnonzero(consumer_elements(element_type))
    if len(selected) < len(features):
        counts = np.bincount(event_index(offsets)[selected], minlength=len(offsets) - 1)
        features, position, offsets = features[selected], position[selected], offsets_from_counts(counts)
    return ConsumerInput(features, position.astype(np.int32), offsets)


class _CallError(Exception):
    """A model call failed; which event it was is known one level up."""


class Producer:
    """Runs an ONNX model of the target cmssw as `MLPFProducer` of CMSSW does: exactly the selected elements, B = 1 unless ``batch_elements`` says otherwise.

    Features go in raw: the graph itself replaces what is not finite. An event without selected elements never reaches the model. Several threads may share a
    producer.

    Args:
        path: ONNX file.
        device: ``"cpu"``, ``"cuda"`` or ``"tensorrt"``.
        threads: intra-op threads; the consumer uses 1.
        batch_elements: elements per model call, padding included; events of similar size share a call, a larger event goes alone. 0: one event per call, to
            the last bit as in the consumer; None: `BATCH_ELEMENTS` of the device.

    Attributes:
        call_seconds: wall time of every model call so far.

    Raises:
        ModelError: the file cannot be loaded, has other inputs or outputs, or was made for other features; the device cannot be used.
    """

    def __init__(self, path: str | Path, device: str = "cpu", threads: int = 1, batch_elements: int | None = None) -> None:
        self.path = Path(path)
        self._session = open_session(path, device, threads)
        self._check()
        names = [tensor.name for tensor in session_tensors(self._session.get_outputs()) if tensor == PILEUP]
        self._fetched = [output.name for output in self._session.get_outputs()[: len(OUTPUT_WIDTHS)]] + names
        self.batch_elements = BATCH_ELEMENTS[device] if batch_elements is None else batch_elements
        self.call_seconds = array("d")
        for num_elements in ENGINE_RANGE.get(device, ()):
            self.run(np.zeros((num_elements, schema.NUM_FEATURES)))
            self.call_seconds.pop()

    def _check(self) -> None:
        tensors = session_tensors(self._session.get_inputs()), session_tensors(self._session.get_outputs())
        if not standalone_problems(*tensors):
            raise ModelError(
                f"{self.path}: of the target standalone, which makes candidates by itself; run it with ONNX Runtime, or export one with --target cmssw"
            )
        problems = signature_problems(*tensors)
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

    def __call__(self, events: Events) -> Events:
        """Candidates (`schema.CANDIDATES`) of an ntuple's or a dataset's B events, as B events in their order.

        Raises:
            ModelError: the model fails on an event, which is named.
        """
        selected = consumer_input(events)
        return make_candidates(events, *selected, self.run_events(selected, events))

    def candidates(self, features: np.ndarray, offsets: np.ndarray | None = None) -> Events:
        """Candidates of raw features.

        Args:
            features: ``(N, 55)`` in the order of `schema.FEATURES`, of one event or of several one after the other. Elements of types that the consumer never
                passes on (PS1, PS2, BREM) yield nothing.
            offsets: ``(B + 1,)`` event boundaries, from 0 to N; None for one event.

        Returns:
            B events in `schema.CANDIDATES`, numbered from 0; ``mlpfcandidate_element`` is the position in the event's features.

        Raises:
            ModelError: these are no such numbers, shapes do not fit, a type is none of `schema.ElementType`, or the model fails.
        """
        features = _raw_features(features)
        _check_types(features[:, schema.FEATURE_INDEX["type"]])
        offsets = np.array([0, len(features)]) if offsets is None else _boundaries(offsets, len(features))
        events = Events({"event": np.arange(len(offsets) - 1)}, {}, len(offsets) - 1, "features")
        selected = _select(features, features[:, schema.FEATURE_INDEX["type"]], index_in_event(offsets), offsets)
        return make_candidates(events, *selected, self.run_events(selected))

    def run(self, features: np.ndarray) -> Outputs:
        """Outputs for one event, all of whose elements reach the model.

        Args:
            features: ``(N, 55)`` raw features in the order of `schema.FEATURES`; N may be 0.

        Raises:
            ModelError: the features have another shape, or the model fails on them.
        """
        features = _raw_features(features)
        return self.run_events(ConsumerInput(features, np.arange(len(features)), np.array([0, len(features)])))

    def batches(self, counts: np.ndarray) -> Iterator[np.ndarray]:
        """Positions of the events of each model call that `run_events` makes, in its order, for events of ``(B,)`` elements."""
        return plan_batches(counts, self.batch_elements)

    def run_events(self, selected: ConsumerInput, events: Events | None = None) -> Outputs:
        """Outputs for the selected elements of B events, in their order; how events shared calls changes them by rounding at most.

        Args:
            selected: see `consumer_input`.
            events: where they come from, for messages.

        Raises:
            ModelError: the features have another shape, or the model fails on an event, which is named.
        """
        selected = selected._replace(features=_raw_features(selected.features))
        outputs = empty_outputs(len(selected.features))
        for batch in self.batches(np.diff(selected.offsets)):
            padded = pad(selected.features, selected.offsets, batch)
            try:
                results = self._call(padded.features, padded.is_real)
            except _CallError as error:
                raise ModelError(self._failure(error, selected, batch, events)) from error
            for values, result in zip(outputs, results, strict=False):
                values[padded.rows] = result[padded.is_real]
        return outputs

    def _call(self, features: np.ndarray, is_real: np.ndarray) -> list[np.ndarray]:
        """One call of the model: binary ``(B, N, 2)``, pid ``(B, N, 9)``, momentum ``(B, N, 5)`` and, where there is such a head, pileup ``(B, N)``."""
        feed = dict(zip(schema.ONNX_INPUTS, (features, is_real.astype(np.float32)), strict=True))
        start = time.perf_counter()
        try:
            results = self._session.run(self._fetched, feed)
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise _CallError(reason(error)) from error
        seconds = time.perf_counter() - start
        for name, result, width in zip(self._fetched, results, (*OUTPUT_WIDTHS, 1), strict=False):
            if result.shape != (*is_real.shape, width):
                raise _CallError(f"output {name} has shape {result.shape}, expected {(*is_real.shape, width)}")
        self.call_seconds.append(seconds)
        return [*results[: len(OUTPUT_WIDTHS)], *(result[..., 0] for result in results[len(OUTPUT_WIDTHS) :])]

    def _failure(self, error: _CallError, selected: ConsumerInput, batch: np.ndarray, events: Events | None) -> str:
        """What to say of a failed batch: the first of its events that fails alone, too."""
        for event in batch:
            alone = error
            if len(batch) > 1:
                try:
                    self._call(*pad(selected.features, selected.offsets, np.array([event]))[:2])
                    continue
                except _CallError as found:
                    alone = found
            name = f"event {event} of {len(selected.offsets) - 1}" if events is None else _name(events, int(event))
            return f"{self.path}: fails on {name}, {selected.offsets[event + 1] - selected.offsets[event]} elements ({alone})"
        return f"{self.path}: fails on {len(batch)} events together, on none of them alone ({error}); pass a batch_elements below {self.batch_elements}"


def _name(events: Events, position: int) -> str:
    """An event as users know it."""
    identity = ", ".join(f"{name} {events[name][position]}" for name in schema.IDENTITY)
    return f"{events.source}, entry {events.first_entry + position} ({identity})"


def _raw_features(features: np.ndarray) -> np.ndarray:
    """``(N, 55) float32``, or `ModelError`."""
    try:
        features = np.ascontiguousarray(features, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ModelError(f"features: not an array of numbers, (N, {schema.NUM_FEATURES}) is expected ({error})") from error
    if features.ndim != 2 or features.shape[1] != schema.NUM_FEATURES:
        raise ModelError(f"features: shape {features.shape}, expected (N, {schema.NUM_FEATURES})")
    return features


def _check_types(types: np.ndarray) -> None:
    """Raise `ModelError` for what is no type of an element, as of features that were scaled already, or in another order."""
    bad = np.flatnonzero(~((types >= 0) & (types < schema.NUM_ELEMENT_TYPES) & (types == np.floor(types))))
    if len(bad):
        last = schema.NUM_ELEMENT_TYPES - 1
        raise ModelError(f"features: row {bad[0]}: type {types[bad[0]]:g} is none of 0 to {last}; features go in raw, in the order of mlpf.schema.FEATURES")


def _boundaries(offsets: np.ndarray, num_elements: int) -> np.ndarray:
    """``(B + 1,) int64``, or `ModelError`."""
    edges = np.asarray(offsets)
    if edges.ndim == 1 and edges.dtype.kind in "iu":
        edges = edges.astype(np.int64)
        if len(edges) and edges[0] == 0 and edges[-1] == num_elements and (np.diff(edges) >= 0).all():
            return edges
    raise ModelError(f"offsets: expected whole numbers that start at 0, never decrease and end at {num_elements}, the number of elements")


def empty_outputs(num_elements: int = 0) -> Outputs:
    """Outputs of N elements, to be filled; all 0, which for the pileup logit of a model without that head is right: even odds."""
    binary, pid, momentum = (np.zeros((num_elements, width), dtype=np.float32) for width in OUTPUT_WIDTHS)
    return Outputs(binary, pid, momentum, np.zeros(num_elements, dtype=np.float32))
