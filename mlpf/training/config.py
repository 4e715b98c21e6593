"""The ``training`` section, and the sections that make a training."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pydantic

from mlpf.config import Config, parse_section
from mlpf.dataset.loader import POOL_ELEMENTS
from mlpf.loss.particle_flow import LossConfig
from mlpf.nn.model import ModelConfig, model_config
from mlpf.samples.element_weights import ElementWeightConfig
from mlpf.samples.scaling import ScalingConfig
from mlpf.samples.split import SplitConfig


class MlflowConfig(Config):
    """Where MLflow keeps a run (extra ``track``)."""

    uri: str | None = None
    """Tracking server or database; by default the environment variable MLFLOW_TRACKING_URI, or else MLflow's own, mlflow.db in the working folder."""
    experiment: str = "mlpf"
    """Name of the experiment that the run belongs to."""


class TrainingConfig(Config):
    """How a model is trained."""

    dataset: str | list[str] | dict[str, float] | None = None
    """Folder of the dataset, a list of several, or several with their proportions in the training; --data takes its place."""
    split: SplitConfig = SplitConfig()
    """How events are shared between training, validation and test."""
    epochs: int = pydantic.Field(default=20, ge=1)
    """Passes over the training events."""
    max_steps: int | None = pydantic.Field(default=None, ge=1)
    """Steps of the optimiser after which the training ends, if its epochs have not ended before; the learning rate is planned accordingly."""
    accumulate: int = pydantic.Field(default=1, ge=1)
    """Batches whose gradients are averaged for a step."""
    max_elements: int = pydantic.Field(default=8000, ge=1)
    """Elements per batch, padding included."""
    pool_elements: int = pydantic.Field(default=POOL_ELEMENTS, ge=1)
    """Elements that are shuffled and sorted by size together, at least 16 batches; they take 270 bytes each, in the training and in each worker."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` gives the matrices inside the network steps of equal singular values, which the window model learns four times faster with: `MuonAndAdamW`."""
    learning_rate: float = pydantic.Field(default=1e-3, gt=0.0)
    """Peak of the learning rate; good ones for muon are five times those for adamw."""
    weight_decay: float = pydantic.Field(default=0.01, ge=0.0)
    """Decoupled weight decay."""
    warmup_fraction: float = pydantic.Field(default=0.1, ge=0.0, le=1.0)
    """Share of all steps in which the learning rate rises."""
    gradient_clip: float = pydantic.Field(default=1.0, gt=0.0)
    """Largest norm of the gradient; a longer one is scaled down."""
    average_decay: float | None = pydantic.Field(default=None, ge=0.0, lt=1.0)
    """Decay per step of the exponential moving average of the weights, 0.999 for example; the average is what is validated, saved and used. By default none."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of matrix products in training, where the device has it; weights, sums and losses stay float32."""
    compile: bool = False
    """Let torch.compile make faster kernels of the model; the first batches take minutes."""
    validation_steps: int | None = pydantic.Field(default=None, ge=1)
    """Steps between validations; by default once per epoch."""
    checkpoint_steps: int | None = pydantic.Field(default=None, ge=1)
    """Steps between checkpoints to resume from, beside those after every validation."""
    checkpoint_minutes: float | None = pydantic.Field(default=30.0, gt=0.0)
    """Minutes between checkpoints to resume from, beside those after every validation."""
    figures: bool = True
    """Draw confusion matrix, response, efficiency and learning curves, for TensorBoard and the run folder: takes some seconds at the end, and 2 % before."""
    mlflow: MlflowConfig | None = None
    """Also log to MLflow; by default only the run folder has it all."""
    seed: int = pydantic.Field(default=0, ge=0, lt=2**32)
    """Seed of initialisation and shuffling."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes a GPU if there is one."""
    num_workers: int = pydantic.Field(default=0, ge=0)
    """Processes that prepare batches beside the training."""
    scaling: str | None = None
    """File of mlpf scale whose statistics of the features count, used as the section scaling says; by default those of the training events are measured."""
    element_weights: ElementWeightConfig | None = None
    """Weights of elements by class, pt and eta; by default all weigh alike."""

    @pydantic.field_validator("dataset")
    @classmethod
    def _names_a_dataset(cls, value: Any) -> Any:
        if value is not None and not value:
            raise ValueError("names no dataset")
        if isinstance(value, list) and len(set(value)) < len(value):
            raise ValueError("names a dataset twice")
        if isinstance(value, dict) and not all(0.0 < proportion < math.inf for proportion in value.values()):
            raise ValueError("every proportion must be above 0 and finite")
        return value

    @property
    def datasets(self) -> dict[str, float | None]:
        """Folders and their proportions; none without proportions."""
        if isinstance(self.dataset, dict):
            return dict(self.dataset)
        folders = [self.dataset] if isinstance(self.dataset, str) else self.dataset or []
        return dict.fromkeys(folders)


class RunParameters(NamedTuple):
    """Everything that, with a dataset, determines a training."""

    model: ModelConfig
    loss: LossConfig
    training: TrainingConfig
    scaling: ScalingConfig = ScalingConfig()

    def resolved(self) -> dict[str, dict[str, Any]]:
        """All values, defaults included, as a parameter file holds them."""
        return {name: section.model_dump(mode="json") for name, section in self._asdict().items()}


def run_parameters(parameters: Mapping[str, Any], source: str | Path = "parameters") -> RunParameters:
    """The sections ``model``, ``loss``, ``training`` and ``scaling`` of what `load_parameters` returned.

    Raises:
        ConfigError: the first unknown key or value out of range.
    """
    return RunParameters(
        model_config(parameters, source),
        parse_section(parameters, "loss", LossConfig, source),
        parse_section(parameters, "training", TrainingConfig, source),
        parse_section(parameters, "scaling", ScalingConfig, source),
    )
