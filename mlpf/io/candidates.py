"""Candidates in either of the formats that `mlpf produce` and `mlpf evaluate` write."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlpf import schema
from mlpf.errors import DatasetError, MlpfError
from mlpf.events import Events
from mlpf.io.ntuple import read_candidates as read_root
from mlpf.io.shards import table_to_events


def read_candidates(path: str | Path) -> Events:
    """Candidates (`schema.CANDIDATES`) of a ``.root`` or ``.parquet`` file.

    Raises:
        MlpfError: the file is neither, cannot be read or holds no candidates.
    """
    path = Path(path)
    if path.suffix == ".root":
        return read_root(path)
    if path.suffix != ".parquet":
        raise MlpfError(f"{path}: unknown format '{path.suffix}'; candidates are .parquet (mlpf evaluate, mlpf produce) or .root (mlpf produce)")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: not readable as Parquet, missing, damaged or truncated? ({' '.join(str(error).split())[:200]})") from error
    missing = [name for name in schema.CANDIDATES.columns if name not in table.column_names]
    if missing:
        raise DatasetError(f"{path}: no predictions, column {missing[0]} is missing; mlpf evaluate and mlpf produce write them")
    return table_to_events(table, schema.CANDIDATES, str(path))
