"""Samples that the simulation is measured on, reduced to tables where they are made, so that no more than tables travels between processes."""

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, NamedTuple

import numba
import numpy as np

from mlpf.metrics.particles import Table
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
    work = {
        (s, first): (sample.reduce, sample.config, min(sample.events_per_job, sample.num_events - first), seed + zlib.crc32(sample.name.encode()), first)
        for s, sample in enumerate(samples)
        for first in range(0, sample.num_events, sample.events_per_job)
    }
    parts: dict[tuple[int, int], Table] = {}
    if jobs == 1:
        for key, job in work.items():
            parts[key] = _run(*job)
            on_done(samples[key[0]].name, job[2])
    else:
        with ProcessPoolExecutor(jobs, initializer=numba.set_num_threads, initargs=(1,)) as pool:
            futures = {pool.submit(_run, *job): (key, job[2]) for key, job in work.items()}
            try:
                for future in as_completed(futures):
                    key, number = futures[future]
                    parts[key] = future.result()
                    on_done(samples[key[0]].name, number)
            except BaseException:  # also an interrupt: nobody waits for the rest
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return {sample.name: join([parts[key] for key in sorted(parts) if key[0] == s]) for s, sample in enumerate(samples)}


def _run(reduce: Callable[[SimulationConfig, int, int, int], Table], config: SimulationConfig, num_events: int, seed: int, first_event: int) -> Table:
    return reduce(config, num_events, seed, first_event)


def join(parts: Sequence[Table]) -> Table:
    """Rows of all parts, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
