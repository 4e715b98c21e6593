"""Which PF elements touch each other: the pairwise tests of CMSSW's PFBlockAlgo, on the centroids and widths that an ntuple holds.

CMSSW asks whether a track's extrapolation lies inside one of the cluster's cells, enlarged by a factor. An ntuple has no cells, so a cluster is a box around
its centroid: the half-width of n equal cells of the spread ``etaerror`` (``phierror``), plus the enlarged half cell. Clusters without widths count as one cell.

| pair | linked when | distance |
|---|---|---|
| TRACK-ECAL, GSF-ECAL | ECAL point in the box, half cell x (2 + 1 / (hits min(1, pt / 2))) | delta R |
| TRACK-HCAL, GSF-HCAL | HCAL point in the box, half cell x (1.5 + .5 / hits); each track keeps its nearest | delta R |
| TRACK-HO | pt > 3 GeV, HCAL point in the box, half cell x 1.15 | delta R |
| ECAL-HCAL | abs(eta) of the ECAL > 2.5, delta R < .2 | delta R |
| HCAL-HO | abs(eta) of the HCAL < 1.5, delta R < .2 | delta R |
| HFEM-HFHAD | same side, less than sqrt(.1) cm apart on the HF's face: in effect both fibres of one tower, which is one cluster each | cm |
| PS1-ECAL, PS2-ECAL | strip, seen from the origin, in the box | cm / 1000 on the ECAL's face |
| SC-ECAL | ECAL in the supercluster's box of three widths, at least 1.5 cells; each ECAL keeps its nearest | .001 |
| TRACK-GSF, BREM-GSF | nearest GSF of the same charge within delta R .05; each GSF keeps its nearest TRACK | .001 |

Not in an ntuple, and so left out: TRACK-TRACK (vertices), BREM-ECAL (no extrapolation), ECAL-ECAL (members of one supercluster meet through it), the HCAL exit
point of a track. A GSF element holds its inner and outer direction instead of its points: it borrows those of its TRACK, and without one takes the mean azimuth
of both directions, which on a helix is that of the point between.
"""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.classical.boxes import Boxes, Points, points_in_boxes
from mlpf.classical.elements import Elements
from mlpf.kinematics import delta_phi, delta_r
from mlpf.schema import NUM_ELEMENT_TYPES, ElementType

# Cells and distances: JINST 3 (2008) S08004
ECAL_BARREL_ETA = 1.479
ECAL_BARREL_CELL = 0.0174  # eta and phi
ECAL_ENDCAP_CELL = 2.862  # cm, a square on the face
ECAL_ENDCAP_FACE = 317.0  # cm from the origin
HCAL_CELL = 0.087  # phi, and eta of the towers up to the first of these edges; beyond, twice as wide in phi, and in eta between these edges
HCAL_OUTER_EDGES = (1.74, 1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 3.0)
HF_FACE = 1115.0  # cm from the origin
MIN_LINK_PT = 0.4  # GeV; below, the tolerance of TRACK-ECAL no longer grows (such a track does not reach the barrel: .73 GeV at 3.8 T)
SAME_TRACK_DELTA_R = 0.05  # GSF and TRACK are fits of one trajectory: angles agree far better than this even after bremsstrahlung
SAME_TRACK_DISTANCE = 0.001  # PFBlockAlgo's constant for links by reference
SC_WIDTHS = 3.0


class Links(NamedTuple):
    """Linked pairs of elements, sorted by (i, j).

    Attributes:
        i, j: ``(L,) int64`` flat element indices, ``i < j``, of one event.
        distance: ``(L,) float64``, see the table.
    """

    i: np.ndarray
    j: np.ndarray
    distance: np.ndarray


def find_links(elements: Elements) -> Links:
    """All links of all events, by the rules of the table above; cost grows linearly with the number of elements."""
    same_track = _same_track(elements, ElementType.TRACK)
    elements = _with_gsf_points(elements, *same_track[:2])
    found = [same_track, _same_track(elements, ElementType.BREM), *_track_links(elements), *_cluster_links(elements), _supercluster_links(elements)]
    first, second, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    i, j = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((j, i))
    return Links(i[order], j[order], distance[order])


def nearest_by_type(element_type: np.ndarray, links: Links) -> np.ndarray:
    """``(N, 12) int64``: for every element its nearest linked element of every type (flat index), -1 if none; equal distances: the smaller index."""
    return _nearest_by_type(element_type, links.i, links.j, links.distance)


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def _track_links(elements: Elements) -> list[Pairs]:
    ecal, hcal = _cluster_boxes(elements, ElementType.ECAL), _cluster_boxes(elements, ElementType.HCAL)
    pairs = []
    for element_type in (ElementType.TRACK, ElementType.GSF):
        pairs.append(_match(_ecal_points(elements, element_type), ecal))
        pairs.append(_keep_nearest(_match(_hcal_points(elements, element_type), hcal)))
    hard = _hcal_points(elements, ElementType.TRACK, min_pt=3.0)
    pairs.append(_match(hard, _cluster_boxes(elements, ElementType.HO)))
    return pairs


