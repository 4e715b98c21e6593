"""Response and resolution of single particles in the calorimeters and after rule-based particle flow, against the formulas put in."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mlpf.classical.calibration import default_calibration, hadron_energies
from mlpf.evaluation.detector.samples import Sample, energy_gun, gun
from mlpf.evaluation.detector.singles import single_particles
from mlpf.evaluation.detector.statements import Check, Findings, checks_of, curve, scaled
from mlpf.evaluation.detector.widths import width
from mlpf.metrics.jets import Table
from mlpf.metrics.uncertainty import Estimate, fraction_per_bin, mean_per_bin, per_bin

ENERGY_EDGES = np.array([2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0])  # GeV
MIN_CHECKED = 5.0  # GeV
ETA_EDGES = np.round(np.arange(0.0, 5.01, 0.2), 3)
ETA_SCAN_PT = (15.0, 25.0)  # GeV
REGIONS = {"barrel": (0.1, 1.3), "endcap": (1.7, 2.5), "forward": (3.2, 4.8)}
ALL_ETA = (0.0, 5.0)


class Formula(NamedTuple):
    """Relative resolution: stochastic / sqrt(E), noise / E and constant, in quadrature [GeV]."""

    stochastic: float
    noise: float
    constant: float

    def __call__(self, energy: np.ndarray) -> np.ndarray:
        """At energies in GeV."""
        return np.sqrt(self.stochastic**2 / energy + (self.noise / energy) ** 2 + self.constant**2)


# Test beams: ECAL 2.8 %, 12 %, 0.3 % (JINST 2 (2007) P04004; endcap: noise of nine crystals of 150 MeV, ours); HCAL 110 %, 9 % (EPJ C 60 (2009) 359);
# HF 198 %, 9 % and 280 %, 11 % (EPJ C 53 (2008) 139)
ECAL_BARREL, ECAL_ENDCAP, HCAL = Formula(0.028, 0.12, 0.003), Formula(0.028, 0.45, 0.003), Formula(1.10, 0.0, 0.09)
HF_EM, HF_HADRON = Formula(1.98, 0.0, 0.09), Formula(2.80, 0.0, 0.11)


class Gun(NamedTuple):
    """What is shot, and what is expected of it.

    Attributes:
        particle: of `GunConfig`.
        title: in tables.
        regions: where, with the resolution put in (None: nothing as simple).
        energy: column of the table that should be the particle's energy.
        tolerance: of the mean response, central and forward.
        source: of this expectation.
        widths: tolerated ratio of the core's width to the formula; None where what happens in the tracker widens it.
        is_calibrated: only those count that reach the calorimeters as they were shot, and leave something there, as in the derivation of the calibrations.
    """

    particle: str
    title: str
    regions: Mapping[str, Formula | None]
    energy: str
    tolerance: tuple[float, float]
    source: str
    widths: tuple[float, float] | None = None
    is_calibrated: bool = False


CALIBRATED, FORWARD_TOO = "calibrated", "calibrated; HF: test beam scale"
ECAL, WITH_HF = {"barrel": ECAL_BARREL, "endcap": ECAL_ENDCAP}, {"barrel": ECAL_BARREL, "endcap": ECAL_ENDCAP, "forward": HF_EM}
HADRONS, HADRONS_WITH_HF = {"barrel": HCAL, "endcap": HCAL}, {"barrel": HCAL, "endcap": HCAL, "forward": HF_HADRON}
FORMULA = (0.7, 1.3)
GUNS = (
    Gun("gamma", "photons that do not convert, calibrated ECAL clusters", ECAL, "ecal_corrected", (0.02, 0.02), CALIBRATED, FORMULA, is_calibrated=True),
    Gun("gamma", "photons, all candidates", WITH_HF, "pf", (0.02, 0.05), FORWARD_TOO),
    Gun("e", "electrons, all candidates", ECAL, "pf", (0.02, 0.02), CALIBRATED),
    Gun("K0L", "neutral hadrons that do not interact before, seen", HADRONS_WITH_HF, "pf", (0.05, 0.10), FORWARD_TOO, FORMULA, is_calibrated=True),
    Gun("K0L", "neutral hadrons, all candidates", HADRONS_WITH_HF, "pf", (0.20, 0.20), "ours: interactions, showers that are not seen"),
    Gun("pi", "charged pions that do not interact before, calorimeters", HADRONS, "calorimeters", (0.05, 0.05), CALIBRATED, FORMULA, is_calibrated=True),
    Gun("pi", "charged pions, all candidates", {"barrel": None, "endcap": None}, "pf", (0.05, 0.05), CALIBRATED),
)


def samples(scale: float) -> list[Sample]:
    """Guns of a range of energy in each region, and of a range of eta; ``scale`` times the usual number of particles."""
    regions = {shot.particle: shot.regions for shot in GUNS if shot.energy == "pf"}
    energies = (ENERGY_EDGES[0], ENERGY_EDGES[-1])
    found = []
    for particle, places in regions.items():
        number = round(scale * (8000 if particle in ("gamma", "e") else 12000))
        found += [Sample(f"{particle} {name}", number, single_particles, energy_gun(particle, energies, REGIONS[name])) for name in places]
        found.append(Sample(f"{particle} eta", number, single_particles, gun(particle, ETA_SCAN_PT, ALL_ETA)))
    return found


def measure(tables: dict[str, Table]) -> Findings:
    """Everything about single particles in the calorimeters."""
    tables = {name: _with_calorimeters(table) if name.startswith("pi ") else table for name, table in tables.items()}
    curves: dict[str, dict] = {"energy": {}, "eta": {}}
    checks: list[Check] = []
    for shot in GUNS:
        of_gun = curves["energy"].setdefault(shot.title, {})
        for region, formula in shot.regions.items():
            of_gun[region], found = _against_energy(shot, region, formula, _chosen(tables[f"{shot.particle} {region}"], shot))
            checks += found
        curves["eta"][shot.title] = _against_eta(_chosen(tables[f"{shot.particle} eta"], shot), shot.energy)
    return Findings(curves, checks)


def _with_calorimeters(table: Table) -> Table:
    """With the ``calorimeters``' energy, calibrated as particle flow would without a track."""
    energy = hadron_energies(table["ecal"], table["hcal"] + table["ho"], table["eta"], default_calibration())
    return {**table, "calorimeters": energy}


