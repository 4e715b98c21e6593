"""Per particle: efficiency, fake rate and residuals, from a one-to-one matching of candidates to targets with a cut.

Charged and neutral particles are matched apart. Neutral: Hungarian on sqrt((dpt / pt)^2 + dR^2), within dR < 0.15. Charged: the own track, that is target
and candidate sit on the same element; an electron has two, a track and a GSF element, and where target and candidate chose different ones they are matched
like neutral ones. The response (candidate pt / target pt) must always lie between 0.2 and 5: without a cut, counting would make any efficiency near 1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlpf.events import event_index
from mlpf.kinematics import delta_phi
from mlpf.metrics import binning
from mlpf.metrics.matching import hungarian, nearby_pairs
from mlpf.metrics.sums import ALL, FractionSums, SpreadSums, Sums
from mlpf.metrics.systems import MEASURED, Particles, from_pileup, is_charged, measured_positions
from mlpf.schema import ElementType

MAX_DELTA_R = 0.15
MIN_RESPONSE, MAX_RESPONSE = 0.2, 5.0
RESPONSES, ANGLES = ("pt_response", "energy_response"), ("delta_eta", "delta_phi")
_ORIGIN = np.array([-0.5, 0.5, 1.5])  # hard event, pileup


def match_particles(truth: Particles, found: Particles, element_type: np.ndarray) -> np.ndarray:
    """``(T,) int64`` the candidate matched to each target, -1 if none.

    Args:
        truth, found: targets and candidates of the same events.
        element_type: ``(N,)`` types of the events' elements.
    """
    charged_truth, charged_found = is_charged(truth.category), is_charged(found.category)
    found_at = np.full(len(element_type), -1, dtype=np.int64)
    found_at[found.element[charged_found]] = np.flatnonzero(charged_found)
    partner = np.where(charged_truth, found_at[truth.element], -1)
    if len(found.pt):
        partner[~_has_allowed_response(truth.pt, found.pt[partner])] = -1
    left_found = np.ones(len(found.pt), dtype=bool)
    left_found[partner[partner >= 0]] = False

    gsf_truth, gsf_found = (element_type[particles.element] == ElementType.GSF for particles in (truth, found))
    left_truth = charged_truth & (partner < 0)
    for on_gsf in (True, False):  # the target on the GSF element and the candidate on the track, or the other way round
        _match_nearby(truth, left_truth & (gsf_truth == on_gsf), found, left_found & charged_found & (gsf_found != on_gsf), partner)
    _match_nearby(truth, ~charged_truth, found, ~charged_found, partner)
    return partner


def _has_allowed_response(pt: np.ndarray, found_pt: np.ndarray) -> np.ndarray:
    """Whether found / true pt lies inside the cut; never where the true one is 0. In float64, lest the rounding of the cut decides."""
    pt, found_pt = pt.astype(np.float64), found_pt.astype(np.float64)
    return (found_pt > MIN_RESPONSE * pt) & (found_pt < MAX_RESPONSE * pt)


def _match_nearby(truth: Particles, of_truth: np.ndarray, found: Particles, of_found: np.ndarray, partner: np.ndarray) -> None:
    """Hungarian matching of the selected particles, written into ``partner``."""
    truth_index, found_index = np.flatnonzero(of_truth), np.flatnonzero(of_found)
    a, b = truth.select(of_truth), found.select(of_found)
    i, j, dr = nearby_pairs(a.eta, a.phi, a.offsets, b.eta, b.phi, b.offsets, MAX_DELTA_R)
    allowed = _has_allowed_response(a.pt[i], b.pt[j])
    i, j = i[allowed], j[allowed]
    cost = np.hypot(b.pt[j].astype(np.float64) / a.pt[i] - 1.0, dr[allowed])
    match = hungarian((i, j, cost), len(truth_index), len(found_index))
    matched = np.flatnonzero(match >= 0)
    partner[truth_index[matched]] = found_index[match[matched]]


class ParticleSums:
    """Efficiency, fake rate, share of the matched with the right class, and residuals, per class of `MEASURED`.

    Overall and against pt, eta and pileup collisions: of the target or, for fakes, of the candidate.

    Attributes:
        parts: what adds up.
    """

    def __init__(self) -> None:
        variables = {"pt": binning.PARTICLE_PT, "eta": binning.PARTICLE_ETA, "vertices": binning.VERTICES}
        self._fractions = {
            "efficiency": FractionSums(len(MEASURED), {**variables, "origin": _ORIGIN}),
            "fake_rate": FractionSums(len(MEASURED), {**variables, "origin": _ORIGIN}),
            "right_class": FractionSums(len(MEASURED), variables),
        }
        self._residuals = {
            **{name: SpreadSums(len(MEASURED), variables, binning.FINE_RESPONSE, binning.RESPONSE) for name in RESPONSES},
            **{name: SpreadSums(len(MEASURED), {"pt": binning.PARTICLE_PT}, binning.FINE_ANGLE, relative=False) for name in ANGLES},
        }
        self.parts: dict[str, Sums] = {**self._fractions, **self._residuals}

    def update(self, truth: Particles, found: Particles, partner: np.ndarray, vertices: np.ndarray) -> None:
        """Add events.

        Args:
            truth, found: targets and candidates of the same events.
            partner: what `match_particles` says of them.
            vertices: ``(B,)`` bin in `binning.VERTICES` of each event.
        """
        matched = partner >= 0
        lost_or_found = _Binned.of(truth, vertices)
        self._fractions["efficiency"].add(matched[lost_or_found.row], *lost_or_found.where())
        is_matched = np.zeros(len(found.pt), dtype=bool)
        is_matched[partner[matched]] = True
        candidates = _Binned.of(found, vertices)
        candidates.bins["origin"] = _origin_of_elements(truth, found)[candidates.row]
        self._fractions["fake_rate"].add(~is_matched[candidates.row], *candidates.where())
        both = lost_or_found.select(matched[lost_or_found.row])
        t, c = both.row, partner[both.row]
        self._fractions["right_class"].add(found.category[c] == truth.category[t], *both.where())
        for name, values in _residuals(truth, found, t, c).items():
            self._residuals[name].add(values, *both.where())

    def to_json(self, variables: Sequence[str], has_pileup: bool) -> dict[str, Any]:
        """The section of a report.

        Args:
            variables: those of pt, eta and vertices that are shown.
            has_pileup: show the efficiency of targets of pileup and of others, and fakes by the target of their element.
        """
        by_origin = ("efficiency", "fake_rate") if has_pileup else ()
        summary = {name: _by_class(sums.to_json((*variables, *(("origin",) if name in by_origin else ())))) for name, sums in self._fractions.items()}
        for name in by_origin:
            for of_class in summary[name].values():
                of_class["hard"], of_class["pileup"] = of_class.pop("origin")
        residuals: dict[str, dict[str, Any]] = {name: {} for name in MEASURED}
        for quantity, sums in self._residuals.items():
            for name, of_class in _by_class(sums.to_json(variables if quantity in RESPONSES else ("pt",))).items():
                residuals[name][quantity] = {**of_class.pop(ALL), **of_class}
        return {**summary, "residuals": residuals}


class _Binned(NamedTuple):
    """Particles of `MEASURED` classes: their rows, classes and bins."""

    row: np.ndarray
    position: np.ndarray
    bins: dict[str, np.ndarray]

    @classmethod
    def of(cls, particles: Particles, vertices: np.ndarray) -> "_Binned":
        position = measured_positions(particles.category)
        bins = {
            "pt": binning.bin_index(particles.pt, binning.PARTICLE_PT),
            "eta": binning.bin_index(particles.eta, binning.PARTICLE_ETA),
            "vertices": vertices[event_index(particles.offsets)],
            "origin": np.where(from_pileup(particles), 2, 1),
        }
        return cls(np.arange(len(position)), position, bins).select(position >= 0)

    def select(self, kept: np.ndarray) -> "_Binned":
        return _Binned(self.row[kept], self.position[kept], {name: values[kept] for name, values in self.bins.items()})

    def where(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Bins and categories, as sums take them."""
        return self.bins, self.position


def _origin_of_elements(truth: Particles, found: Particles) -> np.ndarray:
    """Bin in `_ORIGIN` of the target on each candidate's element, 0 where it has none."""
    origin = np.zeros(1 + max(truth.element.max(initial=0), found.element.max(initial=0)), dtype=np.int64)
    origin[truth.element] = np.where(from_pileup(truth), 2, 1)
    return origin[found.element]


def _residuals(truth: Particles, found: Particles, t: np.ndarray, c: np.ndarray) -> dict[str, np.ndarray]:
    """Of the pairs of targets t and candidates c; the response to nothing is NaN."""

    def of(particles: Particles, name: str, rows: np.ndarray) -> np.ndarray:
        return getattr(particles, name)[rows].astype(np.float64)

    def response(name: str) -> np.ndarray:
        true = of(truth, name, t)
        return of(found, name, c) / np.where(true > 0, true, np.nan)

    return {
        "pt_response": response("pt"),
        "energy_response": response("energy"),
        "delta_eta": of(found, "eta", c) - of(truth, "eta", t),
        "delta_phi": delta_phi(of(found, "phi", c), of(truth, "phi", t)),
    }


def _by_class(summaries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return dict(zip(MEASURED, summaries, strict=True))
