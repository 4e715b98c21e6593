"""Parameter files: YAML, one section per part of the library, typed, validated, built upon each other, overridable from the command line.

Each part owns the class of its section (a subclass of `Config`); this module only reads, merges, overrides and reports.

A file may name others, relative to itself, whose values it builds upon; later ones win over earlier ones, and its own over all::

    defaults: [ttbar.yaml, window.yaml]
    training: {epochs: 40}

Mappings are merged key by key, lists and single values are replaced, and null is a value as any other. A mapping with another ``name`` (another model) is
replaced as a whole, since its keys mean something else.

On the command line, with values in YAML and in the order in which they stand:

- ``training.epochs=40`` changes or sets a value; ``mix.sources.0.weight=2`` one inside a list, counted from 0; ``model={name: window}`` a whole section;
- ``+training.max_steps=1000`` adds one, and is an error where the files have one already; ``+mix.sources.2={...}`` appends to a list of two;
- ``~training.max_steps`` removes one, so that its default holds, and is an error where there is none.

Quotes keep the shell away from braces, brackets and spaces, in zsh also from a leading tilde: ``'model={name: window}'``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import pydantic
import yaml

from mlpf.errors import ConfigError, nearest
from mlpf.schema import CandidateClass, ElementType

SECTIONS = ("simulation", "postprocess", "mix", "validation", "scaling", "model", "loss", "training", "tune", "plot", "clue", "cluster", "images")
DEFAULTS = "defaults"  # key of a parameter file that names those it builds upon


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
    """Read a parameter file (None: none, all defaults) and those it builds upon, then apply overrides; see the module.

    Raises:
        ConfigError: a file cannot be read, is not a mapping, names a section that does not exist, or leads back to itself; an override that does not fit.
    """
    parameters = {} if path is None else _read(Path(path), ())
    for override in overrides:
        _apply_override(parameters, override)
    return parameters


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """Sections of a file on top of those of the files that it builds upon; ``above``: the files that led here."""
    chain = " -> ".join(str(file) for file in (*above, path))
    sections = _read_sections(path, chain)
    if path.resolve() in [file.resolve() for file in above]:
        raise ConfigError(f"{chain}: {DEFAULTS} lead back to a file that is being read; take one of them out")
    names = sections.pop(DEFAULTS, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{chain}: {DEFAULTS}: expected a list of parameter files, found {names!r}")
    parameters: dict[str, Any] = {}
    for name in names:
        parameters = _merged(parameters, _read(path.parent / name, (*above, path)))
    return _merged(parameters, sections)


def _read_sections(path: Path, chain: str) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), _Loader)
    except OSError as error:
        raise ConfigError(f"{chain}: cannot read the parameter file: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # bytes that are no text, a 13th month, brackets without end
        raise ConfigError(f"{chain}: not valid YAML: {' '.join(str(error).split())}") from error
    parameters = {} if content is None else content
    if not isinstance(parameters, dict):
        raise ConfigError(f"{chain}: expected sections ({', '.join(SECTIONS)}), found {type(parameters).__name__}")
    for name, section in parameters.items():
        if name == DEFAULTS:
            continue
        _check_section(name, chain)
        if not isinstance(section, dict):
            raise ConfigError(f"{chain}: {name}: expected keys and values, found {section!r}")
    return parameters


def _check_section(name: Any, place: str) -> None:
    if name not in SECTIONS:
        raise ConfigError(f"{place}: unknown section '{name}'{nearest(str(name), (*SECTIONS, DEFAULTS))} (known: {', '.join(SECTIONS)})")


def _merged(below: Any, above: Any) -> Any:
    """``above`` on top of ``below``, sharing nothing with ``above``."""
    if isinstance(above, dict):
        same = isinstance(below, dict) and not ("name" in above and "name" in below and above["name"] != below["name"])
        under = below if same else {}
        return {**under, **{key: _merged(under.get(key), value) for key, value in above.items()}}
    return [_merged(None, value) for value in above] if isinstance(above, list) else above


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


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently drop the first."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        names = [key.value for key in keys]
        for i, key in enumerate(keys):
            if key.value in names[:i]:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
        return node


def _apply_override(parameters: dict[str, Any], override: str) -> None:
    """Change, add (``+``) or remove (``~``) one value in place."""
    place = f"override '{override}'"
    action, path, value = _parse_override(override, place)
    holder: Any = parameters
    for part in path[:-1]:
        key = _key(holder, part, place)
        if key is None and action == "~":
            raise _missing(holder, part, place)
        if key is None or holder[key] is None:
            key = _insert(holder, part, {}, place)
        holder = holder[key]
    key = _key(holder, path[-1], place)
    if key is None and action == "~":
        raise _missing(holder, path[-1], place)
    if key is None:
        _insert(holder, path[-1], value, place, append=action == "+")
    elif action == "~":
        del holder[key]
    elif action == "+":
        raise ConfigError(f"{place}: it is {holder[key]!r} already; without the + it is changed")
    else:
        holder[key] = value


def _parse_override(override: str, place: str) -> tuple[str, list[str], Any]:
    """Action (``+``, ``~`` or none), path and value."""
    action = override[:1] if override[:1] in ("+", "~") else ""
    key, separator, text = override.removeprefix(action).partition("=")
    path = key.split(".")
    if not all(path) or bool(separator) == (action == "~"):
        raise ConfigError(f"{place}: expected section.key=value, +section.key=value or ~section.key, for example training.epochs=3")
    if path[0] == DEFAULTS:
        raise ConfigError(f"{place}: {DEFAULTS} stand in a parameter file; write a small one of your own that builds upon those that you want")
    _check_section(path[0], place)
    try:
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{place}: the value is not valid YAML") from error
    if len(path) == 1 and action != "~" and not isinstance(value, dict):
        raise ConfigError(f"{place}: a section holds keys and values; expected section.key=value, for example training.epochs=3")
    return action, path, value


def _key(holder: Any, part: str, place: str) -> str | int | None:
    """The key of a mapping, or position in a list, that a part of a path means; None where there is no such."""
    if isinstance(holder, dict):
        return part if part in holder else None
    if isinstance(holder, list):
        return int(part) if part.isdecimal() and int(part) < len(holder) else None
    raise ConfigError(f"{place}: '{part}' cannot be inside {holder!r}, which is a value")


def _insert(holder: Any, part: str, value: Any, place: str, append: bool = False) -> str | int:
    """Put a value into a mapping, or at the end of a list, and say where."""
    if isinstance(holder, dict):
        holder[part] = value
        return part
    if not append or part != str(len(holder)):
        raise ConfigError(f"{place}: no entry {part} in a list of {len(holder)}, counted from 0; +...{len(holder)}=value appends one")
    holder.append(value)
    return len(holder) - 1


def _missing(holder: Any, part: str, place: str) -> ConfigError:
    known = [str(key) for key in (holder if isinstance(holder, dict) else range(len(holder)))]
    return ConfigError(f"{place}: no '{part}' to remove{nearest(part, known)} (there: {', '.join(known) or 'nothing'})")
