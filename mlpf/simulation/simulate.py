"""From generator to ntuple, event by event: the whole chain in one place."""

from collections.abc import Callable, Iterator

import numpy as np

from mlpf import schema
from mlpf.events import Events, offsets_from_counts
from mlpf.jets import cluster_jets
from mlpf.kinematics import eta_from_pt_pz, pt_eta_phi_from_momentum
from mlpf.simulation import truth as truths
from mlpf.simulation.calorimeter import deposit, read_out
from mlpf.simulation.clusters import cluster_hits
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.electron_id import electron_scores
from mlpf.simulation.elements import Columns, brem_columns, cluster_columns, gsf_columns, join_elements, supercluster_columns, track_columns
from mlpf.simulation.filters import filtered
from mlpf.simulation.generator import PythiaGenerator
from mlpf.simulation.geometry import geometry
from mlpf.simulation.gsf import GsfTracks, reconstruct_gsf
from mlpf.simulation.gun import Gun
from mlpf.simulation.moments import cluster_hit_list, cluster_moments
from mlpf.simulation.particles import NEUTRINOS, GeneratedEvent, Particles, Record, available_energy, interaction_kind
from mlpf.simulation.pileup import PileupPool, draw_crossing, overlay
from mlpf.simulation.propagation import flight_impacts
from mlpf.simulation.randomness import DETECTOR, event_rng
from mlpf.simulation.showers import shower_spots
from mlpf.simulation.superclusters import Superclusters, find_superclusters
from mlpf.simulation.tracker import Tracks, reconstruct_tracks
from mlpf.simulation.transport import transport
from mlpf.simulation.truth import Links, Truth

MAX_ETA = 20.0  # stands for the infinite pseudorapidity of what flies along the beam
GENJET_MIN_PT = 3.0  # GeV, as ak4GenJets in CMS

EventGenerator = Callable[[int, int], GeneratedEvent]  # seed and number -> event


def simulate(config: SimulationConfig, num_events: int, seed: int, first_event: int = 0) -> Iterator[Events]:
    """Simulate events ``first_event`` to ``first_event + num_events - 1``.

    An event depends on the configuration, the seed and its number alone: chunks and processes may divide the work at will.

    Args:
        config: what to generate.
        num_events: how many.
        seed: any integer from 0 on.
        first_event: number of the first one, also its ``event`` number.

    Yields:
        chunks of ``config.events_per_chunk`` events with all 2026 columns of `schema.NTUPLE`, candidates and PF links empty; one empty chunk if there are
        no events.

    Raises:
        MissingDependencyError: the process needs Pythia 8, which is not installed.
        ConfigError: Pythia does not accept the settings.
    """
    generate = event_generator(config)
    stop = first_event + num_events
    for start in range(first_event, max(stop, first_event + 1), config.events_per_chunk):
        yield simulate_chunk(config, generate, seed, range(start, min(start + config.events_per_chunk, stop)))[0]


def simulate_chunk(config: SimulationConfig, generate: EventGenerator, seed: int, numbers: range) -> tuple[Events, int]:
    """Simulate the events of the given numbers; also returns how many events were generated to have as many that pass the filters."""
    columns, attempts = [], 0
    for number in numbers:
        generated = generate(seed, number)
        attempts += generated.attempts
        columns.append(simulate_event(generated, seed, number))
    return assemble(columns, f"simulation of {config.process}"), attempts


def event_generator(config: SimulationConfig, pool: PileupPool | None = None) -> EventGenerator:
    """What makes the particles of the event of a seed and a number, pileup included, before the detector.

    Args:
        config: what to generate.
        pool: from which pileup is drawn; a new one if None.
    """
    generator = Gun(config) if config.process == "gun" else PythiaGenerator(config)
    hard_event = filtered(generator.event, config)
    pileup = pool or PileupPool(config)

    def event(seed: int, number: int) -> GeneratedEvent:
        return overlay(hard_event(seed, number), draw_crossing(config, seed, number), pileup, seed)

    return event


