"""Proton-proton collisions by Pythia 8 (arXiv:2203.11601), an optional part of the installation."""

from typing import Any

import numba
import numpy as np

from mlpf.errors import ConfigError, MissingDependencyError
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.particles import BEAM_SPOT_WIDTH, DECAY_IN_FLIGHT, GeneratedEvent, Particles, Record
from mlpf.simulation.propagation import SPEED_OF_LIGHT
from mlpf.simulation.randomness import GENERATOR, event_rng, pythia_seed

PROCESSES: dict[str, tuple[str, ...]] = {
    "ttbar": ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
    "qcd": ("HardQCD:all = on",),
    "minbias": ("SoftQCD:inelastic = on",),
}
COMMON = (
    "Print:quiet = on",
    # K0S, Lambda and the like decay if they do so inside the tracker [mm]: the ECAL begins at r = 1290, |z| = 3170
    "ParticleDecays:limitCylinder = on",
    "ParticleDecays:xyMax = 1100.",
    "ParticleDecays:zMax = 2800.",
    "Random:setSeed = on",
    "Random:seed = 1",  # of the initialisation; each event is seeded on its own
)
UNITS = np.array([0.1, 0.1, 0.1, 0.1 / SPEED_OF_LIGHT])  # Pythia's mm and mm / c in cm and ns
MAX_ATTEMPTS = 100  # Pythia gives up on roughly one event in 1e4
HEAVY = (5, 6, 15, 23, 24, 25)  # kept in the record where they decay or hadronise
RECORD_FIELDS = ("id", "status", "mother1", "daughter1", "daughter2")


class PythiaGenerator:
    """Events of one process; event ``i`` depends on the seed and on ``i`` alone.

    Raises:
        MissingDependencyError: Pythia is not installed.
        ConfigError: Pythia does not accept a setting.
    """

    def __init__(self, config: SimulationConfig) -> None:
        try:
            import pythia8mc
        except ImportError as error:
            raise MissingDependencyError(f"simulation: process '{config.process}' needs Pythia 8; pip install mlpf[simulate], or use process gun") from error
        self._config = config
        self._pythia: Any = pythia8mc.Pythia("", False)
        settings = (*COMMON, *PROCESSES[config.process], f"Beams:eCM = {config.center_of_mass_energy}")
        if config.process == "qcd":
            settings += (f"PhaseSpace:pTHatMin = {config.min_pt_hat}",)
        for setting in (*settings, *config.pythia_settings):
            if not self._pythia.readString(setting):
                raise ConfigError(f"simulation: pythia_settings: Pythia does not know '{setting}'")
        if not self._pythia.init():
            raise ConfigError(f"simulation: Pythia cannot start process '{config.process}' with pythia_settings {list(config.pythia_settings)}")

    def event(self, seed: int, event: int) -> GeneratedEvent:
        """One event, its vertex smeared along the beam."""
        self._pythia.rndm.init(pythia_seed(seed, event))
        for _ in range(MAX_ATTEMPTS):
            batch = self._pythia.nextBatch(1, errorMode="skip")
            if len(batch):
                vertex = event_rng(seed, event, GENERATOR).normal(size=3) * (BEAM_SPOT_WIDTH, BEAM_SPOT_WIDTH, self._config.vertex_spread_z)
                return self._convert(batch[0].prt, vertex)
        raise ConfigError(f"simulation: Pythia failed {MAX_ATTEMPTS} times on event {event}; are pythia_settings {list(self._config.pythia_settings)} sane?")

    def _convert(self, entries: Any, vertex: np.ndarray) -> GeneratedEvent:
        pdgid, status, mother, first_daughter, last_daughter = (np.asarray(entries[name], dtype=np.int64) for name in RECORD_FIELDS)
        momentum = np.stack([np.asarray(entries.p[axis]) for axis in ("px", "py", "pz", "e")])
        position = np.stack([_filled(entries.vProd[axis]) for axis in ("px", "py", "pz", "e")]) * UNITS[:, None]
        position[:3] += vertex[:, None]
        charge = self._charges(pdgid)
        flies, parent = _trace_decays(pdgid, status, mother, np.asarray(DECAY_IN_FLIGHT))
        is_primary = flies & (parent < 0)
        recorded = is_primary | _is_notable(pdgid, status, first_daughter, last_daughter)
        record_status = np.where(flies, 1, np.where(np.abs(status) < 30, np.abs(status), 2))
        record = Record._make(values[recorded] for values in (pdgid, charge, record_status, *momentum))

        ends = status < 0
        end = np.where(ends, position[:3, first_daughter], 0.0)
        index = np.append(np.cumsum(flies) - 1, -1)  # the last entry serves parent -1
        columns = (pdgid, charge, *momentum, *position, ends, *end, index[parent], np.zeros(len(pdgid), dtype=np.int64))
        return GeneratedEvent(record, Particles._make(values[flies] for values in columns))

    def _charges(self, pdgid: np.ndarray) -> np.ndarray:
        unique, inverse = np.unique(pdgid, return_inverse=True)
        charges = [round(self._pythia.particleData.charge(int(identity))) for identity in unique]
        return np.asarray(charges, dtype=np.int64)[inverse]


def _filled(values: Any) -> np.ndarray:
    """Production coordinates; Pythia leaves those at the collision point out."""
    masked = values.to_numpy(allow_missing=True)
    return np.ma.filled(masked, 0.0)


def _is_notable(pdgid: np.ndarray, status: np.ndarray, first_daughter: np.ndarray, last_daughter: np.ndarray) -> np.ndarray:
    """The hard process, and the last copy of every heavy particle."""
    copied_on = (first_daughter > 0) & (pdgid[first_daughter] == pdgid) | (last_daughter > 0) & (pdgid[last_daughter] == pdgid)
    hard_process = (np.abs(status) > 20) & (np.abs(status) < 30)
    return hard_process | (np.isin(np.abs(pdgid), HEAVY) & ~copied_on & (status < 0))


@numba.njit(cache=True)
def _trace_decays(pdgid: np.ndarray, status: np.ndarray, mother: np.ndarray, decay_in_flight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which entries fly through the detector, and the flying entry that each one stems from by decays (-1: from the collision)."""
    flies = np.zeros(len(pdgid), dtype=np.bool_)
    parent = np.full(len(pdgid), -1, dtype=np.int64)
    for i in range(len(pdgid)):
        is_long_lived = False
        for identity in decay_in_flight:
            is_long_lived |= abs(pdgid[i]) == identity
        flies[i] = status[i] > 0 or is_long_lived
        if 90 < abs(status[i]) < 100 and mother[i] > 0:  # mothers come before their daughters
            parent[i] = mother[i] if flies[mother[i]] else parent[mother[i]]
    return flies, parent
