"""Efficiency, resolution and fakes of tracks."""

import numpy as np

from mlpf.evaluation.detector.samples import Sample, gun
from mlpf.evaluation.detector.singles import tracked_particles
from mlpf.evaluation.detector.statements import Check, Findings, curve, scaled
from mlpf.evaluation.detector.widths import width
from mlpf.metrics.jets import Table
from mlpf.metrics.uncertainty import fraction, fraction_per_bin, mean_per_bin, per_bin

PT_EDGES = np.array([0.3, 0.5, 0.7, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0])  # GeV
ETA_EDGES = np.round(np.linspace(-2.5, 2.5, 21), 3)
DISTANCE_EDGES = np.array([0.0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4])
FAKE_PT_EDGES = np.array([0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
REGIONS = {"abs(eta) < 1.5": (0.0, 1.5), "1.5 < abs(eta) < 2.5": (1.5, 2.5)}
COLLISIONS: tuple[str, ...] = ("ttbar", "ttbar pileup", "qcd")
PARTICLES = {"pi": "pions", "e": "electrons", "mu": "muons"}
MIN_JET_PT = 80.0  # GeV, of jets whose inside is called dense
PLATEAU = (1.0, 100.0)  # GeV; between them the tables are flat
CARD = "Delphes' CMS card"
# Delphes' CMS card: efficiency of 1 to 100 GeV; (a, b [1/GeV]) of sigma(pt) / pt = sqrt(a^2 + (b pt)^2) for abs(eta) up to 0.5, 1.5, 2.5
EFFICIENCY = {"pi": (0.95, 0.85), "e": (0.95, 0.83), "mu": (0.99, 0.98)}
RESOLUTION_ETA = np.array([0.5, 1.5, 2.5])
RESOLUTION = {
    "pi": np.array([(0.01, 1.5e-4), (0.015, 2.5e-4), (0.025, 5.5e-4)]),
    "e": np.array([(0.03, 1.3e-3), (0.05, 1.7e-3), (0.15, 3.1e-3)]),
    "mu": np.array([(0.01, 1.0e-4), (0.015, 1.5e-4), (0.025, 3.5e-4)]),
}


def samples(scale: float) -> list[Sample]:
    """Ten particles an event, far apart."""
    return [
        Sample(f"tracks {particle}", round(2000 * scale), tracked_particles, gun(particle, (PT_EDGES[0], PT_EDGES[-1]), (0.0, 2.5), 10), 500)
        for particle in PARTICLES
    ]


def measure(tables: dict[str, Table]) -> Findings:
    """Tracks of guns, and those in the collisions of the samples ``ttbar``, ``qcd`` and, where there is one, ``ttbar pileup``."""
    curves: dict[str, dict] = {"efficiency": {}, "resolution": {}}
    checks: list[Check] = []
    for particle, title in PARTICLES.items():
        table = {name.removeprefix("particle."): values for name, values in tables[f"tracks {particle}"].items() if name.startswith("particle.")}
        curves["efficiency"][title], found = _efficiency(table, particle, title)
        checks += found
        curves["resolution"][title], found = _resolution(table, particle, title)
        checks += found
    collisions = {name: tables[name] for name in COLLISIONS if name in tables}
    curves["dense"] = {name: _dense(table) for name, table in collisions.items()}
    curves["fakes"] = {name: _fakes(table) for name, table in collisions.items()}
    curves["fakes_eta"] = {name: _fakes_eta(table) for name, table in collisions.items()}
    return Findings(curves, checks + _collision_checks(collisions))


def _efficiency(table: Table, particle: str, title: str) -> tuple[dict, list[Check]]:
    found = table["num_tracks"] > 0
    flat = (table["pt"] > PLATEAU[0]) & (table["pt"] < PLATEAU[1])
    curves = {"eta": curve(ETA_EDGES, {"efficiency": fraction_per_bin(found[flat], table["eta"][flat], ETA_EDGES)})}
    checks = []
    for (region, (low, high)), expected in zip(REGIONS.items(), EFFICIENCY[particle], strict=True):
        inside = (np.abs(table["eta"]) >= low) & (np.abs(table["eta"]) < high)
        curves[region] = curve(PT_EDGES, {"efficiency": fraction_per_bin(found[inside], table["pt"][inside], PT_EDGES)})
        estimate = fraction(np.sum(found[inside & flat]), np.sum(inside & flat))
        # pions that interact lose their track on top of the table
        checks.append(Check("tracks", f"efficiency of {title}, 1 to 100 GeV", region, estimate, expected - 0.08, expected + 0.03, CARD))
    return curves, checks


def _resolution(table: Table, particle: str, title: str) -> tuple[dict, list[Check]]:
    of_true = table["gsf_ratio" if particle == "e" else "ratio"]  # other fits of an electron's track miss what it radiated
    found = np.isfinite(of_true)
    curves, checks = {}, []
    lows = np.concatenate([[0.0], RESOLUTION_ETA[:-1]])
    for low, high, (constant, slope) in zip(lows, RESOLUTION_ETA, RESOLUTION[particle], strict=True):
        inside = found & (np.abs(table["eta"]) >= low) & (np.abs(table["eta"]) < high)
        pt, ratio = table["pt"][inside], of_true[inside]
        estimates = per_bin(ratio, pt, PT_EDGES, width)
        formula = np.hypot(constant, slope * pt)
        expected = np.asarray(mean_per_bin(formula, pt, PT_EDGES).value)
        region = f"abs(eta) {low:g} to {high:g}"
        curves[region] = curve(PT_EDGES, estimates, expected=expected)
        pulls = width(1.0 + (ratio - 1.0) / formula * 0.01)["resolution" if particle == "e" else "core"]  # as if every resolution were 1 %
        limits = (0.5, 1.3) if particle == "e" else (0.9, 1.15)  # radiation makes a sharp core and tails of what the table has as a Gaussian
        checks.append(Check("tracks", f"width of 1/pt of {title} over that of the table", region, scaled(pulls, 100.0), *limits, CARD))
    return curves, checks


def _charged_hadrons(table: Table) -> np.ndarray:
    return (np.abs(table["particle.pdgid"]) > 100) & (table["particle.pt"] > 1.0) & (np.abs(table["particle.eta"]) < 2.4)


def _dense(table: Table) -> dict:
    """Efficiency for charged hadrons of more than 1 GeV against the distance to the axis of a jet of more than 80 GeV."""
    chosen = _charged_hadrons(table) & (table["particle.jet_pt"] > MIN_JET_PT)
    found = table["particle.num_tracks"] > 0
    return curve(DISTANCE_EDGES, {"efficiency": fraction_per_bin(found[chosen], table["particle.delta_r"][chosen], DISTANCE_EDGES)})


def _fakes(table: Table) -> dict:
    fake = ~table["track.is_linked"]
    return curve(FAKE_PT_EDGES, {"rate": fraction_per_bin(fake, table["track.pt"], FAKE_PT_EDGES)})


def _fakes_eta(table: Table) -> dict:
    hard = table["track.pt"] > 1.0
    return curve(ETA_EDGES, {"rate": fraction_per_bin(~table["track.is_linked"][hard], table["track.eta"][hard], ETA_EDGES)})


def _collision_checks(collisions: dict[str, Table]) -> list[Check]:
    checks = []
    for name, table in collisions.items():
        chosen = _charged_hadrons(table)
        found, in_jet = table["particle.num_tracks"] > 0, table["particle.jet_pt"] > MIN_JET_PT
        # arXiv:1405.6569, figures of ttbar events: 0.85 to 0.95 for charged particles between 1 and 100 GeV
        outside, core = (chosen & where for where in (~in_jet, in_jet & (table["particle.delta_r"] < 0.02)))
        for title, where, low, high in (("outside jets of 80 GeV", outside, 0.80, 0.97), ("within delta R 0.02 of their axes", core, 0.5, 0.95)):
            estimate = fraction(np.sum(found[where]), np.sum(where))
            checks.append(Check("tracks", f"efficiency of charged hadrons above 1 GeV, {title}", name, estimate, low, high, "arXiv:1405.6569"))
        fake = fraction(np.sum(~table["track.is_linked"]), len(table["track.is_linked"]))
        checks.append(Check("tracks", "fake tracks", name, fake, 0.0005, 0.1, "arXiv:1405.6569: a few %"))
        several = fraction(np.sum(table["particle.num_tracks"] > 1), np.sum(found))
        checks.append(Check("tracks", "particles with more than one track", name, several, 0.0, 0.02, "arXiv:1405.6569: below 1 %"))
    return checks
