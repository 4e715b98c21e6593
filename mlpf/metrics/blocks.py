"""How good a partition of PF elements into blocks is, per event.

The true blocks are connected components of a graph; an element without links in it is a block of its own.

| truth | elements belong together that share, directly or through others |
|---|---|
| candidates | a candidate of the ntuple: the public benchmark, on any ntuple |
| particles | a CaloParticle that gave each at least `MIN_SHARE` of what all gave it: what happened, whoever reconstructs it; on simulated ntuples |

The first favours the rules that the candidates were made with, and counts every link to an element that no candidate lists as wrong (rule-based particle flow
lists no preshower clusters).

| number | meaning |
|---|---|
| num_true, num_predicted | blocks, those of one element included |
| mean_size, largest (of both) | elements per block |
| adjusted_rand | agreement of the two partitions: 1 if equal, 0 on average for random ones (Hubert and Arabie, J. Classif. 2 (1985) 193) |
| edge_precision | of the listed pairs of elements that share a predicted block: fraction that shares a true one |
| edge_recall | of the listed pairs that share a true block: fraction that shares a predicted one |

Listed are the pairs that the ntuple's ``element_distance_*`` calls linked (distance >= 0): the pairs that anything but the link itself has to decide about.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from mlpf.classical.blocks import find_blocks
from mlpf.classical.links import Links
from mlpf.events import Events, event_index
from mlpf.metrics.matching import closest_first, nearby_pairs
from mlpf.metrics.uncertainty import Estimate, mean
from mlpf.postprocess.association import caloparticle_links, to_chunk
from mlpf.postprocess.policy import CaloParticlePolicy

MATCH_DELTA_R = 0.05  # candidates closer than this are the same
MIN_SHARE = 0.3  # a smaller share drowns in the resolution of hadrons: 1.02 / sqrt(10 GeV) (`mlpf.classical.hadrons`)
ALL_LINKS = CaloParticlePolicy(dropped_types=(), orphan_radius=0.0)  # no element is left out, and none is linked for being near
Truth = Literal["candidates", "particles"]
TRUTH_COLUMNS: dict[Truth, tuple[str, ...]] = {
    "candidates": ("element_to_candidate.first", "element_to_candidate.second", "pfcandidate_eta", "pfcandidate_phi"),
    "particles": (*CaloParticlePolicy.required_columns, "trackingparticle_pt"),  # the last tells how many there are
}
Table = dict[str, np.ndarray]  # (B,) columns


def true_blocks(events: Events, truth: Truth = "candidates") -> np.ndarray:
    """``(N,) int64``: flat index of the first element of the true block of each element."""
    num_elements = events.size("element")
    if truth == "candidates":
        owner, num_owners = to_chunk(events["element_to_candidate.second"], events, "element_to_candidate", "pfcandidate"), events.size("pfcandidate")
        element = to_chunk(events["element_to_candidate.first"], events, "element_to_candidate", "element")
    else:
        links, num_owners = caloparticle_links(events, ALL_LINKS), events.size("caloparticle")
        total = np.bincount(links.element, links.weight, minlength=num_elements)
        kept = links.where((links.weight > 0.0) & (links.weight >= MIN_SHARE * total[links.element]))
        owner, element = kept.particle, kept.element
    joined = find_blocks(Links(element, num_elements + owner, np.zeros(len(element))), num_elements + num_owners)
    return joined[:num_elements]  # an owner comes after all elements, and so names no block that has one


def listed_pairs(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """``(P,) int64`` flat indices of the two elements of every pair that the ntuple calls linked, the smaller first, each pair once, sorted."""
    pairs = np.sort(np.stack([to_chunk(events[f"element_distance_{end}"], events, "element_distance", "element") for end in "ij"]), axis=0)
    linked = (events["element_distance_d"] >= 0.0) & (pairs[0] < pairs[1])
    first, second = np.divmod(np.unique(pairs[0, linked] * events.size("element") + pairs[1, linked]), max(events.size("element"), 1))
    return first, second


def compare_blocks(offsets: np.ndarray, true: np.ndarray, predicted: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> Table:
    """The numbers of the table above, one row per event; NaN where an event has none (no elements; no listed pair in any block).

    Args:
        offsets: ``(B + 1,)`` event boundaries of the elements.
        true, predicted: ``(N,)`` block of each element, any integer that is the same inside a block and differs between events.
        pairs: listed pairs, flat indices.
    """
    event, num_events = event_index(offsets), len(offsets) - 1
    table: Table = {}
    for name, block in (("true", true), ("predicted", predicted)):
        _, first, sizes = np.unique(block, return_index=True, return_counts=True)
        number = np.bincount(event[first], minlength=num_events)
        largest = np.zeros(num_events)
        np.maximum.at(largest, event[first], sizes)
        table |= {f"num_{name}": number.astype(np.float64), f"mean_size_{name}": _ratio(np.diff(offsets), number)}
        table[f"largest_{name}"] = np.where(number > 0, largest, np.nan)
    table["adjusted_rand"] = adjusted_rand_index(offsets, true, predicted)
    in_true, in_predicted = true[pairs[0]] == true[pairs[1]], predicted[pairs[0]] == predicted[pairs[1]]
    counts = [np.bincount(event[pairs[0]][chosen], minlength=num_events) for chosen in (in_true & in_predicted, in_predicted, in_true)]
    return table | {"edge_precision": _ratio(counts[0], counts[1]), "edge_recall": _ratio(counts[0], counts[2])}


def adjusted_rand_index(offsets: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(B,)`` adjusted Rand index of two partitions of each event's elements; 1 where both are trivial in the same way, NaN without elements.

    With n_ij elements in block i of one and j of the other: (sum C(n_ij, 2) - E) / (M - E), where A and B are the sums of C(n, 2) over the blocks of either,
    E = A B / C(n, 2) what chance gives, and M = (A + B) / 2.
    """
    num_events, event = len(offsets) - 1, event_index(offsets)

    def paired(block: np.ndarray) -> np.ndarray:
        """Pairs of elements that share a block, per event."""
        _, first, sizes = np.unique(block, return_index=True, return_counts=True)
        return np.bincount(event[first], 0.5 * sizes * (sizes - 1.0), minlength=num_events)

    _, a = np.unique(a, return_inverse=True)
    _, b = np.unique(b, return_inverse=True)
    number = np.diff(offsets).astype(np.float64)
    both, in_a, in_b = paired(a * (b.max(initial=0) + 1) + b), paired(a), paired(b)
    expected = in_a * in_b / np.maximum(0.5 * number * (number - 1.0), 1.0)
    most = 0.5 * (in_a + in_b)
    return np.where(number == 0, np.nan, np.where(most == expected, 1.0, (both - expected) / np.where(most == expected, 1.0, most - expected)))


