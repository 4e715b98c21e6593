"""Predictions, metrics, figures and a report of models on datasets, in one folder."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import mlpf
from mlpf import schema
from mlpf.candidates import Prediction
from mlpf.evaluation.choice import Choice, Part, read_blocks
from mlpf.evaluation.folder import METRICS, PREDICTIONS, Document, draw, empty_documents, save_sums, with_numbers, write_documents
from mlpf.evaluation.learning_curves import read_learning_curves
from mlpf.evaluation.predictor import Predictor
from mlpf.events import Events
from mlpf.io.files import atomic_directory, check_replaceable
from mlpf.io.parquet import EventWriter, Rows
from mlpf.io.shards import ROWS_PER_GROUP, ShardedDataset, fingerprint
from mlpf.metrics.summary import Metrics
from mlpf.producer.producer import METADATA_SCHEMA_DIGEST

_NOT_NEEDED = ("targetjet", "candidateedge", "truthedge")  # collections of the dataset


@dataclass
class Counted:
    """What was done with a dataset.

    Attributes:
        num_read: events read.
        num_candidates: candidates written, by model.
    """

    num_read: int = 0
    num_candidates: dict[str, int] = field(default_factory=dict)


@dataclass
class Evaluation:
    """What `evaluate` did.

    Attributes:
        metrics, performance: content of `metrics.json` and `performance.json`.
        counted: by dataset.
        figures: names of the figures of each dataset; none of a part.
        seconds: wall time of the models, of the metrics, of the figures (with the report), and of everything.
    """

    metrics: Document
    performance: Document
    counted: dict[str, Counted]
    figures: dict[str, list[str]]
    seconds: dict[str, float]


def evaluate(
    models: Mapping[str, Predictor],
    datasets: Mapping[str, ShardedDataset],
    output: str | Path,
    split: str | None = None,
    max_events: int | None = None,
    part: Part | None = None,
    overwrite: bool = False,
    on_events: Callable[[int], object] = lambda _: None,
) -> Evaluation:
    """Write predictions, metrics, figures and report of models on datasets, in one pass over the events of each dataset; all of them or nothing.

    Args:
        models: by name (see `mlpf.evaluation.names`).
        datasets: the events, by name.
        output: folder to make.
        split: train, validation, test or all; by default each model's own. Only events are used that fall to the split of every model.
        max_events: stop after so many of them in each dataset.
        part: evaluate this share of each dataset only, without figures and report; `mlpf.evaluation.merge` joins the parts.
        overwrite: replace an earlier evaluation (never anything else).
        on_events: called now and then with the number of events read since.

    Raises:
        MlpfError: an unknown split, an output that exists, or what reading and predicting raise.
        DatasetError: no event of a dataset falls to the split of every model (in a part there may be none).
    """
    start = time.perf_counter()
    check_replaceable(output, METRICS)
    metrics, performance = empty_documents()
    counted, figures, seconds = {}, {}, dict.fromkeys(("models", "metrics", "figures", "all"), 0.0)
    with atomic_directory(output, overwrite) as folder:
        for name, dataset in datasets.items():
            alone = len(models) == len(datasets) == 1
            files = {model: folder / (f"{PREDICTIONS}.parquet" if alone else f"{PREDICTIONS}/{name}/{model}.parquet") for model in models}
            one_pass = _Pass(models, dataset, Choice(models, split), part)
            one_pass.run(files, max_events, on_events)
            metrics["datasets"][name], performance["classification"][name] = one_pass.finish(folder, name)
            counted[name] = one_pass.counted
            for what, spent in one_pass.seconds.items():
                seconds[what] += spent
        drawing = time.perf_counter()
        write_documents(folder, metrics, performance)
        if part is None:
            figures = draw(folder, metrics, performance)
        seconds["figures"] = time.perf_counter() - drawing
    seconds["all"] = time.perf_counter() - start
    return Evaluation(metrics, performance, counted, figures, seconds)


class _Pass:
    """One pass over the events of a dataset: predicts, measures, writes, counts."""

    def __init__(self, models: Mapping[str, Predictor], dataset: ShardedDataset, choice: Choice, part: Part | None) -> None:
        self.models = models
        self.dataset = dataset
        self.choice = choice
        self.part = part
        self.about = {name: _about(model) for name, model in models.items()}  # first, because its errors should not come last
        self.metrics = Metrics(list(models))
        self.counted = Counted(num_candidates=dict.fromkeys(models, 0))
        self.seconds = {"models": 0.0, "metrics": 0.0}

    def run(self, files: Mapping[str, Path], max_events: int | None, on_events: Callable[[int], object]) -> None:
        """Stream the events; memory holds one block of them, and counts.

        Raises:
            DatasetError: there is no event to evaluate, and this is not a part.
        """
        unread = _NOT_NEEDED if any(model.needs_edges for model in self.models.values()) else (*_NOT_NEEDED, "edge")
        columns = [name for name, collection in schema.DATASET.collection_of.items() if collection not in unread]
        for model in self.models.values():
            model.take_timing()  # forget what came before
        with ExitStack() as stack:
            writers: dict[str, EventWriter] = {}
            for events in read_blocks(self.dataset, columns, self.choice, self.part, max_events, on_events):
                start = time.perf_counter()
                predictions = {name: model(events) for name, model in self.models.items()}
                predicted = time.perf_counter()
                self.metrics.update(events, predictions)
                self.seconds["models"] += predicted - start
                self.seconds["metrics"] += time.perf_counter() - predicted
                self._write(writers, files, predictions, stack)
            for writer in writers.values():
                writer.close()
        self.counted.num_read = self.choice.num_read
        if self.metrics.num_events == 0 and self.part is None:
            raise self.choice.no_events(self.dataset)

    def _write(self, writers: dict[str, EventWriter], files: Mapping[str, Path], predictions: Mapping[str, Prediction], stack: ExitStack) -> None:
        for name, (candidates, _) in predictions.items():
            if name not in writers:
                writers[name] = _open_writer(files[name], candidates, stack)
            writers[name].write(Rows.all_of(candidates))
            self.counted.num_candidates[name] += candidates.size("mlpfcandidate")

    def finish(self, folder: Path, name: str) -> tuple[Document, Document]:
        """Save the counts; give the dataset's entries of both documents."""
        start = time.perf_counter()
        timing = {model: predictor.take_timing() for model, predictor in self.models.items()}
        entry: Document = {
            "path": str(self.dataset.path),
            "fingerprint": fingerprint(self.dataset),
            "split": str(self.choice),
            "mlpf": mlpf.__version__,
            "schema_digest": schema.digest(),
            **({"part": str(self.part)} if self.part else {}),
            "num_events": self.metrics.num_events,
            "num_elements": self.metrics.num_elements,
            "events_digest": self.metrics.events_digest,
            "models": self.about,
        }
        classification: Document = {}
        if self.metrics.num_events:
            save_sums(folder, name, self.metrics, timing)
            entry, classification = with_numbers(entry, self.metrics, timing)
        self.seconds["metrics"] += time.perf_counter() - start
        return entry, classification


def _about(predictor: Predictor) -> Document:
    training = read_learning_curves(Path(predictor.description["model"])) if "model" in predictor.description else None
    return {"description": predictor.description, "training": training}


def _open_writer(path: Path, example: Events, stack: ExitStack) -> EventWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = stack.enter_context(path.open("wb", buffering=1 << 20))
    return EventWriter(stream, example, {METADATA_SCHEMA_DIGEST: schema.digest()}, ROWS_PER_GROUP)
