"""Jagged columns of one file or chunk: flat arrays and offsets.

Columns of one collection (see `schema.Layout`) share one array of offsets; the values of event ``i`` are ``column[offsets[i]:offsets[i + 1]]``. Indices inside
columns (links) count from the start of their event.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mlpf import schema
from mlpf.errors import NtupleError, nearest


class Events:
    """Events as flat columns.

    Args:
        columns: column name -> flat array; columns of one collection have equal length. Scalar collections hold one value per event.
        offsets: collection name -> ``(B + 1,) int64``, starting at 0, never decreasing; scalar collections have none.
        num_events: B.
        source: where the events come from, for messages.
        first_entry: tree entry (dataset row) of the first event.
        layout: what the columns are, an ntuple's or a dataset's.
    """

    def __init__(
        self,
        columns: Mapping[str, np.ndarray],
        offsets: Mapping[str, np.ndarray],
        num_events: int,
        source: str = "events",
        first_entry: int = 0,
        layout: schema.Layout = schema.NTUPLE,
    ) -> None:
        self.layout = layout
        self.columns = {name: np.ascontiguousarray(values, dtype=layout.dtype(name)) for name, values in columns.items()}
        self.offsets = {name: np.ascontiguousarray(values, dtype=np.int64) for name, values in offsets.items()}
        self.num_events = num_events
        self.source = source
        self.first_entry = first_entry
        for name, values in self.columns.items():
            expected = num_events if self.layout.is_scalar(name) else int(self.offsets[self.layout.collection_of[name]][-1])
            assert len(values) == expected, f"{name}: {len(values)} values, {expected} by the offsets"

    def __len__(self) -> int:
        return self.num_events

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def __getitem__(self, column: str) -> np.ndarray:
        """Flat values of a column; zeros where the file had none (`__contains__` tells)."""
        if column in self.columns:
            return self.columns[column]
        if column not in self.layout.columns:
            raise KeyError(f"no column '{column}' in the {self.layout.name} schema{nearest(column, self.layout.columns)}")
        size = self.num_events if self.layout.is_scalar(column) else self.size(self.layout.collection_of[column])
        return np.zeros(size, dtype=self.layout.dtype(column))

    def collection_offsets(self, collection: str) -> np.ndarray:
        """``(B + 1,) int64`` offsets of a collection; all zero where the file lacks it."""
        if collection in self.offsets:
            return self.offsets[collection]
        return np.zeros(self.num_events + 1, dtype=np.int64)

    def counts(self, collection: str) -> np.ndarray:
        """``(B,) int64`` number of entries per event."""
        return np.diff(self.collection_offsets(collection))

    def size(self, collection: str) -> int:
        """Entries in all events together."""
        return int(self.collection_offsets(collection)[-1])

    def has(self, *columns: str) -> bool:
        """Whether all the columns were in the file."""
        return all(column in self.columns for column in columns)

    def slice(self, start: int, stop: int) -> "Events":
        """Events ``start`` to ``stop`` (views, nothing is copied)."""
        offsets = {name: values[start : stop + 1] - values[start] for name, values in self.offsets.items()}
        columns = {}
        for name, values in self.columns.items():
            if self.layout.is_scalar(name):
                columns[name] = values[start:stop]
            else:
                edges = self.offsets[self.layout.collection_of[name]]
                columns[name] = values[edges[start] : edges[stop]]
        return Events(columns, offsets, stop - start, self.source, self.first_entry + start, self.layout)

    def select(self, kept: np.ndarray) -> "Events":
        """The events whose entry of the ``(B,) bool`` mask is true (copies; entry numbers in messages then count the kept ones)."""
        offsets = {name: offsets_from_counts(self.counts(name)[kept]) for name in self.offsets}
        columns = {}
        for name, values in self.columns.items():
            scalar = self.layout.is_scalar(name)
            columns[name] = values[kept if scalar else np.repeat(kept, self.counts(self.layout.collection_of[name]))]
        return Events(columns, offsets, int(np.count_nonzero(kept)), self.source, self.first_entry, self.layout)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {self.size(name)}" for name in self.offsets)
        return f"Events({self.num_events} of {self.source}: {sizes})"

    def validate(self, columns: Iterable[str] | None = None) -> None:
        """Check that links point inside their events and element types are known.

        Args:
            columns: names to check; all that are present if none are given.

        Raises:
            NtupleError: names the source, event and column.
        """
        for name in self.columns if columns is None else columns:
            if name in schema.INDEX_TARGETS and name in self.columns:
                self._validate_index(name)
        types = self["element_type"]
        if len(types) and not (types.min() >= 0 and types.max() < schema.NUM_ELEMENT_TYPES):
            self._raise_first((types < 0) | (types >= schema.NUM_ELEMENT_TYPES), "element_type", "not a PF element type (0 to 11)")

    def _validate_index(self, name: str) -> None:
        values, target = self.columns[name], schema.INDEX_TARGETS[name]
        lowest = -1 if name in schema.OPTIONAL_INDICES else 0
        counts, limits = self.counts(self.layout.collection_of[name]), self.counts(target)
        filled = np.flatnonzero(counts)
        starts = self.offsets[self.layout.collection_of[name]][filled]
        if len(filled) and not (values.min() >= lowest and (np.maximum.reduceat(values, starts) < limits[filled]).all()):
            self._raise_first((values < lowest) | (values >= np.repeat(limits, counts)), name, f"points outside the event's {target}s")

    def _raise_first(self, bad: np.ndarray, name: str, problem: str) -> None:
        event, position = self.locate(name, int(np.argmax(bad)))
        raise NtupleError(f"{self.source}: event {event}: {name}[{position}] = {self.columns[name][np.argmax(bad)]} {problem} ({int(bad.sum())} such values)")

    def locate(self, column: str, flat_index: int) -> tuple[int, int]:
        """Tree entry and position inside the event of a flat index."""
        if self.layout.is_scalar(column):
            return self.first_entry + flat_index, 0
        edges = self.offsets[self.layout.collection_of[column]]
        event = int(np.searchsorted(edges, flat_index, side="right")) - 1
        return self.first_entry + event, flat_index - int(edges[event])

    def non_finite(self, columns: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Flat indices of NaN and infinite values, per float column that has any."""
        found = {}
        for name in self.columns if columns is None else columns:
            values = self[name]
            if values.dtype.kind == "f":
                finite = np.isfinite(values)
                if not finite.all():
                    found[name] = np.flatnonzero(~finite)
        return found

    def require_finite(self, columns: Sequence[str]) -> None:
        """Raise `NtupleError` for the first non-finite value in any of the columns."""
        for name, bad in self.non_finite(columns).items():
            event, position = self.locate(name, int(bad[0]))
            raise NtupleError(
                f"{self.source}: event {event}: {name}: {len(bad)} non-finite values (first at entry {position}); pass --nonfinite zero to replace them"
            )

    def require_non_negative(self, columns: Sequence[str]) -> None:
        """Raise `NtupleError` for the first value below 0 in any of the columns (NaN is not below 0)."""
        for name in columns:
            values = self[name]
            if len(values) and not values.min() >= 0:  # NaN, too, goes on to the exact check
                bad = values < 0
                if bad.any():
                    self._raise_first(bad, name, "is negative")

    def replace_non_finite(self, columns: Sequence[str]) -> "Events":
        """A copy in which non-finite values of the columns are 0."""
        replaced = {name: np.nan_to_num(self.columns[name], nan=0.0, posinf=0.0, neginf=0.0) for name in self.non_finite(columns)}
        return Events({**self.columns, **replaced}, self.offsets, self.num_events, self.source, self.first_entry, self.layout)

    def with_columns(self, columns: Mapping[str, np.ndarray], offsets: Mapping[str, np.ndarray] | None = None) -> "Events":
        """A copy with columns (and their collections' offsets) added or replaced."""
        return Events({**self.columns, **columns}, {**self.offsets, **(offsets or {})}, self.num_events, self.source, self.first_entry, self.layout)


def concatenate(chunks: Sequence[Events], source: str | None = None) -> Events:
    """Events of several chunks in order; every chunk must hold the same columns."""
    assert chunks, "nothing to concatenate"
    first = chunks[0]
    assert all(chunk.columns.keys() == first.columns.keys() for chunk in chunks), "chunks hold different columns"
    columns = {name: np.concatenate([chunk.columns[name] for chunk in chunks]) for name in first.columns}
    offsets = {name: offsets_from_counts(np.concatenate([chunk.counts(name) for chunk in chunks])) for name in first.offsets}
    return Events(columns, offsets, sum(len(chunk) for chunk in chunks), source or first.source, first.first_entry, first.layout)


def offsets_from_counts(counts: np.ndarray) -> np.ndarray:
    """``(B,)`` counts -> ``(B + 1,) int64`` offsets."""
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def event_index(offsets: np.ndarray) -> np.ndarray:
    """Event number (0 to B - 1) of every flat entry."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def index_in_event(offsets: np.ndarray) -> np.ndarray:
    """Position of every flat entry inside its event, from 0."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
