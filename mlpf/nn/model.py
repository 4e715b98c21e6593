"""Models by name, as the ``model`` section of a parameter file chooses them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mlpf.config import parse_section
from mlpf.errors import ConfigError, nearest
from mlpf.nn.attention import AttentionConfig, AttentionModel
from mlpf.nn.base import Model, ModelConfig
from mlpf.nn.gnn_lsh import GNNLSHConfig, GNNLSHModel
from mlpf.nn.gravnet import GravNetConfig, GravNetModel
from mlpf.nn.message_passing import MessagePassingConfig, MessagePassingModel
from mlpf.nn.window import WindowConfig, WindowModel

MODELS: dict[str, tuple[type[ModelConfig], type[Model]]] = {
    "window": (WindowConfig, WindowModel),
    "message_passing": (MessagePassingConfig, MessagePassingModel),
    "gnn_lsh": (GNNLSHConfig, GNNLSHModel),
    "gravnet": (GravNetConfig, GravNetModel),
    "attention": (AttentionConfig, AttentionModel),
}
DEFAULT_MODEL = "window"  # linear when exported, too, and as good as any in the same time (docs/models.md)


def model_config(parameters: Mapping[str, Any], source: str | Path = "parameters") -> ModelConfig:
    """The validated ``model`` section of a parameter file, of the class that its ``name`` asks for (`DEFAULT_MODEL` where it asks for none).

    Raises:
        ConfigError: unknown model, key or value.
    """
    section = parameters.get("model", {})
    name = section.get("name", DEFAULT_MODEL) if isinstance(section, Mapping) else DEFAULT_MODEL  # `parse_section` refuses what is no section
    if not isinstance(name, str) or name not in MODELS:
        raise ConfigError(f"{source}: model: unknown name {name!r}{nearest(str(name), MODELS)} (known: {', '.join(MODELS)})")
    if isinstance(section, Mapping):
        _check_owner(section, name, source)
    return parse_section(parameters, "model", MODELS[name][0], source)


def _check_owner(section: Mapping[str, Any], name: str, source: str | Path) -> None:
    """Say so where the keys are those of another model, as after ``model.name=...`` on the command line."""
    known = {model: config.model_fields for model, (config, _) in MODELS.items()}
    strange = [key for key in section if key not in known[name]]
    owners = [model for model, keys in known.items() if set(section) <= set(keys)]
    if strange and owners:
        raise ConfigError(
            f"{source}: model: '{strange[0]}' is a key of {' and '.join(owners)}, not of {name}; "
            f"another model needs a section of its own, on the command line 'model={{name: {name}}}'"
        )


def build_model(config: ModelConfig) -> Model:
    """A freshly initialised model."""
    return MODELS[config.name][1](config)


def num_parameters(model: nn.Module) -> int:
    """Trainable numbers in a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
