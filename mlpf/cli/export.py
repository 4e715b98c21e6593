"""``mlpf export``: trained model -> ONNX for a consumer."""

from pathlib import Path
from typing import Annotated

import typer

from mlpf.cli.console import console


def run(
    trained: Annotated[Path, typer.Argument(metavar="run", help="Run folder of mlpf train.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model to write (.onnx); replaced if it exists, once the new one has passed.")],
    target: Annotated[str, typer.Option(help="cmssw (its MLPFProducer), or standalone (candidates as outputs, for anyone with ONNX Runtime).")] = "cmssw",
) -> None:
    """Export a trained model for a consumer and check the consumer's contract on the file; nothing is written unless all of it holds.

    Example: [bold]mlpf export output/run --output output/model.onnx --target cmssw[/]
    """
    import time

    from mlpf.export.exporter import export_model
    from mlpf.nn.saved import load_model

    start = time.perf_counter()
    model, info = load_model(trained)
    console.print(f"{trained}: {info.model['name']}, epoch {info.epoch}, validation loss {info.validation_loss:.4f}")
    report = export_model(model, output, info.model_dump(mode="json"), target)
    for check in report.checks:
        console.print(f"[green]ok[/] {check.name}" + (f": {check.measured}" if check.measured else ""))
    console.print(f"{len(report.checks)} checks passed, {time.perf_counter() - start:.1f} s")
    console.print(f"wrote {output} ({output.stat().st_size / 1e6:.2f} MB) and {output.with_suffix('.json')}")
