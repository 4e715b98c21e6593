"""The muon stations: which tracks they confirm as muons, and with how many hits."""

from typing import NamedTuple

import numpy as np

from mlpf.simulation.particles import Particles

EFFICIENCY = 0.96  # of the stations for muons that reach them, CMS-MUO-10-004 (arXiv:1206.4071)
MIN_P = 3.5  # GeV, to get through calorimeters and coil
# GeV; softer ones reach one station, enough for a tracker muon but for no track of the stations' own (arXiv:1206.4071, section 3)
MIN_STANDALONE_P = 5.0
# A pion or kaon that decays on its way: its track, which has a kink, is matched to the stations that its muon reaches with the first probability, and a muon of
# all kinds with the second one, given the first. Ours.
KINK_MATCH, KINK_GLOBAL = 0.5, 0.4
PUNCH_THROUGH = 5e-4  # hadrons of that momentum that get through: (5.3 +- 0.8)e-4 of protons of 3 to 10 GeV, CMS-PAS-MUO-10-002; decays come on top
MAX_ETA, DT_MAX_ETA, CSC_MIN_ETA = 2.4, 1.2, 0.9
DT_HITS, CSC_HITS = 36.0, 18.0  # means: four stations of 8 to 12 layers; 3 to 4 of 6
# Bits of reco::Muon
GLOBAL_MUON, TRACKER_MUON, STANDALONE_MUON, PF_MUON = 1 << 1, 1 << 2, 1 << 3, 1 << 5


class MuonHits(NamedTuple):
    """Of T tracks, ``(T,)`` each: hits in drift tubes and cathode strip chambers where the stations have a track of their own; type bits, 0 for no muon."""

    dt: np.ndarray
    csc: np.ndarray
    type: np.ndarray


def reaches_stations(particles: Particles) -> np.ndarray:
    """``(P,) bool``: muons that get to the first station."""
    momentum = np.sqrt(particles.px**2 + particles.py**2 + particles.pz**2)
    inside = np.abs(particles.pz) < np.tanh(MAX_ETA) * momentum
    return (np.abs(particles.pdgid) == 13) & inside & (momentum > MIN_P) & ~particles.ends


def muon_hits(particles: Particles, track_particle: np.ndarray, rng: np.random.Generator) -> MuonHits:
    """What the stations say of the tracks of some particles.

    Args:
        track_particle: ``(T,)`` position in the particles.
    """
    num_tracks, num_particles = len(track_particle), len(particles.pdgid)
    muon, kinked = _muon_behind(particles, track_particle)
    chance, global_chance = rng.random((2, num_tracks))
    momentum = np.sqrt(particles.px**2 + particles.py**2 + particles.pz**2)
    seen = (muon >= 0) & (chance < np.where(kinked, KINK_MATCH, EFFICIENCY))
    standalone = seen & np.where(kinked, global_chance < KINK_GLOBAL, True) & (np.append(momentum, 0.0)[muon] > MIN_STANDALONE_P)
    hadron = (np.abs(particles.pdgid) > 100) & ~particles.ends & (momentum > MIN_P) & (np.abs(particles.pz) < np.tanh(MAX_ETA) * momentum)
    punch_through = hadron[track_particle] & (chance < PUNCH_THROUGH) if num_particles else np.zeros(num_tracks, dtype=bool)
    own = np.where(muon >= 0, muon, track_particle)
    abs_eta = np.arctanh(np.minimum(np.abs(particles.pz[own]) / momentum[own], 1.0 - 1e-9))
    muon_type = (
        standalone * (GLOBAL_MUON | STANDALONE_MUON) + (seen | punch_through) * TRACKER_MUON + (seen & ~kinked) * PF_MUON
    )  # one bit each, so that the sum is their union
    dt = np.where(standalone & (abs_eta < DT_MAX_ETA), rng.poisson(DT_HITS, num_tracks), 0)
    csc = np.where(standalone & (abs_eta > CSC_MIN_ETA), rng.poisson(CSC_HITS, num_tracks), 0)
    return MuonHits(dt, csc, muon_type)


def _muon_behind(particles: Particles, track_particle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(T,)`` the muon that may confirm each track, itself or a product of its decay without a track of its own, -1 if none; and whether it is the latter."""
    reaching = np.flatnonzero(reaches_stations(particles))
    own = np.full(len(particles.pdgid), -1, dtype=np.int64)
    orphans = np.setdiff1d(reaching, track_particle)
    orphans = orphans[particles.parent[orphans] >= 0]
    own[particles.parent[orphans]] = orphans
    own[reaching] = reaching
    muon = own[track_particle]
    return muon, (muon >= 0) & (muon != track_particle)
