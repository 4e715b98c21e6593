"""``mlpf export``: trained model -> ONNX for a consumer."""

from pathlib import Path
from typing import Annotated

import typer

from mlpf.cli.console import console


def run(
    trained: Annotated[Path, typer.Argument(metavar="run", help="Run folder of mlpf train.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model to write (.onnx); replaced if it exists, once the new one has passed.")],
    target: Annotated[str, typer.Option(help="cmssw (its MLPFProducer), or standalone (candidates as outputs, for anyone with ONNX Runtime).")] = "cmssw",
    variant: Annotated[str, typer.Option(help="plain (standard operators only), or fused (also ONNX Runtime's own).")] = "plain",
    precision: Annotated[
        str, typer.Option(help="Inside the model: float32, or float16 (half the size, for GPUs); inputs and outputs are float32.")
    ] = "float32",
    events: Annotated[Path | None, typer.Option(help="Ntuple or dataset whose first events the model is checked on, instead of the simulated ones.")] = None,
    metrics: Annotated[Path | None, typer.Option(help="Folder of mlpf evaluate with an evaluation of this model, for its card.")] = None,
) -> None:
    """Export a trained model for a consumer and check the consumer's contract on the file; nothing is written unless all of it holds.

    Beside MODEL.onnx go its card (MODEL.json) and, for CMSSW, MODEL.pbtxt (Triton), MODEL_customise.py (cmsDriver.py) and MODEL.md (what to do with them).

    Example: [bold]mlpf export output/run --output output/model.onnx --target cmssw[/]
    """
    import time

    from mlpf.evaluation.folder import read_evaluation
    from mlpf.export.events import read_events
    from mlpf.export.exporter import companions, export_model
    from mlpf.export.training_record import training_record
    from mlpf.nn.saved import load_model

    start = time.perf_counter()
    evaluation = None if metrics is None else read_evaluation(metrics)
    features = None if events is None else read_events(events)
    model, info = load_model(trained)
    console.print(f"{trained}: {info.model['name']}, epoch {info.epoch}, validation loss {info.validation_loss:.4f}")
    report = export_model(model, output, training_record(trained, info), target, variant=variant, precision=precision, events=features, metrics=evaluation)
    for check in report.checks:
        console.print(f"[green]ok[/] {check.name}" + (f": {check.measured}" if check.measured else ""))
    console.print(f"{len(report.checks)} checks passed, {time.perf_counter() - start:.1f} s")
    beside = ", ".join(path.name for path in companions(output, target))
    console.print(f"wrote {output} ({output.stat().st_size / 1e6:.2f} MB), beside it {beside}")
