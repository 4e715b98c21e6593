"""``mlpf produce``: candidates of ntuples with an ONNX model."""

from pathlib import Path
from typing import Annotated

import typer

from mlpf.cli.console import console, progress, rate


def run(
    model: Annotated[Path, typer.Argument(help="Model (.onnx) of the cmssw target.")],
    inputs: Annotated[list[Path], typer.Argument(help="Ntuples, Delphes or EDM4hep files (.root).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Candidates: .root (tree mlpf/candidates) or .parquet; replaced if it exists.")],
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads inside one model call; CMSSW uses 1.")] = 1,
    events: Annotated[int | None, typer.Option(min=1, help="Stop after so many events.")] = None,
) -> None:
    """Run a model on ntuples, one event per call as CMSSW does, and write the candidates in the same event order.

    Example: [bold]mlpf produce output/model.onnx data/ttbar.root --output output/candidates.root[/]
    """
    import numpy as np

    from mlpf import schema
    from mlpf.io.inputs import open_input
    from mlpf.producer import Producer, produce_files

    producer = Producer(model, device, threads)
    total = 0
    for path in inputs:
        with open_input(path) as file:
            total += file.num_events
            absent = [name for name in schema.NTUPLE.names("element") if name not in file.branches]
            console.print(f"{path}: {file.num_events} events, version {file.version}" + (f", read as 0: {', '.join(absent)}" if absent else ""))
    with progress() as bar:
        task = bar.add_task("events", total=total if events is None else min(total, events))
        report = produce_files(producer, inputs, output, events, on_events=lambda count: bar.advance(task, count))
    console.print(f"read {report.num_events} events ({report.num_empty_events} without usable elements), {report.num_elements} elements")
    console.print(f"dropped {report.num_dropped} elements that the consumer never sees (PS1, PS2, BREM)")
    if report.num_non_finite:
        console.print(f"[yellow]{report.num_non_finite} candidates have a momentum that is not finite, like their elements'[/]")
    if len(report.call_seconds):
        console.print(f"model: median {1e3 * np.median(report.call_seconds):.3g} ms per event on {device}, {threads} thread{'s' * (threads > 1)}")
    console.print(f"events: {rate(report.num_events, report.seconds)} with reading and writing, {report.seconds:.2f} s in all")
    console.print(f"wrote {report.num_candidates} candidates to {output}")
