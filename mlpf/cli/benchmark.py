"""``mlpf benchmark``: how fast this machine goes through the stages, and how much memory that takes."""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from mlpf.cli.benchmark_inference import measure_inference
from mlpf.cli.console import console

SIZES = (500, 1000, 2000, 5000)
CLUE_SIZES = (10_000, 100_000)
GUN_ELEMENTS = 3.35  # that a particle of the gun below makes, about
CLUE_NEIGHBORS = 20  # points within dc of a point, about as many as CLUE meets in a granular calorimeter


class Stage(StrEnum):
    """What can be measured."""

    SIMULATION = "simulation"
    CLASSICAL = "classical"
    CLUE = "clue"
    POSTPROCESS = "postprocess"
    TRAINING = "training"
    INFERENCE = "inference"


def run(
    stage: Annotated[Stage, typer.Argument(help="What to measure.")],
    models: Annotated[list[Path] | None, typer.Option("--model", help="Inference: ONNX model, may be repeated.")] = None,
    inputs: Annotated[Path | None, typer.Option("--input", help="Inference: file whose events to take instead of random ones.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Inference: draw time against size and its operators, .png, .pdf or .svg.")] = None,
    parameters: Annotated[Path | None, typer.Option("-p", "--parameters", help="Parameter file of the model or the simulation.")] = None,
    sizes: Annotated[
        list[int] | None,
        typer.Option(
            "--size", min=1, help=f"Elements (CLUE: points) per event, may be repeated; by default {SIZES}, CLUE: {CLUE_SIZES}, inference also 10000."
        ),
    ] = None,
    events: Annotated[int, typer.Option(min=1, help="Events per size; inference: one.")] = 20,
    repeats: Annotated[int, typer.Option(min=1, help="Repetitions, of which the median counts; one more goes first and does not.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads of CLUE, particle flow, torch or ONNX Runtime.")] = 1,
) -> None:
    """Measure a stage on random events of given sizes; medians, and the peak memory of the process.

    Simulation is measured on what its parameters make, classical on events of a particle gun. Inference is one event per call on every device that is there:
    time, memory, and time per kind of operator.

    Example: [bold]mlpf benchmark postprocess --size 5000[/]
    """
    if stage is Stage.INFERENCE:
        measure_inference(models or [], inputs, sizes, repeats, threads, figure)
        return
    table = Table(title=f"{stage.value}: {events} events a size, median of {repeats}, {threads} thread(s)", title_justify="left")
    for name in ("elements", "step", "ms per event", "events/s", "peak memory [MB]"):
        table.add_column(name, justify="left" if name == "step" else "right")

    def measure(num_elements: float, step: str, action: Callable[[], object]) -> None:
        action()
        seconds = statistics.median(_seconds(action) for _ in range(repeats)) / events
        table.add_row(f"{num_elements:.0f}", step, f"{1e3 * seconds:.3g}", f"{1 / seconds:.3g}", f"{_peak_megabytes():.0f}")

    if stage is Stage.SIMULATION:
        _simulation(parameters, events, measure)
    else:
        for size in sizes or (CLUE_SIZES if stage is Stage.CLUE else SIZES):
            if stage is Stage.CLASSICAL:
                _classical(size, events, threads, measure)
            elif stage is Stage.CLUE:
                _clue(size, events, threads, measure)
            elif stage is Stage.POSTPROCESS:
                _postprocess(size, events, measure)
            else:
                _training(parameters, size, events, threads, measure)
    console.print(table)


Measure = Callable[[float, str, Callable[[], object]], None]


def _simulation(parameters: Path | None, events: int, measure: Measure) -> None:
    from mlpf.classical.particle_flow import rule_based_particle_flow
    from mlpf.config import load_parameters, parse_section
    from mlpf.events import concatenate
    from mlpf.simulation.config import SimulationConfig
    from mlpf.simulation.simulate import event_generator, simulate, simulate_event

    config = parse_section(load_parameters(parameters) if parameters else {}, "simulation", SimulationConfig, parameters or "parameters")
    generate = event_generator(config)
    generated = [generate(1, number) for number in range(events)]
    made = concatenate(list(simulate(config, events, seed=1)))
    size = made.size("element") / events
    measure(size, "generator", lambda: [generate(1, number) for number in range(events)])
    measure(size, "detector, clusters, truth", lambda: [simulate_event(event, 1, number) for number, event in enumerate(generated)])
    measure(size, "rule-based particle flow", lambda: rule_based_particle_flow(made))


