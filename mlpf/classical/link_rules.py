"""Which PF elements touch each other: the pairwise tests of CMSSW's PFBlockAlgo, on the centroids and widths that an ntuple holds.

CMSSW asks whether a track's extrapolation lies inside one of the cluster's cells, enlarged by a factor. An ntuple has no cells, so a cluster is a box around
its centroid: the half-width of n equal cells of the spread ``etaerror`` (``phierror``), plus the enlarged half cell. Clusters without widths count as one cell.

| pair | linked when | distance |
|---|---|---|
| TRACK-ECAL, GSF-ECAL | ECAL point in the box, half cell x (2 + 1 / (hits min(1, pt / 2))), in the endcaps half of that excess over 2 | delta R |
| BREM-ECAL | as the track of a very high pt | delta R |
| TRACK-HCAL, GSF-HCAL | HCAL point in the box, half cell x (1.5 + .5 / hits); each track keeps its nearest | delta R |
| TRACK-HO | pt > 3 GeV, HCAL point in the box, half cell x 1.15 (1.5 + .5 / hits) | delta R |
| PS1-ECAL, PS2-ECAL | strip and ECAL cells (x 1.05) overlap on the ECAL's face, seen from the origin | cm / 1000 there |
| ECAL-HCAL | abs(eta) of the ECAL > 2.5, delta R < .2 | delta R |
| HCAL-HO | abs(eta) of the HCAL < 1.5, delta R < .2 | delta R |
| HFEM-HFHAD | same side, less than sqrt(.1) cm apart on the HF's face: in effect both fibres of one tower, which is one cluster each | cm |
| SC-ECAL | ECAL in the supercluster's box of three widths, at least 1.5 cells; each ECAL keeps its nearest | .001 |
| ECAL-ECAL | same supercluster | delta R |
| TRACK-GSF | nearest GSF of the same charge within delta R .05; each GSF keeps its nearest track | .001 |
| BREM-GSF | nearest GSF of the same charge within delta R .05; a GSF has as many BREM as it radiated | .001 |

Not in an ntuple, and so left out: TRACK-TRACK (vertices), GSF-GSF (which tracks they were fitted from), the HCAL exit point of a track. Points that an ntuple
lacks: a GSF element holds its direction at the first and the last layer instead; it borrows the points of its TRACK, and without one goes on along the helix
that turns from one direction into the other. A BREM element lies where the tangent of that helix at its trajectory point meets the ECAL.
"""

import enum
from typing import NamedTuple

import numpy as np

from mlpf.classical.boxes import Boxes, Points
from mlpf.classical.elements import Elements
from mlpf.kinematics import delta_phi
from mlpf.schema import ElementType

# Cells and distances: JINST 3 (2008) S08004
ECAL_BARREL_ETA = 1.479
ECAL_BARREL_CELL = 0.0174  # eta and phi
ECAL_ENDCAP_CELL = 2.862  # cm, a square on the face
ECAL_ENDCAP_FACE = 317.0  # cm from the origin
HCAL_CELL = 0.087  # phi, and eta of the towers up to the first of these edges; beyond, twice as wide in phi, and in eta between these edges
HCAL_OUTER_EDGES = (1.74, 1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 3.0)
HF_FACE = 1115.0  # cm from the origin
HF_MIN_ETA = 2.0  # far below the first tower; nearer to the barrel a face has no meaning
STRIP_PITCH, STRIP_LENGTH = 0.19, 6.1  # cm; PS1 measures x, PS2 y (CMSSW, LinkByRecHit)
STRIP_TO_ECAL = {ElementType.PS1: 1.072, ElementType.PS2: 1.057}  # distance of the ECAL over that of the layer (CMSSW, KDTreeLinkerPSEcal)
STRIP_CRACKS = 1.05  # enlarges ECAL cells (CMSSW, LinkByRecHit)
HO_SCALE = 1.15  # HO cells against those of the HCAL (CMSSW, LinkByRecHit)
MIN_LINK_PT = 0.4  # GeV; below, the tolerance of TRACK-ECAL no longer grows (such a track does not reach the barrel: .73 GeV at 3.8 T)
SAME_TRACK_DELTA_R = 0.05  # GSF and TRACK are fits of one trajectory: angles agree far better than this even after bremsstrahlung
SAME_TRACK_DISTANCE = 0.001  # PFBlockAlgo's constant for links by reference
SC_WIDTHS = 3.0
# Tangents of a GSF track (BREM) are counted from 2 on (CMSSW, PFTrackTransformer), one per layer: where their number is unknown 4 of pixels and 10 of strips
FIRST_TANGENT, NUM_TANGENTS = 2, 14
LAST_LAYER = 110.0 / 129.0  # cm; of the way to the ECAL; nearly the same in the endcaps (270 / 317)
CM = 0.01  # faces are measured in metres, so that they are small against the period of `boxes`


