"""``mlpf blocks``: the block benchmark."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import yaml
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mlpf.cli.console import console, progress
from mlpf.config import load_parameters, parse_section
from mlpf.io.files import write_text

if TYPE_CHECKING:
    from mlpf.classical.block_benchmark import Score
    from mlpf.classical.clue_blocks import ClueBlockParameters
    from mlpf.events import Events
    from mlpf.metrics.blocks import Truth
    from mlpf.metrics.uncertainty import Estimate

# Rows of the table: title, columns of `mlpf.metrics.blocks`
ROWS = {
    "blocks per event": ("num_predicted", "num_true"),
    "mean size": ("mean_size_predicted", "mean_size_true"),
    "largest block": ("largest_predicted", "largest_true"),
    "adjusted Rand index": ("adjusted_rand", None),
    "edge precision": ("edge_precision", None),
    "edge recall": ("edge_recall", None),
    "candidates": ("candidates_predicted", "candidates_true"),
    "candidates matched": ("candidates_matched", None),
}


def run(
    path: Annotated[Path, typer.Argument(help="Ntuple (.root) with candidates.", metavar="ntuple")],
    clue_parameters: Annotated[Path | None, typer.Option(help="Parameter file; its section 'clue' adds a contender.")] = None,
    tune: Annotated[int, typer.Option(min=0, help="Tune CLUE in so many trials on one half of the events; all contenders are judged on the other half.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the tuning.")] = 0,
    events: Annotated[int | None, typer.Option("--events", "-n", min=1, help="Use only the first events.")] = None,
    nonfinite: Annotated[Literal["error", "zero"], typer.Option(help="What to do with NaN and infinite momenta of elements.")] = "error",
    truth: Annotated[Literal["candidates", "particles"], typer.Option(help="What elements that belong together share.")] = "candidates",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Numbers (.json); tuned parameters go beside it (.yaml).")] = None,
) -> None:
    """Compare ways to group PF elements into blocks: the link rules of PFBlockAlgo and CLUE.

    Elements that share a candidate belong together, or with --truth particles those that share a simulated particle. Each contender's candidates come from
    rule-based particle flow that may look only inside its blocks, and are counted against the ntuple's.
    Mind where the ntuple's candidates come from: those of mlpf simulate and mlpf classical follow the link rules, which is an advantage for these.

    Example: [bold]mlpf blocks data/ttbar.root --tune 30 --output output/blocks.json[/]
    """
    from mlpf.classical.block_benchmark import clue_contender, halves, judge, link_rules, read_for_blocks
    from mlpf.classical.clue_blocks import ClueBlockParameters

    if output and output.suffix != ".json":
        raise typer.BadParameter(f"{output}: the numbers go to a .json file", param_hint="--output")
    contenders = [link_rules(), clue_contender("CLUE")]
    if clue_parameters:
        given = parse_section(load_parameters(clue_parameters), "clue", ClueBlockParameters, clue_parameters)
        contenders.append(clue_contender(f"CLUE {clue_parameters.stem}", given))
    chunks = read_for_blocks(path, events, nonfinite, truth)
    console.print(f"{escape(str(path))}: {sum(map(len, chunks))} events, {sum(chunk.size('element') for chunk in chunks)} elements")
    if tune:
        tuning, chunks = halves(chunks)
        tuned = _tune(tuning, tune, seed, truth)
        contenders.append(clue_contender("CLUE tuned", tuned))
        if output:
            write_text(output.with_suffix(".yaml"), yaml.safe_dump({"clue": tuned.model_dump()}, sort_keys=False))
    with progress() as bar:
        task = bar.add_task("events", total=sum(map(len, chunks)))
        scores, links = judge(chunks, contenders, truth, on_events=lambda count: bar.advance(task, count))
    _print(scores, sum(map(len, chunks)), truth)
    if float(links["links_true"].value):
        console.print(f"links of the rules against the ntuple's own: precision {_text(links['link_precision'])}, recall {_text(links['link_recall'])}")
        console.print("edge precision and recall are over the ntuple's own links: the rules that made these have an edge recall of 1 by construction")
    else:
        console.print("the ntuple lists no links of its own: edge precision and recall are over those of the rules")
    if output:
        write_text(output, json.dumps({"truth": truth, **_to_json(scores, links)}, indent=2))
        console.print(f"wrote {escape(str(output))}" + (f" and {escape(str(output.with_suffix('.yaml')))}" if tune else ""))


def _tune(chunks: list["Events"], num_trials: int, seed: int, truth: "Truth") -> "ClueBlockParameters":
    from mlpf.classical.clue_blocks import ClueBlockParameters
    from mlpf.tuning.blocks import tune_clue

    with progress() as bar:
        task = bar.add_task("trials", total=num_trials)
        parameters, best = tune_clue(chunks, num_trials, seed, truth, on_trial=lambda: bar.advance(task))
    console.print(f"tuned CLUE on {sum(map(len, chunks))} of them in {num_trials} trials: adjusted Rand index {best:.3f}; the others follow")
    if parameters == ClueBlockParameters():
        console.print("  [yellow]nothing better than the default was found: try more trials, for example --tune 100[/]")
    console.print("  " + ", ".join(f"{name} {value:.3g}" for name, value in parameters.model_dump().items()))
    return parameters


def _print(scores: dict[str, "Score"], num_events: int, truth: str) -> None:
    title = f"{num_events} events, blocks by {truth}: mean per event and its standard error"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=0)  # five contenders fit into 80 columns
    table.add_column("", no_wrap=True)
    for name in ("truth", *scores):
        table.add_column(name, overflow="fold")
    first = next(iter(scores.values())).means
    for title, (name, of_truth) in ROWS.items():
        table.add_row(title, _text(first[of_truth]) if of_truth else "", *(_text(score.means[name]) for score in scores.values()))
    table.add_row("ms to build", "", *(f"{score.milliseconds_per_event:.3g}" for score in scores.values()))
    console.print(table)


def _text(estimate: "Estimate") -> str:
    value, error = float(estimate.value), float(estimate.high) - float(estimate.value)
    if not math.isfinite(error):
        return f"{value:.3f}" if math.isfinite(value) else "-"  # one event has no error; without a listed pair there is no number
    decimals = min(3, max(0, 1 - math.floor(math.log10(error)))) if error > 0.0 else 3
    return f"{value:.{decimals}f}\u00b1{error:.{decimals}f}"


def _to_json(scores: dict[str, "Score"], links: dict[str, "Estimate"]) -> dict[str, Any]:
    contenders = {
        name: {**{key: estimate.to_json() for key, estimate in score.means.items()}, "milliseconds_per_event": score.milliseconds_per_event}
        for name, score in scores.items()
    }
    return {"contenders": contenders, "links": {key: estimate.to_json() for key, estimate in links.items()}}
