"""What a generator hands to the detector: its record and the particles that fly."""

from typing import NamedTuple

import numpy as np

EM, MUON, HADRON, INVISIBLE = range(4)  # how a particle interacts with the calorimeters
NEUTRINOS = (12, 14, 16)
# Weakly decaying particles with c tau > 1 cm: stable to the generator of an experiment, decayed in the detector (CMS sets ParticleDecays:tau0Max = 10 mm).
DECAY_IN_FLIGHT = (310, 3112, 3122, 3222, 3312, 3322, 3334)
BEAM_SPOT_WIDTH = 0.001  # cm, transverse; CMS quotes about 10 micrometres in Run 3


class Record(NamedTuple):
    """Generator particles as an experiment stores them: ``(G,)`` each; nothing that decays in the detector has its products here.

    Attributes:
        pdgid, charge: signed pdgId, charge [e].
        status: 1 = stable, 2 = decayed, 21 to 29 hard process (HepMC's codes).
        px, py, pz, energy: GeV.
    """

    pdgid: np.ndarray
    charge: np.ndarray
    status: np.ndarray
    px: np.ndarray
    py: np.ndarray
    pz: np.ndarray
    energy: np.ndarray


class Particles(NamedTuple):
    """Particles in the detector: ``(P,)`` each, stable ones and charged ones that decay in flight.

    Attributes:
        pdgid, charge: signed pdgId, charge [e].
        px, py, pz, energy: at production [GeV].
        x, y, z: production point [cm].
        decays: whether it decays inside the tracker.
        decay_x, decay_y, decay_z: where [cm], 0 if it does not.
        origin: position in the `Record` of the stable particle it is or comes from.
        is_primary: whether it is that particle itself.
    """

    pdgid: np.ndarray
    charge: np.ndarray
    px: np.ndarray
    py: np.ndarray
    pz: np.ndarray
    energy: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    decays: np.ndarray
    decay_x: np.ndarray
    decay_y: np.ndarray
    decay_z: np.ndarray
    origin: np.ndarray
    is_primary: np.ndarray


class GeneratedEvent(NamedTuple):
    """One event before the detector."""

    record: Record
    particles: Particles


def interaction_kind(pdgid: np.ndarray) -> np.ndarray:
    """``(P,) int64``: `EM`, `MUON`, `HADRON` or `INVISIBLE`, by |pdgId|."""
    identity = np.abs(pdgid)
    kind = np.full(len(pdgid), HADRON, dtype=np.int64)
    kind[(identity == 11) | (identity == 22)] = EM
    kind[identity == 13] = MUON
    kind[np.isin(identity, NEUTRINOS)] = INVISIBLE
    return kind


def available_energy(particles: Particles) -> np.ndarray:
    """``(P,)`` energy that a shower can use [GeV]: without the rest mass of a baryon, with twice that of an antibaryon, which annihilates."""
    momentum_squared = particles.px**2 + particles.py**2 + particles.pz**2
    mass = np.sqrt(np.maximum(particles.energy**2 - momentum_squared, 0.0))
    is_baryon = (np.abs(particles.pdgid) > 1000) & (np.abs(particles.pdgid) < 10000)
    return particles.energy - np.where(is_baryon, np.sign(particles.pdgid) * mass, 0.0)
