"""Tracks: efficiency and resolution tables, filled uncertainties, muon stations, electron (GSF) tracks.

A track keeps the momentum at the production point of its particle; no track is shared, split or fake in this version.
"""

from typing import NamedTuple

import numpy as np

from mlpf.kinematics import eta_from_pt_pz, wrap_phi
from mlpf.simulation.flights import Flights
from mlpf.simulation.particles import Particles
from mlpf.simulation.propagation import Impacts, calorimeter_impacts

MAX_ETA = 2.5  # CMS tracker acceptance, JINST 3 S08004
MIN_PARTICLE_PT = 0.1  # GeV; below, a particle leaves too few hits to be listed as a TrackingParticle
MIN_TRACK_PT = 0.2  # GeV; below, no track is found (CMS-TRK-11-001, arXiv:1405.6569)
MAX_PRODUCTION_RADIUS = 60.0  # cm; tracks born further out cross too few layers
MIN_FLIGHT = 30.0  # cm; a charged particle that decays earlier (Sigma, Xi) leaves no track: at r = 30 cm six layers are crossed
# Efficiency: columns |eta| < 1.5 and < 2.5, rows by pt [GeV] between the edges (Delphes CMS card; electrons up to 1, to 100 and above).
EFFICIENCY_ETA = (1.5, 2.5)
EFFICIENCY: dict[int, tuple[tuple[float, ...], tuple[tuple[float, float], ...]]] = {
    11: ((1.0, 100.0), ((0.73, 0.50), (0.95, 0.83), (0.99, 0.90))),
    13: ((1.0,), ((0.75, 0.70), (0.99, 0.98))),
    211: ((1.0,), ((0.70, 0.60), (0.95, 0.85))),
}
# sigma(pt) / pt = sqrt(a^2 + (b pt)^2): (a, b [1/GeV]) for |eta| < 0.5, 1.5, 2.5 (Delphes CMS card)
RESOLUTION_ETA = (0.5, 1.5, 2.5)
RESOLUTION: dict[int, tuple[tuple[float, float], ...]] = {
    11: ((0.03, 1.3e-3), (0.05, 1.7e-3), (0.15, 3.1e-3)),
    13: ((0.01, 1.0e-4), (0.015, 1.5e-4), (0.025, 3.5e-4)),
    211: ((0.01, 1.5e-4), (0.015, 2.5e-4), (0.025, 5.5e-4)),
}
# Angles and impact parameters sqrt(a^2 + (b / pt)^2), rad and cm: read off the figures of CMS-TRK-11-001, arXiv:1405.6569
SIGMA_ANGLE = (2e-4, 1.5e-3)
SIGMA_VERTEX = (0.002, 0.01)
MEAN_HITS = 16.0  # of a prompt track, CMS-TRK-11-001
MIN_HITS = 4
HIT_PURITY = 0.99  # probability that a hit of a track comes from its particle
MUON_EFFICIENCY = 0.96  # of the stations for muons that reach them, CMS-MUO-10-004 (arXiv:1206.4071)
MUON_MIN_P = 3.5  # GeV, to get through calorimeters and coil
PUNCH_THROUGH = 0.005  # hadrons of that momentum taken for tracker muons (pi and K decays included), arXiv:1206.4071 section 5
MUON_MAX_ETA, DT_MAX_ETA, CSC_MIN_ETA = 2.4, 1.2, 0.9
DT_HITS, CSC_HITS = 36.0, 18.0  # means: four stations of 8 to 12 layers; 3 to 4 of 6
# Bits of reco::Muon
GLOBAL_MUON, TRACKER_MUON, STANDALONE_MUON, PF_MUON = 1 << 1, 1 << 2, 1 << 3, 1 << 5
GSF_MIN_PT = 2.0  # GeV, of the CMS electron seeding (arXiv:2012.06888)
GSF_ECAL_DRIVEN_PT = 4.0  # GeV, of the ECAL cluster that seeds; softer electrons are tracker-driven (arXiv:2012.06888)
GSF_HADRON_RATE = 0.01  # charged hadrons whose track also passes the electron preselection


