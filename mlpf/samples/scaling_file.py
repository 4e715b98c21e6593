"""Statistics of features as a JSON file that people read, programs merge, and trainings use.

Per element type and feature: moments, range and quantiles, which are for readers, and the pieces and counts they follow from, which `read_scaling_file` takes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pydantic

import mlpf
from mlpf import schema
from mlpf.config import Config
from mlpf.errors import DatasetError, MlpfError
from mlpf.features import MAX_ABS_VALUE, SCALED_FEATURES
from mlpf.io.files import write_text
from mlpf.io.shards import ShardedDataset, fingerprint
from mlpf.samples.feature_kernels import NUM_BINS
from mlpf.samples.scaling import ScalingConfig, make_scaling
from mlpf.samples.split import SplitConfig
from mlpf.samples.statistics import ALL_TYPES, NUM_PIECES, SIGMAS, FeatureStatistics
from mlpf.schema import ElementType

KIND = "mlpf scaling"
_LINES = 4  # depth down to which every entry of the JSON has a line of its own
Count = Annotated[int, pydantic.Field(ge=0, le=2**53)]
Finite = Annotated[float, pydantic.Field(allow_inf_nan=False)]
Value = Annotated[float, pydantic.Field(ge=-2 * MAX_ABS_VALUE, le=2 * MAX_ABS_VALUE)]  # a mean may be off the limit by rounding
Squares = Annotated[float, pydantic.Field(ge=0, le=4 * MAX_ABS_VALUE**2 * 2**53)]


class MeasuredDataset(Config):
    """A dataset whose elements are in the statistics."""

    path: str
    """Its folder."""
    fingerprint: str
    """Digest of its shards' checksums."""
    num_events: Count
    """Events of all splits."""


@dataclass(frozen=True)
class ScalingFile:
    """What a scaling file holds.

    Attributes:
        statistics: of the features.
        datasets: where they come from.
        split: which of their events; None: all.
        split_config: how events were shared among the splits.
        scaling: how a model is to use them.
    """

    statistics: FeatureStatistics
    datasets: tuple[MeasuredDataset, ...]
    split: str | None
    split_config: SplitConfig
    scaling: ScalingConfig

    @classmethod
    def of_datasets(
        cls, statistics: FeatureStatistics, datasets: Sequence[ShardedDataset], split: str | None, split_config: SplitConfig, scaling: ScalingConfig
    ) -> Self:
        """What was measured on datasets; the other arguments are those of `measure_features`."""
        return cls(statistics, measured_datasets(datasets), split, split_config, scaling)

    def write(self, path: str | Path) -> None:
        """Write the file whole or not at all."""
        write_text(path, _to_text(self._document()) + "\n")

    def _document(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "version": mlpf.__version__,
            "schema_digest": schema.digest(),
            "num_events": int(self.statistics.num_events.sum()),
            "num_elements": self.statistics.num_elements,
            "datasets": [dataset.model_dump() for dataset in self.datasets],
            "split": self.split,
            "split_config": self.split_config.model_dump(),
            "scaling": self.scaling.model_dump(),
            "piece_events": self.statistics.num_events.tolist(),
            "types": _types(self.statistics, self.scaling),
        }


def measured_datasets(datasets: Sequence[ShardedDataset]) -> tuple[MeasuredDataset, ...]:
    """Paths and fingerprints of datasets.

    Raises:
        DatasetError: one of them is there twice.
    """
    measured = tuple(MeasuredDataset(path=str(dataset.path), fingerprint=fingerprint(dataset), num_events=len(dataset)) for dataset in datasets)
    _require_distinct(measured)
    return measured


