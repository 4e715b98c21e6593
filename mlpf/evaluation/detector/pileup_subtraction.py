"""Jets among pileup, as experiments make them: charged candidates of other vertices are left out, the density of the rest is subtracted.

Charged-hadron subtraction and the offset correction of CMS, arXiv:1607.03663, section 4; density and area after arXiv:0707.1378.
"""

import itertools

import numpy as np

from mlpf.events import Events, event_index
from mlpf.jets import cluster_jets
from mlpf.metrics.jets import JetSet
from mlpf.postprocess.association import to_chunk
from mlpf.schema import ElementType

VERTEX_WINDOW = 0.05  # cm; tracks this close to the primary vertex belong to it (ours: five times the resolution of a track of 1 GeV)
MAX_DISPLACEMENT = 0.2  # cm from the beam; tracks from further out are of no vertex, and stay
JET_AREA = np.pi * 0.4**2
REGION_EDGES = np.array([-5.0, -3.0, -2.5, -1.5, 1.5, 2.5, 3.0, 5.0])  # of eta; the density differs between them
TILES_PHI, TILE_ETA = 12, 0.5


def primary_vertices(z: np.ndarray, pt: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """``(B,)`` place along the beam [cm] of the most energetic vertex: mean of the window of tracks with the largest sum of pt squared, weighed by it.

    0 without tracks.

    Args:
        z, pt: ``(T,)`` of tracks [cm, GeV].
        offsets: ``(B + 1,)``.
    """
    place = np.zeros(len(offsets) - 1)
    for b, (start, stop) in enumerate(itertools.pairwise(offsets)):
        if start == stop:
            continue
        order = np.argsort(z[start:stop])
        along, weight = z[start:stop][order], pt[start:stop][order].astype(np.float64) ** 2
        first, last = np.searchsorted(along, along - VERTEX_WINDOW), np.searchsorted(along, along + VERTEX_WINDOW, side="right")
        total = np.concatenate([[0.0], np.cumsum(weight)])
        best = np.argmax(total[last] - total[first])
        window = slice(first[best], last[best])
        place[b] = np.average(along[window], weights=weight[window])
    return place


def from_other_vertices(events: Events) -> np.ndarray:
    """``(C,) bool``: candidates whose track starts at another vertex than the primary one."""
    is_track = np.isin(events["element_type"], (ElementType.TRACK, ElementType.GSF))
    event = event_index(events.offsets["element"])
    prompt = is_track & (np.hypot(events["element_vx"], events["element_vy"]) < MAX_DISPLACEMENT)
    tracks = np.flatnonzero(prompt & (events["element_type"] == ElementType.TRACK))
    offsets = np.searchsorted(tracks, events.offsets["element"])
    vertex = primary_vertices(events["element_vz"][tracks], events["element_pt"][tracks], offsets)
    elsewhere = prompt & (np.abs(events["element_vz"] - vertex[event]) > VERTEX_WINDOW)
    member = to_chunk(events["element_to_candidate.first"], events, "element_to_candidate", "element")
    candidate = to_chunk(events["element_to_candidate.second"], events, "element_to_candidate", "pfcandidate")
    left_out = np.zeros(events.size("pfcandidate"), dtype=bool)
    left_out[candidate[elsewhere[member]]] = True
    return left_out


def densities(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """``(B, 7)`` median pt per unit of area [GeV] of the tiles of each region of eta."""
    num_events, num_rings = len(offsets) - 1, round((REGION_EDGES[-1] - REGION_EDGES[0]) / TILE_ETA)
    ring = np.floor((eta - REGION_EDGES[0]) / TILE_ETA).astype(np.int64)
    sector = np.floor((phi + np.pi) / (2 * np.pi) * TILES_PHI).astype(np.int64) % TILES_PHI
    inside = (ring >= 0) & (ring < num_rings)
    tile = (event_index(offsets) * num_rings + ring) * TILES_PHI + sector
    sums = np.bincount(tile[inside], pt[inside], minlength=num_events * num_rings * TILES_PHI).reshape(num_events, num_rings, TILES_PHI)
    centre = REGION_EDGES[0] + TILE_ETA * (np.arange(num_rings) + 0.5)
    region = np.searchsorted(REGION_EDGES, centre) - 1
    medians = [np.median(sums[:, region == r].reshape(num_events, -1), axis=1) for r in range(len(REGION_EDGES) - 1)]
    return np.stack(medians, axis=1) / (TILE_ETA * 2 * np.pi / TILES_PHI)


def subtracted_jets(events: Events, charged_of_others: np.ndarray) -> tuple[JetSet, np.ndarray]:
    """Jets of the candidates that are left, less density times area (never below 0).

    Args:
        events: with candidates.
        charged_of_others: ``(C,) bool`` candidates to leave out.

    Returns:
        jets (their mass, which nobody asks for, is 0), and for each candidate its jet inside the event, -1 if none.
    """
    pt = np.where(charged_of_others, 0.0, events["pfcandidate_pt"])
    eta, phi, energy, offsets = (*(events[f"pfcandidate_{name}"] for name in ("eta", "phi", "energy")), events.offsets["pfcandidate"])
    found = cluster_jets(pt, eta, phi, energy, offsets)
    region = np.clip(np.searchsorted(REGION_EDGES, found.eta) - 1, 0, len(REGION_EDGES) - 2)
    density = densities(pt, eta, phi, offsets)[event_index(found.offsets), region]
    left = np.maximum(1.0 - density * JET_AREA / found.pt, 0.0)
    return JetSet(found.pt * left, found.eta, found.phi, np.zeros(len(left)), found.offsets), found.constituent_jet