def compare_candidates(events: Events, eta: np.ndarray, phi: np.ndarray, offsets: np.ndarray) -> Table:
    """Candidates per event: the ntuple's, the given ones, and how many match one to one within delta R < .05, the closest first.

    Args:
        eta, phi, offsets: directions ``(C,)`` and event boundaries ``(B + 1,)`` of the given ones.
    """
    edges = events.collection_offsets("pfcandidate")
    pairs = nearby_pairs(events["pfcandidate_eta"], events["pfcandidate_phi"], edges, eta, phi, offsets, MATCH_DELTA_R)
    partner, _ = closest_first(pairs, events.size("pfcandidate"), len(eta))
    numbers = {"true": np.diff(edges), "predicted": np.diff(offsets), "matched": np.bincount(event_index(edges)[partner >= 0], minlength=len(events))}
    return {f"candidates_{name}": number.astype(np.float64) for name, number in numbers.items()}


def compare_links(events: Events, i: np.ndarray, j: np.ndarray) -> Table:
    """Links (flat indices, i < j, each pair once) against the ntuple's own, per event: precision, recall, number of both."""
    first, second = listed_pairs(events)
    size = events.size("element")
    own, event = np.isin(i * size + j, first * size + second), event_index(events.collection_offsets("element"))
    true, found, common = (np.bincount(event[index], minlength=len(events)).astype(np.float64) for index in (first, i, i[own]))
    return {"links_true": true, "links_predicted": found, "link_precision": _ratio(common, found), "link_recall": _ratio(common, true)}


def summarise(table: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Mean over the events that have a number, with its standard error."""
    return {name: mean(values[np.isfinite(values)]) for name, values in table.items()}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
