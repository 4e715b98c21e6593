"""Decays of single particles by Pythia 8, for guns."""

import numpy as np

from mlpf.errors import ConfigError
from mlpf.simulation.generation.pythia import convert, start_pythia
from mlpf.simulation.particles import GeneratedEvent

# As of a hadron from the collision. Any code above 30 does: it becomes "decayed" in the record, not "hard process".
STATUS = 83
MAX_FAILURES = 100


class PythiaDecays:
    """Lets given particles decay, unpolarised and each after a life of its own.

    Raises:
        MissingDependencyError: Pythia is not installed.
    """

    def __init__(self, purpose: str) -> None:
        self._pythia = start_pythia(purpose, ("ProcessLevel:all = off",))

    def decay(self, pdgid: np.ndarray, momentum: np.ndarray, mass: np.ndarray, vertex: np.ndarray, seed: int) -> GeneratedEvent:
        """Particles and what they decay to.

        Args:
            pdgid: ``(n,)``.
            momentum: ``(n, 3)`` GeV.
            mass: ``(n,)`` GeV.
            vertex: ``(3,)`` where they are made [cm].
            seed: of Pythia, on which their fate depends alone.
        """
        self._pythia.rndm.init(seed)
        energy = np.sqrt(np.sum(momentum**2, axis=1) + mass**2)
        for _ in range(MAX_FAILURES):
            event = self._pythia.event
            event.reset()
            for identity, (px, py, pz), e, m in zip(pdgid.tolist(), momentum.tolist(), energy.tolist(), mass.tolist(), strict=True):
                position = event.append(identity, STATUS, 0, 0, px, py, pz, e, m, 0.0, 0.0)
                event[position].tau(self._pythia.particleData.tau0(identity) * self._pythia.rndm.exp())
            batch = self._pythia.nextBatch(1, errorMode="skip")
            if len(batch):
                return convert(self._pythia, batch[0].prt, vertex)
        raise ConfigError(f"simulation: Pythia failed {MAX_FAILURES} times to let particles of the gun decay (pdgId {sorted(set(pdgid.tolist()))})")
