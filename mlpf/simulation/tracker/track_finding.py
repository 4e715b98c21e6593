"""Which particles have a track: layers, seeds, dense surroundings, and the efficiency tables.

The tables are those of isolated prompt particles, with their losses in the material. Here hadrons are lost there one by one, by `transport`; what the tables
say of hadrons is therefore divided by the share of those that cross enough layers, averaged over pseudorapidity as the tables are.
"""

import functools
import itertools
import math

import numba
import numpy as np

from mlpf.kinematics import delta_phi, eta_from_pt_pz
from mlpf.simulation.particles import Particles
from mlpf.simulation.propagation import CURVATURE, FIELD
from mlpf.simulation.tracker.flights import Flights
from mlpf.simulation.tracker.helix import closest_approach, table_identity
from mlpf.simulation.tracker.material import LAYER_SHARE, material_budget

MAX_ETA = 2.5  # CMS tracker acceptance, JINST 3 S08004
MIN_PARTICLE_PT = 0.1  # GeV; below, a particle leaves too few hits to be listed as a TrackingParticle
MIN_TRACK_PT = 0.2  # GeV; below, no track is found (CMS-TRK-11-001, arXiv:1405.6569)
MAX_PRODUCTION_RADIUS = 60.0  # cm; tracks born further out cross too few layers
# Seeds: the widest region of CMS in which tracks begin, around the beam line [cm], and the lowest pt [GeV] of what only strips can seed, since it is born
# behind the pixels [cm] (TobTecStep and PixelLessStep of RecoTracker/IterativeTracking)
SEED_RADIUS, SEED_HALF_LENGTH = 6.0, 30.0
MIN_STRIP_SEED_PT, PIXEL_RADIUS = 0.4, 16.0
MIN_LAYERS = 4  # for a track, as many as the pixels have; CMS makes tracks of three as well, of low purity
# Efficiency: columns |eta| < 1.5 and < 2.5, rows by pt [GeV] between the edges (Delphes CMS card; electrons up to 1, to 100 and above).
EFFICIENCY_ETA = (1.5, 2.5)
EFFICIENCY: dict[int, tuple[tuple[float, ...], tuple[tuple[float, float], ...]]] = {
    11: ((1.0, 100.0), ((0.73, 0.50), (0.95, 0.83), (0.99, 0.90))),
    13: ((1.0,), ((0.75, 0.70), (0.99, 0.98))),
    211: ((1.0,), ((0.70, 0.60), (0.95, 0.85))),
}
# Dense surroundings: hits merge in the pixels, 100 x 150 um at r = 3 to 16 cm. A particle is lost with the given probability for each other one closer than the
# radius at a layer in between. Ours: of the charged particles within 0.02 of the axis of a jet of 200 to 400 GeV, 6 % are lost, and 11 % at 600 to 800 GeV.
# ATLAS, of those that share pixel clusters: 6.1 +- 1.5 % at 200 to 400 GeV, 9.3 +- 2.7 % at 1400 to 1600 GeV (arXiv:1704.07983).
DENSE_LAYER, DENSE_RADIUS, LOSS_PER_NEIGHBOR = 7.0, 0.02, 0.03


def leaves_hits(flights: Flights) -> np.ndarray:
    """``(P,) bool``: charged particles that the tracker sees in at least one layer, whether or not a track is found."""
    particles = flights.particles
    pt = np.hypot(particles.px, particles.py)
    inside = np.hypot(particles.x, particles.y) < MAX_PRODUCTION_RADIUS
    return (particles.charge != 0) & (pt > MIN_PARTICLE_PT) & (np.abs(particles.pz) < math.sinh(MAX_ETA) * pt) & inside & (flights.layers > 0)


@functools.cache
def hadron_survival() -> tuple[float, ...]:
    """Share of prompt hadrons that cross `MIN_LAYERS` layers before they interact, for each bin of `EFFICIENCY_ETA`."""
    edges = (0.0, *EFFICIENCY_ETA)
    share = float(np.sum(LAYER_SHARE[:MIN_LAYERS]))
    points = [np.linspace(low, high, 51) for low, high in itertools.pairwise(edges)]
    return tuple(float(np.mean([math.exp(-share * material_budget(eta)[1]) for eta in bin_points])) for bin_points in points)


