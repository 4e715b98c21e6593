"""Per particle: efficiency, fake rate and residuals, from a one-to-one matching of candidates to targets with a cut.

Charged and neutral particles are matched apart. Neutral: Hungarian on sqrt((dpt / pt)^2 + dR^2), within dR < 0.15. Charged: the own track, that is target
and candidate sit on the same element; an electron has two, a track and a GSF element, and where target and candidate chose different ones they are matched
like neutral ones. The response (candidate pt / target pt) must always lie between 0.2 and 5: without a cut, counting would make any efficiency near 1.
"""

from typing import Any

import numpy as np

from mlpf.kinematics import delta_phi
from mlpf.metrics import binning
from mlpf.metrics.matching import hungarian, nearby_pairs
from mlpf.metrics.systems import MEASURED, Particles, is_charged
from mlpf.metrics.uncertainty import fraction, fraction_per_bin, per_bin, spread
from mlpf.schema import ElementType

MAX_DELTA_R = 0.15
MIN_RESPONSE, MAX_RESPONSE = 0.2, 5.0
RESIDUALS = ("pt_response", "energy_response", "delta_eta", "delta_phi")
Table = dict[str, np.ndarray]  # columns of equal length


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
    response = found.pt[partner] / truth.pt if len(found.pt) else np.zeros(len(truth.pt))
    partner[(response <= MIN_RESPONSE) | (response >= MAX_RESPONSE)] = -1
    left_found = np.ones(len(found.pt), dtype=bool)
    left_found[partner[partner >= 0]] = False

    gsf_truth, gsf_found = (element_type[particles.element] == ElementType.GSF for particles in (truth, found))
    left_truth = charged_truth & (partner < 0)
    for on_gsf in (True, False):  # the target on the GSF element and the candidate on the track, or the other way round
        _match_nearby(truth, left_truth & (gsf_truth == on_gsf), found, left_found & charged_found & (gsf_found != on_gsf), partner)
    _match_nearby(truth, ~charged_truth, found, ~charged_found, partner)
    return partner


def _match_nearby(truth: Particles, of_truth: np.ndarray, found: Particles, of_found: np.ndarray, partner: np.ndarray) -> None:
    """Hungarian matching of the selected particles, written into ``partner``."""
    truth_index, found_index = np.flatnonzero(of_truth), np.flatnonzero(of_found)
    a, b = truth.select(of_truth), found.select(of_found)
    i, j, dr = nearby_pairs(a.eta, a.phi, a.offsets, b.eta, b.phi, b.offsets, MAX_DELTA_R)
    response = b.pt[j].astype(np.float64) / a.pt[i]
    allowed = (response > MIN_RESPONSE) & (response < MAX_RESPONSE)
    cost = np.hypot(response[allowed] - 1.0, dr[allowed])
    match = hungarian((i[allowed], j[allowed], cost), len(truth_index), len(found_index))
    matched = np.flatnonzero(match >= 0)
    partner[truth_index[matched]] = found_index[match[matched]]


def compare_particles(truth: Particles, found: Particles, partner: np.ndarray) -> tuple[Table, Table]:
    """One row per target and one per candidate, with what the summary needs.

    Returns:
        of targets: category, pt, eta, pileup, matched, matched_category and the residuals (0 where not matched); of candidates: category, pt, eta, matched.
    """
    matched = partner >= 0
    truth_table = {
        "category": truth.category,
        "pt": truth.pt,
        "eta": truth.eta,
        "pileup": truth.pileup > 0.5,
        "matched": matched,
        "matched_category": np.zeros_like(truth.category),
        **{name: np.zeros(len(matched), dtype=np.float32) for name in RESIDUALS},
    }
    t, c = np.flatnonzero(matched), partner[matched]
    truth_table["matched_category"][t] = found.category[c]
    truth_table["pt_response"][t] = found.pt[c] / truth.pt[t]
    truth_table["energy_response"][t] = found.energy[c] / truth.energy[t]
    truth_table["delta_eta"][t] = found.eta[c] - truth.eta[t]
    truth_table["delta_phi"][t] = delta_phi(found.phi[c], truth.phi[t])
    found_matched = np.zeros(len(found.pt), dtype=bool)
    found_matched[c] = True
    return truth_table, {"category": found.category, "pt": found.pt, "eta": found.eta, "matched": found_matched}


def summarise_particles(truth: Table, found: Table) -> dict[str, Any]:
    """Per class: efficiency, fake rate, share of the matched with the right class, residuals.

    Overall and against pt and eta, of the target or, for fakes, of the candidate.
    """
    summary: dict[str, Any] = {"efficiency": {}, "fake_rate": {}, "right_class": {}, "residuals": {}}
    for name, category in MEASURED.items():
        of_class = _rows(truth, truth["category"] == category)
        matched = _rows(of_class, of_class["matched"])
        candidates = _rows(found, found["category"] == category)
        summary["efficiency"][name] = _fractions(of_class["matched"], of_class)
        summary["fake_rate"][name] = _fractions(~candidates["matched"], candidates)
        summary["right_class"][name] = _fractions(matched["matched_category"] == category, matched)
        summary["residuals"][name] = _residuals(matched)
        if truth["pileup"].any():
            for part, is_pileup in (("hard", False), ("pileup", True)):
                passed = of_class["matched"][of_class["pileup"] == is_pileup]
                summary["efficiency"][name][part] = fraction(passed.sum(), len(passed)).to_json()
    return summary


def _rows(table: Table, chosen: np.ndarray) -> Table:
    return {name: values[chosen] for name, values in table.items()}


def _fractions(passed: np.ndarray, table: Table) -> dict[str, Any]:
    return {
        "all": fraction(passed.sum(), len(passed)).to_json(),
        "pt": fraction_per_bin(passed, table["pt"], binning.PARTICLE_PT).to_json(),
        "eta": fraction_per_bin(passed, table["eta"], binning.PARTICLE_ETA).to_json(),
    }


def _residuals(matched: Table) -> dict[str, Any]:
    residuals: dict[str, Any] = {}
    for quantity in RESIDUALS:
        residuals[quantity] = {name: estimate.to_json() for name, estimate in spread(matched[quantity]).items()}
        if not quantity.endswith("response"):
            del residuals[quantity]["iqr_over_median"]  # the median of a difference is near 0
    in_bins = per_bin(matched["pt_response"], matched["pt"], binning.PARTICLE_PT)
    residuals["pt_response"]["pt"] = {name: estimate.to_json() for name, estimate in in_bins.items()}
    residuals["pt_response"]["histogram"] = np.histogram(matched["pt_response"], binning.RESPONSE)[0].tolist()
    return residuals
