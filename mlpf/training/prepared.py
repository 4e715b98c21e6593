"""What a training has before it begins or goes on, and how the run folder tells of it."""

import json
from pathlib import Path
from typing import NamedTuple

import yaml

from mlpf.io.files import write_text
from mlpf.io.shards import fingerprint
from mlpf.nn.base import Model
from mlpf.nn.saved import ModelInfo
from mlpf.samples.element_weights import ElementWeights
from mlpf.samples.scaling_file import ScalingFile
from mlpf.training.config import RunParameters
from mlpf.training.data import TrainingData
from mlpf.training.environment import environment_record
from mlpf.training.folder import DATASETS, ELEMENT_WEIGHTS, ENVIRONMENT, INITIALIZATION, PARAMETERS, SCALING
from mlpf.training.initialize import InitializationReport


class Prepared(NamedTuple):
    """A training that could begin.

    Attributes:
        parameters: all sections.
        data: events.
        model: with its scaling.
        element_weights: if elements have any.
        initialized_from: model whose weights it has, if any.
    """

    parameters: RunParameters
    data: TrainingData
    model: Model
    element_weights: ElementWeights | None
    initialized_from: str | None

    def model_info(self, epoch: int, step: int, loss: float) -> ModelInfo:
        """Description of the model after a validation."""
        config = self.parameters.training
        return ModelInfo(
            model=self.parameters.model.model_dump(),
            dataset=str(self.data),
            dataset_fingerprint=fingerprint(*self.data.datasets),
            split=config.split,
            seed=config.seed,
            epoch=epoch,
            step=step,
            initialized_from=self.initialized_from,
            validation_loss=loss,
        )


def write_description(folder: Path, prepared: Prepared, scaling: ScalingFile | None, initialization: InitializationReport | None) -> None:
    """Write down all that the training depends on."""
    write_text(folder / PARAMETERS, yaml.safe_dump(prepared.parameters.resolved(), sort_keys=False))
    _write_json(folder / ENVIRONMENT, environment_record())
    datasets = [
        {
            "path": str(dataset.path.resolve()),
            "fingerprint": fingerprint(dataset),
            "events": len(dataset),
            "training": len(train),
            "validation": len(validation),
        }
        for dataset, train, validation in zip(*prepared.data, strict=True)
    ]
    _write_json(folder / DATASETS, datasets)
    if scaling is not None:
        scaling.write(folder / SCALING)
    if prepared.element_weights is not None:
        write_text(folder / ELEMENT_WEIGHTS, prepared.element_weights.to_json())
    if initialization is not None:
        _write_json(folder / INITIALIZATION, initialization._asdict())


def _write_json(path: Path, content: object) -> None:
    write_text(path, json.dumps(content, indent=1) + "\n")
