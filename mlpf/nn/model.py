"""Models assembled from the ``model`` section of a parameter file; a new model is a new class with its own config, entered in `MODELS`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic
import torch
from torch import Tensor, nn

from mlpf.config import Config, parse_section
from mlpf.errors import ConfigError, nearest
from mlpf.nn.gravnet import GravNetLayer
from mlpf.nn.heads import Heads, ModelOutput
from mlpf.nn.mlp import MLP
from mlpf.nn.preprocess import FeaturePreprocessor


class ModelConfig(Config):
    """What every model's section holds."""

    name: str
    """Which model, a key of `MODELS`."""


class GravNetConfig(ModelConfig):
    """Parameters of `GravNetModel`."""

    name: Literal["gravnet"] = "gravnet"
    """Which model."""
    width: int = pydantic.Field(default=128, ge=4)
    """Length of an element's state."""
    num_layers: int = pydantic.Field(default=3, ge=1)
    """Rounds of message passing."""
    space_dim: int = pydantic.Field(default=4, ge=3)
    """Dimensions of the learned space in which neighbours are looked for."""
    propagate_dim: int = pydantic.Field(default=32, ge=1)
    """Length of a message between neighbours."""
    num_neighbors: int = pydantic.Field(default=16, ge=2)
    """Nearest elements that an element listens to, itself included."""
    embedding_dim: int = pydantic.Field(default=8, ge=1)
    """Length of the learned vector that stands for an element type."""
    dropout: float = pydantic.Field(default=0.0, ge=0.0, lt=1.0)
    """Share of hidden values dropped in training."""


class Model(nn.Module):
    """Base of all models: raw features in, `ModelOutput` out; `FeaturePreprocessor.fit` is called once with the training elements."""

    preprocess: FeaturePreprocessor


class GravNetModel(Model):
    """A stack of `GravNetLayer` with residual connections; every element ends with one prediction.

    Shapes:
        features: (B, N, 55) float32, raw, anything; mask: (B, N) float32, 1 = real element -> `ModelOutput`
    """

    def __init__(self, config: GravNetConfig) -> None:
        super().__init__()
        self.num_neighbors = config.num_neighbors
        self.preprocess = FeaturePreprocessor(config.embedding_dim)
        self.encode = MLP(self.preprocess.output_dim + 3, 2 * config.width, config.width, config.dropout)
        self.layers = nn.ModuleList(
            GravNetLayer(config.width, config.space_dim, config.propagate_dim, config.num_neighbors, config.dropout) for _ in range(config.num_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(config.num_layers))
        self.last_norm = nn.LayerNorm(config.width)
        self.heads = Heads(config.width, config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> ModelOutput:
        """See the class."""
        num_elements = features.shape[1]
        features, real = append_padding(features, mask > 0.5, self.num_neighbors)  # -> (B, N + k, 55)
        elements = self.preprocess(features, real)  # -> (B, N + k, F)
        state = self.encode(torch.cat([elements.inputs, elements.position], dim=-1))  # -> (B, N + k, width)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            state = state + layer(norm(state), elements.position, real)  # messages among k neighbours
        output = self.heads(self.last_norm(state), elements, real)  # -> (B, N + k, 2 | 9 | 5 | 1 | 3)
        return ModelOutput(*(values[:, :num_elements] for values in output))


def append_padding(features: Tensor, real: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``(B, N, 55)``, ``(B, N) bool`` with ``count`` padded rows more.

    They make k neighbours exist in any event, and keep N = 0 out of the layers: ONNX Runtime 1.31 returns a wrong shape for reductions of empty tensors.
    """
    batch = features.shape[0]
    features = torch.cat([features, features.new_zeros(batch, count, features.shape[2])], dim=1)
    return features, torch.cat([real, real.new_zeros(batch, count)], dim=1)


MODELS: dict[str, tuple[type[ModelConfig], type[Model]]] = {"gravnet": (GravNetConfig, GravNetModel)}


def model_config(parameters: Mapping[str, Any], source: str | Path = "parameters") -> ModelConfig:
    """The validated ``model`` section of a parameter file, of the class that its ``name`` asks for (gravnet where it asks for none).

    Raises:
        ConfigError: unknown model, key or value.
    """
    name = parameters.get("model", {}).get("name", "gravnet")
    if name not in MODELS:
        raise ConfigError(f"{source}: model: unknown name {name!r}{nearest(str(name), MODELS)} (known: {', '.join(MODELS)})")
    return parse_section(parameters, "model", MODELS[name][0], source)


def build_model(config: ModelConfig) -> Model:
    """A freshly initialised model."""
    return MODELS[config.name][1](config)


def num_parameters(model: nn.Module) -> int:
    """Trainable numbers in a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
