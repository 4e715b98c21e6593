"""Samples in, a folder of figures out: looks for the range of every column, counts, draws."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mlpf import schema
from mlpf.errors import ConfigError, MlpfError, nearest
from mlpf.io.files import atomic_directory, check_replaceable, write_text
from mlpf.io.workers import map_in_order
from mlpf.plotting.columns.binning import Binning, choose_binning, explicit
from mlpf.plotting.columns.config import PlotConfig
from mlpf.plotting.columns.counting import Counted, CountTask, count
from mlpf.plotting.columns.drawing import DrawTask, draw
from mlpf.plotting.columns.figures import Described, Drawn
from mlpf.plotting.columns.gallery import Entry, write_gallery
from mlpf.plotting.columns.samples import Sample, open_samples, parts, survey
from mlpf.selection import collection_of, counted_by

HISTOGRAMS = "histograms.json"
DEFAULT_PAIRS = (
    ("element_eta", "element_phi"),
    ("element_eta", "element_pt"),
    ("element_type", "target_class"),
    ("target_class", "candidate_class"),
    ("element_pt", "target_pt"),
    ("caloparticle_eta", "caloparticle_pt"),
    ("particle_eta", "particle_pt"),
    ("genjet_eta", "genjet_pt"),
    ("mlpfcandidate_eta", "mlpfcandidate_pt"),
    ("num_element", "genmet_pt"),
)
"""Drawn where all samples have them, unless a parameter file or the command line names others."""
EVENT_GROUP = "event"
BOOKKEEPING = (*schema.IDENTITY, "source")
"""Last of the columns of events."""
Progress = Callable[[str, int, int], None]
Format = Literal["png", "pdf", "svg"]


@dataclass(frozen=True)
class Report:
    """What was done.

    Attributes:
        samples: what was drawn, the first is the reference.
        num_events, num_selected: events read per sample, and those that passed its cuts.
        figures: files of figures.
        empty: columns without finite values.
        not_finite: NaN and infinite values per column that has some, of all samples.
    """

    samples: tuple[Sample, ...]
    num_events: tuple[int, ...]
    num_selected: tuple[int, ...]
    figures: tuple[str, ...]
    empty: tuple[str, ...]
    not_finite: dict[str, int]


def plot_columns(
    config: PlotConfig, output: str | Path, file_format: Format = "png", jobs: int = 1, overwrite: bool = False, on_progress: Progress | None = None
) -> Report:
    """Draw every column of some samples, and some pairs.

    Args:
        config: what, of which samples.
        output: folder to make: a figure per column and pair, ``index.html``, ``histograms.json``.
        file_format: of the figures; PNG, which the page shows, are made in any case.
        jobs: processes.
        overwrite: replace an earlier one.
        on_progress: called with what is being done, how much of it is done, and how much there is.

    Raises:
        MlpfError: unusable samples, columns that no sample has, cuts that are wrong or leave nothing.
    """
    if overwrite:
        check_replaceable(output, HISTOGRAMS)
    samples = open_samples(config)
    columns = choose_columns(samples, config)
    pairs = choose_pairs(samples, config, columns)
    with atomic_directory(output, overwrite) as folder:
        show = on_progress or (lambda *_: None)
        binnings = _choose_binnings(samples, columns, pairs, config)
        counted = _count(samples, columns, pairs, binnings, jobs, show)
        _require_entries(samples, counted)
        described = {name: describe(name, samples) for name in {*columns, *(name for pair in pairs for name in pair)}}
        tasks = _draw_tasks(samples, counted, described, config, folder, file_format)
        total = len(tasks)
        for done, _ in enumerate(map_in_order(draw, tasks, jobs), 1):
            show("figures", done, total)
        empty = tuple(column for column in columns if column not in binnings)
        _write_json(folder, samples, counted, described, binnings, config)
        report = _report(samples, counted, tasks, empty)
        write_gallery(folder, "Columns of " + ", ".join(sample.name for sample in samples), _entries(tasks), _about(samples, counted), _notes(report, config))
    return report


def choose_columns(samples: Sequence[Sample], config: PlotConfig) -> list[str]:
    """Columns of any sample that match the patterns, in the order of the layouts.

    Raises:
        MlpfError: a pattern matches none.
    """
    order = dict.fromkeys(name for layout in (schema.DATASET, schema.NTUPLE, schema.CANDIDATES) for name in _with_multiplicities(layout))
    there = set().union(*(sample.columns for sample in samples))
    for pattern in config.columns:
        if not any(fnmatchcase(name, pattern) for name in there):
            raise MlpfError(f"no sample has a column '{pattern}'{nearest(pattern, there)}")
    for name in config.binnings:
        if name not in order:
            raise ConfigError(f"binnings: no column '{name}'{nearest(name, order)}")
    return [name for name in order if name in there and any(fnmatchcase(name, pattern) for pattern in config.columns)]


def _with_multiplicities(layout: schema.Layout) -> list[str]:
    """All columns; before those of a collection, its number of entries."""
    return [
        name
        for collection in layout.collections
        for name in (f"num_{collection}", *layout.names(collection))
        if name in layout.columns or counted_by(name, layout) is not None
    ]


def choose_pairs(samples: Sequence[Sample], config: PlotConfig, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs that were asked for; else those by default whose columns are drawn.

    Raises:
        MlpfError: no sample has both columns, or they are of different collections.
    """
    if config.pairs is None:
        return [pair for pair in DEFAULT_PAIRS if set(pair) <= set(columns) and any(set(pair) <= sample.columns for sample in samples)]
    for pair in config.pairs:
        there = set().union(*(sample.columns for sample in samples))
        for column in pair:
            if column not in there:
                raise MlpfError(f"pair {':'.join(pair)}: no sample has a column '{column}'{nearest(column, there)}")
        holding = [sample for sample in samples if set(pair) <= sample.columns]
        if not holding:
            raise MlpfError(f"pair {':'.join(pair)}: no sample has both columns")
        collections = {collection_of(column, sample.layout) for sample in holding for column in pair} - {None}
        if len(collections) > 1:
            raise MlpfError(f"pair {':'.join(pair)}: {' and '.join(sorted(map(str, collections)))} have different entries; take two columns of one collection")
    return list(dict.fromkeys(config.pairs))


