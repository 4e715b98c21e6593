"""Models that make candidates: a run folder of `mlpf train`, a folder with the runs of all folds (both need torch), or an ONNX file (does not)."""

import functools
import operator
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnxruntime

from mlpf.candidates import Outputs, Prediction, make_candidates
from mlpf.errors import ModelError
from mlpf.evaluation.timing import Stopwatch, Timing
from mlpf.events import Events
from mlpf.io.files import sha256
from mlpf.io.model_file import MODEL_FILE
from mlpf.producer.batches import pad, plan_batches
from mlpf.producer.hardware import processor_name
from mlpf.producer.producer import METADATA_SPLIT, ConsumerInput, Producer, consumer_input, empty_outputs
from mlpf.samples.split import SplitConfig, fold_index

if TYPE_CHECKING:
    from mlpf.dataset.edges import EventEdges

ALL, TEST = "all", "test"
THREADS = 1  # of ONNX Runtime, as the consumer
MAX_ELEMENTS = 8000  # per batch of a torch model, padding included


class Predictor(Protocol):
    """A model that makes candidates.

    Attributes:
        description: what it is, for the report.
        split: how events were shared when it was trained.
        default_split: events to evaluate unless told.
        needs_edges: the events must come with the dataset's edges.
    """

    description: dict[str, str]
    split: SplitConfig
    default_split: str
    needs_edges: bool

    def __call__(self, events: Events) -> Prediction:
        """What it says of a dataset's events."""

    def take_timing(self) -> Timing:
        """Time of the model in all calls since the last call of this, with what pads a batch and moves it; features and candidates are made apart."""


def default_split(split: SplitConfig) -> str:
    """Which events to evaluate a model on: its test events; all where it kept none, for such a model is tested on other samples than it was trained on."""
    return TEST if split.test > 0.0 else ALL


class OnnxPredictor:
    """An ONNX model, run by the `Producer` with its defaults; a file of other origin does not say which events it has seen."""

    needs_edges = False

    def __init__(self, path: Path, device: str) -> None:
        self._producer = Producer(path, device, THREADS)
        self._stopwatch = Stopwatch(device, THREADS, processor_name(device) or device)
        split = self._producer.metadata.get(METADATA_SPLIT)
        self.split = SplitConfig() if split is None else SplitConfig.model_validate_json(split)
        self.default_split = ALL if split is None else default_split(self.split)
        self.description = {"model": str(path), "sha256": sha256(path)[:16], "ONNX Runtime": onnxruntime.__version__}

    def __call__(self, events: Events) -> Prediction:
        """See `Predictor`."""
        selected = consumer_input(events)
        calls_before = len(self._producer.call_seconds)
        outputs = self._producer.run_events(selected, events)
        counts = np.diff(selected.offsets)
        for batch, seconds in zip(self._producer.batches(counts), self._producer.call_seconds[calls_before:], strict=True):
            self._stopwatch.add(counts[batch], seconds)
        return Prediction(make_candidates(events, *selected, outputs), outputs)

    def take_timing(self) -> Timing:
        """See `Predictor`."""
        return self._stopwatch.take()


class TorchPredictor:
    """The best model of a run folder; events of similar size share a batch."""

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
        self._stopwatch = Stopwatch(device, torch.get_num_threads(), processor_name(device) or device)
        self.needs_edges = self._model.needs_edges
        self.split = info.split
        self.default_split = default_split(info.split)
        self.description = {
            "model": str(path),
            "epoch": str(info.epoch),
            "weights sha256": info.weights_sha256[:16],
            "trained on": info.dataset,
            "PyTorch": torch.__version__,
        }

    def __call__(self, events: Events) -> Prediction:
        """See `Predictor`."""
        selected = consumer_input(events)
        outputs = empty_outputs(len(selected.features))
        self.predict(events, selected, np.arange(len(events)), outputs)
        return Prediction(make_candidates(events, *selected, outputs), outputs)

    def take_timing(self) -> Timing:
        """See `Predictor`."""
        return self._stopwatch.take()

    def predict(self, events: Events, selected: ConsumerInput, chosen: np.ndarray, outputs: Outputs) -> None:
        """Fill the outputs of some events, ``chosen`` (positions), and leave those of all others alone.

        Raises:
            DatasetError: the model works on edges, and there are none.
        """
        from mlpf.dataset.edges import EventEdges, require_edges

        edges = None
        if self.needs_edges:
            require_edges(events)
            edges = EventEdges.of(events)
        for batch in plan_batches(np.diff(selected.offsets)[chosen], MAX_ELEMENTS):
            start = time.perf_counter()
            self._predict(selected.features, selected.offsets, edges, chosen[batch], outputs)
            self._stopwatch.add(np.diff(selected.offsets)[chosen[batch]], time.perf_counter() - start)

    def _predict(self, features: np.ndarray, offsets: np.ndarray, edges: "EventEdges | None", batch: np.ndarray, outputs: Outputs) -> None:
        """Fill the outputs of a batch of events."""
        import torch

        from mlpf.dataset.batch import Batch, Edges

        padded = pad(features, offsets, batch)
        length = padded.is_real.shape[1]
        between = None if edges is None else Edges(*(values.to(self._device) for values in edges.in_rows(batch, np.arange(len(batch)) * length)))
        inputs, real = (torch.from_numpy(values).to(self._device) for values in (padded.features, padded.is_real.astype(np.float32)))
        with torch.inference_mode():
            result = self._model.predict(Batch.without_targets(inputs, real, between))
        for name, values in {"binary": result.binary, "pid": result.pid, "momentum": result.momentum, "pileup": result.pileup[..., 0]}.items():
            getattr(outputs, name)[padded.rows] = values.cpu().numpy()[padded.is_real]


