"""Predictions, metrics, plots and a report of a model on a dataset, in one folder."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlpf
from mlpf import schema
from mlpf.errors import DatasetError, MlpfError
from mlpf.evaluation.predictor import ALL, Predictor
from mlpf.events import Events
from mlpf.io.files import atomic_directory
from mlpf.io.shards import ShardedDataset, write_parquet
from mlpf.metrics.summary import Metrics
from mlpf.plotting.report import write_report
from mlpf.plotting.summary import draw_summary
from mlpf.producer.producer import METADATA_SCHEMA_DIGEST
from mlpf.samples.split import SPLITS, in_split

PREDICTIONS, METRICS, PLOTS, REPORT = "predictions.parquet", "metrics.json", "plots", "report.html"
_NOT_NEEDED = ("particle", "targetjet", "candidateedge", "truthedge")  # collections of the dataset


@dataclass
class Evaluation:
    """What `evaluate` did.

    Attributes:
        results: content of `metrics.json`.
        num_read: events read.
        num_candidates: candidates written.
        predict_seconds, metrics_seconds, total_seconds: wall time of the model, of the metrics, of everything.
        plots: names of the figures.
    """

    results: dict[str, Any]
    num_read: int
    num_candidates: int
    predict_seconds: float
    metrics_seconds: float
    total_seconds: float
    plots: list[str]


def evaluate(
    predictor: Predictor,
    dataset: ShardedDataset,
    output: str | Path,
    split: str | None = None,
    max_events: int | None = None,
    overwrite: bool = False,
    on_events: Callable[[int], object] = lambda _: None,
) -> Evaluation:
    """Write predictions, metrics, plots and report of a model on a dataset, in one pass over the events; all of them or nothing.

    Args:
        predictor: the model.
        dataset: the events.
        output: folder to make.
        split: train, validation, test or all; by default the predictor's.
        max_events: stop after so many events of the split.
        overwrite: replace an earlier evaluation (never anything else).
        on_events: called after every chunk with the number of events read.

    Raises:
        MlpfError: an unknown split, an output that exists, or what reading and predicting raise.
        DatasetError: no event of the dataset falls to the split.
    """
    start = time.perf_counter()
    split = split or predictor.default_split
    if split not in (*SPLITS, ALL):
        raise MlpfError(f"split '{split}': unknown; choose one of {', '.join((*SPLITS, ALL))}")
    _check_output(Path(output), overwrite)
    one_pass = _Pass(predictor, on_events)
    with atomic_directory(output, overwrite) as folder:
        chunks = one_pass.run(_events_of_split(dataset, split, predictor), max_events)
        write_parquet(folder / PREDICTIONS, chunks, {METADATA_SCHEMA_DIGEST: schema.digest()})
        if one_pass.metrics.num_events == 0:
            raise DatasetError(f"{dataset.path}: none of {len(dataset)} events falls to the split '{split}'; pass --split all or use more events")
        measuring = time.perf_counter()
        results = {
            **predictor.description,
            "dataset": str(dataset.path),
            "split": split,
            "mlpf": mlpf.__version__,
            "schema_digest": schema.digest(),
            **one_pass.metrics.results(),
        }
        one_pass.metrics_seconds += time.perf_counter() - measuring
        (folder / METRICS).write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
        plots = draw_summary(results, folder / PLOTS)
        write_report(folder / REPORT, results, folder / PLOTS, plots)
    return Evaluation(
        results, one_pass.num_read, one_pass.num_candidates, one_pass.predict_seconds, one_pass.metrics_seconds, time.perf_counter() - start, plots
    )


class _Pass:
    """One pass over the events: predicts, measures, counts."""

    def __init__(self, predictor: Predictor, on_events: Callable[[int], object]) -> None:
        self.predictor = predictor
        self.on_events = on_events
        self.metrics = Metrics()
        self.num_read = self.num_candidates = 0
        self.predict_seconds = self.metrics_seconds = 0.0

    def run(self, chunks: Iterator[tuple[int, Events]], max_events: int | None) -> Iterator[Events]:
        """Candidates of every chunk."""
        for num_read, chunk in chunks:
            left = len(chunk) if max_events is None else max_events - self.metrics.num_events
            events = chunk.slice(0, min(left, len(chunk)))
            start = time.perf_counter()
            candidates = self.predictor(events).candidates
            predicted = time.perf_counter()
            self.metrics.update(events, candidates)
            self.predict_seconds += predicted - start
            self.metrics_seconds += time.perf_counter() - predicted
            self.num_read += num_read
            self.num_candidates += candidates.size("mlpfcandidate")
            self.on_events(num_read)
            yield candidates
            if self.metrics.num_events == max_events:
                return


def _events_of_split(dataset: ShardedDataset, split: str, predictor: Predictor) -> Iterator[tuple[int, Events]]:
    """Number of events read, and those of them that fall to the split."""
    unread = _NOT_NEEDED if predictor.needs_edges else (*_NOT_NEEDED, "edge")
    columns = [name for name, collection in schema.DATASET.collection_of.items() if collection not in unread]
    for chunk in dataset.iterate(columns):
        if split == ALL:
            yield len(chunk), chunk
        else:
            yield len(chunk), chunk.select(in_split(chunk["run"], chunk["lumi"], chunk["event"], split, predictor.split))


def _check_output(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise MlpfError(f"{folder}: exists already; choose another output or pass --overwrite")
    if folder.exists() and not (folder / REPORT).is_file():
        raise MlpfError(f"{folder}: not an evaluation (it holds no {REPORT}), so it is not overwritten; choose another output")
