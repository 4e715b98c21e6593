"""``mlpf scale``: how the features of elements are distributed, and how a model is to scale them."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from mlpf.cli.console import console, event_progress, rate

if TYPE_CHECKING:
    from mlpf.samples.scaling import ScalingConfig
    from mlpf.samples.scaling_file import ScalingFile
    from mlpf.samples.split import SplitConfig


def run(
    inputs: Annotated[list[Path], typer.Argument(help="Datasets to measure, or files of this command (.json) to merge.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.json).")],
    parameters: Annotated[
        Path | None, typer.Option("--parameters", "-p", help="Parameter file; section 'scaling' holds the methods, 'training.split' the splitting.")
    ] = None,
    split: Annotated[Literal["train", "validation", "test", "all"], typer.Option(help="Events to measure.")] = "train",
    jobs: Annotated[int, typer.Option(min=1, help="Processes; the result does not depend on it.")] = 1,
    max_events: Annotated[int | None, typer.Option(min=1, help="Measure no more events than these, drawn at random.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture (.png, .pdf, .svg) of how mean and width converge with the number of events.")] = None,
) -> None:
    """Measure mean, width, range and quantiles of every feature per element type; a training that names the file scales by it.

    Example: [bold]mlpf scale output/dataset --output output/scaling.json --plot output/scaling.png[/]

    Files of several datasets are merged: [bold]mlpf scale ttbar.json qcd.json --output both.json[/]
    """
    from mlpf.config import load_parameters, parse_section
    from mlpf.errors import MlpfError
    from mlpf.plotting.event import check_format
    from mlpf.samples.scaling import ScalingConfig
    from mlpf.samples.scaling_file import check_replaceable_file

    if plot is not None:
        check_format(plot)
    if output.suffix != ".json":
        raise MlpfError(f"{output}: the output is a JSON file; name it {output.with_suffix('.json')}")
    check_replaceable_file(output)
    loaded = load_parameters(parameters)
    scaling = parse_section(loaded, "scaling", ScalingConfig, parameters or "parameters")
    to_merge = [path for path in inputs if path.suffix == ".json"]
    if to_merge and len(to_merge) < len(inputs):
        other = next(path for path in inputs if path not in to_merge)
        raise MlpfError(f"{other}: datasets are measured, files are merged, one at a time; measure it first")
    if to_merge:
        result = _merge(to_merge, scaling if parameters else None)
    else:
        result = _measure(inputs, None if split == "all" else split, _split_config(loaded, parameters), scaling, jobs, max_events)
    result.write(output)
    _print(result)
    console.print(f"wrote {escape(str(output))}: {output.stat().st_size / 1e6:.2f} MB")
    _print_convergence(result, plot)


def _split_config(parameters: dict, source: Path | None) -> "SplitConfig":
    from mlpf.config import parse_section
    from mlpf.samples.split import SplitConfig

    section = parameters.get("training", {})
    return parse_section({"training.split": section.get("split", {})}, "training.split", SplitConfig, source or "parameters")


def _merge(paths: list[Path], scaling: "ScalingConfig | None") -> "ScalingFile":
    from mlpf.samples.scaling_file import merge_scaling_files, read_scaling_file

    files = [read_scaling_file(path) for path in paths]
    for path, file in zip(paths, files, strict=True):
        console.print(f"{escape(str(path))}: {file.statistics.num_events.sum()} events, {file.statistics.num_elements} elements, split {file.split or 'all'}")
    return merge_scaling_files(files, paths, scaling)


def _measure(folders: list[Path], split: str | None, split_config: "SplitConfig", scaling: "ScalingConfig", jobs: int, max_events: int | None) -> "ScalingFile":
    from mlpf.io.shards import ShardedDataset
    from mlpf.samples.scaling_file import ScalingFile, measured_datasets
    from mlpf.samples.statistics import measure_features

    datasets = [ShardedDataset(folder) for folder in folders]
    measured = measured_datasets(datasets)
    start = time.perf_counter()
    with event_progress() as show:
        statistics = measure_features(datasets, split, split_config, jobs, max_events, show)
    seconds, num_events = time.perf_counter() - start, int(statistics.num_events.sum())
    for dataset in measured:
        console.print(f"{escape(dataset.path)}: {dataset.num_events} events")
    console.print(f"split {split or 'all'}: {num_events} events, {statistics.num_elements} elements in {seconds:.1f} s ({rate(num_events, seconds)})")
    return ScalingFile(statistics, measured, split, split_config, scaling)


def _print(file: "ScalingFile") -> None:
    import numpy as np
    from rich.table import Table

    from mlpf.features import SCALED_FEATURES
    from mlpf.samples.scaling import limited_fraction, make_scaling
    from mlpf.schema import ElementType

    scaling = make_scaling(file.statistics, file.scaling)
    limited, counts = limited_fraction(file.statistics, scaling), file.statistics.counts.sum(axis=0)
    constant = file.statistics.extremes[..., 0] == file.statistics.extremes[..., 1]
    table = Table("type", "elements", "constant features", "most often beyond the limits", title="features by element type", title_justify="left")
    for kind in np.flatnonzero(counts):
        worst = [i for i in np.argsort(-limited[kind], kind="stable")[:3] if limited[kind, i] > 0]
        tails = ", ".join(f"{SCALED_FEATURES[i]} {limited[kind, i]:.2g}" for i in worst)
        table.add_row(ElementType(int(kind)).name, str(counts[kind]), f"{constant[:, kind].sum()} of {len(SCALED_FEATURES)}", tails or "none")
    console.print(table)


def _print_convergence(file: "ScalingFile", plot: Path | None) -> None:
    from mlpf.plotting.scaling import NUM_FEATURES, draw_convergence
    from mlpf.samples.convergence import MIN_ELEMENTS, slowest_features
    from mlpf.schema import ElementType

    slowest = slowest_features(file.statistics, file.scaling, NUM_FEATURES)
    if not slowest:
        console.print(f"no element type has {MIN_ELEMENTS} elements: too few to see whether the moments have converged")
        return
    worst = slowest[0]
    console.print(
        f"from half of the events to all, means and widths changed by up to {worst.last_change:.2g} standard deviations "
        f"({ElementType(worst.element_type).name} {worst.feature})"
    )
    if plot is not None:
        draw_convergence(slowest, plot)
        console.print(f"wrote {escape(str(plot))}")