def simulate_event(generated: GeneratedEvent, seed: int, event: int) -> Columns:
    """Detector, clusters and truth of one event: all columns but those of jets."""
    rng = event_rng(seed, event, DETECTOR)
    detector = geometry()
    flights = transport(generated.particles, rng)
    particles = flights.particles
    impacts = flight_impacts(flights)
    tracks = reconstruct_tracks(flights, rng)
    gsf = reconstruct_gsf(flights, tracks, rng)
    at_calorimeters = particles._replace(px=flights.px, py=flights.py, pz=flights.pz, energy=flights.energy)  # electrons without what they radiated
    spots = shower_spots(interaction_kind(particles.pdgid), particles.charge, available_energy(at_calorimeters), impacts, rng)
    deposits = deposit(spots)
    hits = read_out(deposits, detector, rng)
    clusters = cluster_hits(hits, detector)
    hit_list = cluster_hit_list(clusters, hits, detector)
    layer = detector.layer[clusters.seed_site]
    links = truths.particle_cluster_links(deposits, hits, hit_list)
    delay = _mean_delay(links, impacts.delay, len(layer))
    cluster_part = cluster_columns(cluster_moments(hit_list, hits, detector), layer, delay, rng)
    superclusters = _find_superclusters(cluster_part, gsf)
    elements = join_elements(track_columns(tracks), gsf_columns(gsf), brem_columns(gsf), cluster_part, supercluster_columns(superclusters, cluster_part))
    elements |= electron_scores(elements, gsf)

    truth = truths.find_truth(flights, deposits)
    first_cluster = len(tracks.particle) + len(gsf.particle) + len(gsf.brems.gsf)
    to_elements = _with_superclusters(truths.without_faint(links), superclusters, first_cluster, first_cluster + len(layer))
    return {
        **_event_columns(event, seed, generated.record),
        **_tracking_particle_columns(particles, truth),
        **_simcluster_columns(particles, truth),
        **_caloparticle_columns(particles, truth),
        **_record_columns(generated.record),
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
    return truths.sum_links(Links(first, second, weight, np.concatenate([links.fraction, links.fraction[member]])))


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


def _tracking_particle_columns(particles: Particles, truth: Truth) -> Columns:
    own = Particles._make(values[truth.tracking_particles] for values in particles)
    return {
        **_four_momentum("trackingparticle", own.px, own.py, own.pz, own.energy),
        "trackingparticle_px": own.px,
        "trackingparticle_py": own.py,
        "trackingparticle_pz": own.pz,
        "trackingparticle_dvx": own.end_x,
        "trackingparticle_dvy": own.end_y,
        "trackingparticle_dvz": own.end_z,
        "trackingparticle_ev": own.collision,
        "trackingparticle_pid": own.pdgid,
        "trackingparticle_charge": own.charge,
    }


def _simcluster_columns(particles: Particles, truth: Truth) -> Columns:
    own = Particles._make(values[truth.simclusters] for values in particles)
    return {
        **_four_momentum("simcluster", own.px, own.py, own.pz, own.energy),
        "simcluster_ev": own.collision,
        "simcluster_pid": own.pdgid,
        "simcluster_charge": own.charge,
        "simcluster_idx_trackingparticle": truth.simcluster_to_tracking_particle,
        "simcluster_idx_caloparticle": truth.simcluster_to_caloparticle,
    }


def _caloparticle_columns(particles: Particles, truth: Truth) -> Columns:
    own = Particles._make(values[truth.caloparticles] for values in particles)
    return {
        **_four_momentum("caloparticle", own.px, own.py, own.pz, own.energy),
        "caloparticle_ev": own.collision,
        "caloparticle_pid": own.pdgid,
        "caloparticle_charge": own.charge,
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
    caloparticle_links = truths.sum_links(simcluster_links._replace(first=truth.simcluster_to_caloparticle[simcluster_links.first]))
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


def assemble(events: list[Columns], source: str) -> Events:
    """Join events into one chunk, add the generator jets, and fill the columns that nothing fills (bx, candidates, PF links) with 0 or leave them empty."""
    columns: Columns = {}
    offsets: dict[str, np.ndarray] = {}
    for name, collection in schema.NTUPLE.collections.items():
        present = [column.name for column in collection.columns if events and column.name in events[0]]
        if not collection.scalar:
            counts = [len(event[present[0]]) if present else 0 for event in events]
            offsets[name] = offsets_from_counts(np.array(counts, dtype=np.int64))
        size = len(events) if collection.scalar else int(offsets[name][-1])
        for column in collection.columns:
            filled = column.name in present
            columns[column.name] = np.concatenate([event[column.name] for event in events]) if filled else np.zeros(size)
    chunk = Events(columns, offsets, len(events), source, int(columns["event"][0]) if events else 0)
    return _with_genjets(chunk)


def _with_genjets(chunk: Events) -> Events:
    """Anti-kt 0.4 jets of the stable particles without neutrinos."""
    visible = (chunk["gen_status"] == 1) & ~np.isin(np.abs(chunk["gen_pdgid"]), NEUTRINOS)
    momentum = [np.where(visible, chunk[f"gen_{axis}"], 0.0) for axis in ("px", "py", "pz")]
    pt = np.hypot(momentum[0], momentum[1])
    eta = np.where(visible, eta_from_pt_pz(pt, momentum[2]), 0.0)
    jets = cluster_jets(np.where(np.isfinite(eta), pt, 0.0), eta, chunk["gen_phi"], chunk["gen_energy"], chunk.offsets["gen"], GENJET_MIN_PT)
    columns = {"genjet_pt": jets.pt, "genjet_eta": jets.eta, "genjet_phi": jets.phi, "genjet_energy": jets.energy}
    return chunk.with_columns(columns, {"genjet": jets.offsets})
