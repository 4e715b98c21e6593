"""Which particle belongs to which element: links, their contraction, and the assignment.

Everything runs over a whole chunk of events at once: particles and elements are counted through the chunk, so that links never cross events and no loop over
events is needed. Links stay in the order in which they were made; equal weights and equal momenta are decided by that order. Time grows like N log N.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mlpf.events import Events, event_index, index_in_event
from mlpf.kinematics import delta_r
from mlpf.postprocess import kernels
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
        if kept.dtype == np.bool_:
            return Links(*kernels.compress(*self, kept))
        return Links(self.particle[kept], self.element[kept], self.weight[kept])

    def and_then(self, *others: "Links") -> "Links":
        """These links and after them the others."""
        return Links(*(np.concatenate(columns) for columns in zip(self, *others, strict=True)))


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

    def and_then(self, others: "Particles") -> "Particles":
        """These particles and after them the others."""
        return Particles(*(np.concatenate(pair) for pair in zip(self, others, strict=True)))


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
    shares, share_links, divided = _split(events, particles, links, ~electron, policy.split_radius)
    kept = ~divided[links.particle]
    kept[kernels.select(links.particle, links.element, ~electron, types == ElementType.GSF)] = False
    particles, links = particles.and_then(shares), links.where(kept).and_then(share_links)
    offsets, order = kernels.group(links.element, len(types))
    members = kernels.assign_by_element(_element_order(events, policy), offsets, order, len(particles.pt), links.particle, links.weight)
    return Association(particles, links, links.where(_with_left_over(members, links, particles.pt)))


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
    open_links = links.where(~is_type(types, policy.never_types)[links.element])
    members = kernels.assign_by_particle(descending(particles.pt), len(types), *open_links)
    return Association(particles, links, open_links.where(_with_left_over(members, open_links, particles.pt)))


def _element_order(events: Events, policy: CaloParticlePolicy) -> np.ndarray:
    """Elements in the order in which they take their particle: event by event, by type and inside by descending pt."""
    rank = np.full(len(ElementType), -1)
    rank[np.asarray(policy.type_order, dtype=np.int64)] = np.arange(len(policy.type_order))
    rank_of = rank[events["element_type"]]
    taking = np.flatnonzero(rank_of >= 0)
    taking = taking[descending(events["element_pt"][taking])]
    event = event_index(events.collection_offsets("element"))[taking]
    _, order = kernels.group(event * len(rank) + rank_of[taking], len(events) * len(rank))
    return taking[order]


def _with_left_over(members: np.ndarray, links: Links, pt: np.ndarray) -> np.ndarray:
    """Links by which particles joined: the ``members``, and by descending pt the highest-weight link of each particle that is left over."""
    free = np.ones(len(pt), dtype=np.bool_)
    free[links.particle[members]] = False
    best = kernels.best_links(free, links.particle, links.weight)
    left = np.flatnonzero(best >= 0)
    return np.concatenate([members, best[left[descending(pt[left])]]])


def _caloparticles(events: Events, links: Links) -> Particles:
    """The CaloParticles as the ntuple has them, before any is split."""
    number = index_in_event(events.collection_offsets("caloparticle")) + 1
    to_track, to_cluster = kernels.sum_weights(links.particle, links.weight, is_type(events["element_type"], TRACK_TYPES)[links.element], len(number))
    return Particles(
        pt=events["caloparticle_pt"].astype(np.float64),
        eta=events["caloparticle_eta"].astype(np.float64),
        phi=events["caloparticle_phi"].astype(np.float64),
        energy=events["caloparticle_energy"].astype(np.float64),
        pid=events["caloparticle_pid"],
        charge=events["caloparticle_charge"],
        pileup=(events["caloparticle_ev"] != 0).astype(np.float64),
        number=number,
        to_track=to_track,
        to_cluster=to_cluster,
    )


def _tracking_and_clusters(events: Events) -> Particles:
    """All TrackingParticles, then all SimClusters; inside an event SimClusters are numbered after the TrackingParticles."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([events[f"trackingparticle_{name}"], events[f"simcluster_{name}"]])

    before = np.repeat(events.counts("trackingparticle"), events.counts("simcluster"))
    index, simcluster_index = (index_in_event(events.collection_offsets(name)) for name in ("trackingparticle", "simcluster"))
    number = np.concatenate([index, before + simcluster_index]) + 1
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
    num_elements, num_clusters = events.size("element"), events.size("simcluster")
    tracking, cluster, calo = (_read_links(events, truth, policy) for truth in ("trackingparticle", "simcluster", "caloparticle"))
    tracking = tracking._replace(weight=tracking.weight * events["element_energy"][tracking.element])
    known = kernels.elements_of(calo.particle, calo.element, events.size("caloparticle"), num_elements)
    calo_of_tracks = _of_tracks(events, tracking, "caloparticle", known)
    known_cluster = kernels.elements_of(cluster.particle, cluster.element, num_clusters, num_elements)
    cluster_of_tracks = _of_tracks(events, tracking, "simcluster", known_cluster)
    orphans = _orphan_links(events, (cluster, cluster_of_tracks, calo, calo_of_tracks), policy)
    cluster = cluster.and_then(cluster_of_tracks, orphans)
    cp = to_chunk(events["simcluster_idx_caloparticle"], events, "simcluster", "caloparticle")
    new = cluster.where(kernels.is_new(cp[cluster.particle], cluster.element, *known))
    new = new.where(kernels.group(new.particle, num_clusters)[1])  # SimClusters give in the order of their indices
    given = calo_of_tracks.and_then(new._replace(particle=cp[new.particle].astype(np.int32)))
    return calo.and_then(_unique(events, given, events.size("caloparticle")))


