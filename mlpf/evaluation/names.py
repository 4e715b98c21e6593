"""What the words of a command line name: models and datasets, told apart by what they hold."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mlpf.errors import MlpfError
from mlpf.io.model_file import FORMER_MODEL_FILE, MODEL_FILE
from mlpf.io.shards import MANIFEST
from mlpf.metrics.systems import HARD, RULE_BASED, TARGETS

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_RESERVED = (RULE_BASED, TARGETS)


class Inputs(NamedTuple):
    """Models and datasets, by name, in the order in which they were given."""

    models: dict[str, Path]
    datasets: dict[str, Path]


def parse_inputs(words: Sequence[str]) -> Inputs:
    """Sort ``PATH`` and ``NAME=PATH`` into models and datasets; without a name, the folder's name or the file's stem is taken.

    Raises:
        MlpfError: a path that is neither, a name that cannot be one, two of the same name, no model, no dataset.
    """
    inputs = Inputs({}, {})
    for word in words:
        name, path = _name_and_path(word)
        kind, named = ("dataset", inputs.datasets) if _is_dataset(path) else ("model", inputs.models)
        check_name(name, kind, path)
        if name in named:
            raise MlpfError(f"{kind} '{name}': two have this name, {named[name]} and {path}; give other names with NAME=PATH")
        named[name] = path
    if not inputs.datasets:
        raise MlpfError(f"{', '.join(words)}: no dataset among them (a folder with {MANIFEST}); mlpf postprocess makes one of ntuples")
    if not inputs.models:
        raise MlpfError(f"{', '.join(words)}: no model among them; give a run folder of mlpf train or an .onnx file, too")
    return inputs


def check_name(name: str, kind: str, path: Path) -> None:
    """Raise `MlpfError` unless ``name`` can be that of a model or of a dataset (``kind``), in files and beside the other systems."""
    if not _NAME.fullmatch(name):
        raise MlpfError(f"{kind} '{name}': a name has letters, digits and . _ - only, and begins with none of . -; give another one: NAME={path}")
    if name in _RESERVED or name.endswith(HARD):
        raise MlpfError(f"{kind} '{name}': {' and '.join(_RESERVED)} and names in {HARD} have a meaning of their own; give another one: NAME={path}")


def _name_and_path(word: str) -> tuple[str, Path]:
    name, equals, rest = word.partition("=")
    if equals and not Path(word).exists():
        return name, Path(rest)
    path = Path(word)
    return path.stem if path.suffix == ".onnx" else path.resolve().name, path


def _is_dataset(path: Path) -> bool:
    """Whether it is a dataset; else it is a model."""
    if not path.exists():
        raise MlpfError(f"{path}: no such file or folder")
    if (path / MANIFEST).is_file():
        return True
    is_run = any((path / name).is_file() for name in (MODEL_FILE, FORMER_MODEL_FILE))
    if not (is_run or (path.suffix == ".onnx" and path.is_file()) or (path.is_dir() and any(path.glob(f"*/{MODEL_FILE}")))):
        raise MlpfError(f"{path}: neither a dataset ({MANIFEST}), a run ({MODEL_FILE}), a folder with the runs of all folds nor a model (.onnx)")
    return False
