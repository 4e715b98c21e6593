"""Tracks: those of particles and fakes, with their uncertainties, hits and muon stations.

No track is shared, split or found twice in this version: what curls up in the tracker makes one track.
"""

from typing import NamedTuple

import numpy as np

from mlpf.kinematics import eta_from_pt_pz
from mlpf.simulation.propagation import Impacts
from mlpf.simulation.tracker.fakes import fake_tracks
from mlpf.simulation.tracker.flights import Flights
from mlpf.simulation.tracker.helix import HelixFit, OuterStates, extrapolate, fit_helices, lever_arms, outer_states, relative_pt_resolution
from mlpf.simulation.tracker.material import NUM_LAYERS
from mlpf.simulation.tracker.muons import MuonHits, muon_hits
from mlpf.simulation.tracker.radiation import find_radiation
from mlpf.simulation.tracker.track_finding import MIN_LAYERS, MIN_TRACK_PT, tracking_efficiency

# Hits: every layer has one but for 8 % (gaps, dead modules), and 4 of 14 have modules in pairs: 16.5 hits of a full track, 16 in CMS-TRK-11-001
HIT_EFFICIENCY, PAIRED_LAYERS = 0.92, 4.0 / 14.0
MIN_HITS = 3
HIT_PURITY = 0.99  # probability that a hit of a track comes from its particle


class Tracks(NamedTuple):
    """Reconstructed tracks, ``(T,)`` each: those of particles in their order, then fakes.

    Attributes:
        particle: which of the event's `Particles` it belongs to, -1 for a fake.
        fit: parameters.
        num_hits: in the tracker.
        muon: hits and bits of the muon stations.
        quality: fraction of its hits from the particle, in (0, 1]; 0 for a fake.
        impacts: where the measured helix enters the calorimeters.
    """

    particle: np.ndarray
    fit: HelixFit
    num_hits: np.ndarray
    muon: MuonHits
    quality: np.ndarray
    impacts: Impacts


def reconstruct_tracks(flights: Flights, rng: np.random.Generator) -> Tracks:
    """All tracks of an event."""
    particles = flights.particles
    found = np.flatnonzero(rng.random(len(particles.pdgid)) < tracking_efficiency(flights))
    arm = lever_arms(flights, found)
    radiation = find_radiation(flights, found, arm)
    arm *= radiation.followed
    px, py, pz, pdgid = (values[found] for values in (particles.px, particles.py, particles.pz, particles.pdgid))
    pt = np.hypot(px, py)
    # this fit knows of no radiation, and the table of electrons is that of the other one; without radiation an electron is measured like a hadron
    resolution = relative_pt_resolution(np.where(np.abs(pdgid) == 13, 13, 211), pt, eta_from_pt_pz(pt, pz), arm)
    curvature = np.minimum(radiation.followed_curvature, pt / MIN_TRACK_PT)  # what curls up is left out of the fit
    fit = fit_helices(flights, found, curvature, resolution, arm, rng)
    num_hits = _count_hits(flights.layers[found], radiation.followed, rng)
    quality = np.maximum(rng.binomial(num_hits, HIT_PURITY), MIN_HITS - 1) / num_hits
    # where the fit loses an electron, it goes on with the momentum of before
    start = OuterStates(particles.x[found], particles.y[found], particles.z[found], np.arctan2(py, px))
    states = OuterStates(*(np.where(radiation.followed < 1.0, early, late) for early, late in zip(start, outer_states(flights, found), strict=True)))
    tracks = Tracks(found, fit, num_hits, muon_hits(particles, found, rng), quality, extrapolate(fit, states, rng))
    return _join(tracks, _fakes(fit, rng))


def _count_hits(layers: np.ndarray, part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hits of tracks that follow their particles through a part of the layers they cross."""
    followed = np.minimum(np.maximum(np.rint(layers * part).astype(np.int64), MIN_LAYERS), NUM_LAYERS)
    hits = rng.binomial(followed, HIT_EFFICIENCY) + rng.binomial(followed, HIT_EFFICIENCY * PAIRED_LAYERS)
    return np.maximum(hits, MIN_HITS)


def _fakes(true_tracks: HelixFit, rng: np.random.Generator) -> Tracks:
    fit, layers = fake_tracks(true_tracks, rng)
    number = len(fit.pt)
    none = np.zeros(number, dtype=np.int64)
    states = OuterStates(fit.x, fit.y, fit.z, fit.phi)  # nothing bends but the helix itself
    num_hits = _count_hits(layers, np.ones(number), rng)
    return Tracks(np.full(number, -1), fit, num_hits, MuonHits(none, none, none), np.zeros(number), extrapolate(fit, states, rng))


def _join(first: Tracks, second: Tracks) -> Tracks:
    def join(a: tuple, b: tuple) -> list:
        return [np.concatenate(pair) for pair in zip(a, b, strict=True)]

    return Tracks(
        particle=np.concatenate([first.particle, second.particle]),
        fit=HelixFit(*join(first.fit, second.fit)),
        num_hits=np.concatenate([first.num_hits, second.num_hits]),
        muon=MuonHits(*join(first.muon, second.muon)),
        quality=np.concatenate([first.quality, second.quality]),
        impacts=Impacts(*join(first.impacts, second.impacts)),
    )