def _of_tracks(events: Events, tracking: Links, parent: str, known: tuple[np.ndarray, np.ndarray]) -> Links:
    """Links that the parents of TrackingParticles get from these, where they have none to the element already (`kernels.elements_of` gives those known)."""
    index = to_chunk(events[f"{parent}_idx_trackingparticle"], events, parent, "trackingparticle")
    parents = np.flatnonzero(index >= 0)
    parents = parents[kernels.group(index[parents], events.size("trackingparticle"))[1]]  # TrackingParticles give in the order of their indices
    given = Links(*kernels.inherit(index[parents], parents, *tracking, events.size("trackingparticle")))
    return _unique(events, given.where(kernels.is_new(given.particle, given.element, *known)), len(index))


def _unique(events: Events, links: Links, num_particles: int, last_counts: bool = False) -> Links:
    """Each pair once, at the place of its first link; its weight is that of the first or of the last."""
    return Links(*kernels.unique_links(*links, num_particles, events.size("element"), last_counts))


def _trackingparticle_links(events: Events, policy: TrackingParticlePolicy) -> Links:
    """Links of TrackingParticles and, numbered after them, of the SimClusters that have none."""
    num_tracking = events.size("trackingparticle")
    tracking, cluster = (_read_links(events, truth, policy) for truth in ("trackingparticle", "simcluster"))
    tracking = tracking._replace(weight=np.full(len(tracking.weight), policy.track_link_weight))
    tp = to_chunk(events["simcluster_idx_trackingparticle"], events, "simcluster", "trackingparticle")
    sc = np.flatnonzero(tp >= 0)
    given = Links(*kernels.inherit(sc, tp[sc], *cluster, len(tp)))
    tracking = _unique(events, tracking.and_then(given), num_tracking, last_counts=True)
    own = cluster.where(tp[cluster.particle] < 0)
    return tracking.and_then(own._replace(particle=own.particle + num_tracking))


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
    first, second, weight = (events[f"{name}{part}"] for part in (".first", ".second", "_cmp"))
    link_offsets, first_offsets, second_offsets = (events.collection_offsets(collection) for collection in (name, truth, "element"))
    wanted = ~is_type(events["element_type"], policy.dropped_types)
    links = Links(*kernels.read_links(first, second, weight, link_offsets, first_offsets, second_offsets, wanted))
    return _unique(events, links, events.size(truth), last_counts=True)


