"""PFAnalysis ntuples: read every version in chunks of bounded memory, write the same tree.

Branches are found by name, whether they are C++ ``vector<float>`` and ``vector<pair<int, int>>`` (files from CMSSW) or arrays with counters (files from here).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path
from types import TracebackType

import awkward as ak
import numpy as np
import uproot

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.events import Events, concatenate, offsets_from_counts
from mlpf.io.baskets import BasketFile, Branch
from mlpf.io.files import atomic_file
from mlpf.io.root import open_root, reading, reading_metadata

COMPRESSION = uproot.ZSTD(5)  # LZMA makes files a seventh smaller, and takes twenty times as long
CHUNK_BYTES = 100_000_000  # uncompressed size of what one chunk holds; a few times this is the peak memory of a reader


class Ntuple:
    """One open ntuple file; use as a context manager.

    Attributes:
        path: the file.
        tree_path: where the tree was found.
        version: ``"2020"`` or ``"2026"``.
        uuid: what ROOT told this file from all others by when it was made.
        num_events: entries of the tree.
        branches: schema column -> path of its branch.

    Raises:
        NtupleError: the file cannot be read as ROOT, holds no such tree, or lacks a required branch.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = open_root(self.path)
        self._baskets = BasketFile(self.path, CHUNK_BYTES)
        self._opened: dict[str, Branch] = {}
        try:
            self._find_tree()
        except BaseException:
            self.close()
            raise

    def _find_tree(self) -> None:
        with reading_metadata(self.path):
            found = [name for name in schema.TREE_PATHS if name in self._file]
            if not found:
                known = ", ".join(self._file.keys(cycle=False)[:5]) or "nothing"
                raise NtupleError(f"{self.path}: no tree at {' or '.join(schema.TREE_PATHS)} (the file holds {known})")
            self.tree_path = found[0]
            self._tree = self._file[self.tree_path]
            if not isinstance(self._tree, uproot.TTree):
                raise NtupleError(f"{self.path}: {self.tree_path} is a {self._tree.classname}, not a TTree")
            self.uuid = str(self._file.file.uuid)
            self.num_events = int(self._tree.num_entries)
            self.branches = _find_branches(self._tree.keys(recursive=True))
        missing = [c.name for c in schema.NTUPLE.columns.values() if c.required and c.name not in self.branches]
        if missing:
            raise NtupleError(f"{self.path}: {self.tree_path}: needed branch '{missing[0]}' is missing; is this a PFAnalysis ntuple?")
        self.version = "2026" if "caloparticle_pt" in self.branches else "2020"

    def __enter__(self) -> "Ntuple":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._baskets.close()
        self._file.close()

    @property
    def missing(self) -> tuple[str, ...]:
        """Columns of this version's schema that the file lacks."""
        return tuple(c.name for c in schema.NTUPLE.columns.values() if self.version in c.versions and c.name not in self.branches)

    def parts(self, columns: Sequence[str], part_bytes: int) -> list[tuple[int, int]]:
        """Ranges of events that together are the file, of about ``part_bytes`` of uncompressed columns each; they depend on the file alone.

        Ranges end where baskets of all columns end, unless baskets are larger than that. Columns that the file lacks are left out.

        Raises:
            NtupleError: a column's baskets do not hold the tree's events.
        """
        return self._ranges([name for name in columns if name in self.branches], part_bytes, 0, self.num_events)

    def iterate(self, columns: Sequence[str] | None = None, chunk_bytes: int = CHUNK_BYTES, stop: int | None = None, start: int = 0) -> Iterator[Events]:
        """Stream the file in order.

        Args:
            columns: schema columns to read; those that the file lacks are skipped. None: all.
            chunk_bytes: uncompressed size of one chunk.
            stop: read only the first events.
            start: leave out the first events.

        Raises:
            NtupleError: a basket cannot be read, or columns of one collection disagree in length.
        """
        wanted = [name for name in (schema.NTUPLE.columns if columns is None else columns) if name in self.branches]
        end = self.num_events if stop is None else min(stop, self.num_events)
        for first, last in self._ranges(wanted, chunk_bytes, start, end):
            branches = {name: self._branch(name) for name in wanted}
            yield _read_columns(branches, self._baskets, schema.NTUPLE, self.path, first, last)

    def _ranges(self, columns: Sequence[str], size: int, start: int, stop: int) -> list[tuple[int, int]]:
        """Cut ``start`` to ``stop`` into ranges of about ``size`` bytes, at ends of baskets if there are some near enough, else evenly."""
        branches = [self._branch(name) for name in columns]
        num_bytes = sum(branch.total_bytes for branch in branches)
        step = max(1, self.num_events * size // max(num_bytes, 1))
        ends = reduce(np.intersect1d, (branch.edges for branch in branches)) if branches else np.zeros(0, np.int64)
        ends = np.append(ends[(ends > start) & (ends < stop)], stop)
        ranges = []
        while start < stop:
            reached = int(np.searchsorted(ends, start + step, side="right"))
            if reached and ends[reached - 1] > start:
                end = int(ends[reached - 1])
            else:  # the next end of all baskets is too far away
                distance = int(ends[reached]) - start
                end = start + -(-distance // -(-distance // step))
            ranges.append((start, end))
            start = end
        return ranges

    def _branch(self, column: str) -> Branch:
        if column not in self._opened:
            self._opened[column] = _open_branch(self._tree, column, self.branches[column], self.path, self.num_events)
        return self._opened[column]


def read_ntuple(path: str | Path, columns: Sequence[str] | None = None, stop: int | None = None) -> Events:
    """All events of a file at once; see `Ntuple.iterate` for files larger than memory."""
    with Ntuple(path) as ntuple:
        chunks = list(ntuple.iterate(columns, stop=stop))
        if chunks:
            return concatenate(chunks)
        present = [name for name in (schema.NTUPLE.columns if columns is None else columns) if name in ntuple.branches]
        return empty_events(present, str(path))


def holds_candidates(path: str | Path) -> bool:
    """Whether a ROOT file holds candidates that `mlpf produce` wrote rather than an ntuple."""
    with open_root(Path(path)) as file, reading_metadata(Path(path)):
        return schema.CANDIDATES_TREE in file


def read_candidates(path: str | Path) -> Events:
    """Candidates (`schema.CANDIDATES`) that `mlpf produce` wrote to a ROOT file.

    Raises:
        NtupleError: the file cannot be read, or holds none.
    """
    if not holds_candidates(path):
        raise NtupleError(f"{path}: holds no candidates of mlpf ({schema.CANDIDATES_TREE}); make them with mlpf produce")
    with open_root(Path(path)) as file, reading(Path(path)):
        tree = file[schema.CANDIDATES_TREE]
        num_events = int(tree.num_entries)
        branches = {name: _open_branch(tree, name, name, Path(path), num_events) for name in schema.CANDIDATES.columns}
        with closing(BasketFile(Path(path), 0)) as baskets:
            return _read_columns(branches, baskets, schema.CANDIDATES, Path(path), 0, num_events)


def empty_events(columns: Sequence[str], source: str = "events") -> Events:
    """No events, but with the columns."""
    jagged = {schema.NTUPLE.collection_of[name] for name in columns if not schema.NTUPLE.is_scalar(name)}
    return Events({name: np.zeros(0) for name in columns}, {name: np.zeros(1) for name in jagged}, 0, source)


def write_ntuple(
    path: str | Path, chunks: Iterable[Events], tree_path: str = schema.TREE_PATHS[0], compression: uproot.compression.Compression = COMPRESSION
) -> int:
    """Write chunks of events as a TTree of arrays with counters (one counter per collection).

    Every chunk must hold the same columns. Nothing is left under ``path`` unless all chunks were written.

    Returns:
        number of events.
    """
    num_events = 0
    with atomic_file(path) as temporary, uproot.recreate(temporary, compression=compression) as file:
        tree = None
        for chunk in chunks:
            if tree is None:
                tree = file.mktree(tree_path, _branch_types(chunk), counter_name=_counter_name, field_name=_field_name)
            if len(chunk):
                tree.extend(_branch_arrays(chunk))
            num_events += len(chunk)
        if tree is None:
            raise NtupleError(f"{path}: nothing to write, not even an empty chunk")
    return num_events


def _open_branch(tree: uproot.TTree, column: str, path: str, file: Path, num_events: int) -> Branch:
    with reading_metadata(file, column):
        stem, _, member = column.rpartition(".")
        branch = Branch(tree[path], member if stem and path.rpartition("/")[2] == stem else "")
    if branch.edges[-1] != num_events:
        raise NtupleError(f"{file}: {column}: {branch.edges[-1]} entries, the tree has {num_events}, damaged?")
    return branch


def _read_columns(branches: dict[str, Branch], baskets: BasketFile, layout: schema.Layout, path: Path, start: int, stop: int) -> Events:
    """Flat columns of some events; branches of one collection must agree in length."""
    columns: dict[str, np.ndarray] = {}
    counts_of: dict[str, np.ndarray] = {}
    offsets: dict[str, np.ndarray] = {}
    for name, branch in branches.items():
        collection = layout.collection_of[name]
        known = counts_of.get(collection)
        with reading(path, f"events {start} to {stop - 1}: {name}"):
            values, counts = branch.read(baskets, start, stop, 0 if known is None else int(offsets[collection][-1]))
            columns[name] = _convert(values, layout.dtype(name))
            if (counts is None) != layout.is_scalar(name):
                raise ValueError("a list per event" if counts is not None else "one value per event")
        if counts is None:
            continue
        if known is None:
            counts_of[collection] = counts
            offsets[collection] = offsets_from_counts(counts)
        elif not np.array_equal(known, counts):
            event = int(np.argmax(known != counts))
            numbers = f"{counts[event]} values, the other {collection} branches have {known[event]}"
            raise NtupleError(f"{path}: event {start + event}: {name}: {numbers}")
    return Events(columns, offsets, stop - start, str(path), start, layout)


def _convert(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in the type that the schema wants, integers only if they are the same number in it; real ones too large become infinite."""
    if values.dtype == dtype:
        return values
    with np.errstate(invalid="ignore", over="ignore"):
        converted = values.astype(dtype)
    wrong = converted != values
    if dtype.kind != "f" and wrong.any():
        raise ValueError(f"{values[wrong][0]} is no integer that {dtype} holds")
    return converted


def _find_branches(keys: Iterable[str]) -> dict[str, str]:
    """Schema column -> branch path, for split and unsplit vectors of pairs alike."""
    by_name = {key.rpartition("/")[2]: key for key in keys}
    branches = {}
    for column in schema.NTUPLE.columns:
        stem = column.rpartition(".")[0]
        found = by_name.get(column) or by_name.get(stem)
        if found is not None:
            branches[column] = found
    return branches


def _tree_dtype(layout: schema.Layout, name: str) -> np.dtype:
    column = layout.columns[name]
    return np.dtype(column.tree_dtype or column.dtype)


def _counter_name(collection: str) -> str:
    return f"n{collection}"


def _field_name(collection: str, field: str) -> str:
    return f"{collection}{field}"


def _branch_types(events: Events) -> dict[str, object]:
    arrays = _branch_arrays(events.slice(0, 0))
    return {name: array.dtype if isinstance(array, np.ndarray) else array.type.content for name, array in arrays.items()}


def _branch_arrays(events: Events) -> dict[str, ak.Array | np.ndarray]:
    """What `uproot` writes: a record per jagged collection, whose fields are column names without the collection's."""
    arrays: dict[str, ak.Array | np.ndarray] = {}
    for name, collection in events.layout.collections.items():
        values = {c.name: events[c.name].astype(_tree_dtype(events.layout, c.name), copy=False) for c in collection.columns if c.name in events}
        if collection.scalar:
            arrays.update(values)
        elif values:
            fields = [column.removeprefix(name) for column in values]
            record = ak.contents.RecordArray([ak.contents.NumpyArray(v) for v in values.values()], fields)
            arrays[name] = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(events.offsets[name]), record))
    return arrays