class Tracks(NamedTuple):
    """Reconstructed tracks, ``(T,)`` each.

    Attributes:
        particle: which of the event's `Particles` it belongs to.
        is_gsf: electron track, a GSF element instead of a TRACK.
        charge, pt, theta, phi: measured [e, GeV, rad, rad].
        pt_error, theta_error, phi_error: their true standard deviations.
        x, y, z: reference point [cm].
        num_hits: in the tracker.
        dt_hits, csc_hits, muon_type: of the muon stations.
        quality: fraction of its hits from the particle, in (0, 1].
        impacts: where the measured helix enters the calorimeters.
    """

    particle: np.ndarray
    is_gsf: np.ndarray
    charge: np.ndarray
    pt: np.ndarray
    theta: np.ndarray
    phi: np.ndarray
    pt_error: np.ndarray
    theta_error: np.ndarray
    phi_error: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    num_hits: np.ndarray
    dt_hits: np.ndarray
    csc_hits: np.ndarray
    muon_type: np.ndarray
    quality: np.ndarray
    impacts: Impacts


def leaves_hits(particles: Particles) -> np.ndarray:
    """``(P,) bool``: charged particles that the tracker sees, whether or not a track is found."""
    pt = np.hypot(particles.px, particles.py)
    inside = np.hypot(particles.x, particles.y) < MAX_PRODUCTION_RADIUS
    return (particles.charge != 0) & (pt > MIN_PARTICLE_PT) & (np.abs(eta_from_pt_pz(pt, particles.pz)) < MAX_ETA) & inside


def tracking_efficiency(particles: Particles) -> np.ndarray:
    """``(P,)`` probability of a track: the tables for prompt particles, falling linearly to 0 at a production radius of 60 cm."""
    pt = np.hypot(particles.px, particles.py)
    abs_eta = np.abs(eta_from_pt_pz(pt, particles.pz))
    identity = _table_identity(particles.pdgid)
    efficiency = np.zeros(len(pt))
    for pdgid, (pt_edges, table) in EFFICIENCY.items():
        eta_bin = np.minimum(np.searchsorted(EFFICIENCY_ETA, abs_eta, side="right"), len(EFFICIENCY_ETA) - 1)
        values = np.asarray(table)[np.searchsorted(pt_edges, pt, side="right"), eta_bin]
        efficiency = np.where(identity == pdgid, values, efficiency)
    displacement = np.hypot(particles.x, particles.y) / MAX_PRODUCTION_RADIUS
    flight = np.hypot(particles.end_x - particles.x, particles.end_y - particles.y)
    found = leaves_hits(particles) & (pt > MIN_TRACK_PT) & (~particles.ends | (flight > MIN_FLIGHT))
    return np.where(found, efficiency * np.maximum(1.0 - displacement, 0.0), 0.0)