def merge_scaling_files(files: Sequence[ScalingFile], names: Sequence[str | Path], scaling: ScalingConfig | None = None) -> ScalingFile:
    """Statistics of the datasets of all files together.

    Args:
        files: at least one.
        names: of the files, for messages.
        scaling: how a model is to use them; None: as all the files say.

    Raises:
        DatasetError: files of different splits or with different scalings, or a dataset in two of them.
    """
    first = files[0]
    for file, name in zip(files[1:], names[1:], strict=True):
        if (file.split, file.split_config) != (first.split, first.split_config):
            raise DatasetError(f"{name}: split {file.split} of {file.split_config}, but {names[0]} has {first.split} of {first.split_config}")
        if scaling is None and file.scaling != first.scaling:
            raise DatasetError(f"{name}: another scaling than {names[0]}; say with --parameters which one is to hold")
    datasets = tuple(dataset for file in files for dataset in file.datasets)
    _require_distinct(datasets)
    merged = FeatureStatistics()
    for file in files:
        merged.merge(file.statistics)
    return replace(first, statistics=merged, datasets=datasets, scaling=scaling or first.scaling)


def _require_distinct(datasets: Sequence[MeasuredDataset]) -> None:
    seen: dict[str, MeasuredDataset] = {}
    for dataset in datasets:
        if dataset.fingerprint in seen:
            raise DatasetError(f"{dataset.path}: the same events as {seen[dataset.fingerprint].path}, which would count twice; give every dataset once")
        seen[dataset.fingerprint] = dataset


def _to_text(value: Any, depth: int = _LINES) -> str:
    """JSON with a line per entry down to a depth, so that single features are easy to find, and not longer than needed."""
    if depth and isinstance(value, dict):
        entries = (f"{json.dumps(key)}: {_to_text(entry, depth - 1)}" for key, entry in value.items())
        return "{\n" + ",\n".join(entries) + "\n}"
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _types(statistics: FeatureStatistics, scaling: ScalingConfig) -> dict[str, Any]:
    summary, quantiles, numbers = statistics.summary(), statistics.quantiles(), make_scaling(statistics, scaling)
    types = {}
    for kind in np.flatnonzero(summary.num_elements[:ALL_TYPES]):
        features = {}
        for i, name in enumerate(SCALED_FEATURES):
            mean, std, log_mean, log_std = (float(values[kind, i]) for values in summary[1:])
            features[name] = {
                "mean": mean,
                "mean_square": mean**2 + std**2,
                "min": float(statistics.extremes[i, kind, 0]),
                "max": float(statistics.extremes[i, kind, 1]),
                "log_mean": log_mean,
                "log_mean_square": log_mean**2 + log_std**2,
                "quantiles": {f"{sigma:+d}": float(f"{value:.5g}") for sigma, value in zip(SIGMAS, quantiles[kind, i], strict=True)},
                "method": scaling.method_of(name),
                "shift": float(numbers.shift[kind, i]),
                "width": float(numbers.width[kind, i]),
                "pieces": _piece_moments(statistics, i, int(kind)),
                "histogram": _runs(statistics.histogram[i, kind]),
            }
        pieces = statistics.counts[:, kind].tolist()
        types[ElementType(int(kind)).name] = {"num_elements": int(summary.num_elements[kind]), "piece_elements": pieces, "features": features}
    return types


def _piece_moments(statistics: FeatureStatistics, feature: int, kind: int) -> list[list[float]]:
    """Mean and sum of squared deviations, of x and its logarithm, in every piece with elements; an empty list where all values are 0."""
    moments = statistics.moments[feature, statistics.counts[:, kind] > 0, kind]
    return moments.tolist() if moments.any() else []


def _runs(counts: np.ndarray) -> list[list[int]]:
    """Runs of bins that are not empty, each as the number of the first bin and the counts."""
    filled = np.flatnonzero(counts)
    runs = np.split(filled, np.flatnonzero(np.diff(filled) > 1) + 1)
    return [[int(run[0]), *counts[run].tolist()] for run in runs]


class _FeatureRecord(Config):
    mean: Value
    mean_square: Squares
    min: Value
    max: Value
    log_mean: Value
    log_mean_square: Squares
    quantiles: dict[str, Finite]
    method: str
    shift: Finite
    width: Finite
    pieces: list[tuple[Value, Squares, Value, Squares]]
    histogram: list[Annotated[list[Count], pydantic.Field(min_length=2)]]


class _TypeRecord(Config):
    num_elements: Count
    piece_elements: Annotated[list[Count], pydantic.Field(min_length=NUM_PIECES, max_length=NUM_PIECES)]
    features: dict[str, _FeatureRecord]


