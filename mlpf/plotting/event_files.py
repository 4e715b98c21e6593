"""One event of a file, and its candidates in another file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlpf import schema
from mlpf.errors import DatasetError, MlpfError
from mlpf.events import Events
from mlpf.io.ntuple import Ntuple, read_candidates
from mlpf.io.shards import ShardedDataset, table_to_events

IDENTITY = ("run", "lumi", "event")


def read_event(path: str | Path, index: int) -> Events:
    """Event number ``index``, counted from 0, of an ntuple (``.root``) or a dataset folder.

    Raises:
        MlpfError: the file is neither, or has fewer events.
    """
    path = Path(path)
    if path.suffix != ".root" and not path.is_dir():
        raise MlpfError(f"{path}: neither an ntuple (.root) nor a dataset folder")
    if path.is_dir():
        dataset = ShardedDataset(path)
        _check_index(path, index, len(dataset))
        chunk = next(chunk for chunk in dataset.iterate() if index < chunk.first_entry + len(chunk))
        return chunk.slice(index - chunk.first_entry, index - chunk.first_entry + 1)
    with Ntuple(path) as ntuple:
        _check_index(path, index, ntuple.num_events)
        return next(ntuple.iterate(start=index, stop=index + 1))


def _check_index(path: Path, index: int, num_events: int) -> None:
    if index >= num_events:
        raise MlpfError(f"{path}: has no event {index}; it holds {num_events}, counted from 0")


def find_candidates(path: str | Path, event: Events) -> Events:
    """Candidates of the event with the same run, lumi and event number, from what `mlpf evaluate` (``.parquet``) or `mlpf produce` wrote.

    Raises:
        MlpfError: the file is neither, cannot be read or has no such event.
    """
    path = Path(path)
    if path.suffix == ".root":
        candidates = read_candidates(path)
    elif path.suffix == ".parquet":
        candidates = _read_parquet(path)
    else:
        raise MlpfError(f"{path}: unknown format '{path.suffix}'; predictions are .parquet (mlpf evaluate) or .root (mlpf produce)")
    same = np.ones(len(candidates), dtype=bool)
    for name in IDENTITY:
        same &= candidates[name].astype(np.int64) == int(event[name][0])
    if not same.any():
        identity = ", ".join(f"{name} {int(event[name][0])}" for name in IDENTITY)
        raise MlpfError(f"{path}: has no candidates of {identity}; predict this file, or with --split all")
    found = int(np.argmax(same))
    return candidates.slice(found, found + 1)


def _read_parquet(path: Path) -> Events:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: not readable as Parquet, missing, damaged or truncated? ({' '.join(str(error).split())[:200]})") from error
    missing = [name for name in schema.CANDIDATES.columns if name not in table.column_names]
    if missing:
        raise DatasetError(f"{path}: no predictions, column {missing[0]} is missing; predictions are .parquet (mlpf evaluate) or .root (mlpf produce)")
    return table_to_events(table, schema.CANDIDATES, str(path))
