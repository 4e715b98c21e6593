"""``mlpf produce``: candidates of files and datasets with an ONNX model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlpf.cli.console import console, event_progress, rate

if TYPE_CHECKING:
    from mlpf.producer.files import Progress
    from mlpf.producer.report import ProduceReport
    from mlpf.producer.sources import Source


def run(
    model: Annotated[Path, typer.Argument(help="Model (.onnx) of the cmssw target.")],
    inputs: Annotated[list[Path], typer.Argument(help="Ntuples, Delphes or EDM4hep files (.root), dataset folders.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Candidates: .root (tree mlpf/candidates) or .parquet; replaced if it exists.")],
    device: Annotated[str, typer.Option(help="cpu, cuda or tensorrt.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads inside one model call; CMSSW uses 1.")] = 1,
    workers: Annotated[int, typer.Option("--workers", "--jobs", "-j", min=1, help="Processes; the result does not depend on it.")] = 1,
    batch_elements: Annotated[
        int | None,
        typer.Option(min=0, help="Elements per model call, padding included; 0: one event per call, as CMSSW does. Default: 0 on cpu, more on a GPU."),
    ] = None,
    events: Annotated[int | None, typer.Option(min=1, help="Stop after so many events.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out unusable files, and let bad events be without candidates, listed in OUTPUT.skipped.txt.")
    ] = False,
) -> None:
    """Run a model on events and write the candidates, an entry per event in the same order.

    Stopped or killed, the same command goes on where it was; finished parts wait in the folder .OUTPUT.partial beside the output.

    Example: [bold]mlpf produce output/model.onnx data/ttbar.root --output output/candidates.root[/]
    """
    from mlpf.producer import produce_files

    made = 0
    with event_progress() as show:

        def on_progress(progress: "Progress") -> None:
            nonlocal made
            made = progress.events_made
            if progress.parts_found and made == 0:
                console.print(f"going on: {progress.parts_found} of {progress.parts} parts were there")
            show(made, progress.events)

        report = produce_files(
            model,
            inputs,
            output,
            device=device,
            threads=threads,
            workers=workers,
            batch_elements=batch_elements,
            max_events=events,
            skip_bad=skip_bad,
            on_survey=_print_inputs,
            on_progress=on_progress,
        )
    _print_bad(report)
    _print_counts(report)
    _print_speed(report, f"{device}, {threads} thread{'s' * (threads > 1)}")
    console.print(f"wrote {report.counts.num_candidates} candidates of {report.counts.num_events} events to {escape(str(output))}")


def _print_inputs(sources: "Sequence[Source]") -> None:
    first: dict[str, Path] = {}
    for source in sources:
        if not source.problem:
            absent = f", read as 0: {', '.join(source.missing)}" if source.missing else ""
            console.print(f"{escape(str(source.path))}: {source.num_events} events, version {source.version}{absent}")
            same = first.setdefault(source.identity, source.path)
            if same is not source.path and source.num_events:
                console.print(f"[yellow]the same events as {escape(str(same))}:[/] they will be there twice")


def _print_bad(report: "ProduceReport") -> None:
    for reason in report.left_out.values():
        console.print(f"[yellow]left out:[/] {escape(reason)}")
    for path, failure in report.first_failures:
        numbers = f"run {failure.run}, lumi {failure.lumi}, event {failure.event}"
        console.print(f"[yellow]without candidates:[/] {escape(f'{path}, entry {failure.entry} ({numbers}): {failure.reason}')}")
    if report.counts.num_failed > len(report.first_failures):
        console.print(f"[yellow]without candidates:[/] {report.counts.num_failed - len(report.first_failures)} more events")
    if report.bad_list is not None:
        console.print(f"[yellow]{len(report.left_out)} files left out, {report.counts.num_failed} events failed:[/] listed in {escape(str(report.bad_list))}")


def _print_counts(report: "ProduceReport") -> None:
    counts = report.counts
    console.print(f"read {counts.num_events} events ({counts.num_empty_events} without usable elements), {counts.num_elements} elements")
    console.print(f"dropped {counts.num_dropped} elements that the consumer never sees (PS1, PS2, BREM)")
    if counts.num_non_finite:
        console.print(f"[yellow]{counts.num_non_finite} candidates have a momentum that is not finite, like their elements'[/]")


def _print_speed(report: "ProduceReport", how: str) -> None:
    if len(report.latency):
        median, slow = (1e3 * report.latency.quantile(fraction) for fraction in (0.5, 0.95))
        console.print(f"model: median {median:.3g} ms per event, 95 % below {slow:.3g} ms, on {how}")
    if len(report.work) > 1:
        for number, work in enumerate(report.work.values(), start=1):
            console.print(f"worker {number}: {work.num_events} events in {work.seconds:.2f} s ({rate(work.num_events, work.seconds)})")
    made = sum(work.num_events for work in report.work.values())
    console.print(f"events: {rate(made, report.seconds)} with reading and writing, {made} made in {report.seconds:.2f} s")
