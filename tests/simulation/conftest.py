"""Guns for the simulation's tests."""

from collections.abc import Callable

import numpy as np
import pytest

from mlpf.events import Events, event_index
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.particles import Particles, origins
from mlpf.simulation.simulate import simulate
from mlpf.simulation.tracker.flights import NO_EMISSIONS, Emissions, Flights
from mlpf.simulation.tracker.material import NUM_LAYERS, layers_within


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


def untouched(particles: Particles, emissions: Emissions = NO_EMISSIONS) -> Flights:
    """Particles that fly through the tracker as if there were no material in it, but for the given emissions, ordered by electron and on its way out.

    An electron flies on in its first direction; all layers are crossed that lie between the start and the end.
    """
    number = len(particles.pdgid)
    ends = np.stack([particles.end_x, particles.end_y, particles.end_z])
    last = [layers_within(*end) if has_end else NUM_LAYERS for has_end, end in zip(particles.ends, ends.T, strict=True)]
    first = [layers_within(*start) for start in zip(particles.x, particles.y, particles.z, strict=True)]
    layers = np.maximum(np.array(last, dtype=np.int64) - np.array(first, dtype=np.int64), 0) * (particles.charge != 0)
    left, position = np.ones(number), np.stack([particles.x, particles.y, particles.z])
    np.multiply.at(left, emissions.electron, 1.0 - emissions.lost)
    position[:, emissions.electron] = emissions.x, emissions.y, emissions.z
    momentum = (particles.px * left, particles.py * left, particles.pz * left, particles.energy * left)
    return Flights(particles, origins(particles.parent), *position, particles.time, *momentum, layers, emissions, np.zeros(number))


def radiate(particles: Particles, radius: float, lost: float) -> Emissions:
    """One emission of each particle at a distance from its start, straight ahead."""
    number = len(particles.pdgid)
    pt = np.hypot(particles.px, particles.py)
    position = (start + radius * component / pt for start, component in zip(particles[6:9], particles[2:5], strict=True))
    return Emissions(np.arange(number), np.full(number, -1), np.zeros(number, dtype=np.int64), *position, np.full(number, lost))


@pytest.fixture(scope="session")
def gun() -> Callable[..., Events]:
    return shoot


@pytest.fixture(scope="session")
def event_energy() -> Callable[..., np.ndarray]:
    return energy_per_event


@pytest.fixture(scope="session")
def flights() -> Callable[..., Flights]:
    return untouched


@pytest.fixture(scope="session")
def particles() -> Callable[..., Particles]:
    return fly


@pytest.fixture(scope="session")
def emissions() -> Callable[..., Emissions]:
    return radiate


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Particles have no neighbours as far as tracks are concerned."""
    monkeypatch.setattr("mlpf.simulation.tracker.track_finding.LOSS_PER_NEIGHBOR", 0.0)
