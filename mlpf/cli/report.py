"""``mlpf report``: evaluations that were made apart, as one."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from mlpf.cli.console import console


def run(
    evaluations: Annotated[list[Path], typer.Argument(help="Folders of mlpf evaluate or mlpf report.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    reference: Annotated[
        str | None, typer.Option(help="System that others are compared with: pf, targets or a model; default: pf if it is there, else the first model.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier evaluation.")] = False,
) -> None:
    """Join evaluations: parts of a dataset (mlpf evaluate --part I/N) are added up, other datasets and other models of the same events put side by side.

    A model that is there twice on the same dataset is taken from the later evaluation. Figures and report are made anew.

    Example: [bold]mlpf report output/evaluation output/other_evaluation --output output/comparison[/]
    """
    from mlpf.evaluation import merge

    done = merge(evaluations, output, reference, overwrite)
    for note in done.replaced:
        console.print(f"[yellow]{escape(note)}[/]")
    for name, entry in done.metrics["datasets"].items():
        console.print(escape(f"{name}: {', '.join(entry['models'])} on {entry['num_events']} events ({entry['split']})"))
    num_figures = sum(map(len, done.figures.values()))
    console.print(escape(f"wrote {output}: metrics.json, performance.json, report.html, {num_figures} figures as PNG, SVG and PDF, in {done.seconds:.1f} s"))
