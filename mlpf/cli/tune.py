"""``mlpf tune``: parameter file with a search -> best parameters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from mlpf.cli.console import console, progress
from mlpf.config import load_parameters

if TYPE_CHECKING:
    from mlpf.tuning.study import Study

NUM_BEST = 10  # trials that the table shows


def run(
    parameters: Annotated[Path, typer.Option("-p", "--parameters", help="Parameter file with the sections model, loss, training, tune.")],
    study: Annotated[str, typer.Option(help="Name of the study, new or to go on with.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to the parameters, for example training.epochs=5.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that holds studies.")] = Path("output/studies"),
    data: Annotated[list[str] | None, typer.Option(help="Dataset folder, as for mlpf train.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials when the study ends, in place of tune.trials.")] = None,
) -> None:
    """Search for good parameters: each trial is a training, and bad ones end early.

    The same command again goes on with the study, with those trials first that Ctrl-C or a kill ended. Started several times at once, on one machine or on
    several that share the folder, the commands work on the study together.

    Example: [bold]mlpf tune -p parameters/tune.yaml --study first --data output/dataset --trials 10[/]
    """
    from mlpf.cli.train import datasets_of
    from mlpf.tuning.run import tune

    values = load_parameters(parameters, overrides or [])
    if data:
        values.setdefault("training", {})["dataset"] = datasets_of(data)
    if trials:
        values.setdefault("tune", {})["trials"] = trials
    with progress() as bar:
        found = tune(values, output / study, parameters, console.print, bar)
    _print(found)


def _print(study: "Study") -> None:
    rows, config = study.rows(), study.config
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed", "running", "waiting", "lost") if state in states)
    console.print(f"{study.folder}: {len(rows)} trials: {counts}; {sum(row.seconds or 0.0 for row in rows):.0f} s of training")
    best = study.best()
    if best is None:
        console.print("[yellow]no trial is complete, so there is no best one[/]")
        return
    complete = sorted((row for row in rows if row.state == "complete"), key=lambda row: row.value or 0.0, reverse=config.direction == "maximize")
    table = Table(title=f"the best by {config.metric}", title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for name in ("trial", "value", "s", *config.search):
        table.add_column(name, justify="right", overflow="fold")
    for row in complete[:NUM_BEST]:
        texts = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values.values())
        table.add_row(str(row.number), f"{row.value:.5g}", f"{row.seconds or 0.0:.0f}", *texts)
    console.print(table)
    importances = study.importances()
    if importances:
        console.print("importance: " + ", ".join(f"{key} {share:.2f}" for key, share in importances.items()))
    console.print(f"best run: {study.run_folder(best.number)}")
    console.print(f"wrote {study.folder}/best.yaml (for mlpf train -p), trials.csv, study.png")
