"""Samples: which files they are made of, and what passes their cuts."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from mlpf import schema
from mlpf.errors import MlpfError, nearest
from mlpf.events import Events
from mlpf.plotting.columns.config import PlotConfig, SampleConfig
from mlpf.plotting.columns.sources import CHUNK_BYTES, open_source
from mlpf.schema import Layout
from mlpf.selection import Selection, collection_of, column_values, counted_by, multiplicities, select

SURVEY_BLOCKS = 8  # places of a sample that are looked at to choose bins
SURVEY_EVENTS = 128  # at each of them, at most
SURVEY_VALUES = 50_000  # of each column and sample that are kept
WEIGHT = "weight"
LAYOUTS = {layout.name: layout for layout in (schema.NTUPLE, schema.DATASET, schema.CANDIDATES)}


@dataclass(frozen=True)
class Sample:
    """One sample, ready to be read; travels to other processes.

    Attributes:
        name: what the legend calls it.
        paths: its files or datasets, all of one layout.
        num_events: of each path that are used.
        cuts: all that apply.
        layout_name: name of its layout.
        columns: those that all paths have, with ``num_<collection>``.
        weighted: events count their weight.
    """

    name: str
    paths: tuple[Path, ...]
    num_events: tuple[int, ...]
    cuts: tuple[str, ...]
    layout_name: str
    columns: frozenset[str]
    weighted: bool

    @property
    def layout(self) -> Layout:
        """What the columns are."""
        return LAYOUTS[self.layout_name]

    def selections(self) -> list[Selection]:
        """The cuts, parsed.

        Raises:
            MlpfError: a cut is wrong, or needs a column that the sample lacks.
        """
        selections = []
        for cut in self.cuts:
            selection = Selection.parse(cut, self.layout)
            missing = sorted(selection.needs - self.columns)
            if missing:
                raise MlpfError(f"sample '{self.name}': cut '{cut}': {self.paths[0]} has no column {missing[0]}{nearest(missing[0], self.columns)}")
            selections.append(selection)
        return selections

    def cuts_on(self, column: str) -> list[str]:
        """Cuts that change which entries of a column there are."""
        own = counted_by(column, self.layout) or collection_of(column, self.layout)
        return [selection.text for selection in self.selections() if selection.collection in (None, own)]

    def to_read(self, columns: Sequence[str]) -> list[str]:
        """Columns of the file that give these ones, the cuts and the weights; for a number of entries, any column of the collection."""
        needed = {WEIGHT} if self.weighted else set[str]()
        for column in {*columns, *(name for selection in self.selections() for name in selection.needs)}:
            counted = counted_by(column, self.layout)
            needed.add(column if counted is None else next(name for name in self.layout.names(counted) if name in self.columns))
        return [name for name in self.layout.columns if name in needed]


def open_samples(config: PlotConfig) -> list[Sample]:
    """Look into the files of all samples.

    Raises:
        MlpfError: a file is missing or cannot be read, a sample mixes layouts, holds no events or has a wrong cut.
    """
    if not config.samples:
        raise MlpfError("no samples; give files or datasets, or name some in section 'plot' of a parameter file")
    samples = [_open_sample(sample, config) for sample in config.samples]
    if config.weighted and not any(sample.weighted for sample in samples):
        raise MlpfError(f"no sample has the column '{WEIGHT}'; plot without weights, or let mlpf mix calculate some (calc_weights)")
    return samples


def _open_sample(config: SampleConfig, plot: PlotConfig) -> Sample:
    paths = tuple(path for pattern in config.path for path in _matching(pattern))
    repeated = next((path for path in paths if paths.count(path) > 1), None)
    if repeated:
        raise MlpfError(f"sample '{config.name}': {repeated} is there twice; its events would count twice")
    layout, columns, numbers, left = "", frozenset[str](), [], plot.events
    for path in paths:
        with open_source(path) as source:
            found = frozenset((*source.columns, *(name for name in multiplicities(source.layout) if _has_any(source.layout, name, source.columns))))
            if layout not in ("", source.layout.name):
                raise MlpfError(
                    f"sample '{config.name}': {path} has the columns of a {source.layout.name}, {paths[0]} those of a {layout}; name them differently"
                )
            columns = found if not layout else columns & found
            layout = source.layout.name
            numbers.append(source.num_events if left is None else min(left, source.num_events))
            left = None if left is None else left - numbers[-1]
    if not sum(numbers):
        raise MlpfError(f"sample '{config.name}': {paths[0]} holds no events")
    sample = Sample(config.name, paths, tuple(numbers), (*plot.cut, *config.cut), layout, columns, plot.weighted and WEIGHT in columns)
    sample.selections()  # a wrong cut is an error before anything is read
    return sample


def _has_any(layout: Layout, multiplicity: str, columns: Sequence[str]) -> bool:
    counted = counted_by(multiplicity, layout)
    return counted is not None and any(name in columns for name in layout.names(counted))


def _matching(pattern: str) -> list[Path]:
    """A path, or those that a pattern stands for."""
    found = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH110, PTH207  a Path fails at long names, "**.root"
    if not found:
        raise MlpfError(f"{pattern}: no such file or folder")
    return list(map(Path, found))


@dataclass(frozen=True)
class Part:
    """Some events of a sample, to be counted; travels to another process."""

    sample: Sample
    path: Path
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.path}: events {self.start} to {self.stop}"

    def events(self, columns: Sequence[str]) -> Iterator[Events]:
        """What passes the cuts, in pieces."""
        selections = self.sample.selections()
        with open_source(self.path) as source:
            for events in source.read(self.sample.to_read(columns), self.start, self.stop):
                yield select(events, selections)


def parts(sample: Sample, columns: Sequence[str]) -> list[Part]:
    """All events of a sample, in parts of about `CHUNK_BYTES`."""
    found = []
    for path, num_events in zip(sample.paths, sample.num_events, strict=True):
        with open_source(path) as source:
            ranges = source.chunks(sample.to_read(columns), CHUNK_BYTES)
        found += [Part(sample, path, start, min(stop, num_events)) for start, stop in ranges if start < num_events]
    return found


def survey(sample: Sample, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Some values of each column: of events from several places of the sample, of all events where cuts leave almost nothing there."""
    whole = parts(sample, columns)
    blocks = [block for part in whole for block in _blocks(part)]
    spread = [blocks[i] for i in np.unique(np.linspace(0, len(blocks) - 1, SURVEY_BLOCKS).astype(int))]
    found, num_events = _gather(spread, columns)
    if num_events < SURVEY_EVENTS and len(spread) < len(blocks):
        found, _ = _gather(whole, columns)
    return {column: np.concatenate(values) for column, values in found.items()}


def _blocks(part: Part) -> list[Part]:
    edges = [*range(part.start, part.stop, SURVEY_EVENTS), part.stop]
    return [Part(part.sample, part.path, start, stop) for start, stop in pairwise(edges)]


def _gather(chosen: Sequence[Part], columns: Sequence[str]) -> tuple[dict[str, list[np.ndarray]], int]:
    found: dict[str, list[np.ndarray]] = {column: [np.zeros(0)] for column in columns}
    kept, num_events = max(SURVEY_VALUES // len(chosen), 1), 0
    for part in chosen:
        for events in part.events(columns):
            num_events += len(events)
            for column in columns:
                values = column_values(events, column)
                found[column].append(values[:: max(-(-len(values) // kept), 1)].copy())  # a view would keep all of it
    return found, num_events
