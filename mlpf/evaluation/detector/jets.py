"""Jets of rule-based particle flow against generated ones: composition, response, resolution, matched fraction; missing momentum."""

import numpy as np

from mlpf.evaluation.detector.collisions import SHARES, collisions
from mlpf.evaluation.detector.samples import Sample
from mlpf.evaluation.detector.statements import Check, Findings, checks_of, curve, scaled
from mlpf.evaluation.detector.widths import IQR_OF_GAUSSIAN, width
from mlpf.metrics.jets import MAX_DELTA_R, Table
from mlpf.metrics.uncertainty import Estimate, fraction_per_bin, mean, mean_per_bin, per_bin, spread
from mlpf.simulation.config import PileupConfig, SimulationConfig

PILEUP = (55, 75)  # collisions
PT_EDGES = np.array([15.0, 20.0, 30.0, 50.0, 80.0, 120.0, 200.0, 400.0])  # GeV
ETA_EDGES = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5])
ETA_PT = (30.0, 80.0)  # GeV, of jets shown against eta
MAX_ETA = 2.5
SUM_PT_EDGES = np.array([0.0, 200.0, 400.0, 600.0, 800.0, 1000.0, 1500.0, 2000.0, 3000.0, 4000.0, 6000.0])  # GeV
COMPOSITION = {"charged_hadron": (0.65, 0.10), "photon": (0.25, 0.08), "neutral_hadron": (0.10, 0.06)}
COMPOSITION_SOURCE = "arXiv:1706.04965: about 65, 25, 10 %"
# arXiv:1607.03663: 15 to 20 % at 30 GeV, about 10 % at 100, 5 % at 1 TeV
CMS_PT, CMS_RESOLUTION = np.array([30.0, 100.0, 1000.0]), np.array([0.175, 0.10, 0.05])
# Those have 21 collisions on average: without pileup up to 30 % less is tolerated, with 55 to 75 up to twice as much
CMS_SOURCE = "17 % at 30 GeV, 10 % at 100, 5 % at 1000 with 21 collisions: arXiv:1607.03663"
MET_SOURCE = "arXiv:1903.06078, Z bosons: 14 GeV and 3.8 GeV sqrt(collisions) in quadrature"
MIN_CHECKED = 30.0  # GeV
SAMPLES = ("ttbar", "qcd", "ttbar pileup")


def samples(scale: float) -> list[Sample]:
    """Top pairs and dijets without pileup, top pairs with it."""
    pileup = PileupConfig(min_number=PILEUP[0], max_number=PILEUP[1], pool_size=5000 if scale >= 1 else 500)
    return [
        Sample("ttbar pileup", max(round(150 * scale), 8), collisions, SimulationConfig(process="ttbar", pileup=pileup, events_per_chunk=5), 75),
        Sample("ttbar", round(1000 * scale), collisions, SimulationConfig(process="ttbar"), 100),
        Sample("qcd", round(1000 * scale), collisions, SimulationConfig(process="qcd"), 100),
    ]


def measure(tables: dict[str, Table]) -> Findings:
    """Of all samples of collisions that there are."""
    curves: dict[str, dict] = {name: {} for name in ("composition", "pt", "eta", "met")}
    checks: list[Check] = []
    for name in SAMPLES:
        if name in tables:
            curves["pt"][name], of_sample = _against_pt(name, tables[name])
            curves["eta"][name] = _against_eta(tables[name])
            curves["composition"][name], of_composition = _composition(name, tables[name])
            checks += of_sample + of_composition
            if name != "qcd":  # whose missing momentum grows with a pt hat that was chosen at will
                curves["met"][name], of_met = _met(name, tables[name])
                checks += of_met
    return Findings(curves, checks)


