"""A trained model on disk: `model.pt` (weights) and `model.json` (all else), read without Lightning and without unpickling anything but tensors."""

from pathlib import Path
from typing import Any

import pydantic
import torch

import mlpf
from mlpf import schema
from mlpf.config import Config
from mlpf.errors import ModelError
from mlpf.io.files import atomic_file, sha256, write_text
from mlpf.nn.model import Model, build_model, model_config
from mlpf.samples.split import SplitConfig

WEIGHTS = "model.pt"
INFO = "model.json"


class ModelInfo(Config):
    """What a saved model is and where it comes from."""

    model: dict[str, Any]
    """The ``model`` section it was built from."""
    dataset: str
    """Folder of the training dataset."""
    dataset_fingerprint: str
    """`mlpf.io.shards.fingerprint` of it."""
    split: SplitConfig
    """Which of its events the model did not see."""
    seed: int
    """Seed of initialisation and shuffling."""
    epoch: int
    """Epoch of these weights, counted from 1."""
    validation_loss: float
    """Total loss on the validation split at that epoch."""
    weights_sha256: str = ""
    """Checksum of the weights file; filled in by `save_model`."""
    schema_digest: str = pydantic.Field(default_factory=schema.digest)
    """Meaning of the features and classes, `schema.digest`."""
    version: str = mlpf.__version__
    """Version of this library."""


def save_model(folder: str | Path, model: Model, info: ModelInfo) -> None:
    """Write weights, then description; each appears complete or not at all."""
    folder = Path(folder)
    with atomic_file(folder / WEIGHTS) as temporary:
        torch.save(model.state_dict(), temporary)
        checksum = sha256(temporary)
    write_text(folder / INFO, info.model_copy(update={"weights_sha256": checksum}).model_dump_json(indent=2) + "\n")


def load_model(folder: str | Path) -> tuple[Model, ModelInfo]:
    """The model that `save_model` wrote (or a training run left), on the CPU, in evaluation mode.

    Raises:
        ModelError: no model in the folder, a damaged one, or one made for another schema.
        ConfigError: a description this version does not understand.
    """
    folder = Path(folder)
    info = _read_info(folder / INFO)
    if info.schema_digest != schema.digest():
        raise ModelError(f"{folder / INFO}: made for schema {info.schema_digest}, this library has {schema.digest()}; train the model again")
    weights = folder / WEIGHTS
    if not weights.is_file() or sha256(weights) != info.weights_sha256:
        raise ModelError(f"{weights}: missing or not the weights that {INFO} describes; train the model again")
    model = build_model(model_config({"model": info.model}, folder / INFO))
    try:
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:  # what torch raises on foreign bytes shares no base class
        raise ModelError(f"{weights}: does not fit the model: {' '.join(str(error).split())[:200]}") from error
    return model.eval(), info


def _read_info(path: Path) -> ModelInfo:
    try:
        return ModelInfo.model_validate_json(path.read_text())
    except OSError as error:
        raise ModelError(f"{path.parent}: holds no trained model, {path.name} cannot be read ({error.strerror}); has mlpf train finished an epoch?") from error
    except ValueError as error:
        raise ModelError(f"{path}: not a model description: {' '.join(str(error).split())[:200]}") from error
