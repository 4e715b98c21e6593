"""Particle guns: known particles at known momenta; Pythia is needed for the decays of some only."""

import numpy as np

from mlpf.events import Events, event_index
from mlpf.kinematics import momentum_from_pt_eta_phi
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.generation.decays import PythiaDecays
from mlpf.simulation.particles import BEAM_SPOT_WIDTH, GeneratedEvent, Particles, Record, join_particles
from mlpf.simulation.randomness import GENERATOR, event_rng, pythia_seed

# pdgId of the positive or neutral particle, mass [GeV] (PDG 2024), charge [e]
KINDS: dict[str, tuple[int, float, int]] = {
    "pi": (211, 0.13957, 1),
    "pi0": (111, 0.13498, 0),
    "gamma": (22, 0.0, 0),
    "K0L": (130, 0.49761, 0),
    "K0S": (310, 0.49761, 0),
    "K": (321, 0.49368, 1),
    "p": (2212, 0.93827, 1),
    "n": (2112, 0.93957, 0),
    "e": (-11, 0.000511, 1),
    "mu": (-13, 0.10566, 1),
    "tau": (-15, 1.77693, 1),
}
NEUTRAL_PION = KINDS["pi0"][0]
DECAYED_BY_PYTHIA = ("K0S", "tau")


class Gun:
    """Events of one gun; event ``i`` depends on the seed, on ``i`` and on the attempt alone.

    Raises:
        MissingDependencyError: the gun shoots what Pythia must decay, and Pythia is not installed.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self._config = config
        by_pythia = [kind for kind in DECAYED_BY_PYTHIA if kind in config.gun.kinds]
        self._decayed = [KINDS[kind][0] for kind in by_pythia]
        self._decays = PythiaDecays(f"a gun of {' and '.join(by_pythia)}") if by_pythia else None

    def event(self, seed: int, event: int, attempt: int = 0) -> GeneratedEvent:
        """The particles of one event, all from one vertex."""
        rng = event_rng(seed, event, GENERATOR, attempt)
        gun = self._config.gun
        vertex = rng.normal(size=3) * (BEAM_SPOT_WIDTH, BEAM_SPOT_WIDTH, self._config.vertex_spread_z)
        momentum = _momenta(gun, rng)
        kind = rng.integers(len(gun.kinds), size=gun.number) if len(gun.kinds) > 1 else np.zeros(gun.number, dtype=np.int64)
        pdgid, mass, charge = (np.array(values)[kind] for values in zip(*(KINDS[name] for name in gun.kinds), strict=True))
        sign = np.where((charge != 0) & (rng.random(gun.number) < 0.5), -1, 1)

        is_pion, is_decayed = pdgid == NEUTRAL_PION, np.isin(pdgid, self._decayed)
        stable = _stable(sign * pdgid, sign * charge, momentum, mass)
        direct = Record._make(values[~is_pion & ~is_decayed] for values in stable)
        pions = Record._make(values[is_pion] for values in stable)
        photons = _photon_pairs(momentum[is_pion], mass[is_pion], rng)
        count = np.count_nonzero(is_pion)
        decayed_pions = pions._replace(status=np.full(count, 2), num_daughters=np.full(count, 2))
        records, particles = [direct, decayed_pions, photons], [_fly(direct, vertex), _fly(photons, vertex)]
        if self._decays is not None:
            decayed = self._decays.decay((sign * pdgid)[is_decayed], momentum[is_decayed], mass[is_decayed], vertex, pythia_seed(seed, event, attempt))
            records.append(decayed.record)
            particles.append(decayed.particles)
        return GeneratedEvent(Record._make(np.concatenate(values) for values in zip(*records, strict=True)), join_particles(particles))


def is_intact(events: Events) -> np.ndarray:
    """``(B,) bool``: events of one particle in which nothing else left energy in the calorimeters, no product of a conversion or an interaction.

    Those in which nothing did count, too.
    """
    event = event_index(events.offsets["simcluster"])
    is_other = events["simcluster_pid"] != events["gen_pdgid"][events.offsets["gen"][:-1]][event]
    return (events.counts("simcluster") < 2) & (np.bincount(event, is_other, minlength=len(events)) == 0)


def _momenta(gun: GunConfig, rng: np.random.Generator) -> np.ndarray:
    """``(n, 3)`` momenta."""
    pt = np.exp(rng.uniform(np.log(gun.min_pt), np.log(gun.max_pt), gun.number))
    eta = rng.uniform(gun.min_abs_eta, gun.max_abs_eta, gun.number) * np.where(rng.random(gun.number) < 0.5, -1, 1)
    return np.stack(momentum_from_pt_eta_phi(pt, eta, rng.uniform(-np.pi, np.pi, gun.number)), axis=1)


def _stable(pdgid: np.ndarray, charge: np.ndarray, momentum: np.ndarray, mass: np.ndarray | float) -> Record:
    """Entries of particles that do not decay."""
    ones, zeros = np.ones(len(pdgid), dtype=np.int64), np.zeros(len(pdgid), dtype=np.int64)
    energy = np.sqrt(np.sum(momentum**2, axis=1) + mass**2)
    return Record._make((pdgid, charge, ones, *momentum.T, energy, zeros, zeros, ones == 1))


def _photon_pairs(momentum: np.ndarray, mass: np.ndarray, rng: np.random.Generator) -> Record:
    """Both photons of isotropic two-body decays: all first ones, then all second ones."""
    number = len(momentum)
    energy = np.sqrt(np.sum(momentum**2, axis=1) + mass**2)
    cos_theta, phi = rng.uniform(-1.0, 1.0, number), rng.uniform(-np.pi, np.pi, number)
    sin_theta = np.sqrt(1.0 - cos_theta**2)
    at_rest = 0.5 * mass[:, None] * np.stack([sin_theta * np.cos(phi), sin_theta * np.sin(phi), cos_theta], axis=1)
    along = np.sum(at_rest * momentum, axis=1)
    first = at_rest + momentum * (along / (mass * (energy + mass)) + 0.5)[:, None]  # Lorentz boost with photon energy mass / 2
    both = np.concatenate([first, momentum - first])
    return _stable(np.full(2 * number, 22), np.zeros(2 * number, dtype=np.int64), both, 0.0)


def _fly(record: Record, vertex: np.ndarray) -> Particles:
    number = len(record.pdgid)
    kinematics = (record.pdgid, record.charge, record.px, record.py, record.pz, record.energy)
    position = (np.full(number, coordinate) for coordinate in vertex)
    no_end = (np.zeros(number, dtype=bool), np.zeros(number), np.zeros(number), np.zeros(number))
    return Particles._make((*kinematics, *position, np.zeros(number), *no_end, np.full(number, -1), np.zeros(number, dtype=np.int64)))
