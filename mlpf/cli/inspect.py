"""``mlpf inspect``: what a file holds."""

from pathlib import Path
from typing import Annotated

import typer

from mlpf.cli.console import console


def run(path: Annotated[Path, typer.Argument(help="Ntuple (.root), dataset folder or model (.onnx).")]) -> None:
    """Say what a file holds: events, collections, columns, what is missing, what is not finite.

    Example: [bold]mlpf inspect data/ttbar.root[/]
    """
    console.print(str(path))
