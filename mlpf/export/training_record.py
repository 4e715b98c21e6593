"""What a run folder says of the training of its model, for the card."""

import csv
import json
from pathlib import Path
from typing import Any

from mlpf.errors import ModelError
from mlpf.nn.saved import ModelInfo

DATASETS, VALIDATIONS = "datasets.json", "metrics.csv"  # `mlpf.training.folder` writes them
VALIDATION = "validation/"


def training_record(run: Path, info: ModelInfo) -> dict[str, Any]:
    """The description of a model, the datasets it was trained on (``datasets``) and its losses on the validation events (``validation``) at its epoch.

    Each of the two is left out where the run lacks its file, as a copy of the model alone does.

    Raises:
        ModelError: a file is damaged.
    """
    record: dict[str, Any] = info.model_dump(mode="json")
    if (run / DATASETS).is_file():
        record["datasets"] = _read_datasets(run / DATASETS)
    if validation := _read_validation(run / VALIDATIONS, info):
        record["validation"] = validation
    return record


def _read_datasets(path: Path) -> list[Any]:
    try:
        datasets = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: damaged ({error}); restore it, or move it away for a card without datasets") from error
    if not isinstance(datasets, list) or not all(isinstance(dataset, dict) for dataset in datasets):
        raise ModelError(f"{path}: damaged, not a list of datasets; restore it, or move it away for a card without datasets")
    return [{**dataset, "path": Path(str(dataset.get("path", ""))).name} for dataset in datasets]  # a card travels, the places of its maker's files do not


def _read_validation(path: Path, info: ModelInfo) -> dict[str, float] | None:
    """The row of the step at which the model was saved; of an earlier version's models, which know no step, the last one of their epoch."""
    if not path.is_file():
        return None
    key, wanted = ("epoch", info.epoch) if info.step is None else ("step", info.step)
    try:
        with path.open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if int(row[key]) == wanted]
        return {name.removeprefix(VALIDATION): float(value) for name, value in rows[-1].items() if name.startswith(VALIDATION)} if rows else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: damaged ({' '.join(str(error).split())[:200]}); restore it, or move it away for a card without validation losses") from error
