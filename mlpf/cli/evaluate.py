"""``mlpf evaluate``: models on datasets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlpf.cli.console import console, progress, rate

if TYPE_CHECKING:
    from mlpf.evaluation import Evaluation


def run(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]PATH...",
            help="Models (run folder of mlpf train, folder of the runs of all folds, .onnx) and datasets, in any order; NAME= names them.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    split: Annotated[
        str | None,
        typer.Option(help="train, validation, test or all; default: test; all where the model kept none or does not know its own, and for all folds together."),
    ] = None,
    events: Annotated[int | None, typer.Option(min=1, help="Stop after so many events of the split in each dataset.")] = None,
    part: Annotated[
        str | None, typer.Option(metavar="I/N", help="Evaluate every N-th row group only, as one of N jobs; mlpf report joins what they made.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier evaluation.")] = False,
) -> None:
    """Compare models with each other, rule-based particle flow, targets and generator: predictions, metrics with uncertainties, plots, report.

    All models see the same events: those that fall to the test split (or --split) of every one of them. Given the folder of all k runs of
    training.split.folds=K, each event goes to the model that keeps its fold for the test; all events are used.

    Example: [bold]mlpf evaluate output/run output/dataset --output output/evaluation[/]

    Example: [bold]mlpf evaluate small=output/run_a large=output/run_b output/ttbar output/qcd --output output/evaluation[/]
    """
    from mlpf.evaluation import Part, evaluate, load_predictor, parse_inputs
    from mlpf.io.shards import ShardedDataset

    named = parse_inputs(inputs)
    share = None if part is None else Part.parse(part)
    datasets = {name: ShardedDataset(path) for name, path in named.datasets.items()}
    models = {name: load_predictor(path, device) for name, path in named.models.items()}
    for name, model in models.items():
        console.print(escape(f"{name}: {', '.join(f'{key} {value}' for key, value in model.description.items())}"))
    with progress() as bar:
        task = bar.add_task("evaluating", total=sum(map(len, datasets.values())) // (1 if share is None else share.total))
        done = evaluate(models, datasets, output, split, events, share, overwrite, lambda n: bar.advance(task, n))
    _report(done, output)


def _report(done: "Evaluation", output: Path) -> None:
    """What was read, left out, written, and how long it took."""
    for name, entry in done.metrics["datasets"].items():
        used, counted = entry["num_events"], done.counted[name]
        part = f", part {entry['part']}" if "part" in entry else ""
        console.print(
            escape(f"{name}{part}: read {counted.num_read} events of {entry['path']}, used {used} ({entry['split']}), {entry['num_elements']} elements")
        )
        if used and "pf" not in entry["systems"]:
            console.print(f"{name}: holds no candidates of rule-based particle flow, so there is no comparison with it")
        for model, about in entry["models"].items():
            timing = entry.get("timing", {}).get(model)
            speed = f", {rate(timing['events_per_second'], 1.0)} on {timing['device']}" if timing and timing["events_per_second"] else ""
            console.print(f"{name}, {model}: {counted.num_candidates[model]} candidates{speed}")
            if about.get("num_not_finite"):
                console.print(f"[yellow]{name}, {model}: {about['num_not_finite']} candidates are not finite: written, but left out of the metrics[/]")
    console.print(", ".join(f"{what} {seconds:.1f} s" for what, seconds in done.seconds.items()))
    if any("part" in entry for entry in done.metrics["datasets"].values()):
        console.print(escape(f"wrote {output}: predictions, metrics.json, performance.json and counts of a part; mlpf report joins the parts and draws"))
    else:
        num_figures = sum(map(len, done.figures.values()))
        console.print(escape(f"wrote {output}: predictions, metrics.json, performance.json, report.html, {num_figures} figures as PNG, SVG and PDF"))
