"""``mlpf benchmark inference``: what a call of an ONNX model costs, for one thread and one event as in the consumer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from mlpf.cli.console import console, errors
from mlpf.errors import MlpfError, ModelError

if TYPE_CHECKING:
    from mlpf.events import Events
    from mlpf.producer.cost import InferenceCost

SIZES = (500, 1000, 2000, 5000, 10_000)
REFERENCE_SIZE = 1000  # elements, to which the time of the largest event is compared
SHOWN_OPERATORS = 10
CHUNK_BYTES = 20_000_000


def measure_inference(models: Sequence[Path], inputs: Path | None, sizes: Sequence[int] | None, repeats: int, threads: int, figure: Path | None) -> None:
    """Measure models on one event of each size, print tables, draw a figure.

    Args:
        models: ONNX files of the target cmssw.
        inputs: file whose elements to take; None: random ones.
        sizes: elements per event, by default `SIZES`.
        repeats: calls per event; medians and quartiles are theirs.
        threads: intra-op threads on the CPU.
        figure: where to draw, if anywhere.
    """
    from mlpf.producer.cost import InferenceCost, event_of_size, pool_size
    from mlpf.producer.session import available_devices

    if not models:
        raise MlpfError("benchmark inference: pass --model MODEL.onnx, as mlpf export writes it")
    sizes = sorted(set(sizes or SIZES))
    pool = pool_of(inputs, sizes[-1])
    if pool_size(pool) < sizes[-1]:
        raise MlpfError(f"{inputs}: {pool_size(pool)} elements that the consumer selects; choose a --size of no more, or a larger file")
    events = [event_of_size(pool, size) for size in sizes]
    console.print(f"elements of {pool.source}, one event per call, {repeats} calls, {threads} thread(s)")
    costs = []
    for path in models:
        for device in available_devices():
            try:
                costs.append(InferenceCost.measure(path, device, events, repeats, threads))
            except ModelError as error:
                if device == "cpu":
                    raise
                errors.print(f"left out: {error}")
    for cost in costs:
        _print_times(cost)
        if cost.operators:
            _print_operators(cost)
    if figure is not None:
        from mlpf.plotting.inference import draw_inference

        draw_inference(costs, figure)
        console.print(f"wrote {figure}")


def pool_of(inputs: Path | None, num_elements: int) -> "Events":
    """Events with at least so many elements of the consumer together, if the file has them."""
    from mlpf.events import concatenate
    from mlpf.producer.cost import pool_size
    from mlpf.producer.sources import open_source
    from mlpf.random_ntuple import random_events

    if inputs is None:
        return random_events(np.random.default_rng(1), 8, num_elements)
    chunks: list[Events] = []
    with open_source(inputs) as source:
        for chunk in source.chunks(CHUNK_BYTES):
            chunks.append(chunk)
            if sum(map(pool_size, chunks)) >= num_elements:
                break
    return concatenate(chunks)


def _print_times(cost: "InferenceCost") -> None:
    """Wall time in quartiles, CPU time, features and candidates around the call, memory of the process and the event's part; one row for each size."""
    table = Table(title=f"{cost.path.name} on {cost.device}: one call", title_justify="left")
    for name in ("elements", "ms", "quartiles", "CPU ms", "around it", "peak MB", "event's"):
        table.add_column(name, justify="right")
    for size, call, memory in zip(cost.sizes, cost.calls, cost.memory, strict=True):
        low, median, high = 1e3 * np.quantile(call.model, (0.25, 0.5, 0.75))
        cpu, around = (1e3 * np.median(values) for values in (call.model_cpu, call.around))
        megabytes = (f"{memory.peak / 1e6:.0f}", f"{memory.event / 1e6:.0f}") if memory else ("", "")
        table.add_row(str(size), f"{median:.4g}", f"{low:.3g}-{high:.3g}", f"{cpu:.4g}", f"{around:.2g} ms", *megabytes)
    console.print(table)
    if REFERENCE_SIZE in cost.sizes[:-1]:
        ratios = cost.latencies[-1] / cost.latencies[cost.sizes.index(REFERENCE_SIZE)]  # each of two calls shortly after each other
        console.print(f"{cost.sizes[-1]} elements take {np.median(ratios):.1f} times as long as {REFERENCE_SIZE}")


def _print_operators(cost: "InferenceCost") -> None:
    """Milliseconds per kind of operator, one column for each size; kinds in the order of the largest event."""
    table = Table(title=f"{cost.path.name}: ms per kind of operator", title_justify="left")
    table.add_column("operator")
    for size in cost.sizes:
        table.add_column(f"N = {size}", justify="right")
    table.add_column("share", justify="right")
    shown, total = list(cost.operators[-1])[:SHOWN_OPERATORS], sum(cost.operators[-1].values())
    for name in shown:
        cells = [f"{1e3 * found.get(name, 0.0):.3g}" for found in cost.operators]
        table.add_row(name, *cells, f"{cost.operators[-1][name] / total:.1%}")
    others = [sum(seconds for name, seconds in found.items() if name not in shown) for found in cost.operators]
    table.add_row("others", *(f"{1e3 * seconds:.3g}" for seconds in others), f"{others[-1] / total:.1%}")
    console.print(table)
