"""``mlpf classical``: rule-based particle flow on an ntuple."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mlpf.cli.console import console, progress, rate


def run(
    path: Annotated[Path, typer.Argument(help="Ntuple (.root).", metavar="ntuple")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The same ntuple with new candidates; replaced if it exists.")],
    nonfinite: Annotated[Literal["error", "zero"], typer.Option(help="What to do with NaN and infinite momenta of elements.")] = "error",
) -> None:
    """Reconstruct candidates with the rules of classical particle flow, the baseline of a network.

    All columns of the schema are copied; pfcandidate_*, element_to_candidate and element_distance_* are replaced.

    Example: [bold]mlpf classical data/ttbar.root --output output/classical.root[/]
    """
    from mlpf.classical.files import reconstruct_file
    from mlpf.io.ntuple import Ntuple
    from mlpf.schema import CLASSES

    with Ntuple(path) as ntuple:
        num_events = ntuple.num_events
    with progress() as bar:
        task = bar.add_task("events", total=num_events)
        report = reconstruct_file(path, output, nonfinite, on_events=lambda count: bar.advance(task, count))
    per_event = max(report.num_events, 1)
    console.print(f"{path}: {report.num_events} events, {report.num_elements} elements, {report.num_links} links between them")
    if report.num_repaired:
        console.print(f"[yellow]{report.num_repaired} non-finite values of elements set to 0[/]")
    for kind in CLASSES:
        if number := report.num_candidates[kind]:
            console.print(f"  {kind.name.lower():<16}{number:>10}  {number / per_event:8.1f} per event")
    console.print(f"{1e3 * report.seconds / per_event:.3g} ms per event, {rate(report.num_events, report.seconds)} events without reading and writing")
    console.print(f"wrote {report.num_candidates.total()} candidates, with the ntuple's other columns, to {output}")
