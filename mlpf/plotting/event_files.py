"""One event of a file, and its candidates in other files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.candidates import read_candidates
from mlpf.io.inputs import open_input
from mlpf.io.ntuple import holds_candidates
from mlpf.io.shards import ShardedDataset


class Predicted(NamedTuple):
    """Candidates of one event, and the file that they come from."""

    candidates: Events
    path: Path


def read_event(path: str | Path, index: int) -> Events:
    """Event number ``index``, counted from 0, of a file of events (``.root``, see `mlpf.io.inputs`) or a dataset folder.

    Raises:
        MlpfError: the file is neither, or has fewer events.
    """
    path = Path(path)
    if path.suffix != ".root" and not path.is_dir():
        raise MlpfError(f"{path}: neither an ntuple (.root) nor a dataset folder")
    if path.is_dir():
        dataset = ShardedDataset(path)
        _check_index(path, index, len(dataset))
        return next(dataset.read_range(index, index + 1))
    with open_input(path) as file:
        _check_index(path, index, file.num_events)
        return next(file.iterate(start=index, stop=index + 1))


def is_candidates(path: str | Path) -> bool:
    """Whether a file holds candidates (of `mlpf produce` or `mlpf evaluate`) rather than events."""
    path = Path(path)
    return path.suffix == ".parquet" or (path.suffix == ".root" and path.is_file() and holds_candidates(path))


def read_predicted_event(path: str | Path, index: int) -> Events:
    """Candidates of event number ``index``, counted from 0, of a file of candidates.

    Raises:
        MlpfError: the file cannot be read, or has fewer events.
    """
    candidates = read_candidates(path)
    _check_index(Path(path), index, len(candidates))
    return candidates.slice(index, index + 1)


def _check_index(path: Path, index: int, num_events: int) -> None:
    if index >= num_events:
        raise MlpfError(f"{path}: has no event {index}; it holds {num_events}, counted from 0")


def find_candidates(path: str | Path, event: Events) -> Events:
    """Candidates of the event with the same run, lumi and event number, from what `mlpf evaluate` (``.parquet``) or `mlpf produce` wrote.

    Raises:
        MlpfError: the file is neither, cannot be read, has no such event, or several: simulations number the events of all their files alike.
    """
    candidates = read_candidates(path)
    same = np.ones(len(candidates), dtype=bool)
    for name in schema.IDENTITY:
        same &= candidates[name].astype(np.int64) == int(event[name][0])
    found = np.flatnonzero(same)
    identity = ", ".join(f"{name} {int(event[name][0])}" for name in schema.IDENTITY)
    if len(found) == 0:
        raise MlpfError(f"{path}: has no candidates of {identity}; run mlpf produce on it, or mlpf evaluate with --split all")
    if len(found) > 1:
        raise MlpfError(f"{path}: has {len(found)} events of {identity}, from different files; run mlpf produce on the one file")
    return candidates.slice(int(found[0]), int(found[0]) + 1)


def find_all_candidates(words: Sequence[str], event: Events, known: Mapping[str, Predicted] | None = None) -> dict[str, Predicted]:
    """Candidates of the event in several files, by the names of their models.

    Args:
        words: ``FILE``, whose stem becomes the name, or ``NAME=FILE``.
        event: whose candidates they are.
        known: others that come first.

    Raises:
        MlpfError: as `find_candidates`, or two of one name.
    """
    found = dict(known or {})
    for word in words:
        name, path = _name_and_path(word)
        if name in found:
            raise MlpfError(f"--predictions {word}: '{name}' is {found[name].path} already; give another name with NAME={path}")
        found[name] = Predicted(find_candidates(path, event), path)
    return found


def _name_and_path(word: str) -> tuple[str, Path]:
    name, equals, rest = word.partition("=")
    if equals and name and not Path(word).exists():
        return name, Path(rest)
    return Path(word).stem, Path(word)
