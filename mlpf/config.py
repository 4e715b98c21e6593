"""Parameter files: YAML, one section per part of the library, typed, validated, overridable from the command line.

Each part owns the class of its section (a subclass of `Config`); this module only reads, overrides and reports.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import pydantic
import yaml

from mlpf.errors import ConfigError, nearest
from mlpf.schema import CandidateClass, ElementType

SECTIONS = ("simulation", "postprocess", "mix", "validation", "scaling", "model", "loss", "training", "tune", "plot", "clue", "cluster", "images")


def _by_name(kinds: type[ElementType] | type[CandidateClass]) -> Any:
    return lambda value: kinds[value] if isinstance(value, str) and value in kinds.__members__ else value


# Element types and classes are written by name (``TRACK``) or by number (``1``).
TypeName = Annotated[ElementType, pydantic.BeforeValidator(_by_name(ElementType)), pydantic.PlainSerializer(lambda value: ElementType(value).name)]
ClassName = Annotated[CandidateClass, pydantic.BeforeValidator(_by_name(CandidateClass)), pydantic.PlainSerializer(lambda value: CandidateClass(value).name)]


class Config(pydantic.BaseModel):
    """Base of all sections: unknown keys are errors, values are fixed once made."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


C = TypeVar("C", bound=Config)


def load_parameters(path: str | Path | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a parameter file (None: none, all defaults) and apply overrides ``section.key=value`` (value in YAML).

    Raises:
        ConfigError: the file cannot be read, is not a mapping, or names a section that does not exist.
    """
    parameters = {} if path is None else _read_sections(path)
    for override in overrides:
        _apply_override(parameters, override)
    return parameters


def _read_sections(path: str | Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the parameter file: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    parameters = {} if content is None else content
    if not isinstance(parameters, dict):
        raise ConfigError(f"{path}: expected sections ({', '.join(SECTIONS)}), found {type(parameters).__name__}")
    for name, section in parameters.items():
        if name not in SECTIONS:
            raise ConfigError(f"{path}: unknown section '{name}'{nearest(str(name), SECTIONS)} (known: {', '.join(SECTIONS)})")
        if not isinstance(section, dict):
            raise ConfigError(f"{path}: {name}: expected keys and values, found {section!r}")
    return parameters


def parse_section(parameters: Mapping[str, Any], section: str, cls: type[C], source: str | Path = "parameters") -> C:
    """Validate one section of what `load_parameters` returned; a missing section means all defaults.

    Raises:
        ConfigError: the first problem, with file, section, key, the value found and the nearest known key.
    """
    values = parameters.get(section, {})
    try:
        return cls.model_validate(values)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{source}: {section}: {_explain(error, cls)}") from error


def _explain(error: pydantic.ValidationError, cls: type[Config]) -> str:
    problem = error.errors()[0]
    location = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _fields_at(cls, problem["loc"][:-1])
        return f"unknown key '{location}'{nearest(str(problem['loc'][-1]), known)} (known: {', '.join(known)})"
    return f"{location or cls.__name__}: {problem['msg']} (found {problem['input']!r})"


def _fields_at(cls: type[Config], location: tuple[Any, ...]) -> tuple[str, ...]:
    """Fields of the nested section at ``location``; of the innermost one whose type leaves no choice of `Config`."""
    for part in location:
        nested = _configs_in(cls.model_fields[part].annotation) if part in cls.model_fields else []
        if len(nested) == 1:
            cls = nested[0]
    return tuple(cls.model_fields)


def _configs_in(annotation: Any) -> list[type[Config]]:
    """Subclasses of `Config` in a type: itself, or those in a union, list or tuple."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [config for argument in get_args(annotation) for config in _configs_in(argument)]


def _apply_override(parameters: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    *path, last = key.split(".")
    if not separator or not path or not all((*path, last)):
        raise ConfigError(f"override '{override}': expected section.key=value, for example training.epochs=3")
    if path[0] not in SECTIONS:
        raise ConfigError(f"override '{override}': unknown section '{path[0]}'{nearest(path[0], SECTIONS)} (known: {', '.join(SECTIONS)})")
    place = parameters
    for part in path:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ConfigError(f"override '{override}': '{part}' holds a value, not a section")
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"override '{override}': the value is not valid YAML") from error
