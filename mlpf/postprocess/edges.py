"""Edges between elements: PF links and neighbours, and which elements share a candidate or a truth particle."""

import numpy as np

from mlpf.events import Events, event_index, offsets_from_counts
from mlpf.graph.knn import knn_graph
from mlpf.graph.radius import radius_graph
from mlpf.postprocess.association import Links, to_chunk
from mlpf.postprocess.kernels import pairs_of_members
from mlpf.postprocess.policy import Policy, TrackingParticlePolicy
from mlpf.schema import EdgeKind

Columns = dict[str, np.ndarray]
Pairs = tuple[np.ndarray, np.ndarray]  # one number per pair that sorts by source, then target; its distance


def event_edges(events: Events, links: Links, kept: np.ndarray, policy: Policy) -> tuple[Columns, Columns]:
    """Edges of the dataset, every pair of elements once with source < target, sorted; they count positions in the row.

    Args:
        events: ntuple events, their elements' eta, phi and link distances finite.
        links: of truth particles to elements.
        kept: flat indices of the elements that stay in the row, ascending; pairs with any other are left out.
        policy: which edges.

    Returns:
        columns and offsets of up to three collections. ``edge`` may be the input of a model: its distance is the PF link's where there is one (of a pair
        listed twice the last), else delta R. ``candidateedge`` and ``truthedge`` are truth about it, and kept apart for that reason; only the policy
        trackingparticle has them.
    """
    starts = np.searchsorted(kept, events.collection_offsets("element"))
    position = np.full(events.size("element"), -1)
    position[kept] = np.arange(len(kept))
    columns, offsets = _input_edges(events, kept, position, starts, policy) if policy.edges else ({}, {})
    if isinstance(policy, TrackingParticlePolicy):
        element = to_chunk(events["element_to_candidate.first"], events, "element_to_candidate", "element")
        candidate = to_chunk(events["element_to_candidate.second"], events, "element_to_candidate", "pfcandidate")
        for name, owner, member in (("candidateedge", candidate, element), ("truthedge", links.particle, links.element)):
            keys = np.unique(_keys(*pairs_of_members(owner, member), position, starts)[0])
            shared, offsets[name] = _columns(name, keys, starts)
            columns |= shared
    return columns, offsets


def _input_edges(events: Events, kept: np.ndarray, position: np.ndarray, starts: np.ndarray, policy: Policy) -> tuple[Columns, Columns]:
    """The collection ``edge``."""
    eta, phi = (events[f"element_{name}"][kept] for name in ("eta", "phi"))
    found: list[tuple[EdgeKind, Pairs]] = []
    if "links" in policy.edges:
        found.append((EdgeKind.LINK, _pf_links(events, position, starts)))
    if "radius" in policy.edges:
        near = radius_graph(eta, phi, starts, policy.edge_radius, once=True)
        inside = near.distance < policy.edge_radius
        found.append((EdgeKind.RADIUS, (near.source[inside] * starts[-1] + near.target[inside], near.distance[inside])))
    if "knn" in policy.edges:
        nearest = knn_graph(eta, phi, starts, policy.edge_neighbors)
        keys, first = np.unique(np.minimum(nearest.source, nearest.target) * starts[-1] + np.maximum(nearest.source, nearest.target), return_index=True)
        found.append((EdgeKind.NEAREST, (keys, nearest.distance[first])))
    keys, distance = (np.concatenate(parts) for parts in zip(*(pairs for _, pairs in found), strict=True))
    kind = np.repeat([kind for kind, _ in found], [len(pairs[0]) for _, pairs in found])
    order = np.argsort(keys, kind="stable")  # a merge of sorted runs; of equal pairs the PF link comes first
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    columns, offsets = _columns("edge", keys[first], starts)
    columns["edge_distance"] = distance[order[first]]
    columns["edge_kind"] = np.bitwise_or.reduceat(kind[order], first) if len(first) else kind
    return columns, {"edge": offsets}


def _pf_links(events: Events, position: np.ndarray, starts: np.ndarray) -> Pairs:
    """The ntuple's links, each pair once, with the distance of the last."""
    i, j = (to_chunk(events[f"element_distance_{end}"], events, "element_distance", "element") for end in "ij")
    keys, link = _keys(i, j, position, starts)
    keys, last = np.unique(keys[::-1], return_index=True)
    return keys, events["element_distance_d"][link[::-1][last]].astype(np.float64)


def _keys(first: np.ndarray, second: np.ndarray, position: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of different elements that both stay, either way round, as keys, and which pairs they are."""
    source, target = np.minimum(first, second), np.maximum(first, second)
    staying = np.flatnonzero((source != target) & (position[source] >= 0) & (position[target] >= 0))
    return position[source[staying]] * starts[-1] + position[target[staying]], staying


def _columns(name: str, keys: np.ndarray, starts: np.ndarray) -> tuple[Columns, np.ndarray]:
    """Columns ``<name>_source`` and ``<name>_target`` inside the events, and the event offsets of these pairs."""
    source, target = np.divmod(keys, max(starts[-1], 1))
    event = event_index(starts)[source]
    counts = np.bincount(event, minlength=len(starts) - 1)
    return {f"{name}_source": source - starts[event], f"{name}_target": target - starts[event]}, offsets_from_counts(counts)
