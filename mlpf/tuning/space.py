"""Between the dotted keys of a search and the parameters of a training."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlpf.errors import ConfigError
from mlpf.training.config import RunParameters, run_parameters
from mlpf.tuning.config import Dimension, TuneConfig, Value


def suggest(trial: Any, key: str, dimension: Dimension) -> Value:
    """The value of a key in an Optuna trial."""
    if dimension.choices is not None:
        chosen: Value = trial.suggest_categorical(key, dimension.choices)
    elif dimension.is_whole:
        chosen = trial.suggest_int(key, dimension.low, dimension.high, log=dimension.log, step=dimension.step or 1)
    else:
        chosen = trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log, step=dimension.step)
    return chosen


def with_values(parameters: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """A copy of what `load_parameters` returned with other values at some dotted keys."""
    changed = copy.deepcopy(dict(parameters))
    for key, value in values.items():
        *path, last = key.split(".")
        place = changed
        for part in path:
            if not isinstance(place.get(part), dict):
                place[part] = {}  # a section of defaults
            place = place[part]
        place[last] = value
    return changed


def check_space(parameters: Mapping[str, Any], config: TuneConfig, source: str | Path) -> RunParameters:
    """The parameters of a training without the search; each end of the search is tried on them, so that no trial of later finds a key or a value wrong.

    Raises:
        ConfigError: the first unknown key or value out of range.
    """
    base = run_parameters(parameters, source)
    for key, dimension in config.search.items():
        section, _, rest = key.partition(".")
        if section not in base._fields or not rest:
            raise ConfigError(f"{source}: tune: search: '{key}': expected a key with its section, one of {', '.join(base._fields)}")
        for value in dimension.ends:
            run_parameters(with_values(parameters, {key: value}), f"{source}: tune: search: {key}={value}")
    return base


def base_values(base: RunParameters, config: TuneConfig) -> dict[str, Value]:
    """What the parameters without the search have at its keys, where it may have that too."""
    flat = flatten(base.resolved())
    return {key: flat[key] for key, dimension in config.search.items() if key in flat and dimension.holds(flat[key])}


def flatten(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