def _cluster_links(elements: Elements) -> list[Pairs]:
    ecal, hcal = elements.of_type(ElementType.ECAL), elements.of_type(ElementType.HCAL)
    forward, central = ecal[np.abs(elements.eta[ecal]) > 2.5], hcal[np.abs(elements.eta[hcal]) < 1.5]
    pairs = [
        _within(_match(_centroids(elements, forward), _constant_boxes(elements, hcal, 0.2)), 0.2),
        _within(_match(_centroids(elements, central), _constant_boxes(elements, elements.of_type(ElementType.HO), 0.2)), 0.2),
    ]
    hf = elements.of_type(ElementType.HFHAD)
    reach = np.sqrt(0.1)  # cm
    bound = 1.1 * reach / (HF_FACE / np.sinh(np.maximum(np.abs(elements.eta[hf]), 1.0)))  # d eta and d phi are at most reach / r
    near = _match(_centroids(elements, elements.of_type(ElementType.HFEM)), _constant_boxes(elements, hf, bound))
    pairs.append(_within((near[0], near[1], _distance_on_face(elements, near, HF_FACE)), reach))
    for strips in (ElementType.PS1, ElementType.PS2):
        near = _match(_centroids(elements, elements.of_type(strips)), _cluster_boxes(elements, ElementType.ECAL))
        pairs.append((near[0], near[1], _distance_on_face(elements, near, ECAL_ENDCAP_FACE) / 1000.0))
    return pairs


def _supercluster_links(elements: Elements) -> Pairs:
    superclusters = elements.of_type(ElementType.SC)
    smallest = 1.5 * _ecal_cell(elements.eta[superclusters])
    half_eta = np.maximum(SC_WIDTHS * elements.eta_width[superclusters], smallest)
    half_phi = np.maximum(SC_WIDTHS * elements.phi_width[superclusters], smallest)
    members = _match(_centroids(elements, elements.of_type(ElementType.ECAL)), _constant_boxes(elements, superclusters, half_eta, half_phi))
    return _at_constant_distance(_keep_nearest(members))


def _same_track(elements: Elements, partner: int) -> Pairs:
    """(TRACK or BREM, GSF) pairs that are fits of one trajectory."""
    around = _constant_boxes(elements, elements.of_type(ElementType.GSF), SAME_TRACK_DELTA_R)
    first, second, distance = _within(_match(_centroids(elements, elements.of_type(partner)), around), SAME_TRACK_DELTA_R)
    same = elements.charge[first] == elements.charge[second]
    pairs = _keep_nearest((first[same], second[same], distance[same]))
    if partner == ElementType.TRACK:
        pairs = _swap(_keep_nearest(_swap(pairs)))
    return _at_constant_distance(pairs)


def _with_gsf_points(elements: Elements, track: np.ndarray, gsf: np.ndarray) -> Elements:
    """Elements whose GSF ones have points at the calorimeters, as tracks do."""
    alone = np.setdiff1d(elements.of_type(ElementType.GSF), gsf)
    eta = elements.eta_ecal[alone]
    phi = elements.phi_ecal[alone] + 0.5 * delta_phi(elements.phi_hcal[alone], elements.phi_ecal[alone])
    points = {}
    for name, between in (("eta_ecal", eta), ("phi_ecal", phi), ("eta_hcal", eta), ("phi_hcal", phi)):
        points[name] = getattr(elements, name).copy()
        points[name][alone] = between
        points[name][gsf] = points[name][track]
    return elements._replace(**points)


def _ecal_points(elements: Elements, element_type: int) -> Points:
    index = _extrapolated(elements.of_type(element_type), elements.eta_ecal, elements.phi_ecal)
    stretch = 1.0 / np.minimum(1.0, 0.5 * np.maximum(elements.pt[index], MIN_LINK_PT))
    return _points(elements, index, elements.eta_ecal[index], elements.phi_ecal[index], stretch)


def _hcal_points(elements: Elements, element_type: int, min_pt: float = 0.0) -> Points:
    index = _extrapolated(elements.of_type(element_type), elements.eta_hcal, elements.phi_hcal)
    index = index[elements.pt[index] > min_pt]
    return _points(elements, index, elements.eta_hcal[index], elements.phi_hcal[index], np.zeros(len(index)))


