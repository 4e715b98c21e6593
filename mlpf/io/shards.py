"""The Parquet dataset: a folder with `manifest.json` and shards of one row per event.

The manifest says how the dataset was made (schema version and digest, policy, sources, counts) and holds the SHA-256 of every shard, so that a damaged or
foreign folder is refused before anything is computed from it. Layout of the columns: `schema.DATASET`.
"""

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.events import Events, concatenate, offsets_from_counts
from mlpf.io.files import atomic_file, sha256, write_text
from mlpf.io.parquet import EventWriter, Rows
from mlpf.io.parquet_reading import GroupReader, can_read

MANIFEST = "manifest.json"
ROWS_PER_GROUP = 16  # events that are read (and shuffled) together
MAX_OPEN_SHARDS = 16  # per dataset and process


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a dataset, as the manifest lists it."""

    name: str
    num_events: int
    num_elements: int
    sha256: str


def table_to_events(table: pa.Table, layout: schema.Layout = schema.DATASET, source: str = "table", first_entry: int = 0) -> Events:
    """Arrow table -> flat columns; columns outside the layout are ignored."""
    columns, offsets = {}, {}
    for name in table.column_names:
        if name not in layout.columns:
            continue
        column = table.column(name)
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which would copy even a single chunk
        if isinstance(array, pa.ChunkedArray):  # several chunks stay chunked where there are none or they cannot be joined
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
        if layout.is_scalar(name):
            columns[name] = array.to_numpy(zero_copy_only=False)
            continue
        edges = array.offsets.to_numpy().astype(np.int64)
        columns[name] = array.values.to_numpy(zero_copy_only=False)[edges[0] : edges[-1]]
        offsets[layout.collection_of[name]] = edges - edges[0]
    return Events(columns, offsets, table.num_rows, source, first_entry, layout)


def write_parquet(path: str | Path, chunks: Iterable[Events | Rows], metadata: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Write chunks, or events picked from them (same columns each), into one Parquet file, whole or not at all.

    The bytes of the file do not depend on how the events were cut into chunks.

    Returns:
        number of events and of elements.

    Raises:
        DatasetError: there is not even an empty chunk.
        MlpfError: the file system refuses.
    """
    num_events = num_elements = 0
    writer = None
    with atomic_file(path) as temporary, temporary.open("wb", buffering=1 << 20) as stream:
        for chunk in chunks:
            rows = chunk if isinstance(chunk, Rows) else Rows.all_of(chunk)
            writer = writer or EventWriter(stream, rows.chunks[0], metadata or {}, ROWS_PER_GROUP)
            writer.write(rows)
            num_events += len(rows)
            num_elements += rows.count("element")
        if writer is None:
            raise DatasetError(f"{path}: nothing to write, not even an empty chunk")
        writer.close()
    return num_events, num_elements


def write_manifest(folder: str | Path, shards: Sequence[Shard], description: Mapping[str, Any]) -> None:
    """Write `manifest.json`; ``description`` holds policy, sources, counts and whatever else tells how the dataset was made."""
    content = {
        "schema_version": schema.SCHEMA_VERSION,
        "schema_digest": schema.digest(),
        **description,
        "num_events": sum(shard.num_events for shard in shards),
        "num_elements": sum(shard.num_elements for shard in shards),
        "shards": [vars(shard) for shard in shards],
    }
    write_text(Path(folder) / MANIFEST, json.dumps(content, indent=2) + "\n")


class _ArrowReader:
    """Like `GroupReader`, of a file that another program wrote."""

    def __init__(self, path: Path, file: pq.ParquetFile) -> None:
        self._path, self._file = path, file
        self._names = [name for name in file.schema_arrow.names if name in schema.DATASET.columns]
        metadata = file.metadata
        self.group_offsets = offsets_from_counts(np.array([metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)], dtype=np.int64))

    def close(self) -> None:
        self._file.close()

    def read(self, groups: Sequence[int], names: Container[str] | None = None) -> Events:
        wanted = [name for name in self._names if names is None or name in names]
        return table_to_events(self._file.read_row_groups(list(groups), columns=wanted), source=str(self._path))


def _open_shard(path: Path) -> GroupReader | _ArrowReader:
    file = pq.ParquetFile(path)
    if not can_read(file.metadata):
        return _ArrowReader(path, file)
    with file:
        return GroupReader(path, file.metadata, file.schema_arrow.names, schema.DATASET)


