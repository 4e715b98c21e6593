"""``mlpf images``: eta-phi images of a dataset."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlpf.cli.console import console, progress, rate

if TYPE_CHECKING:
    import pyarrow as pa


def run(
    path: Annotated[Path, typer.Argument(metavar="dataset", help="Dataset folder, of mlpf postprocess.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Images of all events (.parquet), or a picture of one (.png, .pdf, .svg).")],
    parameters: Annotated[Path | None, typer.Option("--parameters", "-p", help="Parameter file; its section 'images' holds bins, quantity, contents.")] = None,
    event: Annotated[int, typer.Option(min=0, help="Which event the picture shows, counted from 0.")] = 0,
) -> None:
    """Make eta-phi images of a dataset: one channel per element type, and per class of the targets.

    Example: [bold]mlpf images output/dataset --output output/images.parquet[/]
    """
    from mlpf.config import load_parameters, parse_section
    from mlpf.graph.images import ImageConfig, eta_phi_images, images_table, write_images
    from mlpf.io.shards import ShardedDataset
    from mlpf.plotting.event_files import read_event
    from mlpf.plotting.images import draw_images

    start = time.perf_counter()
    config = parse_section(load_parameters(parameters), "images", ImageConfig, parameters or "parameters")
    if output.suffix != ".parquet":
        content = config.contents[0]
        drawn = read_event(path, event)
        draw_images(eta_phi_images(drawn, config, content).values[0], config, output, content, f"of event {event}")
        console.print(f"wrote {escape(str(output))}: event {event} of {escape(str(path))}")
        return
    dataset = ShardedDataset(path)
    with progress() as bar:
        task = bar.add_task("events", total=len(dataset))

        def tables() -> Iterator["pa.Table"]:
            for rows in dataset.iterate():
                yield images_table(rows, config)
                bar.advance(task, len(rows))

        num_events = write_images(output, tables())
    seconds = time.perf_counter() - start
    channels = ", ".join(f"{len(config.channels(content))} of {content}" for content in config.contents)
    bins = f"{config.num_eta} x {config.num_phi} bins"
    console.print(f"wrote {escape(str(output))}: {num_events} events, {bins}, channels: {channels} ({rate(num_events, seconds)})")
