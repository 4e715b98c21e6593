"""Samples simulated by several processes, candidates of rule-based particle flow included."""

import functools
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.events import Events
from mlpf.io.workers import map_in_order
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.generation.pileup import PileupPool, draw_crossing, save_pool
from mlpf.simulation.simulate import EventGenerator, event_generator, simulate_chunk

COLLISIONS_PER_TASK = 100  # of the pool, about a third of a second


class Chunk(NamedTuple):
    """Some finished events.

    Attributes:
        events: all columns of `schema.NTUPLE`.
        attempts: events generated, those that did not pass the filters included.
    """

    events: Events
    attempts: int


class _Task(NamedTuple):
    """Consecutive events to be made; travels to another process."""

    config: SimulationConfig
    seed: int
    events: range
    pool: Path | None


def simulate_in_parallel(config: SimulationConfig, num_events: int, seed: int, first_event: int = 0, jobs: int = 1) -> Generator[Chunk, None, None]:
    """Simulate and reconstruct events as `simulate` and `rule_based_particle_flow` do; the events do not depend on ``jobs``, only their chunks.

    Args:
        config, num_events, seed, first_event: see `simulate`.
        jobs: processes. A pool of pileup is then made first, by all of them, as far as the events need it, and shared by way of a temporary folder.

    Raises:
        MlpfError: a process died, and whatever `simulate` raises.
    """
    size = max(1, min(config.events_per_chunk, -(-num_events // jobs)))
    stop = first_event + num_events
    starts = range(first_event, max(stop, first_event + 1), size)
    with ExitStack() as stack:
        folder = None
        if config.pileup is not None and min(jobs, len(starts)) > 1:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlpf_pool_")))
            _make_pool(config, seed, range(first_event, stop), jobs, folder)
        tasks = [_Task(config, seed, range(start, min(start + size, stop)), folder) for start in starts]
        yield from map_in_order(_simulate, tasks, jobs)


def _make_pool(config: SimulationConfig, seed: int, events: Sequence[int], jobs: int, folder: Path) -> None:
    """Save the collisions that some events draw."""
    assert config.pileup is not None
    drawn: set[int] = set()
    for event in events:
        drawn.update(draw_crossing(config, seed, event).collision.tolist())
        if len(drawn) == config.pileup.pool_size:
            break
    numbers = sorted(drawn)
    tasks = [(config, seed, numbers[first : first + COLLISIONS_PER_TASK]) for first in range(0, len(numbers), COLLISIONS_PER_TASK)]
    save_pool(folder, numbers, [collision for part in map_in_order(_make_collisions, tasks, jobs) for collision in part])


def _make_collisions(task: tuple[SimulationConfig, int, list[int]]) -> list[np.ndarray]:
    config, seed, numbers = task
    pool = _pileup_pool(config)
    return [pool.collision(seed, number) for number in numbers]


def _simulate(task: _Task) -> Chunk:
    generate = _event_generator(task.config, task.seed, task.pool)
    events, attempts = simulate_chunk(task.config, generate, task.seed, task.events)
    return Chunk(rule_based_particle_flow(events), attempts)


# Made once per process: Pythia takes a second to start.
@functools.lru_cache(maxsize=1)
def _pileup_pool(config: SimulationConfig) -> PileupPool:
    return PileupPool(config)


@functools.lru_cache(maxsize=1)
def _event_generator(config: SimulationConfig, seed: int, folder: Path | None) -> EventGenerator:
    pool = PileupPool(config)
    if folder is not None:
        pool.load(folder, seed)
    return event_generator(config, pool)
