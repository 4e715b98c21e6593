"""Electron tracks by the Gaussian-sum filter (GSF): a fit that allows for radiation, with the momentum at both ends and the losses in between.

Elements as in CMS (`PFTrackTransformer`, `GSFTrackImporter`): the GSF track, and a BREM for its innermost state, for each layer between the ends and for its
outermost state.
"""

from typing import NamedTuple

import numpy as np

from mlpf.kinematics import eta_from_pt_pz, wrap_phi
from mlpf.simulation.propagation import Impacts
from mlpf.simulation.tracker.flights import Flights
from mlpf.simulation.tracker.helix import HelixFit, OuterStates, extrapolate, fit_helices, lever_arms, outer_states, relative_pt_resolution
from mlpf.simulation.tracker.radiation import Radiation, emissions_of, find_radiation
from mlpf.simulation.tracker.tracks import Tracks

MIN_PT = 2.0  # GeV, of the CMS electron seeding (arXiv:2012.06888)
ECAL_DRIVEN_PT = 4.0  # GeV, of the ECAL cluster that seeds; softer electrons are tracker-driven (arXiv:2012.06888)
HADRON_RATE = 0.01  # charged hadrons whose track also passes the electron preselection; ours
# The fit does not tell all of the radiation from a path more bent: curvatures are wrong by this power of the ratio of the mean over the path to the true one,
# of the momentum's mode and of its mean. Ours, so that the width of the mode is about that of the table of electrons.
UNRESOLVED_MODE, UNRESOLVED_MEAN = 0.08, 0.4
OUTER_WIDTH = 2.0  # of the momentum at the outer end, in units of the full track's: the outer half of the hits decides it
FIRST_POINT = 2  # number of the innermost trajectory point of a BREM, after two that CMS keeps for the vertex and the beam pipe


class Brems(NamedTuple):
    """Trajectory points of electron tracks, ``(M,)`` each, ordered by track and on the way out.

    Attributes:
        gsf: which of the electron tracks.
        point: number, from `FIRST_POINT`.
        delta_p: momentum lost there, with its uncertainty; at the first and last point the momentum of the track there, as in CMS [GeV].
    """

    gsf: np.ndarray
    point: np.ndarray
    delta_p: np.ndarray
    delta_p_error: np.ndarray


NO_BREMS = Brems(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))


class GsfTracks(NamedTuple):
    """Electron tracks, ``(G,)`` each but the last.

    Attributes:
        particle: which of the event's `Particles`. track: which of the tracks.
        fit: parameters, momentum by its mode.
        mean_pt: mean of the momentum instead of the mode [GeV].
        inner_p, inner_eta, inner_phi: momentum at the inner end. outer_p, outer_eta, outer_phi: at the outer end.
        quality: fraction of its hits from the particle.
        impacts: where it enters the calorimeters.
        unradiated_impacts: where it would enter them without radiation, near the centre of its energy.
        brems: its trajectory points.
    """

    particle: np.ndarray
    track: np.ndarray
    fit: HelixFit
    mean_pt: np.ndarray
    inner_p: np.ndarray
    inner_eta: np.ndarray
    inner_phi: np.ndarray
    outer_p: np.ndarray
    outer_eta: np.ndarray
    outer_phi: np.ndarray
    quality: np.ndarray
    impacts: Impacts
    unradiated_impacts: Impacts
    brems: Brems


