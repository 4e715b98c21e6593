"""Samples in, a folder of figures out: looks for the range of every column, counts, draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.io.files import atomic_directory, check_replaceable
from mlpf.io.workers import LocalWorkers, Workers
from mlpf.plotting.columns.binning import Binning
from mlpf.plotting.columns.choice import EVENT_GROUP, choose_binnings, choose_columns, choose_pairs, describe
from mlpf.plotting.columns.config import PlotConfig
from mlpf.plotting.columns.counting import Counted, CountTask, count
from mlpf.plotting.columns.drawing import DrawTask, draw
from mlpf.plotting.columns.figures import Described, Drawn
from mlpf.plotting.columns.gallery import write_gallery
from mlpf.plotting.columns.output import HISTOGRAMS, about_samples, gallery_entries, notes, write_json
from mlpf.plotting.columns.samples import Sample, open_samples, parts

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
    with atomic_directory(output, overwrite) as folder, LocalWorkers(jobs) as workers:
        show = on_progress or (lambda *_: None)
        binnings = choose_binnings(samples, columns, pairs, config)
        counted = _count(samples, columns, pairs, binnings, workers, show)
        _require_entries(samples, counted)
        described = {name: describe(name, samples) for name in {*columns, *(name for pair in pairs for name in pair)}}
        tasks = _draw_tasks(samples, counted, described, config, folder, file_format)
        total = len(tasks)
        for done, _ in enumerate(workers.map_in_order(draw, tasks), 1):
            show("figures", done, total)
        empty = tuple(column for column in columns if column not in binnings)
        write_json(folder, samples, counted, described, binnings, config)
        report = _report(samples, counted, tasks, empty)
        write_gallery(
            folder,
            "Columns of " + ", ".join(sample.name for sample in samples),
            gallery_entries(tasks),
            about_samples(samples, counted),
            notes(report.empty, report.not_finite, config),
        )
    return report


def _count(
    samples: Sequence[Sample], columns: Sequence[str], pairs: Sequence[tuple[str, str]], binnings: dict[str, Binning], workers: Workers, show: Progress
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
    for i, result in zip(owners, workers.map_in_order(count, tasks), strict=True):
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


def _draw_tasks(
    samples: Sequence[Sample], counted: Sequence[Counted], described: dict[str, Described], config: PlotConfig, folder: Path, file_format: Format
) -> list[DrawTask]:
    """Figures of columns, in the order of their groups, then those of pairs."""

    def task(names: tuple[str, ...], histograms: dict[int, Any]) -> DrawTask:
        of_samples = {
            Drawn(samples[i].name, tuple(dict.fromkeys(cut for name in names for cut in samples[i].cuts_on(name))), counted[i].weight_selected, i): histogram
            for i, histogram in histograms.items()
        }
        return DrawTask(tuple(described[name] for name in names), of_samples, config.normalise, config.weighted, config.log, folder, file_format)

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