def relative_pt_resolution(pdgid: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """``sigma(pt) / pt`` of tracks."""
    identity = _table_identity(pdgid)
    eta_bin = np.minimum(np.searchsorted(RESOLUTION_ETA, np.abs(eta), side="right"), len(RESOLUTION_ETA) - 1)
    resolution = np.zeros(len(pt))
    for table_pdgid, table in RESOLUTION.items():
        constant, slope = np.asarray(table)[eta_bin].T
        resolution = np.where(identity == table_pdgid, np.hypot(constant, slope * pt), resolution)
    return resolution


def reconstruct_tracks(flights: Flights, rng: np.random.Generator) -> Tracks:
    """All tracks of an event: TRACK ones in particle order, then GSF ones."""
    particles = flights.particles
    found = np.flatnonzero(rng.random(len(particles.pdgid)) < tracking_efficiency(particles))
    pt = np.hypot(particles.px[found], particles.py[found])
    hadron_rate = GSF_HADRON_RATE * (np.abs(particles.pdgid[found]) != 13)
    passes_seeding = np.abs(particles.pdgid[found]) == 11
    passes_seeding |= rng.random(len(found)) < hadron_rate
    gsf = found[passes_seeding & (pt > GSF_MIN_PT)]
    selected = np.concatenate([found, gsf])
    return _measure(particles, selected, np.arange(len(selected)) >= len(found), rng)


def _measure(particles: Particles, selected: np.ndarray, is_gsf: np.ndarray, rng: np.random.Generator) -> Tracks:
    """Smear the parameters of the selected particles and look up their muon stations."""
    count = len(selected)
    pdgid, charge, px, py, pz = (values[selected] for values in (particles.pdgid, particles.charge, particles.px, particles.py, particles.pz))
    true_pt = np.hypot(px, py)
    resolution = relative_pt_resolution(np.where(is_gsf, 11, pdgid), true_pt, eta_from_pt_pz(true_pt, pz))
    # Gaussian in curvature, as a track is measured; folded at a tenth of the true one (only the 15 % electrons come near)
    pt = true_pt / np.maximum(1.0 + resolution * rng.normal(size=count), 0.1)
    angle_error = np.hypot(SIGMA_ANGLE[0], SIGMA_ANGLE[1] / true_pt)
    theta = np.clip(np.arctan2(true_pt, pz) + angle_error * rng.normal(size=count), 1e-3, np.pi - 1e-3)
    phi = wrap_phi(np.arctan2(py, px) + angle_error * rng.normal(size=count))
    vertex_error = np.hypot(SIGMA_VERTEX[0], SIGMA_VERTEX[1] / true_pt)
    position = np.stack([particles.x[selected], particles.y[selected], particles.z[selected]]) + vertex_error * rng.normal(size=(3, count))

    radius = np.hypot(particles.x[selected], particles.y[selected])
    num_hits = np.maximum(rng.poisson(MEAN_HITS * np.clip(1.0 - radius / MAX_PRODUCTION_RADIUS, 0.0, 1.0)), MIN_HITS)
    quality = np.maximum(rng.binomial(num_hits, HIT_PURITY), MIN_HITS - 1) / num_hits
    muon_type, dt_hits, csc_hits = _muon_stations(pdgid, pt / np.sin(theta), np.abs(np.arctanh(np.cos(theta))), is_gsf, rng)
    impacts = calorimeter_impacts(charge, pt * np.cos(phi), pt * np.sin(phi), pt / np.tan(theta), pt / np.sin(theta), position)
    return Tracks._make(
        (selected, is_gsf, charge, pt, theta, phi, resolution * pt, angle_error, angle_error, *position)
        + (num_hits, dt_hits, csc_hits, muon_type, quality, impacts)
    )


def _muon_stations(
    pdgid: np.ndarray, momentum: np.ndarray, abs_eta: np.ndarray, is_gsf: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Type bits and numbers of hits in drift tubes and cathode strip chambers; zero for what is no muon."""
    chance = rng.random(len(pdgid))
    reaches = (momentum > MUON_MIN_P) & (abs_eta < MUON_MAX_ETA) & ~is_gsf
    is_muon = reaches & (np.abs(pdgid) == 13) & (chance < MUON_EFFICIENCY)
    is_punch_through = reaches & (np.abs(pdgid) > 100) & (chance < PUNCH_THROUGH)
    muon_type = is_muon * (GLOBAL_MUON | TRACKER_MUON | STANDALONE_MUON | PF_MUON) + is_punch_through * TRACKER_MUON
    dt_hits = np.where(is_muon & (abs_eta < DT_MAX_ETA), rng.poisson(DT_HITS, len(pdgid)), 0)
    csc_hits = np.where(is_muon & (abs_eta > CSC_MIN_ETA), rng.poisson(CSC_HITS, len(pdgid)), 0)
    return muon_type, dt_hits, csc_hits


def _table_identity(pdgid: np.ndarray) -> np.ndarray:
    """Row of the tables: 11, 13, or 211 for every hadron."""
    identity = np.abs(pdgid)
    return np.where((identity == 11) | (identity == 13), identity, 211)