def _classical(size: int, events: int, threads: int, measure: Measure) -> None:
    from mlpf.classical.blocks import find_blocks
    from mlpf.classical.clue_blocks import clue_blocks
    from mlpf.classical.elements import elements_of
    from mlpf.classical.links import find_links
    from mlpf.classical.particle_flow import rule_based_particle_flow
    from mlpf.events import concatenate
    from mlpf.simulation.config import GunConfig, SimulationConfig
    from mlpf.simulation.simulate import simulate

    # Particles of a gun instead of random elements: what touches what decides on the time
    gun = GunConfig(particle=("pi", "pi", "gamma", "K0L"), number=round(size / GUN_ELEMENTS), max_pt=10.0, max_abs_eta=3.0)
    made = concatenate(list(simulate(SimulationConfig(process="gun", gun=gun), events, seed=1)))
    size = round(made.size("element") / events)
    elements = elements_of(made)
    links = find_links(elements, threads)
    measure(size, "links", lambda: find_links(elements, threads))
    measure(size, "blocks", lambda: find_blocks(links, len(elements.type)))
    measure(size, "blocks by CLUE", lambda: clue_blocks(elements))
    measure(size, "rule-based particle flow", lambda: rule_based_particle_flow(made, threads=threads))


def _clue(size: int, events: int, threads: int, measure: Measure) -> None:
    from mlpf.classical.clue import ClueParameters, clue

    rng = np.random.default_rng(1)
    eta, phi, weight = rng.uniform(-3.0, 3.0, events * size), rng.uniform(-np.pi, np.pi, events * size), rng.exponential(size=events * size)
    offsets = np.arange(events + 1) * size
    dc = np.sqrt(CLUE_NEIGHBORS * 6.0 * 2.0 * np.pi / (np.pi * size))
    parameters = ClueParameters(dc=dc, rho_c=10.0, periodic=True)
    measure(size, "CLUE", lambda: clue(eta, phi, weight, offsets, parameters, threads))


def _postprocess(size: int, events: int, measure: Measure) -> None:
    import uproot

    from mlpf.io.ntuple import Ntuple, write_ntuple
    from mlpf.io.shards import write_parquet
    from mlpf.postprocess import CaloParticlePolicy, postprocess_events
    from mlpf.postprocess.association import associate_caloparticles
    from mlpf.postprocess.rows import columns_to_read
    from mlpf.random_ntuple import random_events

    policy = CaloParticlePolicy()
    made = random_events(np.random.default_rng(1), events, size)
    rows, _ = postprocess_events(made, policy)
    with tempfile.TemporaryDirectory() as folder:
        ntuple_path = Path(folder) / "ntuple.root"
        write_ntuple(ntuple_path, [made])
        with Ntuple(ntuple_path) as ntuple, uproot.open(f"{ntuple_path}:{ntuple.tree_path}", object_cache=None, array_cache=None) as tree:
            branches = [ntuple.branches[name] for name in columns_to_read(policy)]
            measure(size, "uproot, the same branches", lambda: [tree[branch].array() for branch in branches])
            measure(size, "read", lambda: list(ntuple.iterate(columns_to_read(policy))))
        measure(size, "associate", lambda: associate_caloparticles(made, policy))
        measure(size, "associate, targets, jets", lambda: postprocess_events(made, policy))
        measure(size, "write", lambda: write_parquet(Path(folder) / "rows.parquet", [rows]))


def _training(parameters: Path | None, size: int, events: int, threads: int, measure: Measure) -> None:
    import torch

    from mlpf.config import load_parameters
    from mlpf.training.config import run_parameters
    from mlpf.training.cost import ModelCost

    torch.set_num_threads(threads)
    cost = ModelCost(run_parameters(load_parameters(parameters) if parameters else {}, parameters or "parameters"), size, events)
    measure(size, "forward", cost.forward)
    measure(size, "forward, backward, step", cost.training)


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # ru_maxrss is in kB on Linux
