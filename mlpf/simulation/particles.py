"""What a generator hands to the detector: its record and the particles that fly."""

from collections.abc import Sequence
from typing import NamedTuple

import numba
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
        num_daughters, num_charged_daughters: of those that it decays to at once; 0 for what is stable to the generator. Not in the ntuple.
        is_last: whether no later copy of it, after radiation or recoil, is in the record; an incoming parton is none. Not in the ntuple.
    """

    pdgid: np.ndarray
    charge: np.ndarray
    status: np.ndarray
    px: np.ndarray
    py: np.ndarray
    pz: np.ndarray
    energy: np.ndarray
    num_daughters: np.ndarray
    num_charged_daughters: np.ndarray
    is_last: np.ndarray


class Particles(NamedTuple):
    """Particles in the detector, ``(P,)`` each; a particle comes after the one that it is made by.

    Attributes:
        pdgid, charge: signed pdgId, charge [e].
        px, py, pz, energy: at production [GeV].
        x, y, z: production point [cm].
        time: of production, after the crossing of the bunches [ns].
        ends: whether its flight ends inside the tracker: it decays, converts or interacts.
        end_x, end_y, end_z: where [cm], 0 if it does not.
        parent: position in these columns of the particle that made it in the detector, -1 if it comes from the collision.
        collision: 0 for the hard event, 1, 2, ... for pileup.
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
    time: np.ndarray
    ends: np.ndarray
    end_x: np.ndarray
    end_y: np.ndarray
    end_z: np.ndarray
    parent: np.ndarray
    collision: np.ndarray


class GeneratedEvent(NamedTuple):
    """One event before the detector.

    Attributes:
        record: of the hard event, without pileup.
        particles: all that fly.
        attempts: how often the event was generated until it passed the filters.
    """

    record: Record
    particles: Particles
    attempts: int = 1


def join_particles(parts: Sequence[Particles]) -> Particles:
    """All particles of several groups, one group after the other."""
    counts = [len(part.pdgid) for part in parts]
    first = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    joined = Particles._make(np.concatenate(values) for values in zip(*parts, strict=True))
    return joined._replace(parent=np.where(joined.parent >= 0, joined.parent + first, -1))


@numba.njit(cache=True)
def origins(parent: np.ndarray) -> np.ndarray:
    """``(P,) int64``: the particle from the collision that each one is, or stems from."""
    origin = np.arange(len(parent))
    for i in range(len(parent)):
        if parent[i] >= 0:
            origin[i] = origin[parent[i]]  # parents come first
    return origin


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
