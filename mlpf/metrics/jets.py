"""Jets of candidates against generated jets (anti-kt 0.4, stable particles without neutrinos)."""

from typing import Any, NamedTuple

import numpy as np

from mlpf.events import Events
from mlpf.jets import cluster_jets
from mlpf.metrics import binning
from mlpf.metrics.matching import closest_first, nearby_pairs
from mlpf.metrics.particles import Table
from mlpf.metrics.systems import Particles
from mlpf.metrics.uncertainty import Estimate, fraction, fraction_per_bin, per_bin, spread

MIN_PT = 20.0  # GeV
MAX_DELTA_R, WIDE_DELTA_R = 0.1, 0.2
REGIONS = {"central": (0.0, 2.5), "forward": (2.5, 5.0)}  # |eta|


class JetSet(NamedTuple):
    """Jets of B events: ``(J,)`` pt, eta, phi, mass [GeV, rad] and ``(B + 1,)`` offsets."""

    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    mass: np.ndarray
    offsets: np.ndarray


def generated_jets(events: Events) -> JetSet:
    """The generated jets of a dataset's events."""
    pt, eta, phi, energy = (events[f"genjet_{name}"] for name in ("pt", "eta", "phi", "energy"))
    return JetSet(pt, eta, phi, _mass(pt, eta, energy), events.collection_offsets("genjet"))


def jets_of(particles: Particles) -> JetSet:
    """Anti-kt 0.4 jets above 3 GeV of the particles."""
    jets = cluster_jets(particles.pt, particles.eta, particles.phi, particles.energy, particles.offsets)
    return JetSet(jets.pt, jets.eta, jets.phi, _mass(jets.pt, jets.eta, jets.energy), jets.offsets)


def _mass(pt: np.ndarray, eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    momentum = pt.astype(np.float64) * np.cosh(eta.astype(np.float64))
    return np.sqrt(np.maximum(energy.astype(np.float64) ** 2 - momentum**2, 0.0))


def compare_jets(truth: JetSet, found: JetSet) -> tuple[Table, Table]:
    """Match jets one to one, closest first, within the wide cut.

    Returns:
        of generated jets: pt, eta, delta_r (infinite where not matched), pt_response, mass_response (NaN where the generated mass is below 1 GeV);
        of reconstructed jets: pt, eta, delta_r.
    """
    pairs = nearby_pairs(truth.eta, truth.phi, truth.offsets, found.eta, found.phi, found.offsets, WIDE_DELTA_R)
    partner, distance = closest_first(pairs, len(truth.pt), len(found.pt))
    matched = np.flatnonzero(partner >= 0)
    pt_response, mass_response = np.full(len(partner), np.nan), np.full(len(partner), np.nan)
    pt_response[matched] = found.pt[partner[matched]] / truth.pt[matched]
    massive = matched[truth.mass[matched] > 1.0]
    mass_response[massive] = found.mass[partner[massive]] / truth.mass[massive]
    found_distance = np.full(len(found.pt), np.inf)
    found_distance[partner[matched]] = distance[matched]
    truth_table = {"pt": truth.pt, "eta": truth.eta, "delta_r": distance, "pt_response": pt_response, "mass_response": mass_response}
    return truth_table, {"pt": found.pt, "eta": found.eta, "delta_r": found_distance}


def summarise_jets(truth: Table, found: Table) -> dict[str, Any]:
    """Per region: response of pt and mass, matched fraction (of generated jets) and purity (of reconstructed jets), overall and in bins of pt."""
    summary: dict[str, Any] = {}
    for region, (low, high) in REGIONS.items():
        of_region = _select(truth, low, high)
        matched = of_region["delta_r"] < MAX_DELTA_R
        purity = _select(found, low, high)
        summary[region] = {
            "response": _response(of_region, matched, "pt_response"),
            "mass_response": _response(of_region, matched & np.isfinite(of_region["mass_response"]), "mass_response"),
            "matched": _matched(of_region, MAX_DELTA_R),
            "matched_wide": _matched(of_region, WIDE_DELTA_R),
            "purity": _matched(purity, MAX_DELTA_R),
        }
    return summary


def _select(table: Table, low: float, high: float) -> Table:
    abs_eta = np.abs(table["eta"])
    chosen = (table["pt"] > MIN_PT) & (abs_eta >= low) & (abs_eta < high)
    return {name: values[chosen] for name, values in table.items()}


def _response(table: Table, chosen: np.ndarray, quantity: str) -> dict[str, Any]:
    values, pt = table[quantity][chosen], table["pt"][chosen]
    return {
        "all": _to_json(spread(values)),
        "pt": _to_json(per_bin(values, pt, binning.JET_PT)),
        "histogram": np.histogram(values, binning.RESPONSE)[0].tolist(),
    }


def _matched(table: Table, max_delta_r: float) -> dict[str, Any]:
    matched = table["delta_r"] < max_delta_r
    return {"all": fraction(matched.sum(), len(matched)).to_json(), "pt": fraction_per_bin(matched, table["pt"], binning.JET_PT).to_json()}


def _to_json(estimates: dict[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_json() for name, estimate in estimates.items()}
