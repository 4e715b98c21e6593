"""Pileup: the other collisions of a crossing of the bunches, drawn from a pool of minimum-bias events."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

from mlpf.kinematics import eta_from_pt_pz
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.generation.generator import PythiaGenerator
from mlpf.simulation.particles import BEAM_SPOT_WIDTH, NEUTRINOS, GeneratedEvent, Particles, join_particles
from mlpf.simulation.randomness import CROSSING, event_rng, pool_seed

MAX_ABS_ETA = 5.3  # of the particles kept: the HF ends at 5.191, and a collision 4 sigma off the centre is seen from it by at most 0.02 elsewhere
# A particle of the pool, 98 bytes: where it is made and ends relative to its collision, its parent by the place among the particles of its collision.
PARTICLE = np.dtype([(name, {"pdgid": "i4", "charge": "i1", "ends": "?", "parent": "i4"}.get(name, "f8")) for name in Particles._fields if name != "collision"])
PARTICLES_FILE, COUNTS_FILE = "particles.npy", "counts.npy"


class Crossing(NamedTuple):
    """What happens when two bunches meet.

    Attributes:
        time: of the hard collision [ns].
        collision: ``(N,)`` numbers in the pool, all different.
        azimuth: ``(N,)`` by which each collision is turned [rad].
        vertex: ``(N, 4)`` its x, y, z [cm] and time [ns].
    """

    time: float
    collision: np.ndarray
    azimuth: np.ndarray
    vertex: np.ndarray


def draw_crossing(config: SimulationConfig, seed: int, event: int) -> Crossing:
    """The crossing of one event."""
    rng = event_rng(seed, event, CROSSING)
    time = config.vertex_spread_time * rng.normal()
    collision = np.zeros(0, dtype=np.int64)
    if config.pileup is not None:
        number = config.pileup.draw_number(rng)
        collision = rng.choice(config.pileup.pool_size, number, replace=False)
    spread = (BEAM_SPOT_WIDTH, BEAM_SPOT_WIDTH, config.vertex_spread_z, config.vertex_spread_time)
    return Crossing(time, collision, rng.uniform(-np.pi, np.pi, len(collision)), rng.normal(size=(len(collision), 4)) * spread)


class PileupPool:
    """Minimum-bias collisions; each depends on the configuration, the seed and its number alone, and is made when it is first asked for.

    Left out is what no detector sees: neutrinos, and what flies beyond ``abs(eta) = 5.3`` unless a particle within stems from it.

    Raises:
        MissingDependencyError: at the first collision, Pythia is not installed.
        ConfigError: at the first collision, Pythia does not accept a setting.
    """

    def __init__(self, config: SimulationConfig) -> None:
        settings = config.pileup.pythia_settings if config.pileup else ()
        self._config = SimulationConfig(process="minbias", center_of_mass_energy=config.center_of_mass_energy, pythia_settings=settings)
        self._generator: PythiaGenerator | None = None
        self._collisions: dict[tuple[int, int], np.ndarray] = {}

    def collision(self, seed: int, number: int) -> np.ndarray:
        """``(P,)`` particles of one collision, of type `PARTICLE`."""
        key = (seed, number)
        if key not in self._collisions:
            if self._generator is None:
                self._generator = PythiaGenerator(self._config)
            self._collisions[key] = _visible(self._generator.collision(pool_seed(seed, number)).particles)
        return self._collisions[key]

    def load(self, folder: Path, seed: int) -> None:
        """Take over the collisions of a seed that another process saved by `save_pool`; their memory is shared by all processes that do."""
        counts = np.load(folder / COUNTS_FILE)
        particles = np.load(folder / PARTICLES_FILE, mmap_mode="r") if counts[:, 1].any() else np.zeros(0, dtype=PARTICLE)
        for (number, _), collision in zip(counts.tolist(), np.split(particles, np.cumsum(counts[:-1, 1])), strict=True):
            self._collisions[seed, number] = collision


def save_pool(folder: Path, numbers: Sequence[int], collisions: Sequence[np.ndarray]) -> None:
    """Write collisions and their numbers in the pool for `PileupPool.load`."""
    counts = [(number, len(collision)) for number, collision in zip(numbers, collisions, strict=True)]
    np.save(folder / PARTICLES_FILE, np.concatenate(collisions))
    np.save(folder / COUNTS_FILE, np.array(counts, dtype=np.int64))


def overlay(generated: GeneratedEvent, crossing: Crossing, pool: PileupPool, seed: int) -> GeneratedEvent:
    """An event at its time in the crossing, together with the particles of all other collisions; its record stays its own."""
    hard = generated.particles._replace(time=generated.particles.time + crossing.time)
    if len(crossing.collision) == 0:
        return generated._replace(particles=hard)
    collisions = [pool.collision(seed, number) for number in crossing.collision.tolist()]
    return generated._replace(particles=join_particles([hard, _place(collisions, crossing)]))


def _place(collisions: list[np.ndarray], crossing: Crossing) -> Particles:
    """The particles of all collisions, each turned around the beam and moved to its vertex, numbered from 1."""
    particles = np.concatenate(collisions)
    counts = [len(collision) for collision in collisions]
    owner = np.repeat(np.arange(len(collisions)), counts)
    first = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    cos, sin = np.cos(crossing.azimuth)[owner], np.sin(crossing.azimuth)[owner]
    columns = {name: particles[name] for name in PARTICLE.names or ()}
    for x, y in (("px", "py"), ("x", "y"), ("end_x", "end_y")):
        columns[x], columns[y] = cos * columns[x] - sin * columns[y], sin * columns[x] + cos * columns[y]
    for name, shift in zip(("x", "y", "z", "time"), crossing.vertex.T, strict=True):
        columns[name] = columns[name] + shift[owner]
        if name != "time":
            columns[f"end_{name}"] = columns[f"end_{name}"] + np.where(columns["ends"], shift[owner], 0.0)
    for name in ("pdgid", "charge", "parent"):
        columns[name] = columns[name].astype(np.int64)
    columns["parent"] = np.where(columns["parent"] >= 0, columns["parent"] + first, -1)
    return Particles(**columns, collision=1 + owner)


def _visible(particles: Particles) -> np.ndarray:
    """``(P,)`` particles that a detector may see and those from which they stem, of type `PARTICLE`."""
    eta = eta_from_pt_pz(np.hypot(particles.px, particles.py), particles.pz)
    kept = _with_ancestors((np.abs(eta) < MAX_ABS_ETA) & ~np.isin(np.abs(particles.pdgid), NEUTRINOS), particles.parent)
    index = np.append(np.cumsum(kept) - 1, -1)  # the last entry serves parent -1
    compact = np.zeros(np.count_nonzero(kept), dtype=PARTICLE)
    for name in PARTICLE.names or ():
        compact[name] = (index[particles.parent] if name == "parent" else getattr(particles, name))[kept]
    return compact


@numba.njit(cache=True)
def _with_ancestors(chosen: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """``(P,) bool``: those chosen, and all from which they stem."""
    chosen = chosen.copy()
    for i in range(len(parent) - 1, -1, -1):  # parents come first
        if chosen[i] and parent[i] >= 0:
            chosen[parent[i]] = True
    return chosen