def _orphan_links(events: Events, others: Sequence[Links], policy: CaloParticlePolicy) -> Links:
    """Links from SimClusters near by for tracks that have none among the ``others``."""
    linked = np.zeros(events.size("element"), dtype=np.bool_)
    for links in others:
        linked[links.element] = True
    orphans = np.flatnonzero((events["element_type"] == ElementType.TRACK) & (events["element_pt"] > policy.orphan_min_pt) & ~linked)
    event = event_index(events.collection_offsets("element"))[orphans]
    by_eta = orphans[np.lexsort((events["element_eta"][orphans], event))]
    eta, phi, offsets = events["simcluster_eta"], events["simcluster_phi"], events.collection_offsets("simcluster")
    near_eta, near_phi, near_offsets = events["element_eta"][by_eta], events["element_phi"][by_eta], np.searchsorted(event, np.arange(len(events) + 1))
    sc, near = kernels.near_pairs(eta, phi, offsets, near_eta, near_phi, near_offsets, policy.orphan_radius)
    order = np.lexsort((sc, by_eta[near]))
    element = by_eta[near[order]]
    return Links(sc[order], element, events["element_energy"][element].astype(np.float64))


def _split(events: Events, particles: Particles, links: Links, divisible: np.ndarray, radius: float) -> tuple[Particles, Links, np.ndarray]:
    """What replaces each particle that has several tracks near by: one per track, in proportion to the link weights.

    Returns:
        new particles, their links, and ``(P,) bool``: which particles are replaced.
    """
    near = kernels.select(links.particle, links.element, divisible, events["element_type"] == ElementType.TRACK)
    particle, element = links.particle[near], links.element[near]
    eta, phi = (events[f"element_{name}"][element].astype(np.float64) for name in ("eta", "phi"))
    near = near[delta_r(particles.eta[particle], particles.phi[particle], eta, phi) < radius]
    num_tracks = np.bincount(links.particle[near], minlength=len(divisible))
    shares = near[num_tracks[links.particle[near]] > 1]
    shares = shares[np.argsort(links.particle[shares], kind="stable")]
    old = links.particle[shares]
    total = np.bincount(old, links.weight[shares], len(divisible))[old]
    # Weights that sum to nothing say nothing: equal shares keep the four-momentum.
    fraction = np.where(total != 0, links.weight[shares] / np.where(total != 0, total, 1.0), 1.0 / num_tracks[old])
    new = particles.where(old)
    scaled = {name: getattr(new, name) * fraction for name in ("pt", "energy", "to_track", "to_cluster")}
    new_links = Links(len(divisible) + np.arange(len(old), dtype=np.int32), links.element[shares], links.weight[shares])
    return new._replace(**scaled), new_links, num_tracks > 1


def to_chunk(index: np.ndarray, events: Events, collection: str, target: str) -> np.ndarray:
    """Indices inside events, held by entries of ``collection`` -> indices through the chunk; -1 stays."""
    starts = np.repeat(events.collection_offsets(target)[:-1], events.counts(collection))
    return np.where(index >= 0, index + starts, -1)


def is_type(types: np.ndarray, wanted: Iterable[int]) -> np.ndarray:
    """Whether each element's type is among those wanted."""
    chosen = np.zeros(len(ElementType), dtype=np.bool_)
    chosen[list(wanted)] = True
    return chosen[types]


def descending(values: np.ndarray) -> np.ndarray:
    """Stable order by descending value: NumPy's own stable sort takes six times as long as the other one and the ties."""
    order = np.argsort(-values)
    kernels.order_ties(order, values)
    return order
