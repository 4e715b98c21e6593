"""What happens in the tracker's material, against its thickness: conversions, nuclear interactions, bremsstrahlung."""

import numpy as np

from mlpf.evaluation.detector.samples import gun
from mlpf.evaluation.detector.statements import Check, Findings, checks_of, curve
from mlpf.metrics.jets import Table
from mlpf.metrics.uncertainty import Estimate, fraction_per_bin, mean, mean_per_bin
from mlpf.simulation.particles import Particles
from mlpf.simulation.simulate import event_generator
from mlpf.simulation.tracker.flights import Flights
from mlpf.simulation.tracker.material import material_budget
from mlpf.simulation.tracker.transport import transport

ETA_EDGES = np.round(np.arange(0.0, 2.51, 0.1), 3)
PT = (10.0, 20.0)  # GeV; pions hardly decay on the way, photons convert at the full rate
CHECKED = ("0 to 0.1", "1.4 to 1.5", "2.4 to 2.5")
# Thickness of the CMS tracker along a straight line from the centre, arXiv:1405.6569, figure 3; what was put in has more points between
BUDGET_ETA = np.array([0.0, 1.45, 2.5])
RADIATION_LENGTHS, NUCLEAR_LENGTHS = np.array([0.4, 1.9, 1.2]), np.array([0.12, 0.5, 0.35])
TOLERANCE = 0.2  # relative, of the thickness
SOURCE = "thickness: arXiv:1405.6569"


def measure(single_electrons: Table, scale: float, seed: int) -> Findings:
    """Flights of guns through the tracker alone; numbers of BREM elements from the ntuples of single electrons against eta."""
    number = round(50_000 * scale)
    converted, interacted, radiated = _fates("gamma", number, seed), _fates("pi", number, seed), _radiated(number, seed)
    centres = 0.5 * (ETA_EDGES[:-1] + ETA_EDGES[1:])
    budget = np.array([material_budget(eta) for eta in centres])
    thickness = [np.interp(centres, BUDGET_ETA, values) for values in (RADIATION_LENGTHS, NUCLEAR_LENGTHS)]
    found = {
        "photons that convert": (converted, 0, 7 / 9, "1 - exp(-7/9 t)"),
        "pions that interact": (interacted, 1, 1.0, "1 - exp(-lambda)"),
        "energy that electrons radiate": (radiated, 0, 1.0, "1 - exp(-t)"),
    }
    curves, checks = {}, []
    for title, (estimate, kind, rate, formula) in found.items():
        curves[title] = curve(ETA_EDGES, {"fraction": estimate}, expected=1 - np.exp(-rate * budget[:, kind]))
        limits = np.stack([1 - np.exp(-rate * thickness[kind] * (1 + sign * TOLERANCE)) for sign in (-1, 1)], axis=1)
        row = checks_of("material", title, estimate, ETA_EDGES, (0.0, 1.0), f"{formula}; {SOURCE}")
        checks += [check._replace(low=low, high=high) for check, (low, high) in zip(row, limits, strict=True) if check.where in CHECKED]
    curves["BREM elements"] = curve(ETA_EDGES, {"number": mean_per_bin(single_electrons["num_brem"], np.abs(single_electrons["eta"]), ETA_EDGES)})
    return Findings(curves, [*checks, _brem_check(single_electrons)])


def _fates(particle: str, number: int, seed: int) -> Estimate:
    """Fraction whose flight ends in the tracker."""
    _, flights, abs_eta = _fly(particle, number, seed)
    return fraction_per_bin(flights.particles.ends[:number], abs_eta, ETA_EDGES)


def _radiated(number: int, seed: int) -> Estimate:
    """Mean fraction of its energy that an electron has lost at the calorimeter."""
    shot, flights, abs_eta = _fly("e", number, seed)
    return mean_per_bin(1 - flights.energy[:number] / shot.energy, abs_eta, ETA_EDGES)


def _fly(particle: str, number: int, seed: int) -> tuple[Particles, Flights, np.ndarray]:
    """Particles from the centre, their flights, and their absolute eta."""
    shot = event_generator(gun(particle, PT, (0.0, float(ETA_EDGES[-1])), number))(seed, 0).particles
    return shot, transport(shot, np.random.default_rng(seed)), np.abs(np.arcsinh(shot.pz / np.hypot(shot.px, shot.py)))


def _brem_check(table: Table) -> Check:
    inside, tracked = np.abs(table["eta"]) < ETA_EDGES[-1], table["num_gsf"] > 0
    number = mean(table["num_brem"][inside & tracked])
    source = "one for each layer crossed and each end (CMSSW's PFTrackTransformer)"
    return Check("material", "BREM elements per GSF track", "0 to 2.5", number, 8.0, 17.0, source)