def _against_pt(name: str, table: Table) -> tuple[dict, list[Check]]:
    central = np.abs(table["genjet.eta"]) < MAX_ETA
    estimates = _response(table, central, table["genjet.pt"], PT_EDGES)
    has_pileup = name == "ttbar pileup"
    rows = (
        ("median response", estimates["median"], (0.85, 1.0), "CMS: about 0.9 before calibration"),
        ("matched within delta R 0.1", estimates["matched"], (0.6 if has_pileup else 0.85, 1.0), "ours"),
    )
    checks: list[Check] = []
    for title, estimate, limits, source in rows:
        checks += checks_of("jets", f"{name}: {title}", estimate, PT_EDGES, limits, source, first=MIN_CHECKED)
    expected = cms_resolution(np.sqrt(PT_EDGES[:-1] * PT_EDGES[1:]))
    resolutions = checks_of("jets", f"{name}: resolution", estimates["resolution"], PT_EDGES, (0.0, 0.0), CMS_SOURCE)
    tolerated = (check._replace(low=0.7 * value, high=(2.0 if has_pileup else 1.3) * value) for check, value in zip(resolutions, expected, strict=True))
    checks += [check for check, low in zip(tolerated, PT_EDGES[:-1], strict=True) if low >= MIN_CHECKED]
    return curve(PT_EDGES, estimates, expected=expected), checks


def cms_resolution(pt: np.ndarray) -> np.ndarray:
    """Typical relative resolution of central jets in CMS, pt in GeV."""
    return np.exp(np.interp(np.log(pt), np.log(CMS_PT), np.log(CMS_RESOLUTION)))


def _against_eta(table: Table) -> dict:
    chosen = (table["genjet.pt"] > ETA_PT[0]) & (table["genjet.pt"] < ETA_PT[1])
    return curve(ETA_EDGES, _response(table, chosen, np.abs(table["genjet.eta"]), ETA_EDGES))


def _response(table: Table, chosen: np.ndarray, x: np.ndarray, edges: np.ndarray) -> dict[str, Estimate]:
    matched = table["genjet.delta_r"] < MAX_DELTA_R
    estimates = per_bin(table["genjet.response"][chosen & matched], x[chosen & matched], edges, width)
    return {**estimates, "matched": fraction_per_bin(matched[chosen], x[chosen], edges)}


def _composition(name: str, table: Table) -> tuple[dict, list[Check]]:
    """Mean shares of the classes in the energy of central jets, generated and reconstructed (those that belong to a generated jet)."""
    curves = {}
    for collection, title in (("genjet", "generated"), ("jet", "reconstructed")):
        chosen = (np.abs(table[f"{collection}.eta"]) < MAX_ETA) & (table[f"{collection}.delta_r"] < MAX_DELTA_R)
        pt = table[f"{collection}.pt"][chosen]
        shares = {share: table[f"{collection}.share_{share}"][chosen] for share in SHARES}
        curves[title] = curve(PT_EDGES, {share: mean_per_bin(values, pt, PT_EDGES) for share, values in shares.items()})
    chosen &= table["jet.pt"] > ETA_PT[0]
    checks = [
        Check("jets", f"{name}: share of {share.replace('_', ' ')}s", "> 30", mean(table[f"jet.share_{share}"][chosen]), *_around(*middle), COMPOSITION_SOURCE)
        for share, middle in COMPOSITION.items()
    ]
    return curves, checks


def _around(middle: float, tolerance: float) -> tuple[float, float]:
    return middle - tolerance, middle + tolerance


def _met(name: str, table: Table) -> tuple[dict, list[Check]]:
    """Resolution of a component of the missing momentum (IQR / 1.349) against the scalar sum of pt."""
    residual = np.concatenate([table["event.met_x"], table["event.met_y"]])
    sum_pt = np.tile(table["event.sum_pt"], 2)
    resolution = scaled(per_bin(residual, sum_pt, SUM_PT_EDGES)["iqr"], 1 / IQR_OF_GAUSSIAN)
    overall = scaled(spread(residual)["iqr"], 1 / IQR_OF_GAUSSIAN)
    limits = (22.0, 45.0) if name == "ttbar pileup" else (8.0, 25.0)
    check = Check("met", "resolution of a component of the missing momentum [GeV]", name, overall, *limits, MET_SOURCE)
    return curve(SUM_PT_EDGES, {"resolution": resolution}), [check]
