"""``mlpf mix``: datasets to a balanced mixture."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlpf.cli.console import console, event_progress, rate

if TYPE_CHECKING:
    from mlpf.samples.mixing.config import MixConfig
    from mlpf.samples.mixing.plan import Mixture


def run(
    parameters: Annotated[Path, typer.Option("--parameters", "-p", help="Parameter file; its section 'mix' names the samples and the bins.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the mixture; what an interrupted run left undone is done.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to the parameters, for example mix.seed=2.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes; the result does not depend on it.")] = 1,
    job_index: Annotated[int, typer.Option(min=0, help="Make only one part of the mixture: which, counted from 0.")] = 0,
    n_jobs: Annotated[int, typer.Option(min=1, help="In how many parts the mixture is made; together they are exactly the whole.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it is a dataset.")] = False,
) -> None:
    """Mix datasets: balanced in bins of event variables, every part of the mixture with the composition of the whole.

    The column source of the mixture is the position of the sample in the manifest's list of sources.

    Example: [bold]mlpf mix -p parameters/mix.yaml --output output/mixture --jobs 2[/]
    """
    from mlpf.config import load_parameters, parse_section
    from mlpf.samples.mixing.config import MixConfig
    from mlpf.samples.mixing.run import Part, mix_datasets

    start = time.perf_counter()
    config = parse_section(load_parameters(parameters, overrides or ()), "mix", MixConfig, parameters)
    with event_progress() as show:
        report = mix_datasets(config, output, jobs=jobs, part=Part(job_index, n_jobs), overwrite=overwrite, on_progress=show)
    _print(config, report.mixture)
    seconds = time.perf_counter() - start
    for made in report.outputs:
        found = f" ({made.shards_found} were there)" if made.shards_found else ""
        console.print(f"wrote {escape(str(made.folder))}: {made.num_events} events, {made.num_elements} elements, {made.num_shards} shards{found}")
    total = sum(made.num_events for made in report.outputs)
    console.print(f"{total} events in {seconds:.1f} s ({rate(total, seconds)})")


def _print(config: "MixConfig", mixture: "Mixture") -> None:
    """What became of every source's events, and what every bin gets from where."""
    from rich.table import Table

    written = mixture.written()
    sources = Table("source", "type", "events", "twice", "parity", "outside", "available", "written", title="sources", title_justify="left")
    for source, counts, row in zip(config.sources, mixture.counts, written, strict=True):
        numbers = (counts.found, counts.duplicates, counts.other_parity, counts.outside_bins, counts.available, row.sum())
        sources.add_row(escape(source.name), escape(source.type), *map(str, numbers))
    console.print(sources)
    bins = Table("bin", "source", "available", "quota", "written", title="bins", title_justify="left")
    for number in range(len(mixture.bins)):
        for i, source in enumerate(config.sources):
            if mixture.available[i, number]:
                counted = (values[i, number] for values in (mixture.available, mixture.quota, written))
                bins.add_row(escape(mixture.bins.label(number)), escape(source.name), *map(str, counted))
    console.print(bins)
    empty = int((mixture.available.sum(axis=0) == 0).sum())
    if empty:
        console.print(f"{empty} of {len(mixture.bins)} bins have no events")
