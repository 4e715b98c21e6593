"""Which particle belongs to which element: links, their contraction, and the assignment.

Everything runs over a whole chunk of events at once: particles and elements are counted through the chunk, so that links never cross events and no loop over
events is needed. Links stay in the order in which they were made; equal weights and equal momenta are decided by that order. Time grows like N log N.
"""

from typing import NamedTuple

import numpy as np

from mlpf.events import Events, event_index
from mlpf.kinematics import delta_r
from mlpf.postprocess.kernels import assign_by_element, assign_by_particle, group, pairs_within, unique_pairs
from mlpf.postprocess.policy import CaloParticlePolicy, TrackingParticlePolicy
from mlpf.schema import ElementType

TRACK_TYPES = (ElementType.TRACK, ElementType.GSF)


class Links(NamedTuple):
    """Links in the order in which they were made: ``(L,)`` particle, element (both counted through the chunk) and weight."""

    particle: np.ndarray
    element: np.ndarray
    weight: np.ndarray

    def where(self, kept: np.ndarray) -> "Links":
        """The links that a mask or an index array selects."""
        return Links(self.particle[kept], self.element[kept], self.weight[kept])


class Particles(NamedTuple):
    """Truth particles of a chunk, ``(P,)`` each.

    Attributes:
        pt, eta, phi, energy: float64 [GeV, rad].
        pid, charge: signed pdgId; charge [e].
        pileup: 1 for pileup, 0 for the hard event.
        number: 1 + index in the ntuple.
        to_track, to_cluster: link weights to TRACK and GSF elements; to all others.
    """

    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    energy: np.ndarray
    pid: np.ndarray
    charge: np.ndarray
    pileup: np.ndarray
    number: np.ndarray
    to_track: np.ndarray
    to_cluster: np.ndarray

    def where(self, kept: np.ndarray) -> "Particles":
        """The particles that a mask or an index array selects."""
        return Particles(*(values[kept] for values in self))


class Association(NamedTuple):
    """Particles, all their links, and ``members``: the links by which particles joined elements, the representative of an element before later ones."""

    particles: Particles
    links: Links
    members: Links


def associate_caloparticles(events: Events, policy: CaloParticlePolicy) -> Association:
    """Policy ``caloparticle``: every CaloParticle with links joins one element, or one per track where it is split.

    Args:
        events: validated ntuple events with the policy's columns.
        policy: the choices.
    """
    types = events["element_type"]
    links = caloparticle_links(events, policy)
    particles = _caloparticles(events, links)
    electron = np.isin(np.abs(particles.pid), policy.electron_pids)
    links = links.where((types[links.element] != ElementType.GSF) | electron[links.particle])
    particles, links = _split(events, particles, links, ~electron, policy.split_radius)

    rank = np.full(len(ElementType), len(ElementType))
    rank[np.asarray(policy.type_order, dtype=np.int64)] = np.arange(len(policy.type_order))
    element_order = np.lexsort((-events["element_pt"], rank[types]))
    element_order = element_order[np.isin(types[element_order], policy.type_order)]
    offsets, order = group(links.element, len(types))
    members = assign_by_element(element_order, offsets, order, _descending(particles.pt), links.particle, links.weight)
    return Association(particles, links, links.where(members))


def associate_trackingparticles(events: Events, policy: TrackingParticlePolicy) -> Association:
    """Policy ``trackingparticle``: every TrackingParticle, and SimCluster without one, joins one element.

    Particles are numbered TrackingParticles first, then SimClusters, in each event. Charges and link sums are left 0.

    Args:
        events: validated ntuple events with the policy's columns.
        policy: the choices.
    """
    types = events["element_type"]
    particles = _tracking_and_clusters(events)
    is_cluster = np.arange(len(particles.pt)) >= events.size("trackingparticle")
    links = _clean_up(_trackingparticle_links(events, policy), particles.energy, is_cluster, types, policy)
    open_links = links.where(~np.isin(types[links.element], policy.never_types))
    members = assign_by_particle(_descending(particles.pt), len(types), *open_links)
    return Association(particles, links, open_links.where(members))


def _caloparticles(events: Events, links: Links) -> Particles:
    """The CaloParticles as the ntuple has them, before any is split."""
    to_track = np.isin(events["element_type"][links.element], TRACK_TYPES)
    number = _index_in_event(events, "caloparticle") + 1
    return Particles(
        pt=events["caloparticle_pt"].astype(np.float64),
        eta=events["caloparticle_eta"].astype(np.float64),
        phi=events["caloparticle_phi"].astype(np.float64),
        energy=events["caloparticle_energy"].astype(np.float64),
        pid=events["caloparticle_pid"],
        charge=events["caloparticle_charge"],
        pileup=(events["caloparticle_ev"] != 0).astype(np.float64),
        number=number,
        to_track=np.bincount(links.particle, links.weight * to_track, len(number)),
        to_cluster=np.bincount(links.particle, links.weight * ~to_track, len(number)),
    )


