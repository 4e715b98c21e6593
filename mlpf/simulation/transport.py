"""Flight through the material of the tracker: where particles convert, radiate, interact or decay on their way to the calorimeters."""

import numpy as np

from mlpf.simulation.flights import NO_EMISSIONS, Flights
from mlpf.simulation.particles import Particles, origins


def transport(particles: Particles, rng: np.random.Generator) -> Flights:  # noqa: ARG001
    """Fly all particles through the tracker."""
    number = len(particles.pdgid)
    state = (particles.x, particles.y, particles.z, particles.time, particles.px, particles.py, particles.pz, particles.energy)
    return Flights(particles, origins(particles.parent), *state, np.zeros(number, dtype=np.int64), NO_EMISSIONS, np.zeros(number))
