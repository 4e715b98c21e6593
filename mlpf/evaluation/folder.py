"""The folder of an evaluation: its files, how they are written, and how they are read again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpf.errors import MlpfError
from mlpf.evaluation.timing import Timing
from mlpf.io.readable_json import readable_json
from mlpf.metrics.definitions import DEFINITIONS
from mlpf.metrics.scores import DEFINITIONS as CLASSIFICATION
from mlpf.metrics.summary import Metrics
from mlpf.metrics.sums_file import read_sums, write_sums
from mlpf.plotting.report import write_report
from mlpf.plotting.summary import draw_summary

METRICS, PERFORMANCE, REPORT, PLOTS = "metrics.json", "performance.json", "report.html", "plots"
SUMS, TIMING = "sums", "timing"  # DATASET.npz of each: the counts from which the numbers are made, so that parts can be added
PREDICTIONS = "predictions"
METRICS_FORMAT, PERFORMANCE_FORMAT = 2, 1
AGAIN = "make it again with mlpf evaluate"
_NEEDED = ("path", "fingerprint", "split", "num_events", "events_digest", "models")  # of every dataset's entry

Document = dict[str, Any]


@dataclass
class Stored:
    """An evaluation that was read from its folder.

    Attributes:
        folder: where it is.
        metrics, performance: content of `metrics.json` and `performance.json`.
    """

    folder: Path
    metrics: Document
    performance: Document

    def load_sums(self, dataset: str) -> tuple[Metrics, dict[str, Timing]]:
        """The counts of a dataset, and the times of the models on it.

        Raises:
            MlpfError: they cannot be read, or belong to other models.
        """
        models = list(self.metrics["datasets"][dataset]["models"])
        metrics, timing = Metrics.load(self.folder / SUMS / f"{dataset}.npz"), _load_timing(self.folder / TIMING / f"{dataset}.npz")
        for name, own in ((SUMS, metrics.models), (TIMING, timing)):
            if sorted(own) != sorted(models):
                raise MlpfError(f"{self.folder / name / dataset}.npz: of {', '.join(own)}, but {METRICS} of {', '.join(models)}; {AGAIN}")
        return metrics, timing


def read_evaluation(folder: str | Path) -> Stored:
    """Read the documents of an evaluation.

    Raises:
        MlpfError: it is none, damaged, or of another version.
    """
    folder = Path(folder)
    metrics = _read_document(folder / METRICS, METRICS_FORMAT, "datasets")
    performance = _read_document(folder / PERFORMANCE, PERFORMANCE_FORMAT, "classification")
    for name, entry in metrics["datasets"].items():
        missing = [key for key in _NEEDED if not isinstance(entry, dict) or key not in entry]
        if missing:
            raise MlpfError(f"{folder / METRICS}: damaged, dataset {name} has no {missing[0]}; {AGAIN}")
    return Stored(folder, metrics, performance)


def _read_document(path: Path, version: int, section: str) -> Document:
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise MlpfError(f"{path}: cannot be read ({error.strerror}); mlpf report takes folders that mlpf evaluate or mlpf report made") from error
    except ValueError as error:
        raise MlpfError(f"{path}: damaged, not valid JSON ({error}); {AGAIN}") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != version:
        raise MlpfError(f"{path}: format {found or 'of an earlier version'}, this version reads {version}; {AGAIN}")
    if not isinstance(document.get(section), dict):
        raise MlpfError(f"{path}: damaged, it has no {section}; {AGAIN}")
    return dict(document)


def empty_documents() -> tuple[Document, Document]:
    """`metrics.json` and `performance.json` of no dataset."""
    metrics = {"format": METRICS_FORMAT, "definitions": DEFINITIONS, "datasets": {}}
    return metrics, {"format": PERFORMANCE_FORMAT, "definitions": CLASSIFICATION, "classification": {}}


def with_numbers(entry: Document, metrics: Metrics, timing: Mapping[str, Timing]) -> tuple[Document, Document]:
    """A dataset's entries of both documents: what ``entry`` says of the evaluation, and the numbers that follow from the counts."""
    results = metrics.results()
    models = {name: {**about, **results["models"][name]} for name, about in entry["models"].items()}
    times = {name: timing[name].to_json() for name in models}
    return {**entry, **results, "models": models, "timing": times}, metrics.performance()


def write_documents(folder: Path, metrics: Mapping[str, Any], performance: Mapping[str, Any]) -> None:
    """Write both documents."""
    for name, document in ((METRICS, metrics), (PERFORMANCE, performance)):
        (folder / name).write_text(readable_json(document) + "\n")


def save_sums(folder: Path, dataset: str, metrics: Metrics, timing: Mapping[str, Timing]) -> None:
    """Save the counts of a dataset and the times of the models on it."""
    for name in (SUMS, TIMING):
        (folder / name).mkdir(exist_ok=True)
    metrics.save(folder / SUMS / f"{dataset}.npz")
    write_sums(folder / TIMING / f"{dataset}.npz", list(timing), timing)


def _load_timing(path: Path) -> dict[str, Timing]:
    models, arrays = read_sums(path)
    try:
        return {model: Timing.from_arrays({key.removeprefix(f"{model}:"): array for key, array in arrays.items()}) for model in models}
    except KeyError as error:
        raise MlpfError(f"{path}: damaged, it has no {error}; {AGAIN}") from error


def draw(folder: Path, metrics: Document, performance: Document, reference: str | None = None) -> dict[str, list[str]]:
    """Draw the figures of all datasets and write the report.

    Args:
        folder: of the evaluation.
        metrics, performance: the documents.
        reference: system of the ratio panels and of the comparison, where a dataset has it.

    Returns:
        names of the figures of each dataset.
    """
    models = list(dict.fromkeys(model for entry in metrics["datasets"].values() for model in entry["models"]))
    figures = {}
    for name, entry in metrics["datasets"].items():
        of_dataset = reference if reference in entry["systems"] else None
        figures[name] = draw_summary(entry, performance["classification"][name], folder / PLOTS / name, of_dataset, name, models)
    write_report(folder / REPORT, metrics, performance, folder / PLOTS, figures, reference)
    return figures
