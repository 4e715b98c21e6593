"""``mlpf train``: dataset -> trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from mlpf.cli.console import console, progress
from mlpf.config import load_parameters
from mlpf.errors import ConfigError, MlpfError

if TYPE_CHECKING:
    from mlpf.training.config import RunParameters


def run(
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to the parameters, for example training.epochs=5.")] = None,
    parameters: Annotated[Path | None, typer.Option("-p", "--parameters", help="Parameter file with the sections model, loss, training.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder to make.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Dataset folder, may be repeated; FOLDER=0.5 gives its share of the training. By default training.dataset of the parameter file."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run.")] = False,
    init_from: Annotated[Path | None, typer.Option("--init-from", help="Run folder whose model to start from, for fine-tuning.")] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Interrupted run to go on with; alone, or with --data if the datasets have moved.")] = None,
) -> None:
    """Train a model on one dataset or several.

    Several datasets are read together, event by event of all, or with shares in every epoch, which then ends with the scarcest of them.

    Example: [bold]mlpf train -p parameters/tiny.yaml --data output/dataset --output output/run training.epochs=5[/]

    An interrupted run goes on from its last checkpoint, and ends as if nothing had happened: [bold]mlpf train --resume output/run[/]

    Fine-tuning begins with the weights of another run:
    [bold]mlpf train -p parameters/tiny.yaml --data output/dataset --init-from output/run --output output/tuned training.learning_rate=1e-4[/]

    Several GPUs or processes, on one machine:
    [bold]torchrun --nproc-per-node 2 -m mlpf.cli.main train -p parameters/tiny.yaml --data output/dataset --output output/run[/]
    """
    from mlpf.training.distributed import launched_first
    from mlpf.training.run import TrainingResult, train
    from mlpf.training.run import resume as go_on

    def start(bar: Progress | None) -> TrainingResult:
        if resume is not None:
            _check_alone(resume, {"-p": parameters, "--output": output, "--overwrite": overwrite, "--init-from": init_from, "changes": overrides})
            return go_on(resume, console.print, bar, dataset=datasets_of(data) if data else None)
        if parameters is None or output is None:
            raise ConfigError("mlpf train: give a parameter file and a run folder, -p FILE --output RUN, or an interrupted run, --resume RUN")
        return train(_run_parameters(parameters, overrides, data), output, overwrite, console.print, bar, init_from)

    if not launched_first():  # the first of the processes of torchrun speaks for all
        try:
            start(None)
        except MlpfError as error:
            raise typer.Exit(1) from error
        return
    with progress() as bar:
        result = start(bar)
    console.print(f"{result.folder}: best epoch {result.info.epoch}, validation loss {result.info.validation_loss:.4f}, {result.seconds:.1f} s")
    console.print(f"wrote {', '.join(sorted(path.name + '/' * path.is_dir() for path in result.folder.iterdir()))}")


def _run_parameters(path: Path, overrides: list[str] | None, data: list[str] | None) -> "RunParameters":
    from mlpf.training.config import run_parameters

    values = load_parameters(path, overrides or [])
    if data:
        values.setdefault("training", {})["dataset"] = datasets_of(data)
    return run_parameters(values, path)


def _check_alone(resume: Path, others: dict[str, object]) -> None:
    given = [name for name, value in others.items() if value]
    if given:
        raise ConfigError(
            f"--resume {resume}: goes on exactly as the run began, so {', '.join(given)} cannot be given with it; start a new run with --init-from"
        )


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
