"""Learning curves of a run folder as columns of a few hundred points; works without torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlpf.errors import ModelError

STEPS, VALIDATIONS = "steps.csv", "metrics.csv"  # `mlpf.training.folder` writes them
MAX_POINTS = 200  # beside those of the validations
TRAIN, VALIDATION = "train/", "validation/"
_NOT_LOSSES = ("step", "epoch", "gradient_norm", "learning_rate", "events")

Columns = dict[str, list[float | None]]


def read_learning_curves(run: Path) -> Columns | None:
    """Losses against the step; None where the run left no tables, as models do that are not run folders.

    Returns:
        ``step``, ``train/NAME`` (mean of all events since the point before) and ``validation/NAME`` (None where there was no validation), of equal length.

    Raises:
        ModelError: a table is damaged.
    """
    validations, steps = _read_table(run / VALIDATIONS, ("step",)), _read_table(run / STEPS, ("step", "events"))
    if not steps:
        chosen = {name: values for name, values in validations.items() if name == "step" or name.startswith((TRAIN, VALIDATION))}
        return {name: _numbers(values) for name, values in chosen.items()} or None
    validated = validations.get("step", np.zeros(0))
    even = steps["step"][np.linspace(0, len(steps["step"]) - 1, min(MAX_POINTS, len(steps["step"]))).astype(np.int64)]
    points = np.unique(np.concatenate([even, validated]))
    curves = {"step": points, **_means(steps, points)}
    for name, values in validations.items():
        if name.startswith(VALIDATION):
            curves[name] = np.full(len(points), np.nan)
            curves[name][np.searchsorted(points, validated)] = values
    return {name: _numbers(values) for name, values in curves.items()}


def _means(steps: dict[str, np.ndarray], points: np.ndarray) -> dict[str, np.ndarray]:
    """Means over the events of the steps up to each point and after the one before."""
    point = np.searchsorted(points, steps["step"])
    events = np.bincount(point, steps["events"], len(points))
    with np.errstate(invalid="ignore"):  # a validation at a step that has no row
        return {TRAIN + name: np.bincount(point, steps["events"] * values, len(points)) / events for name, values in steps.items() if name not in _NOT_LOSSES}


def _numbers(values: np.ndarray) -> list[float | None]:
    """Six digits, more than a figure shows; undefined ones are None."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]


def _read_table(path: Path, needed: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of a CSV file of numbers; none of a file that is missing or without rows."""
    if not path.is_file():
        return {}
    try:
        lines = path.read_text().split("\n")[:-1]  # behind the last end of line is nothing, or half of a line
        if len(lines) < 2:
            return {}
        table = dict(zip(lines[0].split(","), np.loadtxt(lines[1:], delimiter=",", ndmin=2).T, strict=True))
        if missing := [name for name in needed if name not in table]:
            raise ValueError(f"no column {missing[0]}")
    except (ValueError, OSError) as error:
        raise ModelError(f"{path}: damaged ({' '.join(str(error).split())[:200]}); restore it, or move it away to do without learning curves") from error
    return table
