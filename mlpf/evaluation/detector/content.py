"""What events are made of: elements by type, candidates by class and their pt, beside a real sample."""

import numpy as np

from mlpf.evaluation.detector.statements import Check, Findings, scaled
from mlpf.metrics.jets import Table
from mlpf.metrics.uncertainty import Estimate, mean, spread
from mlpf.plotting.style import CLASS_TITLES
from mlpf.schema import CandidateClass, ElementType

PT_EDGES = np.geomspace(0.1, 100.0, 31)  # GeV
SAMPLES = ("ttbar", "ttbar pileup", "qcd")
# Candidates per event of one public CMS sample with pileup, and median pt [GeV] where it is known
PUBLIC_SAMPLE = "one public CMS sample with pileup"
PUBLIC_NUMBERS = {"charged_hadron": 803.0, "hf_hadron": 453.0, "photon": 246.0, "hf_em": 226.0, "neutral_hadron": 89.0, "muon": 2.4, "electron": 0.2}
PUBLIC_PT = {"charged_hadron": 0.58, "photon": 0.40, "neutral_hadron": 1.61}
NUMBER_FACTOR, MIX_FACTOR = 3.0, 2.0  # its process and number of collisions are not known to be ours: ratios should agree better than numbers
PT_FACTOR = 1.5


def measure(tables: dict[str, Table]) -> Findings:
    """Numbers per event and spectra; the sample with pileup is held against the public one."""
    names = [name for name in SAMPLES if name in tables]
    curves = {"samples": {name: _content(tables[name]) for name in names}, "public": PUBLIC_NUMBERS}
    return Findings(curves, _checks(tables["ttbar pileup"]) if "ttbar pileup" in names else [])


def _content(table: Table) -> dict:
    elements = {kind.name: mean(table[f"event.num_{kind.name}"]).to_json() for kind in ElementType if table[f"event.num_{kind.name}"].any()}
    num_events, number = len(table["event.num_elements"]), table["event.num_elements"]
    edges = np.linspace(0.0, 1.05 * max(number.max(initial=1), 1), 41)
    candidates = {}
    for category in CandidateClass:
        pt = table["candidate.pt"][table["candidate.pid"] == category]
        if len(pt):
            candidates[category.name.lower()] = {
                "number": mean(table[f"event.num_{category.name.lower()}"]).to_json(),
                "median_pt": spread(pt)["median"].to_json(),
                "spectrum": (np.histogram(pt, PT_EDGES)[0] / num_events).tolist(),
            }
    return {
        "num_events": num_events,
        "num_elements": mean(number).to_json(),
        "num_collisions": mean(table["event.num_collisions"]).to_json(),
        "histogram": {"edges": edges.tolist(), "share": (np.histogram(number, edges)[0] / num_events).tolist()},
        "elements": elements,
        "candidates": candidates,
        "pt_edges": PT_EDGES.tolist(),
    }


def _checks(table: Table) -> list[Check]:
    def check(quantity: str, measured: Estimate, low: float, high: float, source: str = PUBLIC_SAMPLE) -> Check:
        return Check("content", quantity, "", measured, low, high, source)

    without = table["event.num_elements"] - table["event.num_PS1"] - table["event.num_PS2"] - table["event.num_BREM"]
    charged, reference = mean(table["event.num_charged_hadron"]), PUBLIC_NUMBERS["charged_hadron"]
    checks = [
        check("elements without PS and BREM", mean(without), 3000.0, 8000.0, "real events: about 5000"),
        check("charged hadron candidates", charged, reference / NUMBER_FACTOR, reference * NUMBER_FACTOR),
    ]
    for name, number in PUBLIC_NUMBERS.items():
        if name not in ("charged_hadron", "muon", "electron"):
            ratio, expected = scaled(mean(table[f"event.num_{name}"]), 1 / float(charged.value)), number / reference
            checks.append(check(f"{CLASS_TITLES[name]} candidates per charged hadron", ratio, expected / MIX_FACTOR, expected * MIX_FACTOR))
    for name, median in PUBLIC_PT.items():
        pt = table["candidate.pt"][table["candidate.pid"] == CandidateClass[name.upper()]]
        checks.append(check(f"median pt of {CLASS_TITLES[name]} candidates [GeV]", spread(pt)["median"], median / PT_FACTOR, median * PT_FACTOR))
    return checks
