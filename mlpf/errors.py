"""Exceptions that a user meets: each message names the place, the value found and the remedy.

The command line prints the message on one line and exits with 1; anything that is not a `MlpfError` is our bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class MlpfError(Exception):
    """Base class: something the user gave cannot be used."""


class NtupleError(MlpfError):
    """A ROOT ntuple is damaged, lacks a needed branch or holds impossible values."""


class DatasetError(MlpfError):
    """A Parquet dataset is damaged, incomplete or of another schema version."""


class ConfigError(MlpfError):
    """A parameter file has an unknown key or a value out of range."""


class ModelError(MlpfError):
    """A checkpoint or an ONNX file does not satisfy the model contract."""


class MissingDependencyError(MlpfError):
    """An optional part of the installation is needed for this command."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint ``; did you mean 'x'?`` for the closest of ``known``, or an empty string where none is close."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""