class _Document(Config):
    kind: str
    version: str
    schema_digest: str
    num_events: Count
    num_elements: Count
    datasets: list[MeasuredDataset]
    split: Literal["train", "validation", "test"] | None
    split_config: SplitConfig
    scaling: ScalingConfig
    piece_events: Annotated[list[Count], pydantic.Field(min_length=NUM_PIECES, max_length=NUM_PIECES)]
    types: dict[str, _TypeRecord]


def check_replaceable_file(path: Path) -> None:
    """Refuse to overwrite what is not an older scaling file, of whatever version, whole or damaged.

    Raises:
        MlpfError: the file exists and is something else.
    """
    if path.is_file() and f'"kind": "{KIND}"'.encode() not in path.read_bytes()[:100]:
        raise MlpfError(f"{path}: not a scaling file, so it is not overwritten; choose another output")


def read_scaling_file(path: str | Path) -> ScalingFile:
    """What `ScalingFile.write` wrote.

    Raises:
        DatasetError: not a scaling file, one of another schema, or a damaged one.
    """
    document = _parse(path)
    statistics = FeatureStatistics()
    statistics.num_events[:] = document.piece_events
    for name, record in document.types.items():
        if name not in ElementType.__members__ or record.features.keys() != set(SCALED_FEATURES):
            raise DatasetError(f"{path}: types: {name}: not an element type with the {len(SCALED_FEATURES)} features; {_REMEDY}")
        _fill(statistics, ElementType[name], record, f"{path}: types: {name}")
    found = (int(statistics.num_events.sum()), statistics.num_elements)
    if found != (document.num_events, document.num_elements):
        raise DatasetError(
            f"{path}: {document.num_events} events, {document.num_elements} elements, but the pieces add up to {found[0]}, {found[1]}; {_REMEDY}"
        )
    return ScalingFile(statistics, tuple(document.datasets), document.split, document.split_config, document.scaling)


_REMEDY = "the file is damaged, make it again with mlpf scale"


def _parse(path: str | Path) -> _Document:
    try:
        content = json.loads(Path(path).read_text())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); mlpf scale makes such a file of datasets") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not valid JSON ({error}); {_REMEDY}") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise DatasetError(f"{path}: not a scaling file (no kind '{KIND}'); mlpf scale makes one of datasets")
    if content.get("schema_digest") != schema.digest():
        raise DatasetError(f"{path}: made for schema {content.get('schema_digest')}, this library has {schema.digest()}; make it again with mlpf scale")
    try:
        return _Document.model_validate(content)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        place = ": ".join(str(part) for part in problem["loc"])
        raise DatasetError(f"{path}: {place}: {problem['msg']} (found {str(problem['input'])[:60]}); {_REMEDY}") from error


def _fill(statistics: FeatureStatistics, kind: ElementType, record: _TypeRecord, place: str) -> None:
    """Put the record of a type into the statistics, if its numbers can be true."""
    statistics.counts[:, kind] = record.piece_elements
    filled = statistics.counts[:, kind] > 0
    for i, name in enumerate(SCALED_FEATURES):
        feature, histogram = record.features[name], statistics.histogram[i, kind]
        for first, *counts in feature.histogram:
            if first + len(counts) > NUM_BINS:
                raise DatasetError(f"{place}: {name}: histogram: bin {first + len(counts) - 1} of {NUM_BINS}; {_REMEDY}")
            histogram[first : first + len(counts)] = counts
        if histogram.sum() != record.num_elements:
            raise DatasetError(f"{place}: {name}: histogram of {histogram.sum()} values, but {record.num_elements} elements; {_REMEDY}")
        if not feature.min <= feature.max:
            raise DatasetError(f"{place}: {name}: min {feature.min:g} above max {feature.max:g}; {_REMEDY}")
        if feature.pieces:
            moments = np.array(feature.pieces)
            if len(moments) != filled.sum():
                raise DatasetError(f"{place}: {name}: pieces: {len(moments)} for {filled.sum()} with elements; {_REMEDY}")
            statistics.moments[i, filled, kind] = moments
        statistics.extremes[i, kind] = feature.min, feature.max
