"""What the detector saw of an event -> the columns of the ntuple, but for those of jets."""

import numpy as np

from mlpf import schema
from mlpf.kinematics import pt_eta_phi_from_momentum
from mlpf.simulation.calorimeter.calibration import preshower_energy
from mlpf.simulation.calorimeter.superclusters import Superclusters, find_superclusters
from mlpf.simulation.detector import Detected
from mlpf.simulation.electron_id import electron_scores
from mlpf.simulation.elements import Columns, brem_columns, cluster_columns, gsf_columns, join_elements, supercluster_columns, track_columns
from mlpf.simulation.links import Links, sum_links, without_faint
from mlpf.simulation.particles import NEUTRINOS, Particles, Record
from mlpf.simulation.tracker.gsf import GsfTracks
from mlpf.simulation.tracker.tracks import Tracks
from mlpf.simulation.truth import Truth, find_truth

MAX_ETA = 20.0  # stands for the infinite pseudorapidity of what flies along the beam


def event_columns(detected: Detected, seed: int, event: int, rng: np.random.Generator) -> Columns:
    """Columns of one event; element numbers count tracks, electron tracks, their BREMs, clusters and superclusters in this order.

    Args:
        seed, event: of the event.
        rng: for the resolution of times.
    """
    flights, tracks, gsf, calorimetry = detected.flights, detected.tracks, detected.gsf, detected.calorimetry
    particles, num_clusters = flights.particles, len(calorimetry.layer)
    delay = _mean_delay(calorimetry.links, calorimetry.impacts.delay, num_clusters)
    preshower = preshower_energy(calorimetry.moments.energy, calorimetry.layer, calorimetry.moments.position)
    clusters = cluster_columns(calorimetry.moments, calorimetry.layer, delay, preshower, rng)
    superclusters = _find_superclusters(clusters, gsf)
    supercluster_part = supercluster_columns(superclusters, clusters, preshower)
    elements = join_elements(track_columns(tracks), gsf_columns(gsf), brem_columns(gsf), clusters, supercluster_part)
    elements |= electron_scores(elements, gsf)

    truth = find_truth(flights, calorimetry.deposits)
    first_cluster = len(tracks.particle) + len(gsf.particle) + len(gsf.brems.gsf)
    links = without_faint(calorimetry.links, calorimetry.layer)
    to_elements = _with_superclusters(links, superclusters, first_cluster, first_cluster + num_clusters)
    return {
        **_event_columns(event, seed, detected.generated.record),
        **_tracking_particle_columns(particles, truth),
        **_simcluster_columns(particles, truth),
        **_caloparticle_columns(particles, truth),
        **_record_columns(detected.generated.record),
        **elements,
        **_track_link_columns(tracks, gsf, len(particles.pdgid), truth),
        **_link_columns(len(particles.pdgid), truth, to_elements),
    }


def _mean_delay(links: Links, delay: np.ndarray, num_clusters: int) -> np.ndarray:
    """``(C,)`` energy-weighted delay of the particles in each cluster."""
    energy = np.bincount(links.second, weights=links.energy, minlength=num_clusters)
    weighted = np.bincount(links.second, weights=links.energy * delay[links.first], minlength=num_clusters)
    return weighted / np.maximum(energy, 1e-9)


def _find_superclusters(clusters: Columns, gsf: GsfTracks) -> Superclusters:
    ecal = np.flatnonzero(clusters["element_type"] == schema.ElementType.ECAL)
    hcal = np.flatnonzero(clusters["element_type"] == schema.ElementType.HCAL)
    columns = (clusters["element_energy"], clusters["element_eta"], clusters["element_phi"])
    return find_superclusters(ecal, hcal, *columns, gsf.impacts.eta, gsf.impacts.phi)


def _with_superclusters(links: Links, superclusters: Superclusters, first_cluster: int, first_supercluster: int) -> Links:
    """Links of particles to clusters -> to elements. The weight of a link to a supercluster is the sum of its fractions of cells, as in CMS, not an energy."""
    owner = np.full(first_supercluster - first_cluster, -1, dtype=np.int64)
    owner[superclusters.cluster] = np.repeat(np.arange(len(superclusters.offsets) - 1), np.diff(superclusters.offsets))
    member = owner[links.second] >= 0
    first = np.concatenate([links.first, links.first[member]])
    second = np.concatenate([links.second + first_cluster, owner[links.second[member]] + first_supercluster])
    weight = np.concatenate([links.energy, links.fraction[member]])
    return sum_links(Links(first, second, weight, np.concatenate([links.fraction, links.fraction[member]])))


