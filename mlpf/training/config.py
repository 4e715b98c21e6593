"""The ``training`` section, and the three sections that make a training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pydantic

from mlpf.config import Config, parse_section
from mlpf.loss.particle_flow import LossConfig
from mlpf.nn.model import ModelConfig, model_config
from mlpf.samples.split import SplitConfig


class TrainingConfig(Config):
    """How a model is trained."""

    dataset: str | None = None
    """Folder of the dataset; --data takes its place."""
    split: SplitConfig = SplitConfig()
    """How events are shared between training, validation and test."""
    epochs: int = pydantic.Field(default=20, ge=1)
    """Passes over the training events."""
    max_elements: int = pydantic.Field(default=8000, ge=1)
    """Elements per batch, padding included."""
    learning_rate: float = pydantic.Field(default=1e-3, gt=0.0)
    """Peak of the learning rate."""
    weight_decay: float = pydantic.Field(default=0.01, ge=0.0)
    """Decoupled weight decay of AdamW."""
    warmup_fraction: float = pydantic.Field(default=0.1, ge=0.0, le=1.0)
    """Share of all steps in which the learning rate rises."""
    gradient_clip: float = pydantic.Field(default=1.0, gt=0.0)
    """Largest norm of the gradient; a longer one is scaled down."""
    seed: int = pydantic.Field(default=0, ge=0, lt=2**32)
    """Seed of initialisation and shuffling."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes a GPU if there is one."""
    num_workers: int = pydantic.Field(default=0, ge=0)
    """Processes that prepare batches beside the training."""


class RunParameters(NamedTuple):
    """Everything that, with a dataset, determines a training."""

    model: ModelConfig
    loss: LossConfig
    training: TrainingConfig

    def resolved(self) -> dict[str, dict[str, Any]]:
        """All values, defaults included, as a parameter file holds them."""
        return {name: section.model_dump(mode="json") for name, section in self._asdict().items()}


def run_parameters(parameters: Mapping[str, Any], source: str | Path = "parameters") -> RunParameters:
    """The sections ``model``, ``loss`` and ``training`` of what `load_parameters` returned.

    Raises:
        ConfigError: the first unknown key or value out of range.
    """
    return RunParameters(
        model_config(parameters, source),
        parse_section(parameters, "loss", LossConfig, source),
        parse_section(parameters, "training", TrainingConfig, source),
    )
