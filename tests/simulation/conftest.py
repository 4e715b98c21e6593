"""Guns for the simulation's tests."""

from collections.abc import Callable

import numpy as np
import pytest

from mlpf.events import Events, event_index
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.flights import NO_EMISSIONS, Flights
from mlpf.simulation.particles import Particles, origins
from mlpf.simulation.simulate import simulate


def shoot(num_events: int, seed: int = 1, first_event: int = 0, **gun: object) -> Events:
    """Events of a gun at the origin, in one chunk; ``pt`` and ``abs_eta`` fix what has no spread."""
    for name in ("pt", "abs_eta"):
        if name in gun:
            value = gun.pop(name)
            gun |= {f"min_{name}": value, f"max_{name}": value}
    config = SimulationConfig(process="gun", gun=GunConfig(**gun), vertex_spread_z=0.0, events_per_chunk=num_events)
    return next(simulate(config, num_events, seed, first_event))


def energy_per_event(events: Events, column: str, *types: int) -> np.ndarray:
    """``(B,)`` sum of an element column over elements of some types."""
    chosen = np.isin(events["element_type"], types)
    return np.bincount(event_index(events.offsets["element"])[chosen], events[column][chosen], minlength=len(events))


def fly(pdgid: object, charge: object, momentum: np.ndarray, position: np.ndarray | None = None, mass: float = 0.14) -> Particles:
    """Particles with the given momenta ``(P, 3)`` and production points ``(P, 3)``, the origin if none are given."""
    number = len(momentum)
    position = np.zeros((number, 3)) if position is None else position
    energy = np.sqrt(np.sum(momentum**2, axis=1) + mass**2)
    identity, charges = np.broadcast_to(pdgid, number), np.broadcast_to(charge, number)
    no_end = (np.zeros(number, dtype=bool), *np.zeros((3, number)))
    return Particles._make(
        (identity, charges, *momentum.T, energy, *position.T, np.zeros(number), *no_end, np.full(number, -1), np.zeros(number, dtype=np.int64))
    )


def untouched(particles: Particles) -> Flights:
    """Particles that fly through the tracker as if there were no material in it."""
    state = (particles.x, particles.y, particles.z, particles.time, particles.px, particles.py, particles.pz, particles.energy)
    number = len(particles.pdgid)
    return Flights(particles, origins(particles.parent), *state, np.zeros(number, dtype=np.int64), NO_EMISSIONS, np.zeros(number))


@pytest.fixture(scope="session")
def gun() -> Callable[..., Events]:
    return shoot


@pytest.fixture(scope="session")
def event_energy() -> Callable[..., np.ndarray]:
    return energy_per_event


@pytest.fixture(scope="session")
def flights() -> Callable[[Particles], Flights]:
    return untouched


@pytest.fixture(scope="session")
def particles() -> Callable[..., Particles]:
    return fly