def reconstruct_gsf(flights: Flights, tracks: Tracks, rng: np.random.Generator) -> GsfTracks:
    """Electron tracks of those tracks that pass the seeding."""
    track = _seeded(flights, tracks, rng)
    particle = tracks.particle[track]
    particles = flights.particles
    px, py, pz = particles.px[particle], particles.py[particle], particles.pz[particle]
    pt = np.hypot(px, py)
    arm = lever_arms(flights, particle)
    radiation = find_radiation(flights, particle, arm)
    hadron = np.full(len(particle), 211)
    core = relative_pt_resolution(hadron, pt, eta_from_pt_pz(pt, pz), arm)
    mode_curvature = radiation.curvature**UNRESOLVED_MODE
    fit = fit_helices(flights, particle, mode_curvature, core, arm, rng)
    quoted = relative_pt_resolution(np.full(len(particle), 11), pt, eta_from_pt_pz(pt, pz), arm)
    fit = fit._replace(pt_error=quoted * fit.pt)
    outer_pt = _outer_pt(pt, radiation, core, rng)
    start = OuterStates(particles.x[particle], particles.y[particle], particles.z[particle], np.arctan2(py, px))
    states, sin_theta, eta = outer_states(flights, particle), np.sin(fit.theta), np.arctanh(np.cos(fit.theta))
    gsf = GsfTracks(
        particle=particle,
        track=track,
        fit=fit,
        mean_pt=fit.pt * mode_curvature / radiation.curvature**UNRESOLVED_MEAN,
        inner_p=fit.pt / sin_theta,
        inner_eta=eta,
        inner_phi=wrap_phi(np.arctan2(py, px) + fit.phi_error * rng.normal(size=len(particle))),
        outer_p=outer_pt / sin_theta,
        outer_eta=eta + fit.theta_error / sin_theta * rng.normal(size=len(particle)),
        outer_phi=wrap_phi(states.phi + fit.phi_error * rng.normal(size=len(particle))),
        quality=tracks.quality[track],
        impacts=extrapolate(fit._replace(pt=outer_pt), states, rng),
        unradiated_impacts=extrapolate(fit, start, rng),
        brems=NO_BREMS,
    )
    return gsf._replace(brems=_find_brems(flights, gsf, arm, rng))


def _seeded(flights: Flights, tracks: Tracks, rng: np.random.Generator) -> np.ndarray:
    """Tracks that pass the electron seeding: all electrons, few hadrons, no muons and no fakes."""
    particles = flights.particles
    true = np.flatnonzero(tracks.particle >= 0)
    own = tracks.particle[true]
    identity = np.abs(particles.pdgid[own])
    passes = (identity == 11) | ((identity > 100) & (rng.random(len(own)) < HADRON_RATE))
    return true[passes & (np.hypot(particles.px[own], particles.py[own]) > MIN_PT)]


def _outer_pt(pt: np.ndarray, radiation: Radiation, core: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Measured transverse momentum at the outer end."""
    curvature = radiation.final_curvature * (radiation.curvature / radiation.final_curvature) ** UNRESOLVED_MODE
    return pt / (curvature * np.maximum(1.0 + OUTER_WIDTH * core * rng.normal(size=len(pt)), 0.1))


def _find_brems(flights: Flights, gsf: GsfTracks, arm: np.ndarray, rng: np.random.Generator) -> Brems:
    """Trajectory points: what was lost in each layer between the ends, seen as the difference of two half tracks."""
    num_gsf = len(gsf.particle)
    num_between = np.maximum(flights.layers[gsf.particle] - 2, 0)
    offsets = np.concatenate([[0], np.cumsum(num_between + 2)])
    owner = np.repeat(np.arange(num_gsf), num_between + 2)
    number = np.arange(len(owner)) - offsets[owner]
    half_track = relative_pt_resolution(np.full(num_gsf, 211), gsf.fit.pt, gsf.inner_eta, 0.5 * arm)
    error = (np.sqrt(2.0) * half_track * gsf.inner_p)[owner]
    delta_p = error * rng.normal(size=len(owner))
    own, part = emissions_of(flights, gsf.particle, arm)
    seen = (own >= 0) & (np.append(num_between, 0)[own] > 0)
    own = own[seen]
    place = np.minimum((part[seen] * num_between[own]).astype(np.int64), num_between[own] - 1)
    np.add.at(delta_p, offsets[own] + 1 + place, (1.0 - UNRESOLVED_MODE) * _momentum_lost(flights)[seen])
    ends = np.concatenate([offsets[:-1], offsets[1:] - 1])
    delta_p[ends] = np.concatenate([gsf.inner_p, gsf.outer_p])
    error[ends] = np.tile(gsf.fit.pt_error / np.sin(gsf.fit.theta), 2)
    return Brems(owner, number + FIRST_POINT, delta_p, error)


def _momentum_lost(flights: Flights) -> np.ndarray:
    """``(R,)`` momentum of each emission [GeV]."""
    particles, emissions = flights.particles, flights.emissions
    electron = emissions.electron
    momentum = np.sqrt(particles.px[electron] ** 2 + particles.py[electron] ** 2 + particles.pz[electron] ** 2)
    log_left = np.log1p(-np.minimum(emissions.lost, 0.999))
    total = np.cumsum(log_left) - log_left  # of all emissions before, those of earlier electrons included
    starts = np.flatnonzero(np.diff(electron, prepend=-1))
    own_start = np.repeat(starts, np.diff(np.append(starts, len(electron))))
    return momentum * np.exp(total - total[own_start]) * emissions.lost