def _extrapolated(index: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Those with a point: an extrapolation that failed leaves both at exactly 0."""
    return index[(eta[index] != 0.0) | (phi[index] != 0.0)]


def _centroids(elements: Elements, index: np.ndarray) -> Points:
    return _points(elements, index, elements.eta[index], elements.phi[index], np.zeros(len(index)))


def _points(elements: Elements, index: np.ndarray, eta: np.ndarray, phi: np.ndarray, stretch: np.ndarray) -> Points:
    return Points(index, np.searchsorted(index, elements.offsets), eta, phi, stretch)


def _cluster_boxes(elements: Elements, element_type: int) -> Boxes:
    """Boxes of all clusters of a type: extent of the hits' centres plus the enlarged half cell."""
    index = elements.of_type(element_type)
    is_ecal = element_type == ElementType.ECAL
    ecal_cell = _ecal_cell(elements.eta[index])
    cell_eta, cell_phi = (ecal_cell, ecal_cell) if is_ecal else _hcal_cell(elements.eta[index])
    num_hits = np.maximum(elements.num_hits[index], 1.0)
    factor: float | np.ndarray = {ElementType.ECAL: 2.0, ElementType.HO: 1.15}.get(ElementType(element_type), 1.5 + 0.5 / num_hits)
    half_eta = _half_extent(elements.eta_width[index], cell_eta) + 0.5 * cell_eta * factor
    half_phi = _half_extent(elements.phi_width[index], cell_phi) + 0.5 * cell_phi * factor
    slack = 0.5 * cell_eta / num_hits if is_ecal else np.zeros(len(index))
    return Boxes(index, np.searchsorted(index, elements.offsets), elements.eta[index], elements.phi[index], half_eta, half_phi, slack)


def _ecal_cell(eta: np.ndarray) -> np.ndarray:
    """Width of a crystal in eta and phi (in the endcaps nearly equal: d eta = tanh(eta) dr / r)."""
    return np.where(np.abs(eta) < ECAL_BARREL_ETA, ECAL_BARREL_CELL, ECAL_ENDCAP_CELL / ECAL_ENDCAP_FACE * np.sinh(np.abs(eta)))


def _hcal_cell(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Width of a tower in eta and phi."""
    widths = np.array([HCAL_CELL, *np.diff(HCAL_OUTER_EDGES)])
    ring = np.searchsorted(HCAL_OUTER_EDGES, np.abs(eta), side="right")
    return widths[np.minimum(ring, len(widths) - 1)], np.where(ring > 0, 2.0 * HCAL_CELL, HCAL_CELL)


def _half_extent(width: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Half the distance between the first and last of n equally hit cells whose standard deviation is ``width``: sqrt((n^2 - 1) / 12) cells."""
    return 0.5 * cell * (np.sqrt(12.0 * (width / cell) ** 2 + 1.0) - 1.0)


def _constant_boxes(elements: Elements, index: np.ndarray, half_eta: float | np.ndarray, half_phi: float | np.ndarray | None = None) -> Boxes:
    zeros = np.zeros(len(index))
    halves = zeros + half_eta, zeros + (half_eta if half_phi is None else half_phi)
    return Boxes(index, np.searchsorted(index, elements.offsets), elements.eta[index], elements.phi[index], *halves, zeros)


def _distance_on_face(elements: Elements, pairs: Pairs, z: float) -> np.ndarray:
    """Transverse distance [cm] of two directions on the plane at distance ``z`` from the origin."""
    (r_a, phi_a), (r_b, phi_b) = ((z / np.sinh(np.abs(elements.eta[index])), elements.phi[index]) for index in pairs[:2])
    return np.sqrt((r_a - r_b) ** 2 + 4.0 * r_a * r_b * np.sin(0.5 * (phi_a - phi_b)) ** 2)


def _within(pairs: Pairs, limit: float) -> Pairs:
    kept = pairs[2] < limit
    return pairs[0][kept], pairs[1][kept], pairs[2][kept]


def _keep_nearest(pairs: Pairs) -> Pairs:
    """The nearest partner of every first element; equal distances: the smaller index."""
    order = np.lexsort((pairs[1], pairs[2], pairs[0]))
    first, second, distance = (values[order] for values in pairs)
    kept = np.ones(len(first), dtype=np.bool_)
    kept[1:] = first[1:] != first[:-1]
    return first[kept], second[kept], distance[kept]


def _at_constant_distance(pairs: Pairs) -> Pairs:
    return pairs[0], pairs[1], np.full(len(pairs[0]), SAME_TRACK_DISTANCE)


def _swap(pairs: Pairs) -> Pairs:
    return pairs[1], pairs[0], pairs[2]


def _match(points: Points, boxes: Boxes) -> Pairs:
    """All (point, box) with the point inside the box; distance: delta R to the centre."""
    point, box = points_in_boxes(points, boxes)
    distance = delta_r(points.eta[point], points.phi[point], boxes.eta[box], boxes.phi[box])
    return points.element[point], boxes.element[box], np.asarray(distance)


@numba.njit(cache=True)
def _nearest_by_type(element_type: np.ndarray, i: np.ndarray, j: np.ndarray, distance: np.ndarray) -> np.ndarray:
    nearest = np.full((len(element_type), NUM_ELEMENT_TYPES), -1, dtype=np.int64)
    shortest = np.full((len(element_type), NUM_ELEMENT_TYPES), np.inf)
    for link in range(len(i)):
        for element, partner in ((i[link], j[link]), (j[link], i[link])):
            kind = element_type[partner]
            closer = distance[link] < shortest[element, kind]
            if closer or (distance[link] == shortest[element, kind] and partner < nearest[element, kind]):
                shortest[element, kind], nearest[element, kind] = distance[link], partner
    return nearest
