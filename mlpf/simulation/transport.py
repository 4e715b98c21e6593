"""Flight through the material of the tracker: where particles convert, radiate, interact or decay on their way to the calorimeters."""

from typing import NamedTuple

import numpy as np

from mlpf.simulation.particles import Particles, origins


class Emissions(NamedTuple):
    """Photons radiated by electrons in the tracker, ``(R,)`` each, in the order in which an electron emits them.

    Attributes:
        electron, photon: positions in the particles; -1 for a photon too soft to be followed.
        layer: number of the layer of material, from 0.
        x, y, z: where [cm].
        lost: fraction of the electron's momentum that the photon takes.
    """

    electron: np.ndarray
    photon: np.ndarray
    layer: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    lost: np.ndarray


class Flights(NamedTuple):
    """What became of an event's particles between the collision and the calorimeters.

    Attributes:
        particles: those given, in their order, then those made on the way; ``ends`` and ``end_*`` set for all that ended.
        origin: ``(P,) int64`` the particle from the collision that each one is, or stems from.
        x, y, z, time, px, py, pz, energy: ``(P,)`` the state from which it flies freely on to the calorimeters: at production, or after its last emission.
        layers: ``(P,) int64`` layers of the tracker that a charged particle crosses.
        emissions: bremsstrahlung.
    """

    particles: Particles
    origin: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    time: np.ndarray
    px: np.ndarray
    py: np.ndarray
    pz: np.ndarray
    energy: np.ndarray
    layers: np.ndarray
    emissions: Emissions


NO_EMISSIONS = Emissions(*(np.zeros(0, dtype=np.int64) for _ in range(3)), *(np.zeros(0) for _ in range(4)))


def transport(particles: Particles, rng: np.random.Generator) -> Flights:  # noqa: ARG001
    """Fly all particles through the tracker."""
    state = (particles.x, particles.y, particles.z, particles.time, particles.px, particles.py, particles.pz, particles.energy)
    return Flights(particles, origins(particles.parent), *state, np.zeros(len(particles.pdgid), dtype=np.int64), NO_EMISSIONS)
