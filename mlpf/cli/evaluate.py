"""``mlpf evaluate``: a model on a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from mlpf.cli.console import console, progress, rate


def run(
    model: Annotated[Path, typer.Argument(help="Run folder of mlpf train, folder of the runs of all folds, or model (.onnx).")],
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all; default: test; all where the model does not know its own, and for all folds together.")
    ] = None,
    events: Annotated[int | None, typer.Option(min=1, help="Stop after so many events of the split.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier evaluation.")] = False,
) -> None:
    """Compare a model with rule-based particle flow, targets and generator: predictions, metrics with uncertainties, plots, report.

    Given the folder of all k runs of training.split.folds=K, each event goes to the model that keeps its fold for the test; all events are used.

    Example: [bold]mlpf evaluate output/run output/dataset --output output/evaluation[/]
    """
    from mlpf.evaluation import evaluate, load_predictor
    from mlpf.io.shards import ShardedDataset

    predictor, source = load_predictor(model, device), ShardedDataset(dataset)
    console.print(", ".join(f"{key} {value}" for key, value in predictor.description.items()))
    with progress() as bar:
        task = bar.add_task("evaluating", total=len(source))
        done = evaluate(predictor, source, output, split, events, overwrite, lambda n: bar.advance(task, n))
    results = done.results
    console.print(
        f"{dataset}: read {done.num_read} of {len(source)} events, used {results['num_events']} ({results['split']}), {results['num_elements']} elements"
    )
    if "pf" not in results["systems"]:
        console.print("the dataset holds no candidates of rule-based particle flow: compared with the targets only")
    if results["num_not_finite"]:
        console.print(f"{results['num_not_finite']} candidates are not finite: in predictions.parquet, but left out of the metrics")
    console.print(
        f"{done.num_candidates} candidates; model {done.predict_seconds:.1f} s ({rate(results['num_events'], done.predict_seconds)}), "
        f"metrics {done.metrics_seconds:.1f} s, all {done.total_seconds:.1f} s"
    )
    console.print(f"wrote {output}/predictions.parquet, metrics.json, report.html, {len(done.plots)} plots as PNG and SVG")
