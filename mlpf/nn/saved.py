"""A trained model on disk: one file, `model.safetensors`, holds weights and description, so that they always belong together; nothing in it is unpickled.

`model.json` beside it is a copy of the description for people to read.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

import mlpf
from mlpf import schema
from mlpf.config import Config
from mlpf.errors import ModelError
from mlpf.io.files import atomic_file, flush_to_disk, write_text
from mlpf.io.model_file import DESCRIPTION, MODEL_FILE, read_header
from mlpf.nn.model import Model, build_model, model_config
from mlpf.samples.split import SplitConfig

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
    step: int | None = None
    """Steps of the optimiser until then."""
    initialized_from: str | None = None
    """Model whose weights the training started from (`mlpf.training.initialize`); none where it started from random ones."""
    weights_sha256: str = ""
    """Checksum of names, shapes and numbers of the weights; filled in by `save_model`."""
    schema_digest: str = pydantic.Field(default_factory=schema.digest)
    """Meaning of the features and classes, `schema.digest`."""
    version: str = mlpf.__version__
    """Version of this library."""


def save_model(folder: str | Path, model: Model, info: ModelInfo) -> None:
    """Write weights and description, whole or not at all, then the readable copy of the description."""
    folder = Path(folder)
    # copies: safetensors refuses tensors that share memory
    tensors = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in model.state_dict().items()}
    info = info.model_copy(update={"weights_sha256": checksum(tensors)})
    with atomic_file(folder / MODEL_FILE) as temporary:
        temporary.write_bytes(save(tensors, metadata={"format": "pt", DESCRIPTION: info.model_dump_json()}))
        flush_to_disk(temporary)
    write_text(folder / INFO, info.model_dump_json(indent=2) + "\n")


def load_model(folder: str | Path) -> tuple[Model, ModelInfo]:
    """The model that `save_model` wrote (or a training run left), on the CPU, in evaluation mode.

    Raises:
        ModelError: no model in the folder, a damaged one, or one made for another schema.
        ConfigError: a description this version does not understand.
    """
    tensors, info = load_weights(folder)
    path = Path(folder) / MODEL_FILE
    model = build_model(model_config({"model": info.model}, path))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{path}: the weights do not fit the model that it describes: {' '.join(str(error).split())[:200]}") from error
    return model.eval(), info


def load_weights(folder: str | Path) -> tuple[dict[str, Tensor], ModelInfo]:
    """Weights and scaling of a saved model by name, on the CPU, and its description.

    Raises:
        ModelError: no model in the folder, a damaged one, or one made for another schema.
    """
    info, path = read_info(folder), Path(folder) / MODEL_FILE
    if info.schema_digest != schema.digest():
        raise ModelError(f"{path}: made for schema {info.schema_digest}, this library has {schema.digest()}; train the model again")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged: {' '.join(str(error).split())[:200]}; train the model again") from error
    if checksum(tensors) != info.weights_sha256:
        raise ModelError(f"{path}: damaged: its numbers are not those that were written; train the model again")
    return tensors, info


def read_info(folder: str | Path) -> ModelInfo:
    """The description of a saved model.

    Raises:
        ModelError: no model in the folder, or a damaged one.
    """
    description = read_header(folder).description
    try:
        return ModelInfo.model_validate_json(description)
    except ValueError as error:
        raise ModelError(f"{Path(folder) / MODEL_FILE}: described as no model of this version: {' '.join(str(error).split())[:200]}") from error


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and numbers of contiguous tensors on the CPU, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
