#!/usr/bin/env python
"""Cost of the models against the number of elements of an event: `python scripts/measure_models.py`, up to an hour on two cores.

Each model as its parameter file `parameters/<model>.yaml` makes it, which is how it is used; its size stands in the table. The loss is the default one for all.
One event of random elements at a time; the time is the median of some passes after a first one, the memory what the process needs beyond the model and the
event (CPU: largest resident set; GPU: largest allocated). Every point is measured in a process of its own; one that exceeds a limit of time or memory says so.
`t ~ N^x` is fitted to the sizes from 2000 elements on.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

MODELS = ("gravnet", "message_passing", "gnn_lsh", "window", "attention")
SIZES = (500, 1000, 2000, 5000, 10_000, 20_000)
FITTED_FROM = 2000  # elements; below, overhead counts
STEPS = {"forward": "forward", "training": "forward + backward"}
ROOT = Path(__file__).parents[1]
GIGABYTE = 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help="names of parameter files in parameters/, or their paths")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeat", type=int, default=5, help="passes of which the median counts")
    parser.add_argument("--max-seconds", type=float, default=600.0, help="for each point")
    parser.add_argument("--max-memory", type=float, default=16.0, help="GB, for each point, on the CPU")
    parser.add_argument("--output", type=Path, default=Path("output/model_cost"), help="gets cost.json and cost.md")
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "images" / "model_cost.png", help="another suffix gives another format")
    parser.add_argument("--point", nargs=3, metavar=("FILE", "STEP", "SIZE"), help=argparse.SUPPRESS)  # what the process of a point is told
    arguments = parser.parse_args()
    if arguments.point:
        print(json.dumps(measure(arguments.point[0], arguments.point[1], int(arguments.point[2]), arguments)))
        return
    points = []
    for model in arguments.models:
        for step in STEPS:
            for size in arguments.sizes:
                points.append({"model": Path(model).stem, "step": step, "size": size, **point_in_process(model, step, size, arguments)})
                print(describe(points[-1]), flush=True)
    table = to_markdown(points, arguments)
    print(table)
    arguments.output.mkdir(parents=True, exist_ok=True)
    settings = {"device": arguments.device, "threads": arguments.threads, "repeat": arguments.repeat}
    (arguments.output / "cost.json").write_text(json.dumps({**settings, "points": points}, indent=1) + "\n")
    (arguments.output / "cost.md").write_text(table)
    draw(points, arguments.figure)


def point_in_process(model: str, step: str, size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Result of `measure`, or ``failure``: why there is none."""
    path = Path(model) if model.endswith(".yaml") else ROOT / "parameters" / f"{model}.yaml"
    words = ["--point", str(path), step, str(size), "--threads", arguments.threads, "--device", arguments.device, "--repeat", arguments.repeat]
    words += ["--max-seconds", arguments.max_seconds, "--max-memory", arguments.max_memory]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "NUMBA_NUM_THREADS": str(arguments.threads), "GOMP_SPINCOUNT": "1000"}
    try:
        done = subprocess.run(
            [sys.executable, __file__, *map(str, words)], env=environment, timeout=arguments.max_seconds, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"> {arguments.max_seconds:g} s"}
    if done.returncode == 0:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result
    if done.returncode == -9 or "memory" in done.stderr.lower() or "bad_alloc" in done.stderr:
        return {"failure": f"> {arguments.max_memory:g} GB" if arguments.device == "cpu" else "memory"}
    raise SystemExit(f"{model}, {step}, {size} elements:\n{done.stderr}")


