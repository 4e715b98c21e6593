"""Entry point ``mlpf``: collects the commands and turns errors into one clear line."""

import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from rich.markup import escape

import mlpf
from mlpf.cli import (
    benchmark,
    blocks,
    classical,
    display,
    evaluate,
    export,
    images,
    inspect,
    mix,
    plot,
    postprocess,
    produce,
    report,
    scale,
    simulate,
    train,
    tune,
    validate,
)
from mlpf.cli.console import errors
from mlpf.errors import MissingDependencyError, MlpfError

# Threads that wait spin a moment, then sleep. GNU OpenMP's own choice is to spin for milliseconds, which made training two to five times slower as soon as
# another process ran on the same cores (docs/measurements.md); 1000 is what it takes itself where it knows of too many threads. Read when torch loads it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

TRAIN_EXTRA = {"lightning", "onnxscript", "safetensors", "tensorboard", "torch", "torch_geometric"}

app = typer.Typer(
    name="mlpf",
    help="Machine-learned particle flow: ntuple -> graph dataset -> graph neural network -> ONNX -> candidates.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
    simulate,
    inspect,
    postprocess,
    mix,
    validate,
    scale,
    train,
    tune,
    evaluate,
    report,
    export,
    produce,
    display,
    images,
    plot,
    classical,
    blocks,
    benchmark,
):  # the order of the chain, and of --help
    app.command(name=command.__name__.rpartition(".")[2])(command.run)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(mlpf.__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an `MlpfError` ends it with status 1 and one line on standard error, Ctrl-C and SIGTERM after the command has cleaned up."""
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        raise SystemExit

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in background jobs of a script
            signal.signal(number, stop)
    try:
        app()
    except BaseException as error:
        if received:  # whatever it has become on its way: compiled code and imports wrap what a signal raises
            errors.print("stopped; nothing half-written was left under a final name")
            status = 128 + received[0]  # the shell's convention
            if len(received) > 1:  # threads that were to be waited for may be at work in C++, where Python's own end is an abort
                os._exit(status)
            sys.exit(status)
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in TRAIN_EXTRA:
            error = MissingDependencyError(f"this needs {error.name}, which is not installed; pip install 'mlpf[train]'")
        if not isinstance(error, MlpfError):
            raise
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