def _choose_binnings(samples: Sequence[Sample], columns: Sequence[str], pairs: Sequence[tuple[str, str]], config: PlotConfig) -> dict[str, Binning]:
    """Bins of all columns that have finite values."""
    wanted = list(dict.fromkeys([*columns, *(name for pair in pairs for name in pair)]))
    unknown = [name for name in wanted if name not in config.binnings]
    found: dict[str, list[np.ndarray]] = {name: [] for name in unknown}
    for sample in samples:
        for name, values in survey(sample, [name for name in unknown if name in sample.columns]).items():
            found[name].append(values)
    binnings = {name: explicit(config.binnings[name]) for name in wanted if name in config.binnings}
    for name, of_samples in found.items():
        binning = choose_binning(name, np.concatenate(of_samples), config.log != "never")
        if binning is not None:
            binnings[name] = binning
    return binnings


def _count(
    samples: Sequence[Sample], columns: Sequence[str], pairs: Sequence[tuple[str, str]], binnings: dict[str, Binning], jobs: int, show: Progress
) -> list[Counted]:
    tasks, owners, counted = [], [], []
    for i, sample in enumerate(samples):
        own = tuple(name for name in columns if name in sample.columns and name in binnings)
        own_pairs = tuple(pair for pair in pairs if set(pair) <= sample.columns and set(pair) <= binnings.keys())
        used = {name: binnings[name] for name in {*own, *(name for pair in own_pairs for name in pair)}}
        counted.append(Counted.empty(used, own, own_pairs))
        for part in parts(sample, list(used)):
            tasks.append(CountTask(part, used, own, own_pairs))
            owners.append(i)
    total = sum(task.part.stop - task.part.start for task in tasks)
    for i, result in zip(owners, map_in_order(count, tasks, jobs), strict=True):
        counted[i].add(result)
        show("events", sum(sample.num_events for sample in counted), total)
    return counted


def _require_entries(samples: Sequence[Sample], counted: Sequence[Counted]) -> None:
    """A cut that leaves nothing is a mistake."""
    for sample, result in zip(samples, counted, strict=True):
        for selection in sample.selections():
            if not (result.num_selected if selection.collection is None else result.num_entries[selection.collection]):
                what = selection.collection or "events"
                raise MlpfError(f"sample '{sample.name}': cut '{' and '.join(sample.cuts)}' leaves no {what} in {result.num_events} events; loosen it")


def describe(name: str, samples: Sequence[Sample]) -> Described:
    """What is known of a column, from the layout of the first sample that has it."""
    layout = next(sample.layout for sample in samples if name in sample.columns)
    counted = counted_by(name, layout)
    if counted is not None:
        return Described(name, EVENT_GROUP, "", f"number of entries of {counted} per event")
    column, prefix = layout.columns[name], name.partition("_")[0]
    group = prefix if prefix in ("target", "candidate") else layout.collection_of[name]
    meaning = "" if column.meaning == name.removeprefix(f"{prefix}_") else column.meaning
    return Described(name, EVENT_GROUP if collection_of(name, layout) is None else group, column.unit, meaning)


