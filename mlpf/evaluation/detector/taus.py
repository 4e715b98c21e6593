"""Hadronic tau decays of Z bosons: visible mass and pt, charged prongs."""

import numpy as np

from mlpf.evaluation.detector.collisions import taus
from mlpf.evaluation.detector.samples import Sample
from mlpf.evaluation.detector.statements import Check, Findings
from mlpf.evaluation.detector.widths import width
from mlpf.metrics.jets import Table
from mlpf.metrics.uncertainty import fraction, spread
from mlpf.simulation.config import SimulationConfig

MASS_EDGES = np.linspace(0.0, 3.0, 31)  # GeV
RESPONSE_EDGES = np.linspace(0.4, 1.6, 41)
MAX_PRONGS = 6
TAU_MASS = 1.777  # GeV
# PDG 2024: 64.8 % of all decays are hadronic, 15.2 % have three charged hadrons or more
THREE_PRONG_SHARE = 0.152 / 0.648


def samples(scale: float) -> list[Sample]:
    """Z bosons that decay into two taus, both hadronically."""
    return [Sample("ztautau", round(1500 * scale), taus, SimulationConfig(process="ztautau"), 100)]


def measure(table: Table) -> Findings:
    """Of one sample."""
    prongs, found = table["tau.num_prongs"], table["tau.pf_num_prongs"]
    ratio = table["tau.pf_pt"] / table["tau.pt"]
    one_or_three = np.isin(prongs, (1, 3))
    sizes = width(ratio[one_or_three])
    curves = {
        "mass_edges": MASS_EDGES.tolist(),
        "response_edges": RESPONSE_EDGES.tolist(),
        "num_taus": len(prongs),
        "mass": {name: _shares(table[f"tau.{column}"], MASS_EDGES) for name, column in (("generated", "mass"), ("reconstructed", "pf_mass"))},
        "prongs": {name: _shares(values, np.arange(MAX_PRONGS + 2) - 0.5) for name, values in (("generated", prongs), ("reconstructed", found))},
        "response": {f"{n} prong{'s' * (n > 1)}": _shares(ratio[prongs == n], RESPONSE_EDGES) for n in (1, 3)},
    }
    true_share, found_share = (fraction(np.sum(number == 3), np.sum(np.isin(number, (1, 3)))) for number in (prongs, found))
    checks = [
        Check("taus", "three prongs among one and three, generated", "", true_share, THREE_PRONG_SHARE - 0.06, THREE_PRONG_SHARE + 0.06, "PDG 2024"),
        Check("taus", "three prongs among one and three, reconstructed", "", found_share, THREE_PRONG_SHARE - 0.08, THREE_PRONG_SHARE + 0.08, "PDG 2024"),
        Check("taus", "number of prongs as generated", "", fraction(np.sum(found == prongs), len(prongs)), 0.6, 0.95, "ours"),
        Check("taus", "median visible mass, generated [GeV]", "", spread(table["tau.mass"])["median"], 0.5, TAU_MASS, "below the tau's mass"),
        Check("taus", "median visible mass, reconstructed over generated", "", spread(table["tau.pf_mass"] / table["tau.mass"])["median"], 0.8, 1.2, "ours"),
        Check("taus", "median visible pt, reconstructed over generated", "", sizes["median"], 0.92, 1.05, "ours"),
        Check("taus", "its resolution", "", sizes["resolution"], 0.03, 0.15, "ours"),
    ]
    return Findings(curves, checks)


def _shares(values: np.ndarray, edges: np.ndarray) -> list[float]:
    return (np.histogram(values, edges)[0] / max(len(values), 1)).tolist()
