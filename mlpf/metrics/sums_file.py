"""Sums in a file (.npz): arrays only, never pickled objects."""

import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from mlpf.errors import MlpfError
from mlpf.io.files import atomic_file
from mlpf.metrics import binning
from mlpf.metrics.quantiles import Grid
from mlpf.metrics.sums import Sums

FORMAT = 2  # raised whenever older sums mean something else
Arrays = dict[str, np.ndarray]


class HasArrays(Protocol):
    """Anything that can be kept in a file."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What has to be kept."""


def write_sums(path: str | Path, models: Sequence[str], parts: Mapping[str, HasArrays]) -> None:
    """Write sums, whole or not at all.

    Args:
        path: the file.
        models: names of the models.
        parts: what to keep, by name.
    """
    header = {"format": np.array(FORMAT), "bins": np.array(bins_digest()), "models": np.array(models, dtype=np.str_)}
    arrays = {f"{name}:{key}": array for name, part in parts.items() for key, array in part.arrays().items()}
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **header, **arrays)


def read_sums(path: str | Path) -> tuple[tuple[str, ...], Arrays]:
    """Read what `write_sums` wrote.

    Returns:
        names of the models, and all arrays (``PART:NAME``), for `restore_parts`.

    Raises:
        MlpfError: the file is damaged, of another kind, or of another version.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise MlpfError(f"{path}: cannot be read: {error.strerror or 'not an .npz file'}; evaluate again") from error
    except (ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:  # RuntimeError: unknown compression or encryption
        raise MlpfError(f"{path}: damaged, or not the sums of an evaluation ({error}); evaluate again") from error
    header = [arrays.pop(name, None) for name in ("format", "bins", "models")]
    if any(values is None for values in header):
        raise MlpfError(f"{path}: not the sums of an evaluation; pass the folder of one")
    version, bins, models = (values.tolist() for values in header if values is not None)
    if (version, bins) != (FORMAT, bins_digest()):
        raise MlpfError(f"{path}: sums of version {version} with bins {bins}, here {FORMAT} with {bins_digest()}; evaluate again with this version")
    return tuple(models), arrays


def restore_parts(parts: Mapping[str, Sums], arrays: Arrays, path: str | Path) -> None:
    """Add the arrays that were read to sums of zeros.

    Raises:
        MlpfError: they do not fit.
    """
    of_parts: dict[str, Arrays] = {name: {} for name in parts}
    try:
        for name, values in arrays.items():
            part, _, key = name.partition(":")
            of_parts[part][key] = values
        for name, sums in parts.items():
            sums.restore(of_parts[name])
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise MlpfError(f"{path}: not all of the sums of an evaluation, or others ({error}); evaluate again") from error


def bins_digest() -> str:
    """Fingerprint of all bins: sums in others do not add up."""
    digest = hashlib.sha256()
    for name, value in sorted(vars(binning).items()):
        if isinstance(value, np.ndarray | Grid):
            digest.update(f"{name}={np.asarray(value).tolist()};".encode())
    return digest.hexdigest()[:16]