class ShardedDataset:
    """A dataset folder, opened for reading.

    Attributes:
        path: the folder.
        manifest: content of `manifest.json`.
        shards: its Parquet files.

    Raises:
        DatasetError: no manifest, another schema version, a missing shard; with ``verify``, also a shard whose content changed.
    """

    def __init__(self, path: str | Path, verify: bool = False) -> None:
        self.path = Path(path)
        self.manifest = self._read_manifest()
        self._files: dict[int, GroupReader | _ArrowReader] = {}
        self._group_offsets: dict[int, np.ndarray] = {}
        try:
            self.shards = [Shard(**{key: shard[key] for key in Shard.__dataclass_fields__}) for shard in self.manifest["shards"]]
        except (KeyError, TypeError) as error:
            raise DatasetError(f"{self.path / MANIFEST}: its list of shards is damaged; make the dataset again with mlpf postprocess") from error
        for shard in self.shards:
            if not (self.path / shard.name).is_file():
                raise DatasetError(f"{self.path}: shard {shard.name} is listed in {MANIFEST} but missing; make the dataset again with mlpf postprocess")
            if verify and sha256(self.path / shard.name) != shard.sha256:
                raise DatasetError(f"{self.path}: shard {shard.name} differs from its checksum in {MANIFEST}; make the dataset again with mlpf postprocess")

    def _read_manifest(self) -> dict[str, Any]:
        path = self.path / MANIFEST
        try:
            manifest = json.loads(path.read_text())
        except OSError as error:
            raise DatasetError(f"{self.path}: not a dataset, {MANIFEST} cannot be read ({error.strerror}); mlpf postprocess makes one of ntuples") from error
        except (ValueError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: not valid JSON ({error})") from error
        if not isinstance(manifest, dict) or "shards" not in manifest:
            raise DatasetError(f"{path}: lists no shards; make the dataset again with mlpf postprocess")
        if manifest.get("schema_digest") != schema.digest():
            raise DatasetError(
                f"{path}: made with schema {manifest.get('schema_version')} ({manifest.get('schema_digest')}), this library reads "
                f"{schema.SCHEMA_VERSION} ({schema.digest()}); make the dataset again with mlpf postprocess"
            )
        return manifest

    def __len__(self) -> int:
        return sum(shard.num_events for shard in self.shards)

    def shard_path(self, shard: int) -> Path:
        """The file of a shard."""
        return self.path / self.shards[shard].name

    @cached_property
    def shard_offsets(self) -> np.ndarray:
        """``(S + 1,) int64``: number in the dataset of the first event of each shard, and of the first that is not there."""
        return offsets_from_counts(np.array([shard.num_events for shard in self.shards], dtype=np.int64))

    def iterate(self, columns: Sequence[str] | None = None, groups_per_chunk: int = 8) -> Iterator[Events]:
        """Stream the events in order, some row groups at a time; ``first_entry`` of a chunk counts events of the whole dataset."""
        for shard in range(len(self.shards)):
            num_groups = len(self.group_offsets(shard)) - 1
            for first in range(0, num_groups, groups_per_chunk):
                yield self.read_groups(shard, range(first, min(first + groups_per_chunk, num_groups)), columns)

    def read_range(self, start: int, stop: int, columns: Sequence[str] | None = None) -> Iterator[Events]:
        """Events ``start`` to ``stop``, those of every shard at once; no row group is read that holds none of them."""
        offsets = self.shard_offsets
        for shard in range(len(self.shards)):
            if max(start, offsets[shard]) < min(stop, offsets[shard + 1]):
                edges = offsets[shard] + self.group_offsets(shard)
                groups = np.flatnonzero((edges[:-1] < stop) & (edges[1:] > start)).tolist()
                if groups:  # none where the shard holds less than the manifest says
                    first, last = int(edges[groups[0]]), int(edges[groups[-1] + 1])
                    yield self.read_groups(shard, groups, columns).slice(max(start, first) - first, min(stop, last) - first)

    def read(self, columns: Sequence[str] | None = None) -> Events:
        """All events at once."""
        if not self.shards:
            raise DatasetError(f"{self.path}: holds no shards")
        shards = [self.read_groups(shard, range(len(self.group_offsets(shard)) - 1), columns) for shard in range(len(self.shards))]
        return concatenate(shards, str(self.path))

    def group_offsets(self, shard: int) -> np.ndarray:
        """``(G + 1,) int64``: row in the shard of the first event of each of its G row groups, and of the first that is not there."""
        if shard not in self._group_offsets:  # also of shards that are no longer open
            self._group_offsets[shard] = self._open(shard).group_offsets
        return self._group_offsets[shard]

    def read_groups(self, shard: int, groups: Sequence[int], columns: Sequence[str] | None = None) -> Events:
        """Events of some row groups of a shard, in the order of ``groups``; ``first_entry`` is the number in the dataset of the first.

        Args:
            shard: position in `shards`.
            groups: row groups of it, counted from 0.
            columns: what to read, all if none are given; names that the shard lacks are passed over.

        Raises:
            DatasetError: the shard is damaged.
        """
        reader = self._open(shard)
        with self._naming_damage(shard, "damaged row group"):
            events = reader.read(groups, None if columns is None else set(columns))
        events.first_entry = int(self.shard_offsets[shard] + (reader.group_offsets[groups[0]] if len(groups) else 0))
        return events

    @contextmanager
    def _naming_damage(self, shard: int, problem: str) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, cramjam.DecompressionError, ValueError, OSError) as error:
            raise DatasetError(f"{self.shard_path(shard)}: {problem} ({' '.join(str(error).split())[:200]})") from error

    def _open(self, shard: int) -> GroupReader | _ArrowReader:
        """Open shards stay open, the last few: parsing what stands at a shard's end takes longer than reading a row group."""
        if shard not in self._files:
            while len(self._files) >= MAX_OPEN_SHARDS:
                self._files.pop(next(iter(self._files))).close()
            with self._naming_damage(shard, "not readable as Parquet, damaged or truncated?"):
                self._files[shard] = _open_shard(self.shard_path(shard))
        return self._files[shard]

    def keep_open(self, shards: Container[int]) -> None:
        """Close all shards but these, if they are open."""
        for shard in [shard for shard in self._files if shard not in shards]:
            self._files.pop(shard).close()

    def __getstate__(self) -> dict[str, Any]:
        """Open files do not travel to other processes."""
        return {**self.__dict__, "_files": {}}


def fingerprint(*datasets: ShardedDataset) -> str:
    """16 hex digits that change whenever a shard's content does, in any of the datasets."""
    return hashlib.sha256("".join(shard.sha256 for dataset in datasets for shard in dataset.shards).encode()).hexdigest()[:16]