class FoldPredictor:
    """The models of all k folds (`SplitConfig`) together, out of fold: each event goes to the model that keeps its fold for the test, and so has not seen it.

    For measurements that need all events of a sample. To be used on events of another kind, one model is exported, not the k of them.

    Args:
        runs: k run folders, one for each fold.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        ModelError: they are not the k folds of one splitting, or one cannot be used.
    """

    default_split = ALL
    split = SplitConfig(train=0.0, validation=0.0, test=1.0)  # every event is a test

    def __init__(self, runs: Sequence[Path], device: str) -> None:
        predictors = [TorchPredictor(run, device) for run in runs]
        _check_folds(dict(zip(runs, (predictor.split for predictor in predictors), strict=True)))
        self._predictors = {predictor.split.fold: predictor for predictor in sorted(predictors, key=lambda predictor: predictor.split.fold)}
        self._config = self._predictors[0].split
        self.needs_edges = any(predictor.needs_edges for predictor in predictors)
        descriptions = {fold: predictor.description for fold, predictor in self._predictors.items()}
        self.description = {
            "model": f"{runs[0].parent}, out of fold",
            **{f"fold {fold}": f"{Path(d['model']).name}, epoch {d['epoch']}, weights {d['weights sha256']}" for fold, d in descriptions.items()},
            "trained on": ", ".join(sorted({d["trained on"] for d in descriptions.values()})),
            "PyTorch": descriptions[0]["PyTorch"],
        }

    def __call__(self, events: Events) -> Prediction:
        """See `Predictor`."""
        selected = consumer_input(events)
        outputs = empty_outputs(len(selected.features))
        fold = fold_index(events["run"], events["lumi"], events["event"], self._config)
        for own, predictor in self._predictors.items():
            predictor.predict(events, selected, np.flatnonzero(fold == own), outputs)
        return Prediction(make_candidates(events, *selected, outputs), outputs)

    def take_timing(self) -> Timing:
        """See `Predictor`."""
        return functools.reduce(operator.add, (predictor.take_timing() for predictor in self._predictors.values()))


def _check_folds(splits: Mapping[Path, SplitConfig]) -> None:
    """Raise `ModelError` unless the splits of these runs are the k folds of one seed, each once."""
    first_run, first = next(iter(splits.items()))
    owner: dict[int, Path] = {}
    for run, split in splits.items():
        if split.folds is None:
            raise ModelError(f"{run}: trained without folds; evaluate it alone, or move it out of {run.parent} if the other runs there are folds")
        if (split.folds, split.seed) != (first.folds, first.seed):
            raise ModelError(
                f"{run}: trained with {split.folds} folds of seed {split.seed}, {first_run.name} with {first.folds} of seed {first.seed}; keep runs of one kind"
            )
        if split.fold in owner:
            raise ModelError(f"{run}: of fold {split.fold}, as {owner[split.fold].name}; keep one of them")
        owner[split.fold] = run
    missing = [str(fold) for fold in range(first.folds or 0) if fold not in owner]
    if missing:
        raise ModelError(f"{first_run.parent}: no finished run of fold {', '.join(missing)} of {first.folds}; train it, or evaluate the others one by one")


def load_predictor(path: str | Path, device: str = "cpu") -> Predictor:
    """A predictor for an ONNX file, a run folder, or a folder that holds the finished runs of all k folds (and nothing else that is a run).

    Args:
        path: ``.onnx`` file or folder.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        ModelError: it is none of them, or cannot be used.
    """
    path = Path(path)
    if path.is_dir():
        runs = _runs_in(path)
        return FoldPredictor(runs, device) if runs else TorchPredictor(path, device)
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: neither a run folder nor a model (.onnx)")
    return OnnxPredictor(path, device)


def _runs_in(folder: Path) -> list[Path]:
    """Finished runs in a folder that is not a run itself."""
    if (folder / MODEL_FILE).is_file():
        return []
    return sorted(run.parent for run in folder.glob(f"*/{MODEL_FILE}") if run.parent.suffix != ".partial")
