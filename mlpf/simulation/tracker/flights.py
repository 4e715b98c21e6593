"""What became of an event's particles between the collision and the calorimeters: the result of `transport`."""

from typing import NamedTuple

import numpy as np

from mlpf.simulation.particles import Particles


class Emissions(NamedTuple):
    """Photons radiated by electrons in the tracker, ``(R,)`` each; those of one electron are contiguous and in the order in which it emits them.

    Listed are those that are followed and those that take more than a percent of the electron's momentum.

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
        layers: ``(P,) int64`` layers of the tracker that a charged particle crosses on its way out; not the one in which it ends.
        emissions: bremsstrahlung.
        swallowed: ``(P,)`` energy that the particle leaves in the material [GeV], in the sense of `particles.available_energy`: fragments of nuclei and
            products too soft to be followed. What a particle has at production is what it has in the end, or its products have, plus this.
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
    swallowed: np.ndarray


NO_EMISSIONS = Emissions(*(np.zeros(0, dtype=np.int64) for _ in range(3)), *(np.zeros(0) for _ in range(4)))
