"""Particle guns: known particles at known momenta, no generator needed."""

import numpy as np

from mlpf.kinematics import momentum_from_pt_eta_phi
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.particles import BEAM_SPOT_WIDTH, GeneratedEvent, Particles, Record
from mlpf.simulation.randomness import GENERATOR, event_rng

# pdgId of the positive or neutral particle, mass [GeV] (PDG 2024), charge [e]
KINDS: dict[str, tuple[int, float, int]] = {
    "pi": (211, 0.13957, 1),
    "pi0": (111, 0.13498, 0),
    "gamma": (22, 0.0, 0),
    "K0L": (130, 0.49761, 0),
    "n": (2112, 0.93957, 0),
    "e": (-11, 0.000511, 1),
    "mu": (-13, 0.10566, 1),
}


def gun_event(config: SimulationConfig, seed: int, event: int) -> GeneratedEvent:
    """The particles of one gun event, all from one vertex."""
    rng = event_rng(seed, event, GENERATOR)
    gun = config.gun
    vertex = rng.normal(size=3) * (BEAM_SPOT_WIDTH, BEAM_SPOT_WIDTH, config.vertex_spread_z)
    pdgid, mass, charge = KINDS[gun.particle]
    momentum = _momenta(gun, rng)
    energy = np.sqrt(np.sum(momentum**2, axis=1) + mass**2)
    sign = np.where(rng.random(gun.number) < 0.5, -1, 1) if charge else np.ones(gun.number, dtype=np.int64)
    shot = Record._make((sign * pdgid, sign * charge, np.ones(gun.number, dtype=np.int64), *momentum.T, energy))
    if gun.particle != "pi0":
        return GeneratedEvent(shot, _fly(shot, vertex))
    photons = _photon_pairs(momentum, energy, mass, rng)
    decayed = shot._replace(status=np.full(gun.number, 2))
    record = Record._make(np.concatenate(pair) for pair in zip(decayed, photons, strict=True))
    return GeneratedEvent(record, _fly(photons, vertex))


def _momenta(gun: GunConfig, rng: np.random.Generator) -> np.ndarray:
    """``(n, 3)`` momenta."""
    pt = np.exp(rng.uniform(np.log(gun.min_pt), np.log(gun.max_pt), gun.number))
    eta = rng.uniform(gun.min_abs_eta, gun.max_abs_eta, gun.number) * np.where(rng.random(gun.number) < 0.5, -1, 1)
    return np.stack(momentum_from_pt_eta_phi(pt, eta, rng.uniform(-np.pi, np.pi, gun.number)), axis=1)


def _photon_pairs(momentum: np.ndarray, energy: np.ndarray, mass: float, rng: np.random.Generator) -> Record:
    """Both photons of isotropic two-body decays: all first ones, then all second ones."""
    number = len(energy)
    cos_theta, phi = rng.uniform(-1.0, 1.0, number), rng.uniform(-np.pi, np.pi, number)
    sin_theta = np.sqrt(1.0 - cos_theta**2)
    at_rest = 0.5 * mass * np.stack([sin_theta * np.cos(phi), sin_theta * np.sin(phi), cos_theta], axis=1)
    along = np.sum(at_rest * momentum, axis=1)
    first = at_rest + momentum * (along / (mass * (energy + mass)) + 0.5)[:, None]  # Lorentz boost with photon energy mass / 2
    both = np.concatenate([first, momentum - first])
    ones, zeros = np.ones(2 * number, dtype=np.int64), np.zeros(2 * number, dtype=np.int64)
    return Record._make((22 * ones, zeros, ones, *both.T, np.sqrt(np.sum(both**2, axis=1))))


def _fly(record: Record, vertex: np.ndarray) -> Particles:
    number = len(record.pdgid)
    kinematics = (record.pdgid, record.charge, record.px, record.py, record.pz, record.energy)
    position = (np.full(number, coordinate) for coordinate in vertex)
    no_end = (np.zeros(number, dtype=bool), np.zeros(number), np.zeros(number), np.zeros(number))
    return Particles._make((*kinematics, *position, np.zeros(number), *no_end, np.full(number, -1), np.zeros(number, dtype=np.int64)))