def _tracking_and_clusters(events: Events) -> Particles:
    """All TrackingParticles, then all SimClusters; inside an event SimClusters are numbered after the TrackingParticles."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([events[f"trackingparticle_{name}"], events[f"simcluster_{name}"]])

    before = np.repeat(events.counts("trackingparticle"), events.counts("simcluster"))
    number = np.concatenate([_index_in_event(events, "trackingparticle"), before + _index_in_event(events, "simcluster")]) + 1
    return Particles(
        pt=joined("pt").astype(np.float64),
        eta=joined("eta").astype(np.float64),
        phi=joined("phi").astype(np.float64),
        energy=joined("energy").astype(np.float64),
        pid=joined("pid"),
        charge=np.zeros(len(number), dtype=np.int32),
        pileup=(joined("ev") != 0).astype(np.float64),
        number=number,
        to_track=np.zeros(len(number)),
        to_cluster=np.zeros(len(number)),
    )


def caloparticle_links(events: Events, policy: CaloParticlePolicy) -> Links:
    """Links of CaloParticles after TrackingParticles and SimClusters gave them theirs."""
    num_elements = events.size("element")
    tracking, cluster, calo = (_read_links(events, truth, policy) for truth in ("trackingparticle", "simcluster", "caloparticle"))
    tracking = tracking._replace(weight=tracking.weight * events["element_energy"][tracking.element])
    cluster = _merge(cluster, inherit(*_parents(events, "trackingparticle", "simcluster"), tracking), num_elements)
    calo = _merge(calo, inherit(*_parents(events, "trackingparticle", "caloparticle"), tracking), num_elements)
    cluster = _concatenate(cluster, _orphan_links(events, cluster, calo, policy))
    sc = np.arange(events.size("simcluster"))
    cp = to_chunk(events["simcluster_idx_caloparticle"], events, "simcluster", "caloparticle")
    return _merge(calo, inherit(sc[cp >= 0], cp[cp >= 0], cluster), num_elements)


def _trackingparticle_links(events: Events, policy: TrackingParticlePolicy) -> Links:
    """Links of TrackingParticles and, numbered after them, of the SimClusters that have none."""
    num_elements = events.size("element")
    tracking, cluster = (_read_links(events, truth, policy) for truth in ("trackingparticle", "simcluster"))
    tracking = tracking._replace(weight=np.full(len(tracking.weight), policy.track_link_weight))
    tp = to_chunk(events["simcluster_idx_trackingparticle"], events, "simcluster", "trackingparticle")
    has_tp = np.flatnonzero(tp >= 0)
    tracking = _merge(tracking, inherit(has_tp, tp[has_tp], cluster), num_elements, last_counts=True)
    own = cluster.where(tp[cluster.particle] < 0)
    return _concatenate(tracking, own._replace(particle=own.particle + events.size("trackingparticle")))


def _clean_up(links: Links, energy: np.ndarray, is_cluster: np.ndarray, types: np.ndarray, policy: TrackingParticlePolicy) -> Links:
    """Remove links and truth that contribute little; all links into SC elements weigh the same."""
    links = links.where(~is_cluster[links.particle] | (links.weight >= policy.min_link_energy))
    to_supercluster = types[links.element] == ElementType.SC
    links = links._replace(weight=np.where(to_supercluster, policy.supercluster_link_weight, links.weight))
    links = links.where(energy[links.particle] >= policy.min_truth_energy)
    counted = links.weight != policy.supercluster_link_weight
    largest = np.full(len(types), -np.inf)
    np.maximum.at(largest, links.element[counted], links.weight[counted])
    return links.where(~counted | (links.weight >= policy.min_link_fraction * largest[links.element]))


def _read_links(events: Events, truth: str, policy: CaloParticlePolicy | TrackingParticlePolicy) -> Links:
    """Links of one kind of truth to elements; of a pair listed twice the last one counts."""
    name = f"{truth}_to_element"
    particle = to_chunk(events[f"{name}.first"], events, name, truth)
    element = to_chunk(events[f"{name}.second"], events, name, "element")
    kept = ~np.isin(events["element_type"][element], policy.dropped_types)
    links = Links(particle, element, events[f"{name}_cmp"].astype(np.float64)).where(kept)
    return _merge(links, links.where(np.zeros(0, dtype=np.int64)), events.size("element"), last_counts=True)


def _orphan_links(events: Events, cluster: Links, calo: Links, policy: CaloParticlePolicy) -> Links:
    """Links from SimClusters near by for tracks that have none."""
    linked = np.zeros(events.size("element"), dtype=np.bool_)
    linked[cluster.element] = linked[calo.element] = True
    orphans = np.flatnonzero((events["element_type"] == ElementType.TRACK) & (events["element_pt"] > policy.orphan_min_pt) & ~linked)
    offsets = events.collection_offsets("simcluster")
    order = np.lexsort((events["simcluster_eta"], event_index(offsets)))
    element_eta, element_phi, eta, phi = (events[name].astype(np.float64) for name in ("element_eta", "element_phi", "simcluster_eta", "simcluster_phi"))
    event = event_index(events.collection_offsets("element"))[orphans]
    orphan, neighbour, _ = pairs_within(
        element_eta[orphans], element_phi[orphans], event, eta[order], phi[order], offsets, policy.orphan_radius, chord=True
    )  # fmt: skip
    by_cluster = np.lexsort((order[neighbour], orphan))
    element = orphans[orphan[by_cluster]]
    return Links(order[neighbour[by_cluster]], element, events["element_energy"][element].astype(np.float64))


def _split(events: Events, particles: Particles, links: Links, divisible: np.ndarray, radius: float) -> tuple[Particles, Links]:
    """Replace each particle that has several tracks near by with one per track, in proportion to the link weights."""
    eta, phi = events["element_eta"].astype(np.float64), events["element_phi"].astype(np.float64)
    distance = delta_r(particles.eta[links.particle], particles.phi[links.particle], eta[links.element], phi[links.element])
    near = (events["element_type"][links.element] == ElementType.TRACK) & (distance < radius) & divisible[links.particle]
    num_tracks = np.bincount(links.particle[near], minlength=len(divisible))
    shares = np.flatnonzero(near & (num_tracks[links.particle] > 1))
    shares = shares[np.argsort(links.particle[shares], kind="stable")]
    old = links.particle[shares]
    total = np.bincount(old, links.weight[shares], len(divisible))[old]
    # Weights that sum to nothing say nothing: equal shares keep the four-momentum.
    fraction = np.where(total != 0, links.weight[shares] / np.where(total != 0, total, 1.0), 1.0 / num_tracks[old])
    new = particles.where(old)
    scaled = {name: getattr(new, name) * fraction for name in ("pt", "energy", "to_track", "to_cluster")}
    new_links = Links(len(divisible) + np.arange(len(old)), links.element[shares], links.weight[shares])
    parts = zip(particles, new._replace(**scaled), strict=True)
    return Particles(*(np.concatenate(pair) for pair in parts)), _concatenate(links.where(num_tracks[links.particle] <= 1), new_links)


def _parents(events: Events, child: str, parent: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (child, parent) by ascending child, from the parent's column ``idx_<child>``."""
    index = to_chunk(events[f"{parent}_idx_{child}"], events, parent, child)
    parents = np.argsort(index, kind="stable")
    parents = parents[index[parents] >= 0]
    return index[parents], parents