def _draw_tasks(
    samples: Sequence[Sample], counted: Sequence[Counted], described: dict[str, Described], config: PlotConfig, folder: Path, file_format: Format
) -> list[DrawTask]:
    """Figures of columns, in the order of their groups, then those of pairs."""

    def task(names: tuple[str, ...], histograms: dict[int, Any]) -> DrawTask:
        of_samples = {
            Drawn(samples[i].name, tuple(dict.fromkeys(cut for name in names for cut in samples[i].cuts_on(name))), counted[i].num_selected, i): histogram
            for i, histogram in histograms.items()
        }
        return DrawTask(tuple(described[name] for name in names), of_samples, config.normalise, config.log, folder, file_format)

    columns = dict.fromkeys(name for result in counted for name in result.columns)
    groups = [EVENT_GROUP, *(described[name].group for name in columns)]
    ordered = sorted(columns, key=lambda name: (groups.index(described[name].group), name in BOOKKEEPING))
    pairs = dict.fromkeys(pair for result in counted for pair in result.pairs)
    return [task((name,), {i: result.columns[name] for i, result in enumerate(counted) if name in result.columns}) for name in ordered] + [
        task(pair, {i: result.pairs[pair] for i, result in enumerate(counted) if pair in result.pairs}) for pair in pairs
    ]


def _report(samples: Sequence[Sample], counted: Sequence[Counted], tasks: Sequence[DrawTask], empty: tuple[str, ...]) -> Report:
    not_finite: dict[str, int] = {}
    for result in counted:
        for name, histogram in result.columns.items():
            if histogram.not_finite:
                not_finite[name] = not_finite.get(name, 0) + histogram.not_finite
    return Report(
        tuple(samples),
        tuple(result.num_events for result in counted),
        tuple(result.num_selected for result in counted),
        tuple(task.file for task in tasks),
        empty,
        not_finite,
    )


def _write_json(
    folder: Path, samples: Sequence[Sample], counted: Sequence[Counted], described: dict[str, Described], binnings: dict[str, Binning], config: PlotConfig
) -> None:
    """Counts of all samples; those of equal bins can be added up."""

    def of_column(name: str) -> dict[str, Any]:
        binning, column = binnings[name], described[name]
        content: dict[str, Any] = {"unit": column.unit, "meaning": column.meaning, "log": binning.log, "edges": binning.edges.tolist()}
        if binning.categories is not None:
            content["categories"] = {str(value): text for value, text in binning.categories.items()}
        return content | {"samples": {sample.name: of.columns[name].to_json() for sample, of in zip(samples, counted, strict=True) if name in of.columns}}

    pairs = dict.fromkeys(pair for result in counted for pair in result.pairs)
    content = {
        "samples": [
            {"name": sample.name, "files": list(map(str, sample.paths)), "cuts": sample.cuts, "events": result.num_events, "selected": result.num_selected}
            for sample, result in zip(samples, counted, strict=True)
        ],
        "normalise": config.normalise,
        "columns": {name: of_column(name) for name in binnings},
        "pairs": [
            {"x": x, "y": y, "samples": {sample.name: of.pairs[x, y].to_json() for sample, of in zip(samples, counted, strict=True) if (x, y) in of.pairs}}
            for x, y in pairs
        ],
    }
    write_text(folder / HISTOGRAMS, json.dumps(content) + "\n")


def _entries(tasks: Sequence[DrawTask]) -> list[Entry]:
    return [
        Entry(
            task.columns[0].group if len(task.columns) == 1 else "pairs",
            task.image,
            task.file,
            " ".join((task.stem, *(column.meaning for column in task.columns))),
            len(task.columns) > 1 and len(task.counted) > 1,
        )
        for task in tasks
    ]


def _about(samples: Sequence[Sample], counted: Sequence[Counted]) -> list[dict[str, str]]:
    return [
        {
            "sample": sample.name,
            "files": ", ".join(map(str, sample.paths)),
            "cuts": " and ".join(sample.cuts) or "none",
            "events": f"{result.num_events}" + (f", {result.num_selected} pass" if result.num_selected < result.num_events else ""),
        }
        for sample, result in zip(samples, counted, strict=True)
    ]


def _notes(report: Report, config: PlotConfig) -> list[str]:
    per = {"entries": "Shares of all finite entries of a sample.", "events": "Entries per event that passed.", "no": "Numbers of entries."}[config.normalise]
    notes = [
        f"{per} Shaded bins at the ends hold all entries outside the range. Errors are sqrt(N); entries of one event are not independent of each other, "
        "so that the true errors are larger where an event has many."
    ]
    if report.empty:
        notes.append(f"Without entries: {', '.join(report.empty)}.")
    if report.not_finite:
        notes.append(f"Not finite, and left out: {', '.join(f'{name} {number}' for name, number in report.not_finite.items())}.")
    return notes