def _chosen(table: Table, shot: Gun) -> Table:
    kept = table["is_intact"] & (table[shot.energy] > 0.0) if shot.is_calibrated else np.ones(len(table["energy"]), dtype=bool)
    return {name: values[kept] for name, values in table.items()}


def _against_energy(shot: Gun, region: str, formula: Formula | None, table: Table) -> tuple[dict, list[Check]]:
    energy = table["energy"]
    estimates = _in_bins(table, shot.energy, energy, ENERGY_EDGES)
    tolerance = shot.tolerance[region == "forward"]
    title = f"{shot.title}, {region}"
    checks = checks_of("response", title, estimates["mean"], ENERGY_EDGES, (1 - tolerance, 1 + tolerance), shot.source, " GeV", MIN_CHECKED)
    if formula is None:
        return curve(ENERGY_EDGES, estimates), checks
    expected = np.asarray(mean_per_bin(formula(energy), energy, ENERGY_EDGES).value)
    if shot.widths is not None:
        ratio = scaled(estimates["core"], 1 / expected)
        checks += checks_of("resolution", title, ratio, ENERGY_EDGES, shot.widths, _described(formula), " GeV", MIN_CHECKED)
    return curve(ENERGY_EDGES, estimates, expected=expected), checks


def _described(formula: Formula) -> str:
    noise = f" + {100 * formula.noise:g} %/E" if formula.noise else ""
    return f"{100 * formula.stochastic:g} %/sqrt(E){noise} + {100 * formula.constant:g} %"


def _against_eta(table: Table, energy: str) -> dict:
    return curve(ETA_EDGES, _in_bins(table, energy, np.abs(table["eta"]), ETA_EDGES))


def _in_bins(table: Table, energy: str, x: np.ndarray, edges: np.ndarray) -> dict[str, Estimate]:
    """Of the response: mean, median, resolution and core of what is seen; ``lost``: the fraction of particles that leave nothing. The mean counts them as 0."""
    response = table[energy] / table["energy"]
    seen = response > 0.0
    estimates = per_bin(response[seen], x[seen], edges, width)
    return {**estimates, "mean": mean_per_bin(response, x, edges), "lost": fraction_per_bin(~seen, x, edges)}
