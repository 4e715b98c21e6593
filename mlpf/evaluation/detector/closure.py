"""Where the energy of the generated particles goes, and whether what is found and what is lost adds up."""

import numpy as np

from mlpf.evaluation.detector.samples import Sample, gun
from mlpf.evaluation.detector.statements import Check, Findings
from mlpf.metrics.jets import Table
from mlpf.metrics.uncertainty import Estimate
from mlpf.simulation.closure import EnergyBudget, energy_budget, generated_energy
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.detector import detect
from mlpf.simulation.randomness import DETECTOR, event_rng
from mlpf.simulation.simulate import event_generator

TOLERANCE = 0.01  # relative
PT, MAX_ETA = (2.0, 100.0), 4.5  # GeV; of guns
PARTICLES = {"gamma": "photons", "e": "electrons", "pi": "charged pions", "K0L": "neutral hadrons"}


def samples(scale: float) -> list[Sample]:
    """Guns of all calorimeters, and top pairs."""
    guns = [Sample(f"energy of {title}", round(1000 * scale), budgets, gun(particle, PT, (0.0, MAX_ETA)), 500) for particle, title in PARTICLES.items()]
    return [*guns, Sample("energy of ttbar", max(round(200 * scale), 10), budgets, SimulationConfig(process="ttbar"), 100)]


def budgets(config: SimulationConfig, num_events: int, seed: int, first_event: int) -> Table:
    """``(B,)`` ``generated`` energy of each event, the items of its `EnergyBudget`, and their sum ``accounted`` [GeV]."""
    generate = event_generator(config)
    rows = []
    for number in range(first_event, first_event + num_events):
        detected = detect(generate(seed, number), event_rng(seed, number, DETECTOR))
        budget = energy_budget(detected)
        rows.append((generated_energy(detected.flights), *budget, budget.accounted))
    return dict(zip(("generated", *EnergyBudget._fields, "accounted"), np.array(rows).T, strict=True))


def measure(tables: dict[str, Table]) -> Findings:
    """Shares of the generated energy, of all events of a sample together."""
    curves, checks = {}, []
    for name, table in tables.items():
        if name.startswith("energy of "):
            title, generated = name.removeprefix("energy of "), table["generated"]
            curves[title] = {item: _share(table[item], generated).to_json() for item in EnergyBudget._fields}
            total = _share(table["accounted"], generated)
            checks.append(Check("closure", "sum of all items over generated energy", title, total, 1 - TOLERANCE, 1 + TOLERANCE, "energy is conserved"))
    return Findings(curves, checks)


def _share(part: np.ndarray, whole: np.ndarray) -> Estimate:
    """Sum over sum, with the uncertainty of a ratio of means."""
    ratio = float(part.sum() / whole.sum())
    error = float(np.std(part - ratio * whole) / whole.mean() / np.sqrt(len(part)))
    return Estimate(ratio, ratio - error, ratio + error, len(part))
