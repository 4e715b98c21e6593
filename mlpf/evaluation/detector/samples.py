"""Samples that the simulation is measured on, reduced to tables where they are made, so that no more than tables travels between processes."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlpf.io.workers import map_in_order
from mlpf.metrics.jets import Table
from mlpf.simulation.config import GunConfig, SimulationConfig


class Sample(NamedTuple):
    """Events to simulate.

    Attributes:
        name: of the sample.
        num_events: how many.
        reduce: a function of a module: config, number of events, seed, first event -> columns; of columns ``table.column`` those of a table have one length.
        config: what to simulate.
        events_per_job: made in one go; what is made does not depend on it.
    """

    name: str
    num_events: int
    reduce: Callable[[SimulationConfig, int, int, int], Table]
    config: SimulationConfig
    events_per_job: int = 2000


class _Task(NamedTuple):
    """Consecutive events of a sample; travels to another process."""

    reduce: Callable[[SimulationConfig, int, int, int], Table]
    config: SimulationConfig
    num_events: int
    seed: int
    first_event: int


def gun(particle: str, pt: tuple[float, float], abs_eta: tuple[float, float], number: int = 1) -> SimulationConfig:
    """Particles from the centre of the detector, so that cosh(eta) of the particle is that of the place where it enters a calorimeter."""
    settings: dict[str, Any] = {"min_pt": pt[0], "max_pt": pt[1], "min_abs_eta": abs_eta[0], "max_abs_eta": abs_eta[1], "number": number}
    return SimulationConfig(process="gun", gun=GunConfig(particle=particle, **settings), vertex_spread_z=0.0, events_per_chunk=200)  # type: ignore[arg-type]


def energy_gun(particle: str, energy: tuple[float, float], abs_eta: tuple[float, float]) -> SimulationConfig:
    """Single particles whose pt covers a range of energies at every eta."""
    pt = energy[0] / float(np.cosh(abs_eta[1])), energy[1] / float(np.cosh(abs_eta[0]))
    return gun(particle, pt, abs_eta)


def collect(samples: Sequence[Sample], seed: int, jobs: int, on_done: Callable[[str, int], object] = lambda *_: None) -> dict[str, Table]:
    """Simulate and reduce all samples.

    Args:
        samples: of different names.
        seed: of the simulation; each sample has random numbers of its own.
        jobs: processes; 1 works in this one.
        on_done: called with a sample's name and the number of events just done.

    Returns:
        name -> columns, in the order of the events whatever the number of jobs.
    """
    work = [(sample.name, task) for sample in samples for task in _tasks(sample, seed)]
    parts: dict[str, list[Table]] = {sample.name: [] for sample in samples}
    for (name, task), part in zip(work, map_in_order(_run, [task for _, task in work], jobs), strict=True):
        parts[name].append(part)
        on_done(name, task.num_events)
    return {name: join(own) for name, own in parts.items()}


def _tasks(sample: Sample, seed: int) -> list[_Task]:
    own_seed, size = seed + zlib.crc32(sample.name.encode()), sample.events_per_job
    return [_Task(sample.reduce, sample.config, min(size, sample.num_events - first), own_seed, first) for first in range(0, sample.num_events, size)]


def _run(task: _Task) -> Table:
    return task.reduce(task.config, task.num_events, task.seed, task.first_event)


def join(parts: Sequence[Table]) -> Table:
    """Rows of all parts, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
