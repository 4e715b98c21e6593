"""From flying particles to clusters: preshower, showers, cells, clustering, and which particle is in which cluster."""

from typing import NamedTuple

import numpy as np

from mlpf.simulation.calorimeter.cells import geometry
from mlpf.simulation.calorimeter.clusters import Clusters, cluster_hits
from mlpf.simulation.calorimeter.moments import ClusterHits, Moments, cluster_hit_list, cluster_moments
from mlpf.simulation.calorimeter.preshower import cross_preshower
from mlpf.simulation.calorimeter.readout import Deposits, Hits, deposit, join_deposits, read_out
from mlpf.simulation.calorimeter.showers import shower_spots
from mlpf.simulation.calorimeter.spots import Spots
from mlpf.simulation.links import Links, particle_cluster_links
from mlpf.simulation.particles import available_energy, interaction_kind
from mlpf.simulation.propagation import Impacts, flight_impacts
from mlpf.simulation.tracker.flights import Flights


class Calorimetry(NamedTuple):
    """All steps of the calorimeters of one event, for the columns of the ntuple and for the energy budget.

    Attributes:
        impacts: where the particles enter.
        absorbed: ``(P,)`` energy that each particle leaves in the lead of the preshower [GeV].
        strips, spots: of the preshower, of the showers behind it.
        deposits: in the cells of all detectors.
        hits: cells that were read out.
        clusters, cluster_hits, moments: what was found in them, C clusters.
        layer: ``(C,)`` PFLayer of each cluster's seed.
        links: particles to clusters.
    """

    impacts: Impacts
    absorbed: np.ndarray
    strips: Spots
    spots: Spots
    deposits: Deposits
    hits: Hits
    clusters: Clusters
    cluster_hits: ClusterHits
    moments: Moments
    layer: np.ndarray
    links: Links


def measure_energies(flights: Flights, rng: np.random.Generator) -> Calorimetry:
    """What the calorimeters make of an event's particles."""
    detector, particles = geometry(), flights.particles
    impacts = flight_impacts(flights)
    kind, energy = interaction_kind(particles.pdgid), arriving_energy(flights)
    strips, absorbed = cross_preshower(kind, particles.charge, energy, impacts, rng)
    spots = shower_spots(kind, particles.charge, energy - absorbed, impacts, rng)
    deposits = join_deposits(deposit(spots), deposit(strips))
    hits = read_out(deposits, detector, rng)
    clusters = cluster_hits(hits, detector)
    hit_list = cluster_hit_list(clusters, hits, detector)
    moments = cluster_moments(hit_list, hits, detector)
    layer = detector.layer[clusters.seed_site]
    links = particle_cluster_links(deposits, hits, hit_list)
    return Calorimetry(impacts, absorbed, strips, spots, deposits, hits, clusters, hit_list, moments, layer, links)


def arriving_energy(flights: Flights) -> np.ndarray:
    """``(P,)`` energy that a shower can use, of every particle as it leaves the tracker [GeV]."""
    return available_energy(flights.particles._replace(px=flights.px, py=flights.py, pz=flights.pz, energy=flights.energy))
