"""``mlpf postprocess``: ntuples to a dataset."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from mlpf.cli.console import console, event_progress, rate

if TYPE_CHECKING:
    from mlpf.postprocess.files import Progress, Report


def run(
    inputs: Annotated[list[Path], typer.Argument(help="Ntuples, Delphes or EDM4hep files (.root).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the dataset; what an earlier run left undone is done.")],
    parameters: Annotated[Path | None, typer.Option("--parameters", "-p", help="Parameter file; its section 'postprocess' holds the choices.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes on this machine; the result does not depend on it.")] = 1,
    cluster: Annotated[
        Path | None, typer.Option(help="Parameter file whose section 'cluster' names processes elsewhere (Dask, HTCondor, Slurm) that do it instead.")
    ] = None,
    nonfinite: Annotated[Literal["error", "zero"], typer.Option(help="Non-finite momenta and link weights: give up, or replace them by 0.")] = "error",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Set unusable files aside, listed in skipped.txt, instead of giving up.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output folder if it is a dataset.")] = False,
    events: Annotated[int | None, typer.Option(min=1, help="Use only the first events of every file.")] = None,
) -> None:
    """Make a dataset from ntuples: for every PF element its target particle, its class and its standard candidate.

    Stopped or killed, the same command goes on where it was; with more files, it adds theirs.

    Example: [bold]mlpf postprocess data/ttbar.root --output output/dataset[/]

    On a cluster: [bold]mlpf postprocess data/ttbar.root --cluster parameters/cluster_local.yaml --output output/dataset[/]
    """
    from mlpf.config import load_parameters, parse_section
    from mlpf.errors import MlpfError
    from mlpf.io.cluster import read_cluster
    from mlpf.postprocess import PostprocessConfig, postprocess_files

    start = time.perf_counter()
    config = parse_section(load_parameters(parameters), "postprocess", PostprocessConfig, parameters or "parameters")
    farm = read_cluster(cluster) if cluster else None
    if farm and jobs > 1:
        raise MlpfError(f"--jobs {jobs}: the number of workers is in {cluster}; give one of the two")
    made = 0
    with event_progress() as show:

        def on_progress(progress: "Progress") -> None:
            nonlocal made
            made = progress.events_made
            if progress.shards_found and made == 0:
                console.print(f"going on: {progress.shards_found} of {progress.shards} shards were there")
            show(made, progress.events)

        report = postprocess_files(
            inputs,
            output,
            config,
            jobs=jobs,
            cluster=farm,
            nonfinite=nonfinite,
            skip_bad=skip_bad,
            overwrite=overwrite,
            max_events=events,
            on_progress=on_progress,
        )
    _print(report, nonfinite)
    seconds = time.perf_counter() - start
    if report.complete:
        console.print(f"{escape(str(output))}: nothing is missing")
    else:
        console.print(f"wrote {escape(str(output))}: {report.summary.num_events} events, {made} of them new, in {seconds:.1f} s ({rate(made, seconds)})")


def _print(report: "Report", nonfinite: str) -> None:
    from rich.table import Table

    summary = report.summary
    for reason in report.skipped.values():
        console.print(f"[yellow]set aside:[/] {escape(reason)}")
    if report.missing_columns:
        console.print(f"[yellow]missing, read as 0:[/] {', '.join(report.missing_columns)}")
    if summary.non_finite:
        counts = ", ".join(f"{name} {count}" for name, count in summary.non_finite.items())
        console.print(f"[yellow]non-finite values{' (momenta and weights replaced by 0)' if nonfinite == 'zero' else ''}:[/] {counts}")
    table = Table(title=f"policy {report.policy}", title_justify="left", show_header=False)
    dropped = ", ".join(f"{name} {count}" for name, count in sorted(summary.dropped_by_type.items())) or "none"
    rows = {
        "files read": f"{report.num_files - len(report.skipped)} of {report.num_files}",
        "events": f"{summary.num_events} ({summary.events_without_elements} without elements)",
        "event numbers used again": f"{report.repeated_numbers} (by events with other elements)",
        "shards": f"{report.num_shards} ({report.shards_found} were there)",
        "elements": f"{summary.elements_written} of {summary.elements_read}",
        "elements dropped": dropped,
        "elements with a target": str(summary.num_targets),
        "standard candidates": f"{summary.num_candidates} ({summary.unmatched_candidates} found no free element)",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)
