"""Jets of candidates against generated jets (anti-kt 0.4, stable particles without neutrinos)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlpf.events import Events, event_index
from mlpf.jets import cluster_jets
from mlpf.metrics import binning
from mlpf.metrics.matching import closest_first, nearby_pairs
from mlpf.metrics.sums import FractionSums, SpreadSums, Sums
from mlpf.metrics.systems import Particles

MIN_PT = 20.0  # GeV
Table = dict[str, np.ndarray]  # columns of equal length
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
    with np.errstate(invalid="ignore"):  # no mass where the energy is infinite
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
    pt_response[matched] = found.pt[partner[matched]].astype(np.float64) / truth.pt[matched]
    massive = matched[truth.mass[matched] > 1.0]
    mass_response[massive] = found.mass[partner[massive]] / truth.mass[massive]
    found_distance = np.full(len(found.pt), np.inf)
    found_distance[partner[matched]] = distance[matched]
    truth_table = {"pt": truth.pt, "eta": truth.eta, "delta_r": distance, "pt_response": pt_response, "mass_response": mass_response}
    return truth_table, {"pt": found.pt, "eta": found.eta, "delta_r": found_distance}


class JetSums:
    """Per region: response of pt and mass, matched fraction (of generated jets) and purity (of reconstructed jets).

    Overall and against pt, eta and pileup collisions.

    Attributes:
        parts: what adds up.
    """

    def __init__(self) -> None:
        variables = {"pt": binning.JET_PT, "eta": binning.JET_ETA, "vertices": binning.VERTICES}
        self._responses = {name: SpreadSums(len(REGIONS), variables, binning.FINE_RESPONSE, binning.RESPONSE) for name in ("response", "mass_response")}
        self._fractions = {name: FractionSums(len(REGIONS), variables) for name in ("matched", "matched_wide", "purity")}
        self.parts: dict[str, Sums] = {**self._responses, **self._fractions}

    def update(self, generated: JetSet, jets: JetSet, vertices: np.ndarray) -> None:
        """Add events.

        Args:
            generated, jets: of the same events.
            vertices: ``(B,)`` bin in `binning.VERTICES` of each event.
        """
        truth, found = compare_jets(generated, jets)
        bins, region = _bins(generated, vertices)
        matched = truth["delta_r"] < MAX_DELTA_R
        massive = np.isfinite(truth["mass_response"])
        for name, values, chosen in (("response", truth["pt_response"], matched), ("mass_response", truth["mass_response"], matched & massive)):
            own = chosen & (region >= 0)
            self._responses[name].add(values[own], _select(bins, own), region[own])
        for name, passed in (("matched", matched), ("matched_wide", truth["delta_r"] < WIDE_DELTA_R)):
            own = region >= 0
            self._fractions[name].add(passed[own], _select(bins, own), region[own])
        bins, region = _bins(jets, vertices)
        own = region >= 0
        self._fractions["purity"].add(found["delta_r"][own] < MAX_DELTA_R, _select(bins, own), region[own])

    def to_json(self, variables: Sequence[str]) -> dict[str, Any]:
        """The section of a report: region -> quantity; ``variables``: those of pt, eta and vertices that are shown."""
        quantities: dict[str, list[dict[str, Any]]] = {name: sums.to_json(variables) for name, sums in (self._responses | self._fractions).items()}
        return {region: {name: summaries[i] for name, summaries in quantities.items()} for i, region in enumerate(REGIONS)}


def _bins(jets: JetSet, vertices: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Bins of each jet, and the position of its region in `REGIONS`, -1 where it is in none or too soft."""
    abs_eta, hard = np.abs(jets.eta), jets.pt > MIN_PT
    region = np.full(len(jets.pt), -1)
    for i, (low, high) in enumerate(REGIONS.values()):
        region[hard & (abs_eta >= low) & (abs_eta < high)] = i
    bins = {"pt": binning.bin_index(jets.pt, binning.JET_PT), "eta": binning.bin_index(jets.eta, binning.JET_ETA)}
    return bins | {"vertices": vertices[event_index(jets.offsets)]}, region


def _select(bins: dict[str, np.ndarray], chosen: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[chosen] for name, values in bins.items()}
