"""Entry point ``mlpf``: collects the commands and turns errors into one clear line."""

import sys
from typing import Annotated

import typer
from rich.markup import escape

import mlpf
from mlpf.cli import benchmark, classical, display, evaluate, export, inspect, postprocess, produce, simulate, train
from mlpf.cli.console import errors
from mlpf.errors import MlpfError

app = typer.Typer(
    name="mlpf",
    help="Machine-learned particle flow: ntuple -> graph dataset -> graph neural network -> ONNX -> candidates.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (benchmark, classical, display, evaluate, export, inspect, postprocess, produce, simulate, train):
    app.command(name=command.__name__.rpartition(".")[2])(command.run)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(mlpf.__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an `MlpfError` ends it with status 1 and one line on standard error."""
    try:
        app()
    except MlpfError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("interrupted; nothing half-written was left under a final name")
        sys.exit(130)


if __name__ == "__main__":
    main()