def _event_columns(event: int, seed: int, record: Record) -> Columns:
    is_neutrino = (record.status == 1) & np.isin(np.abs(record.pdgid), NEUTRINOS)
    missing_x, missing_y = np.sum(record.px[is_neutrino]), np.sum(record.py[is_neutrino])
    return {
        "event": np.array([event]),
        "lumi": np.array([1]),
        "run": np.array([1 + seed % 2**31]),
        "genmet_pt": np.array([np.hypot(missing_x, missing_y)]),
        "genmet_phi": np.array([np.arctan2(missing_y, missing_x)]),
    }


def _four_momentum(prefix: str, px: np.ndarray, py: np.ndarray, pz: np.ndarray, energy: np.ndarray) -> Columns:
    pt, eta, phi = (np.asarray(values) for values in pt_eta_phi_from_momentum(px, py, pz))
    return {f"{prefix}_pt": pt, f"{prefix}_eta": np.clip(eta, -MAX_ETA, MAX_ETA), f"{prefix}_phi": phi, f"{prefix}_energy": energy}


def _particle_columns(prefix: str, own: Particles) -> Columns:
    """What all true particles have."""
    return {
        **_four_momentum(prefix, own.px, own.py, own.pz, own.energy),
        f"{prefix}_ev": own.collision,
        f"{prefix}_pid": own.pdgid,
        f"{prefix}_charge": own.charge,
    }


def _tracking_particle_columns(particles: Particles, truth: Truth) -> Columns:
    own = Particles._make(values[truth.tracking_particles] for values in particles)
    return {
        **_particle_columns("trackingparticle", own),
        "trackingparticle_px": own.px,
        "trackingparticle_py": own.py,
        "trackingparticle_pz": own.pz,
        "trackingparticle_dvx": own.end_x,
        "trackingparticle_dvy": own.end_y,
        "trackingparticle_dvz": own.end_z,
    }


def _simcluster_columns(particles: Particles, truth: Truth) -> Columns:
    own = Particles._make(values[truth.simclusters] for values in particles)
    return {
        **_particle_columns("simcluster", own),
        "simcluster_idx_trackingparticle": truth.simcluster_to_tracking_particle,
        "simcluster_idx_caloparticle": truth.simcluster_to_caloparticle,
    }


def _caloparticle_columns(particles: Particles, truth: Truth) -> Columns:
    own = Particles._make(values[truth.caloparticles] for values in particles)
    return {
        **_particle_columns("caloparticle", own),
        "caloparticle_simenergy": truth.caloparticle_deposited,
        "caloparticle_idx_trackingparticle": truth.caloparticle_to_tracking_particle,
    }


def _record_columns(record: Record) -> Columns:
    return {
        **_four_momentum("gen", record.px, record.py, record.pz, record.energy),
        "gen_px": record.px,
        "gen_py": record.py,
        "gen_pz": record.pz,
        "gen_charge": record.charge,
        "gen_pdgid": record.pdgid,
        "gen_status": record.status,
    }


def _track_link_columns(tracks: Tracks, gsf: GsfTracks, num_particles: int, truth: Truth) -> Columns:
    """Links of TrackingParticles to tracks, electron tracks and their BREMs, elements that are counted in this order; fakes have none."""
    tracking_particle_of = np.zeros(num_particles, dtype=np.int64)
    tracking_particle_of[truth.tracking_particles] = np.arange(len(truth.tracking_particles))
    particle = np.concatenate([tracks.particle, gsf.particle, gsf.particle[gsf.brems.gsf]])
    quality = np.concatenate([tracks.quality, gsf.quality, gsf.quality[gsf.brems.gsf]])
    element = np.flatnonzero(particle >= 0)
    return {
        "trackingparticle_to_element.first": tracking_particle_of[particle[element]],
        "trackingparticle_to_element.second": element,
        "trackingparticle_to_element_cmp": quality[element],
    }


def _link_columns(num_particles: int, truth: Truth, to_elements: Links) -> Columns:
    """Links of SimClusters and CaloParticles."""
    simcluster_of = np.full(num_particles, -1, dtype=np.int64)
    simcluster_of[truth.simclusters] = np.arange(len(truth.simclusters))
    simcluster_links = to_elements._replace(first=simcluster_of[to_elements.first])
    caloparticle_links = sum_links(simcluster_links._replace(first=truth.simcluster_to_caloparticle[simcluster_links.first]))
    by_caloparticle = np.argsort(truth.simcluster_to_caloparticle, kind="stable")
    return {
        "simcluster_to_element.first": simcluster_links.first,
        "simcluster_to_element.second": simcluster_links.second,
        "simcluster_to_element_cmp": simcluster_links.energy,
        "caloparticle_to_element.first": caloparticle_links.first,
        "caloparticle_to_element.second": caloparticle_links.second,
        "caloparticle_to_element_cmp": caloparticle_links.energy,
        "caloparticle_to_simcluster.first": truth.simcluster_to_caloparticle[by_caloparticle],
        "caloparticle_to_simcluster.second": by_caloparticle,
    }