def measure(path: str, step: str, size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Parameters of the model, seconds and bytes of a pass."""
    import torch

    from mlpf.config import load_parameters
    from mlpf.training.config import run_parameters
    from mlpf.training.cost import ModelCost

    torch.set_num_threads(arguments.threads)
    sections = load_parameters(path)
    parameters = run_parameters({"model": sections["model"]}, path)
    for small in (True, False):  # kernels and libraries come with the first pass: of a small event, so that it does not set the peak
        cost = ModelCost(parameters, min(size, 300) if small else size, 1, arguments.device)
        action = getattr(cost, step)
        if small:
            action()
    if arguments.device == "cpu":
        resource.setrlimit(resource.RLIMIT_AS, (virtual_bytes() + round(arguments.max_memory * GIGABYTE),) * 2)
    start_bytes, seconds, begin = reset_peak(arguments.device), [], time.perf_counter()
    while len(seconds) <= arguments.repeat:
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
        if len(seconds) > 1 and time.perf_counter() - begin + seconds[-1] > 0.7 * arguments.max_seconds:
            break
    return {"parameters": cost.num_parameters, "seconds": statistics.median(seconds[1:]), "bytes": peak(arguments.device) - start_bytes}


def virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def reset_peak(device: str) -> int:
    """Bytes in use now; the peak counts from here."""
    import torch

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return peak(device)


def peak(device: str) -> int:
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def describe(point: dict[str, Any]) -> str:
    result = point.get("failure") or f"{1e3 * point['seconds']:.4g} ms, {point['bytes'] / 1e6:.0f} MB"
    return f"{point['model']}, {STEPS[point['step']]}, {point['size']} elements: {result}"


def exponent(points: Sequence[dict[str, Any]], quantity: str) -> float | None:
    """Of a power law through the points of many elements."""
    chosen = [point for point in points if quantity in point and point["size"] >= FITTED_FROM]
    if len(chosen) < 2:
        return None
    return float(np.polyfit(np.log([point["size"] for point in chosen]), np.log([max(point[quantity], 1e-6) for point in chosen]), 1)[0])


def lines_of(points: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Points of each model and step."""
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in points:
        lines.setdefault((point["model"], point["step"]), []).append(point)
    return lines


def to_markdown(points: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """Time and memory, one row for each model and step."""
    sizes = sorted({point["size"] for point in points})
    text = [f"{arguments.device}, {arguments.threads} threads, median of {arguments.repeat}\n"]
    for quantity, title, number in (("seconds", "ms per event", lambda x: f"{1e3 * x:.3g}"), ("bytes", "peak MB", lambda x: f"{x / 1e6:.3g}")):
        text += [f"| {title} | | parameters | {' | '.join(str(size) for size in sizes)} | N^x |", "|---|---|" + "--:|" * (len(sizes) + 2)]
        for (model, step), line in lines_of(points).items():
            at = {point["size"]: number(point[quantity]) if quantity in point else point["failure"] for point in line}
            count = next((f"{point['parameters']}" for point in line if "parameters" in point), "")
            power = exponent(line, quantity)
            cells = [at.get(size, "") for size in sizes]
            text.append(f"| {model} | {STEPS[step]} | {count} | {' | '.join(cells)} | {'' if power is None else f'{power:.2f}'} |")
        text.append("")
    return "\n".join(text)


def draw(points: Sequence[dict[str, Any]], path: Path) -> None:
    """Time above, memory below; forward left, with backward right."""
    from mlpf.io.files import atomic_file
    from mlpf.plotting.style import BLUE, GREY, ORANGE, PURPLE, RED, VIOLET, logarithmic, new_figure, style

    models = list(dict.fromkeys(point["model"] for point in points))
    look = dict(zip(models, zip((BLUE, ORANGE, RED, PURPLE, GREY, VIOLET) * 3, "os^Dvx" * 3, strict=False), strict=False))
    sizes = sorted({point["size"] for point in points})
    with style(), atomic_file(path) as temporary:
        figure = new_figure(9.0, 7.5)
        panels = figure.subplots(2, 2, sharex=True, sharey="row")
        for panel_row, quantity, factor, unit in ((panels[0], "seconds", 1e3, "ms per event"), (panels[1], "bytes", 1e-6, "peak memory [MB]")):
            for axes, step in zip(panel_row, STEPS, strict=True):
                for model in models:
                    line = [point for point in points if (point["model"], point["step"]) == (model, step) and quantity in point]
                    power = exponent(line, quantity)
                    name = model if power is None else f"{model} $N^{{{power:.2f}}}$"
                    color, marker = look[model]
                    axes.plot([point["size"] for point in line], [factor * point[quantity] for point in line], color=color, marker=marker, label=name)
                logarithmic(axes, (0.8 * sizes[0], 1.25 * sizes[-1]), sizes)
                axes.set_yscale("log")
                axes.legend(loc="upper left", frameon=False)
            panel_row[0].set_ylabel(unit)
        for axes, step in zip(panels[0], STEPS, strict=True):
            axes.set_title(STEPS[step], pad=6)
        for axes in panels[1]:
            axes.set_xlabel("elements")
        figure.savefig(temporary)


if __name__ == "__main__":
    main()
