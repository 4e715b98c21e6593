"""``mlpf train``: dataset -> trained model."""

from pathlib import Path
from typing import Annotated

import typer

from mlpf.cli.console import console, progress
from mlpf.config import load_parameters
from mlpf.errors import ConfigError


def run(
    parameters: Annotated[Path, typer.Option("-p", "--parameters", help="Parameter file with the sections model, loss, training.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to make.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to the parameters, for example training.epochs=5.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Dataset folder, may be repeated; FOLDER=0.5 gives its share of the training. By default training.dataset of the parameter file."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run.")] = False,
) -> None:
    """Train a model on one dataset or several.

    Several datasets are read together, event by event of all, or with shares in every epoch, which then ends with the scarcest of them.

    Example: [bold]mlpf train -p parameters/tiny.yaml --data output/dataset --output output/run training.epochs=5[/]
    """
    from mlpf.training.config import run_parameters
    from mlpf.training.run import train

    values = load_parameters(parameters, overrides or [])
    if data:
        values.setdefault("training", {})["dataset"] = datasets_of(data)
    with progress() as bar:
        result = train(run_parameters(values, parameters), output, overwrite, console.print, bar)
    console.print(f"{result.folder}: best epoch {result.info.epoch}, validation loss {result.info.validation_loss:.4f}, {result.seconds:.1f} s")
    console.print("wrote model.safetensors and model.json (best epoch), parameters.yaml, scaling.json, metrics.csv, tensorboard/, checkpoints/")


def datasets_of(data: list[str]) -> list[str] | dict[str, float]:
    """What --data says: folders, or folders with shares."""
    shares = {}
    for word in data:
        folder, separator, share = word.rpartition("=")
        if separator and not Path(word).exists():
            shares[folder] = _share(word, share)
    if not shares:
        return data
    if len(shares) < len(data):
        raise ConfigError(f"--data {' --data '.join(data)}: give every folder a share, FOLDER=0.5, or none; and no folder twice")
    return shares


def _share(word: str, share: str) -> float:
    try:
        return float(share)
    except ValueError as error:
        raise ConfigError(f"--data {word}: '{share}' is no share; write FOLDER or FOLDER=0.5") from error
