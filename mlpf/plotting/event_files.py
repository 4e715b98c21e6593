"""One event of a file, and its candidates in another file."""

from pathlib import Path

import numpy as np

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.candidates import read_candidates
from mlpf.io.inputs import open_input
from mlpf.io.shards import ShardedDataset


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