class Keep(enum.Enum):
    """Which of the pairs of a rule stay."""

    ALL = enum.auto()
    NEAREST = enum.auto()  # the nearest box of every point; equal distances: the smaller index
    ONE_TO_ONE = enum.auto()  # of these the nearest point of every box


class Rule(NamedTuple):
    """One row of the table.

    Attributes:
        points, boxes: their pairs, where the point lies in the box, are linked.
        num_domains: of points and boxes.
        limit: only pairs closer than this.
        keep: which of them.
        unit: the link distance is the distance of point and centre in this unit ...
        constant: ... or this, where given.
    """

    points: Points
    boxes: Boxes
    num_domains: int
    limit: float = np.inf
    keep: Keep = Keep.ALL
    unit: float = 1.0
    constant: float | None = None


class LinkRules:
    """The rows of the table for the elements of B events.

    Rows that need what others have found (which GSF belongs to a track, which ECAL clusters to a supercluster) take it as arguments; `with_points` gives the
    rules that know where GSF and BREM elements point.
    """

    def __init__(self, elements: Elements) -> None:
        self.elements = elements
        self.event = elements.event()
        self.num_events = len(elements.offsets) - 1

    def same_track(self, partner: int) -> Rule:
        """TRACK-GSF or BREM-GSF."""
        gsf, index = self.elements.of_type(ElementType.GSF), self.elements.of_type(partner)
        charge = 1 + np.sign(self.elements.charge).astype(np.int64)
        boxes, points = self._boxes(gsf, SAME_TRACK_DELTA_R), self._centroids(index)
        return Rule(
            points._replace(domain=3 * points.domain + charge[index]),
            boxes._replace(domain=3 * boxes.domain + charge[gsf]),
            3 * self.num_events,
            SAME_TRACK_DELTA_R,
            Keep.ONE_TO_ONE if partner == ElementType.TRACK else Keep.NEAREST,
            constant=SAME_TRACK_DISTANCE,
        )

    def with_points(self, track: np.ndarray, gsf_of_track: np.ndarray, brem: np.ndarray, gsf_of_brem: np.ndarray) -> "LinkRules":
        """Rules in which GSF and BREM elements have points at the calorimeters, as tracks do; the arguments are the pairs of `same_track`."""
        elements = self.elements
        points = {name: getattr(elements, name).copy() for name in ("eta_ecal", "phi_ecal", "eta_hcal", "phi_hcal")}
        bend = gsf_turn(elements)
        num_tangents = np.where(elements.num_hits > 1, elements.num_hits, NUM_TANGENTS)[gsf_of_brem]
        way = LAST_LAYER * np.clip((elements.trajpoint[brem] - FIRST_TANGENT) / (num_tangents - 1), 0.0, 1.0)  # its fraction up to the BREM
        points["eta_ecal"][brem] = elements.eta_ecal[gsf_of_brem]
        points["phi_ecal"][brem] = elements.phi_ecal[gsf_of_brem] + bend[gsf_of_brem] * way * (2.0 - way)
        alone = np.setdiff1d(elements.of_type(ElementType.GSF), gsf_of_track)
        points["eta_hcal"][alone] = elements.eta_ecal[alone]
        points["phi_ecal"][alone] = points["phi_hcal"][alone] = elements.phi_ecal[alone] + bend[alone]
        for values in points.values():
            values[gsf_of_track] = values[track]
        return LinkRules(elements._replace(**points))

    def supercluster_members(self) -> Rule:
        """SC-ECAL."""
        superclusters = self.elements.of_type(ElementType.SC)
        points = self._centroids(self.elements.of_type(ElementType.ECAL))
        return Rule(
            points, self._boxes(superclusters, *self._supercluster_size(superclusters)), self.num_events, keep=Keep.NEAREST, constant=SAME_TRACK_DISTANCE
        )

    def common_supercluster(self, ecal: np.ndarray, supercluster: np.ndarray) -> Rule:
        """ECAL-ECAL, from the pairs of `supercluster_members`: every pair is found twice, and every cluster with itself."""
        order = np.argsort(ecal)
        ecal, supercluster = ecal[order], supercluster[order]
        names, domain = np.unique(supercluster, return_inverse=True)
        half_eta, half_phi = self._supercluster_size(supercluster)
        boxes = self._boxes(ecal, 2.0 * half_eta, 2.0 * half_phi)
        return Rule(self._centroids(ecal)._replace(domain=domain), boxes._replace(domain=domain), len(names))

    def others(self) -> list[Rule]:
        """All other rows; GSF and BREM elements must have points."""
        ecal, hcal, outer = (self._cluster_boxes(kind) for kind in (ElementType.ECAL, ElementType.HCAL, ElementType.HO))
        rules = [Rule(self._ecal_points(kind), ecal, self.num_events) for kind in (ElementType.TRACK, ElementType.GSF, ElementType.BREM)]
        rules += [Rule(self._hcal_points(kind), hcal, self.num_events, keep=Keep.NEAREST) for kind in (ElementType.TRACK, ElementType.GSF)]
        rules.append(Rule(self._hcal_points(ElementType.TRACK, min_pt=3.0), outer, self.num_events))
        forward = ecal.element[np.abs(ecal.u) > 2.5]
        central = hcal.element[np.abs(hcal.u) < 1.5]
        rules.append(Rule(self._centroids(forward), self._boxes(hcal.element, 0.2), self.num_events, 0.2))
        rules.append(Rule(self._centroids(central), self._boxes(outer.element, 0.2), self.num_events, 0.2))
        return [*rules, *self._strips(), self._forward()]

    def _strips(self) -> list[Rule]:
        """PS1-ECAL and PS2-ECAL on the ECAL's face: how far the centres may be apart to touch is added to the box."""
        elements, ecal = self.elements, self.elements.of_type(ElementType.ECAL)
        ecal = ecal[np.abs(elements.eta[ecal]) > ECAL_BARREL_ETA]
        radius, cell = _radius(elements.eta[ecal], ECAL_ENDCAP_FACE), _ecal_cell(elements.eta[ecal])
        along_r, along_phi = (radius * _half_extent(width[ecal], cell) for width in (elements.eta_width, elements.phi_width))
        cos, sin = np.abs(np.cos(elements.phi[ecal])), np.abs(np.sin(elements.phi[ecal]))
        half_cell = 0.5 * STRIP_CRACKS * ECAL_ENDCAP_CELL * CM
        rules = []
        for kind, size in ((ElementType.PS1, (STRIP_PITCH, STRIP_LENGTH)), (ElementType.PS2, (STRIP_LENGTH, STRIP_PITCH))):
            strips = elements.of_type(kind)
            points = self._on_face(strips[np.abs(elements.eta[strips]) > ECAL_BARREL_ETA], ECAL_ENDCAP_FACE)
            strip_x, strip_y = (0.5 * STRIP_TO_ECAL[kind] * length * CM for length in size)
            half_x, half_y = cos * along_r + sin * along_phi + half_cell + strip_x, sin * along_r + cos * along_phi + half_cell + strip_y
            rules.append(Rule(points, _boxes_around(self._on_face(ecal, ECAL_ENDCAP_FACE), half_x, half_y), 2 * self.num_events, unit=0.001 / CM))
        return rules

    def _forward(self) -> Rule:
        """HFEM-HFHAD."""
        em, had = (self.elements.of_type(kind) for kind in (ElementType.HFEM, ElementType.HFHAD))
        em, had = (index[np.abs(self.elements.eta[index]) > HF_MIN_ETA] for index in (em, had))
        reach = np.sqrt(0.1) * CM
        return Rule(self._on_face(em, HF_FACE), _boxes_around(self._on_face(had, HF_FACE), reach, reach), 2 * self.num_events, reach, unit=1.0 / CM)

    def _ecal_points(self, element_type: int) -> Points:
        """Where elements enter the ECAL; of BREM elements, as PFBlockAlgo has it, with the tolerance of a high pt."""
        elements = self.elements
        index = _extrapolated(elements.of_type(element_type), elements.eta_ecal, elements.phi_ecal)
        pt = np.full(len(index), np.inf) if element_type == ElementType.BREM else np.maximum(elements.pt[index], MIN_LINK_PT)
        return Points(index, self.event[index], elements.eta_ecal[index], elements.phi_ecal[index], 1.0 / np.minimum(1.0, 0.5 * pt))

    def _hcal_points(self, element_type: int, min_pt: float = 0.0) -> Points:
        elements = self.elements
        index = _extrapolated(elements.of_type(element_type), elements.eta_hcal, elements.phi_hcal)
        index = index[elements.pt[index] > min_pt]
        return Points(index, self.event[index], elements.eta_hcal[index], elements.phi_hcal[index], np.zeros(len(index)))

    def _centroids(self, index: np.ndarray) -> Points:
        return Points(index, self.event[index], self.elements.eta[index], self.elements.phi[index], np.zeros(len(index)))

    def _on_face(self, index: np.ndarray, z: float) -> Points:
        """Places x and y [m] of directions on the planes at distance ``z`` [cm] from the origin; the sides are domains of their own."""
        eta, phi = self.elements.eta[index], self.elements.phi[index]
        radius = _radius(eta, z)
        return Points(index, 2 * self.event[index] + (eta > 0.0), radius * np.cos(phi), radius * np.sin(phi), np.zeros(len(index)))

    def _boxes(self, index: np.ndarray, half_eta: float | np.ndarray, half_phi: float | np.ndarray | None = None) -> Boxes:
        return _boxes_around(self._centroids(index), half_eta, half_eta if half_phi is None else half_phi)

    def _cluster_boxes(self, element_type: int) -> Boxes:
        """Boxes of all clusters of a type: extent of the hits' centres plus the enlarged half cell."""
        elements, index = self.elements, self.elements.of_type(element_type)
        eta, num_hits = elements.eta[index], np.maximum(elements.num_hits[index], 1.0)
        is_ecal = element_type == ElementType.ECAL
        cell_eta, cell_phi = (_ecal_cell(eta), _ecal_cell(eta)) if is_ecal else _hcal_cell(eta)
        factor = 2.0 if is_ecal else (HO_SCALE if element_type == ElementType.HO else 1.0) * (1.5 + 0.5 / num_hits)
        half_eta = _half_extent(elements.eta_width[index], cell_eta) + 0.5 * cell_eta * factor
        half_phi = _half_extent(elements.phi_width[index], cell_phi) + 0.5 * cell_phi * factor
        boxes = self._boxes(index, half_eta, half_phi)
        return boxes._replace(slack=0.5 * cell_eta / num_hits * np.where(np.abs(eta) < ECAL_BARREL_ETA, 1.0, 0.5)) if is_ecal else boxes

    def _supercluster_size(self, superclusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        smallest = 1.5 * _ecal_cell(self.elements.eta[superclusters])
        widths = self.elements.eta_width[superclusters], self.elements.phi_width[superclusters]
        return np.maximum(SC_WIDTHS * widths[0], smallest), np.maximum(SC_WIDTHS * widths[1], smallest)


def gsf_turn(elements: Elements) -> np.ndarray:
    """``(N,)`` what the azimuth of a GSF element's track gains from its direction at the first layer (``phi_ecal``) to its place at the ECAL.

    The azimuth of a helix's direction (``phi_hcal`` at the last layer) grows twice as fast as that of its position.
    """
    return 0.5 * np.asarray(delta_phi(elements.phi_hcal, elements.phi_ecal)) / LAST_LAYER


def _boxes_around(points: Points, half_u: float | np.ndarray, half_v: float | np.ndarray) -> Boxes:
    zeros = np.zeros(len(points.u))
    return Boxes(points.element, points.domain, points.u, points.v, zeros + half_u, zeros + half_v, zeros)


def _extrapolated(index: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Those with a point: an extrapolation that failed leaves both at exactly 0."""
    return index[(eta[index] != 0.0) | (phi[index] != 0.0)]


def _radius(eta: np.ndarray, z: float) -> np.ndarray:
    """Distance from the beam [m] of a direction on the plane at distance ``z`` [cm] from the origin."""
    return z * CM / np.sinh(np.abs(eta))


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
