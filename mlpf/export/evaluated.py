"""What a test evaluation (`mlpf evaluate`) says of a model, for its card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mlpf.errors import ModelError
from mlpf.export.card import DatasetEvaluation, EvaluationSummary

DIGEST_LENGTH = 16  # of the checksums in an evaluation
WEIGHTS, FILE = "weights sha256", "sha256"  # keys of a model's description there
# Numbers of all events together, by their path in `metrics.json`; * is every class.
METRICS = (
    "elements/efficiency/*/all",
    "elements/fake_rate/*/all",
    "jets/*/response/all/median",
    "jets/*/response/all/iqr_over_median",
    "jets/*/matched/all",
    "jets/*/purity/all",
    "met/residual/all/median",
    "met/residual/all/iqr",
    "met/ratio/all/median",
    "emd/normalised",
)


class Evaluation(Protocol):
    """What `mlpf.evaluation.folder.read_evaluation` returns."""

    @property
    def folder(self) -> Path:
        """Where it is."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Content of `metrics.json`."""

    @property
    def performance(self) -> Mapping[str, Any]:
        """Content of `performance.json`."""


class Identity(NamedTuple):
    """What tells a model from others: checksums; the weights' is empty where the exporter was not told."""

    weights_sha256: str
    file_sha256: str


def summarize(evaluation: Evaluation, model: Identity) -> EvaluationSummary:
    """The numbers of a model, on every dataset on which it was evaluated.

    Raises:
        ModelError: the evaluation is of other models, or it is not complete.
    """
    datasets, identities = {}, []
    for name, entry in evaluation.metrics["datasets"].items():
        found = {own: how for own, about in entry["models"].items() if (how := _identity(about["description"], model))}
        if found:
            own = min(found)  # the same model under several names has the same numbers
            identities.append(found[own])
            datasets[name] = _dataset(evaluation, name, own)
    if not datasets:
        raise _of_others(evaluation, model)
    return EvaluationSummary(folder=str(evaluation.folder), identity=identities[0], datasets=datasets)


def _identity(description: Mapping[str, str], model: Identity) -> str:
    """How it is known that a description is of this model; empty where it is not."""
    weights = model.weights_sha256[:DIGEST_LENGTH]
    if weights and description.get(WEIGHTS) == weights:
        return f"evaluated from its run, weights with sha256 {weights}, in float32"
    if description.get(FILE) == model.file_sha256[:DIGEST_LENGTH]:
        return f"this very file was evaluated, sha256 {model.file_sha256[:DIGEST_LENGTH]}"
    if weights and any(weights in value for key, value in description.items() if key.startswith("fold ")):
        return f"one of the models that were evaluated together, out of fold: weights with sha256 {weights}"
    return ""


def _of_others(evaluation: Evaluation, model: Identity) -> ModelError:
    models = {
        f"{name} ({description.get(WEIGHTS) or description.get(FILE) or 'of folds'})"
        for entry in evaluation.metrics["datasets"].values()
        for name, description in ((name, about["description"]) for name, about in entry["models"].items())
    }
    own = f"weights {model.weights_sha256[:DIGEST_LENGTH] or 'unknown'}, file {model.file_sha256[:DIGEST_LENGTH]}"
    return ModelError(
        f"{evaluation.folder}: evaluates {', '.join(sorted(models)) or 'nothing'}, not this model ({own}); make one with mlpf evaluate RUN DATASET"
    )


def _dataset(evaluation: Evaluation, name: str, model: str) -> DatasetEvaluation:
    entry = evaluation.metrics["datasets"][name]
    classes = evaluation.performance["classification"].get(name, {}).get("all", {})
    try:
        content = {
            **{key: entry[key] for key in ("path", "fingerprint", "split", "num_events")},
            "metrics": {key: value for path in METRICS for key, value in _found(entry, path, model).items()},
            "working_points": {kind: _working_points(systems[model]["working_points"]) for kind, systems in classes.items() if model in systems},
        }
        return DatasetEvaluation.model_validate(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{evaluation.folder}: damaged, dataset {name}: {' '.join(str(error).split())[:200]}; make it again with mlpf evaluate") from error


def _working_points(points: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without the uncertainties, which `performance.json` has."""
    measured = ("efficiency", "misidentification")
    return {wanted: {**point, **{name: point[name]["value"] for name in measured}} for wanted, point in points.items()}


def _found(entry: Mapping[str, Any], path: str, model: str) -> dict[str, Any]:
    """Estimates by name, those that there are: a model without jets has no response."""
    section, *rest = path.split("/")
    found = {section: entry.get(section, {}).get(model, {})}
    for key in rest:
        keys = {name: list(value) if key == "*" else [key] for name, value in found.items()}
        found = {f"{name}/{inner}": value[inner] for name, value in found.items() for inner in keys[name] if inner in value}
    return {name.removesuffix("/all"): value for name, value in found.items() if value["value"] is not None}
