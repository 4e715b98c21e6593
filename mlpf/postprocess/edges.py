"""Edges between elements: PF links and neighbours, and which elements share a candidate or a truth particle."""

import numpy as np

from mlpf.events import Events, event_index, offsets_from_counts
from mlpf.postprocess.association import Links, to_chunk
from mlpf.postprocess.kernels import pairs_of_members, pairs_within


def event_edges(events: Events, links: Links, radius: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Edges of the dataset, every pair of elements once with source < target, sorted.

    Args:
        events: ntuple events of which every element stays.
        links: of truth particles to elements.
        radius: elements closer than this in delta R are neighbours.

    Returns:
        columns and offsets of three collections. ``edge`` may be the input of a model: its distance is the PF link's where there is one (of a pair listed
        twice the last), else delta R. ``candidateedge`` and ``truthedge`` are truth about it, and kept apart for that reason.
    """
    starts = events.collection_offsets("element")
    neighbours, distance = _neighbours(events, radius)
    linked = np.stack([to_chunk(events[f"element_distance_{end}"], events, "element_distance", "element") for end in "ij"])
    pairs = np.concatenate([neighbours, np.sort(linked, axis=0)], axis=1)
    distance = np.concatenate([distance, events["element_distance_d"]])
    order = np.flatnonzero(pairs[0] < pairs[1])[::-1]  # the last of equal pairs comes first
    keys, first = np.unique(_key(pairs[:, order], starts), return_index=True)
    columns, offsets = _columns("edge", keys, starts)
    columns["edge_distance"] = distance[order[first]]
    element = to_chunk(events["element_to_candidate.first"], events, "element_to_candidate", "element")
    candidate_starts = np.repeat(events.collection_offsets("pfcandidate")[:-1], events.counts("element_to_candidate"))
    for name, owner, member in (
        ("candidateedge", events["element_to_candidate.second"] + candidate_starts, element),
        ("truthedge", links.particle, links.element),
    ):
        shared = np.sort(np.stack(pairs_of_members(owner, member)), axis=0)
        shared_columns, shared_offsets = _columns(name, np.unique(_key(shared[:, shared[0] < shared[1]], starts)), starts)
        columns, offsets = columns | shared_columns, offsets | shared_offsets
    return columns, offsets


def _neighbours(events: Events, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """``(2, K)`` pairs of elements with delta R below the radius, both ways round, and their delta R."""
    offsets = events.collection_offsets("element")
    event = event_index(offsets)
    order = np.lexsort((events["element_eta"], event))
    eta, phi = (events[f"element_{name}"].astype(np.float64)[order] for name in ("eta", "phi"))
    first, second, distance = pairs_within(eta, phi, event, eta, phi, offsets, radius, chord=False)
    near = distance < radius
    return np.stack([order[first[near]], order[second[near]]]), distance[near]


def _key(pairs: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """One number per pair that sorts by source, then target."""
    return pairs[0] * starts[-1] + pairs[1]


def _columns(name: str, keys: np.ndarray, starts: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    source, target = np.divmod(keys, max(starts[-1], 1))
    event = np.searchsorted(starts, source, side="right") - 1
    counts = np.bincount(event, minlength=len(starts) - 1)
    return {f"{name}_source": source - starts[event], f"{name}_target": target - starts[event]}, {name: offsets_from_counts(counts)}
