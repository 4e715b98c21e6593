"""``mlpf simulate``: make an ntuple of simulated events."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlpf.cli.console import console, progress, rate
from mlpf.config import load_parameters, parse_section

if TYPE_CHECKING:
    from mlpf.events import Events


def run(
    output: Annotated[Path, typer.Option("--output", "-o", help="Ntuple to write (.root).")],
    events: Annotated[int, typer.Option("--events", "-n", min=0, help="Number of events.")] = 100,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0, help="Seed; an event depends on it and on its number alone.")] = 1,
    first_event: Annotated[int, typer.Option("--first-event", min=0, help="Number of the first event, to make one sample in several jobs.")] = 0,
    parameters: Annotated[Path | None, typer.Option("--parameters", "-p", help="Parameter file; its section 'simulation' is used.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes; the events do not depend on it.")] = 1,
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to the parameters, for example simulation.process=qcd.")] = None,
) -> None:
    """Simulate proton-proton collisions or single particles in a CMS-like detector and write a PFAnalysis ntuple.

    Its candidates are those of rule-based particle flow.

    Example: [bold]mlpf simulate -p parameters/simulate_gun.yaml --events 20 --seed 1 --output output/gun.root[/]
    """
    from mlpf.io.ntuple import write_ntuple
    from mlpf.schema import ElementType
    from mlpf.simulation.config import SimulationConfig
    from mlpf.simulation.parallel import simulate_in_parallel

    config = parse_section(load_parameters(parameters, overrides or ()), "simulation", SimulationConfig, parameters or "parameters")
    counts, attempts = dict.fromkeys(ElementType, 0), 0
    start = time.perf_counter()
    with progress() as bar, closing(simulate_in_parallel(config, events, seed, first_event, jobs)) as chunks:
        task = bar.add_task(f"simulating {config.process}", total=events)

        def counted() -> Iterator["Events"]:
            nonlocal attempts
            for chunk in chunks:
                attempts += chunk.attempts
                for element_type in ElementType:
                    counts[element_type] += int((chunk.events["element_type"] == element_type).sum())
                bar.update(task, advance=len(chunk.events))
                yield chunk.events

        written = write_ntuple(output, counted())
    seconds = time.perf_counter() - start
    console.print(
        f"{output}: {written} events of {config.process}, seed {seed}, {seconds:.1f} s ({rate(written, seconds)}), {output.stat().st_size / 1e6:.2f} MB"
    )
    if config.filters and attempts:
        console.print(f"  filters: {written} of {attempts} generated events passed ({written / attempts:.2%})")
    for element_type, count in counts.items():
        if count:
            console.print(f"  {element_type.name:<6} {count:>9} {count / written:>9.1f} per event")
