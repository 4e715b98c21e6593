"""Truth: which particles are listed, and who deposited what."""

from typing import NamedTuple

import numpy as np

from mlpf.simulation.calorimeter.readout import Deposits
from mlpf.simulation.tracker.flights import Flights
from mlpf.simulation.tracker.track_finding import leaves_hits


class Truth(NamedTuple):
    """Which particles become truth objects; every array but the last two holds indices.

    Attributes:
        tracking_particles: ``(TP,)`` into `Particles`, charged ones that leave hits in the tracker.
        simclusters: ``(SC,)`` into `Particles`, those that deposited energy.
        caloparticles: ``(CP,)`` into `Particles`, those from the collision that are, or became, one or more of either.
        simcluster_to_tracking_particle, simcluster_to_caloparticle: ``(SC,)``; the first -1 where there is none.
        caloparticle_to_tracking_particle: ``(CP,)`` of its own first flight (not of its decay products), -1 if none.
        deposited: ``(SC,)`` energy [GeV].
        caloparticle_deposited: ``(CP,)`` energy [GeV].
    """

    tracking_particles: np.ndarray
    simclusters: np.ndarray
    caloparticles: np.ndarray
    simcluster_to_tracking_particle: np.ndarray
    simcluster_to_caloparticle: np.ndarray
    caloparticle_to_tracking_particle: np.ndarray
    deposited: np.ndarray
    caloparticle_deposited: np.ndarray


def find_truth(flights: Flights, deposits: Deposits) -> Truth:
    """Truth objects of an event."""
    particles, origin = flights.particles, flights.origin
    num_particles = len(particles.pdgid)
    deposited = np.bincount(deposits.particle, weights=deposits.energy, minlength=num_particles)
    tracking_particles = np.flatnonzero(leaves_hits(flights))
    simclusters = np.flatnonzero(deposited > 0.0)
    seen = np.concatenate([tracking_particles, simclusters])
    caloparticles = np.unique(origin[seen])
    tracking_particle_of = np.full(num_particles, -1, dtype=np.int64)
    tracking_particle_of[tracking_particles] = np.arange(len(tracking_particles))
    simcluster_to_caloparticle = np.searchsorted(caloparticles, origin[simclusters])
    first_flight = np.full(len(caloparticles), -1, dtype=np.int64)
    own = tracking_particles[particles.parent[tracking_particles] < 0]
    first_flight[np.searchsorted(caloparticles, own)] = tracking_particle_of[own]
    return Truth(
        tracking_particles,
        simclusters,
        caloparticles,
        tracking_particle_of[simclusters],
        simcluster_to_caloparticle,
        first_flight,
        deposited[simclusters],
        np.bincount(simcluster_to_caloparticle, weights=deposited[simclusters], minlength=len(caloparticles)),
    )