def table_efficiency(pdgid: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """``(P,)`` efficiency for isolated prompt particles, whatever becomes of them in the material."""
    identity = table_identity(pdgid)
    efficiency = np.zeros(len(pt))
    for table_pdgid, (pt_edges, table) in EFFICIENCY.items():
        eta_bin = np.minimum(np.searchsorted(EFFICIENCY_ETA, np.abs(eta), side="right"), len(EFFICIENCY_ETA) - 1)
        values = np.asarray(table)[np.searchsorted(pt_edges, pt, side="right"), eta_bin]
        efficiency = np.where(identity == table_pdgid, values, efficiency)
    return efficiency


@numba.njit(cache=True)
def count_neighbors(eta: np.ndarray, phi: np.ndarray, radius: float) -> np.ndarray:
    """``(N,) int64`` other points within a distance in eta and phi; N log N for a given density."""
    order = np.argsort(eta)
    count = np.zeros(len(eta), dtype=np.int64)
    for a in range(len(order)):
        i = order[a]
        for b in range(a + 1, len(order)):
            j = order[b]
            if eta[j] - eta[i] > radius:
                break
            if math.hypot(eta[j] - eta[i], delta_phi(phi[j], phi[i])) < radius:
                count[i] += 1
                count[j] += 1
    return count


def crowding(particles: Particles, visible: np.ndarray) -> np.ndarray:
    """``(P,) int64`` visible particles close to each one of them in the pixel detector; 0 for those born outside of it.

    Args:
        visible: ``(P,) bool`` those that leave hits.
    """
    inner = np.flatnonzero(visible & (np.hypot(particles.x, particles.y) < 0.5 * DENSE_LAYER))
    px, py, pz, z = particles.px[inner], particles.py[inner], particles.pz[inner], particles.z[inner]
    pt = np.hypot(px, py)
    turn = np.arcsin(np.minimum(0.5 * DENSE_LAYER * CURVATURE * FIELD / pt, 1.0))  # of the chord to the layer
    eta = np.arcsinh((z + DENSE_LAYER * pz / pt) / DENSE_LAYER)
    phi = np.arctan2(py, px) - np.sign(particles.charge[inner]) * turn
    count = np.zeros(len(visible), dtype=np.int64)
    count[inner] = count_neighbors(eta, phi, DENSE_RADIUS)
    return count


def is_seeded(particles: Particles) -> np.ndarray:
    """``(P,) bool``: whether seeds of tracks are looked for where a charged particle flies; few products of the material pass the beam close enough."""
    pt = np.hypot(particles.px, particles.py)
    phi, theta = np.arctan2(particles.py, particles.px), np.arctan2(pt, particles.pz)
    _, x, y, z = closest_approach(particles.charge, pt, theta, phi, np.stack([particles.x, particles.y, particles.z]))
    in_region = (np.hypot(x, y) < SEED_RADIUS) & (np.abs(z) < SEED_HALF_LENGTH)
    return in_region & ((np.hypot(particles.x, particles.y) < PIXEL_RADIUS) | (pt > MIN_STRIP_SEED_PT))


def tracking_efficiency(flights: Flights) -> np.ndarray:
    """``(P,)`` probability of a track for what flew as it did: less in dense surroundings and far from the beam, 0 at 60 cm, with too few layers and
    without a seed.
    """
    particles = flights.particles
    visible = leaves_hits(flights)
    found = np.flatnonzero(visible & (np.hypot(particles.px, particles.py) > MIN_TRACK_PT) & (flights.layers >= MIN_LAYERS))
    found = found[is_seeded(Particles._make(values[found] for values in particles))]
    pdgid, px, py, pz, x, y = (values[found] for values in (particles.pdgid, particles.px, particles.py, particles.pz, particles.x, particles.y))
    pt = np.hypot(px, py)
    eta = eta_from_pt_pz(pt, pz)
    survival = np.asarray(hadron_survival())[np.minimum(np.searchsorted(EFFICIENCY_ETA, np.abs(eta), side="right"), len(EFFICIENCY_ETA) - 1)]
    isolated = table_efficiency(pdgid, pt, eta) / np.where(table_identity(pdgid) == 211, survival, 1.0)
    apart = (1.0 - LOSS_PER_NEIGHBOR) ** crowding(particles, visible)[found]
    near = np.maximum(1.0 - np.hypot(x, y) / MAX_PRODUCTION_RADIUS, 0.0)
    efficiency = np.zeros(len(visible))
    efficiency[found] = np.minimum(isolated, 1.0) * apart * near
    return efficiency
