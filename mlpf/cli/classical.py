"""``mlpf classical``: rule-based particle flow on an ntuple."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlpf.cli.console import console, progress, rate

if TYPE_CHECKING:
    from mlpf.classical.comparison import Comparison


def run(
    path: Annotated[Path, typer.Argument(help="Ntuple (.root).", metavar="ntuple")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The same ntuple with new candidates; replaced if it exists.")],
    calibration: Annotated[Path | None, typer.Option(help="Calibration of hadrons (.json); that of the simulated detector if none is given.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of particle flow; they change nothing but the time.")] = 1,
    nonfinite: Annotated[Literal["error", "zero"], typer.Option(help="What to do with NaN and infinite momenta of elements.")] = "error",
) -> None:
    """Reconstruct candidates with the rules of classical particle flow, the baseline of a network.

    All columns of the schema are copied; pfcandidate_*, element_to_candidate and element_distance_* are replaced. If the ntuple comes with candidates, the new
    ones are compared with them.

    Example: [bold]mlpf classical data/ttbar.root --output output/classical.root[/]
    """
    from mlpf.classical.calibration import read_calibration
    from mlpf.classical.files import reconstruct_file
    from mlpf.io.ntuple import Ntuple
    from mlpf.schema import CLASSES

    with Ntuple(path) as ntuple:
        num_events = ntuple.num_events
    with progress() as bar:
        task = bar.add_task("events", total=num_events)
        of_hadrons = read_calibration(calibration) if calibration else None
        report = reconstruct_file(path, output, nonfinite, calibration=of_hadrons, threads=threads, on_events=lambda count: bar.advance(task, count))
    per_event = max(report.num_events, 1)
    console.print(f"{path}: {report.num_events} events, {report.num_elements} elements, {report.num_links} links between them")
    if report.num_repaired:
        console.print(f"[yellow]{report.num_repaired} non-finite values of elements set to 0[/]")
    for kind in CLASSES:
        if number := report.num_candidates[kind]:
            console.print(f"  {kind.name.lower():<16}{number:>10}  {number / per_event:8.1f} per event")
    if report.comparison:
        _print_comparison(report.comparison)
    console.print(f"{1e3 * report.seconds / per_event:.3g} ms per event, {rate(report.num_events, report.seconds)} events without reading and writing")
    console.print(f"wrote {report.num_candidates.total()} candidates, with the ntuple's other columns, to {output}")


def _print_comparison(comparison: "Comparison") -> None:
    """One line per class, with 68 % intervals."""
    from mlpf.classical.comparison import MAX_DELTA_R

    console.print(f"the ntuple's own candidates, and those of them with a new one of the same class within delta R {MAX_DELTA_R}, median pt of new over own:")
    for kind, agreement in comparison.by_class().items():
        matched, response = (f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})" if estimate.n else "" for estimate in agreement[1:])
        console.print(f"  {kind.name.lower():<16}{agreement.num_given:>10}  {matched:>24}  {response:>24}")
