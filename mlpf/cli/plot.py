"""``mlpf plot``: every column of some samples, over each other."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from mlpf.cli.console import console, progress, rate
from mlpf.config import load_parameters, parse_section
from mlpf.errors import ConfigError, nearest

if TYPE_CHECKING:
    from mlpf.plotting.columns.config import PlotConfig
    from mlpf.plotting.columns.run import Report


def run(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    samples: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=]PATH...", help="Ntuples, Delphes or EDM4hep files, candidates, datasets; files of one NAME are one sample."),
    ] = None,
    parameters: Annotated[Path | None, typer.Option("--parameters", "-p", help="Parameter file; its section 'plot' holds samples, bins, choices.")] = None,
    cut: Annotated[list[str] | None, typer.Option(help="[NAME:]EXPRESSION, on one sample or all, like 'element_type == TRACK and element_pt > 1'.")] = None,
    columns: Annotated[list[str] | None, typer.Option(help="Only these columns, like 'element_*'; 'num_<collection>' is the number of entries.")] = None,
    pair: Annotated[list[str] | None, typer.Option(help="X:Y, two columns against each other; by default a few that make sense.")] = None,
    events: Annotated[int | None, typer.Option(min=1, help="Only the first events of every sample.")] = None,
    weighted: Annotated[bool | None, typer.Option("--weighted", help="Weigh events by the column 'weight', as training does.")] = None,
    normalise: Annotated[
        Literal["entries", "events", "no"] | None, typer.Option(help="Shares of the entries (default), entries per event, or numbers of entries.")
    ] = None,
    log: Annotated[
        Literal["auto", "always", "never"] | None, typer.Option(help="Logarithmic axes: where they help (default), vertical ones always, none.")
    ] = None,
    file_format: Annotated[Literal["png", "pdf", "svg"], typer.Option("--format", help="Of the figures; the page shows PNG.")] = "png",
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output folder if it is one of figures.")] = False,
) -> None:
    """Draw every column, samples over each other with their ratio to the first; one page shows all.

    Example: [bold]mlpf plot data/ttbar.root --output output/plots[/]

    With cuts: [bold]mlpf plot all=data/ttbar.root tracks=data/ttbar.root --cut "tracks: element_type == TRACK" --columns "element_*" --output output/tracks[/]
    """
    from mlpf.plotting.columns.config import PlotConfig
    from mlpf.plotting.columns.run import plot_columns

    start = time.perf_counter()
    values = load_parameters(parameters)
    section = values.setdefault("plot", {})
    given: dict[str, Any] = {"columns": columns, "events": events, "weighted": weighted, "normalise": normalise, "log": log}
    section.update({name: value for name, value in given.items() if value is not None})
    if samples:
        section["samples"] = read_samples(samples)
    if pair:
        section["pairs"] = [_split_pair(text) for text in pair]
    config = add_cuts(parse_section(values, "plot", PlotConfig, parameters or "options"), cut or [])
    with progress() as bar:
        task = bar.add_task("look")

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        report = plot_columns(config, output, file_format, jobs, overwrite, show)
    _print(report)
    seconds = time.perf_counter() - start
    console.print(f"wrote {escape(str(output / 'index.html'))}: {len(report.figures)} figures in {seconds:.1f} s ({rate(len(report.figures), seconds)})")


def read_samples(words: Sequence[str]) -> list[dict[str, Any]]:
    """``[NAME=]PATH`` -> samples, files of one name joined; a path without a name is a sample called as its file.

    Raises:
        ConfigError: two files without a name would be called the same.
    """
    samples: dict[str, list[str]] = {}
    for word in words:
        name, separator, path = word.partition("=")
        if separator and name and "/" not in name and not os.path.exists(word):  # noqa: PTH110  a Path complains of long names
            samples.setdefault(name, []).append(path)
            continue
        name = _own_name(word)
        if name in samples:
            raise ConfigError(f"{word}: another sample is called '{name}'; name them, as in NAME={word}")
        samples[name] = [word]
    return [{"name": name, "path": paths} for name, paths in samples.items()]


def _own_name(word: str) -> str:
    """Of a file without its suffix, of a folder whole; of a link its own."""
    path = Path(word).absolute()
    return path.stem if path.suffix in (".root", ".parquet") else path.name


def _split_pair(text: str) -> tuple[str, str]:
    x, separator, y = text.partition(":")
    if not (x and separator and y) or ":" in y:
        raise ConfigError(f"--pair '{text}': expected two columns X:Y, for example element_eta:element_pt")
    return x.strip(), y.strip()


def add_cuts(config: "PlotConfig", cuts: Sequence[str]) -> "PlotConfig":
    """``[NAME:]EXPRESSION``, on one sample or all, beside the cuts that there are. An expression has no colon, a name may have some.

    Raises:
        ConfigError: no sample has the name.
    """
    samples = {sample.name: sample for sample in config.samples}
    for cut in cuts:
        name, separator, expression = (part.strip() for part in cut.rpartition(":"))
        if not separator:
            config = config.model_copy(update={"cut": (*config.cut, expression)})
        elif name in samples:
            samples[name] = samples[name].model_copy(update={"cut": (*samples[name].cut, expression)})
        else:
            raise ConfigError(f"--cut '{cut}': no sample is called '{name}'{nearest(name, samples)}")
    return config.model_copy(update={"samples": tuple(samples.values())})


def _print(report: "Report") -> None:
    for sample, num_events, num_selected in zip(report.samples, report.num_events, report.num_selected, strict=True):
        files = f"{sample.paths[0]}" + (f" and {len(sample.paths) - 1} more" if len(sample.paths) > 1 else "")
        passed = f", {num_selected} pass {' and '.join(sample.cuts)}" if sample.cuts else ""
        weighted = ", weighted" if sample.weighted else ""
        console.print(f"{sample.name}: {sample.layout_name} {files}, {num_events} events{passed}{weighted}", markup=False)
    if report.empty:
        console.print(f"[yellow]without entries, not drawn:[/] {', '.join(report.empty)}")
    if report.not_finite:
        counts = ", ".join(f"{name} {number}" for name, number in report.not_finite.items())
        console.print(f"[yellow]not finite, left out:[/] {counts}")