def to_chunk(index: np.ndarray, events: Events, collection: str, target: str) -> np.ndarray:
    """Indices inside events, held by entries of ``collection`` -> indices through the chunk; -1 stays."""
    starts = np.repeat(events.collection_offsets(target)[:-1], events.counts(collection))
    return np.where(index >= 0, index + starts, -1)


def _index_in_event(events: Events, collection: str) -> np.ndarray:
    offsets = events.collection_offsets(collection)
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def _descending(values: np.ndarray) -> np.ndarray:
    return np.argsort(-values, kind="stable")


def _concatenate(first: Links, second: Links) -> Links:
    return Links(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))


def _merge(first: Links, second: Links, num_elements: int, last_counts: bool = False) -> Links:
    """Links of both, each pair once, at the place of its first link; its weight is that of the first or of the last."""
    links = _concatenate(first, second)
    kept, weight = unique_pairs(*links, num_elements, last_counts)
    return links._replace(weight=weight).where(kept)


def inherit(child: np.ndarray, parent: np.ndarray, links: Links) -> Links:
    """Links of the children as links of their parents, pair by pair.

    Args:
        child, parent: ``(K,)`` pairs.
        links: links of the children.
    """
    size = max(int(child.max(initial=-1)), int(links.particle.max(initial=-1))) + 1
    offsets, order = group(links.particle, size)
    counts = np.diff(offsets)[child]
    first = np.repeat(offsets[child] - (np.cumsum(counts) - counts), counts)
    taken = order[first + np.arange(len(first))]
    return Links(np.repeat(parent, counts), links.element[taken], links.weight[taken])
