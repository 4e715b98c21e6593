"""Guns for the simulation's tests."""

from collections.abc import Callable

import numpy as np
import pytest

from mlpf.events import Events, event_index
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.particles import Particles
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
    no_decay = (np.zeros(number, dtype=bool), *np.zeros((3, number)))
    return Particles._make((identity, charges, *momentum.T, energy, *position.T, *no_decay, np.arange(number), np.ones(number, dtype=bool)))


@pytest.fixture(scope="session")
def gun() -> Callable[..., Events]:
    return shoot


@pytest.fixture(scope="session")
def event_energy() -> Callable[..., np.ndarray]:
    return energy_per_event


@pytest.fixture(scope="session")
def particles() -> Callable[..., Particles]:
    return fly
