"""``mlpf train``: dataset -> trained model."""

from pathlib import Path
from typing import Annotated

import typer

from mlpf.cli.console import console, progress
from mlpf.config import load_parameters


def run(
    parameters: Annotated[Path, typer.Option("-p", "--parameters", help="Parameter file with the sections model, loss, training.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to make.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to the parameters, for example training.epochs=5.")] = None,
    data: Annotated[Path | None, typer.Option(help="Dataset folder; by default training.dataset of the parameter file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run.")] = False,
) -> None:
    """Train a model on a dataset.

    Example: [bold]mlpf train -p parameters/tiny.yaml --data output/dataset --output output/run training.epochs=5[/]
    """
    from mlpf.training.config import run_parameters
    from mlpf.training.run import train

    values = load_parameters(parameters, overrides or [])
    if data is not None:
        values.setdefault("training", {})["dataset"] = str(data)
    with progress() as bar:
        result = train(run_parameters(values, parameters), output, overwrite, console.print, bar)
    console.print(f"{result.folder}: best epoch {result.info.epoch}, validation loss {result.info.validation_loss:.4f}, {result.seconds:.1f} s")
    console.print("wrote model.pt and model.json (best epoch), parameters.yaml, metrics.csv, tensorboard/, checkpoints/")
