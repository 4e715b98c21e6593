"""Made-up tables of an ideal detector, in the form in which the validation of the simulation reduces its samples."""

import numpy as np

from mlpf.evaluation.detector import calorimeters, closure, content, jets, taus, tracking
from mlpf.evaluation.detector.collisions import SHARES
from mlpf.schema import CandidateClass, ElementType

PUBLIC_CLASSES = {CandidateClass[name.upper()]: number for name, number in content.PUBLIC_NUMBERS.items()}


def single_particles(rng, number, energy, eta, formula, bias=1.0):
    """Particles whose energy is measured with a formula's resolution."""
    true = np.exp(rng.uniform(*np.log(energy), number))
    width = formula(true) if formula else 0.02
    found = np.maximum(bias * true * rng.normal(1.0, width, number), 0.0)
    return {
        "energy": true, "eta": rng.uniform(*eta, number), "ecal_corrected": found, "pf": found, "ecal": 0.3 * found, "hcal": 0.5 * found, "ho": 0.0 * found,
        "num_brem": rng.poisson(3.0, number).astype(float), "num_gsf": np.ones(number), "is_intact": np.ones(number, dtype=bool),
    }  # fmt: skip


def calorimeter_tables(rng, number=3000, bias=1.0):
    energies = (calorimeters.ENERGY_EDGES[0], calorimeters.ENERGY_EDGES[-1])
    tables = {}
    for shot in calorimeters.GUNS:
        for region, formula in shot.regions.items():
            if shot.energy == "pf":
                tables[f"{shot.particle} {region}"] = single_particles(rng, number, energies, calorimeters.REGIONS[region], formula, bias)
        tables[f"{shot.particle} eta"] = single_particles(rng, number, (20.0, 30.0), calorimeters.ALL_ETA, None, bias)
    return tables


def charged_particles(rng, particle, number=6000):
    """Tracks as the tables say."""
    pt, eta = np.exp(rng.uniform(*np.log(tracking.PT_EDGES[[0, -1]]), number)), rng.uniform(-2.5, 2.5, number)
    region = np.searchsorted(tracking.RESOLUTION_ETA, np.abs(eta))
    constant, slope = tracking.RESOLUTION[particle][region].T
    efficiency = np.where(np.abs(eta) < 1.5, *tracking.EFFICIENCY[particle])
    found = rng.random(number) < efficiency
    ratio = np.where(found, rng.normal(1.0, np.hypot(constant, slope * pt)), np.nan)
    pdgid = np.full(number, {"pi": 211, "e": 11, "mu": 13}[particle])
    columns = {"pdgid": pdgid, "pt": pt, "eta": eta, "num_tracks": found.astype(int), "num_gsf": 0 * pdgid, "ratio": ratio, "gsf_ratio": ratio}
    track = {"pt": pt[found], "eta": eta[found], "is_linked": rng.random(found.sum()) > 0.02}
    return {f"particle.{k}": v for k, v in columns.items()} | {f"track.{k}": v for k, v in track.items()}


def collision_table(rng, num_events=60, num_jets=3000):
    """Jets of 65, 25 and 10 %, with the resolution and response that CMS quotes, and candidates as in the public sample."""
    pt = np.exp(rng.uniform(np.log(15.0), np.log(400.0), num_jets))
    eta = rng.uniform(-4.5, 4.5, num_jets)
    delta_r = rng.choice([0.01, np.inf], num_jets, p=[0.97, 0.03])
    response = np.where(np.isfinite(delta_r), 0.92 * rng.normal(1.0, jets.cms_resolution(pt), num_jets), np.nan)
    jet = {"pt": pt, "eta": eta, "delta_r": delta_r}
    share = {f"share_{name}": np.full(num_jets, value) for name, value in zip(SHARES, (0.65, 0.25, 0.10, 0.0), strict=True)}
    tracks = charged_particles(rng, "pi")
    tracks["particle.delta_r"], tracks["particle.jet_pt"] = (
        rng.uniform(0.0, 0.4, len(tracks["particle.pt"])),
        rng.choice([50.0, 120.0], len(tracks["particle.pt"])),
    )
    counts = {f"num_{kind.name}": rng.poisson(500.0 * (kind not in (ElementType.NONE, ElementType.HO)), num_events) for kind in ElementType}
    counts |= {f"num_{kind.name.lower()}": rng.poisson(PUBLIC_CLASSES.get(kind, 0.0), num_events) for kind in CandidateClass}
    counts |= {"num_elements": sum(counts[f"num_{kind.name}"] for kind in ElementType), "num_collisions": rng.integers(56, 77, num_events)}
    counts |= {"met_x": rng.normal(0, 20, num_events), "met_y": rng.normal(0, 20, num_events), "sum_pt": rng.uniform(200, 1500, num_events)}
    pid = np.repeat([int(kind) for kind in PUBLIC_CLASSES], [int(10 * number) + 1 for number in PUBLIC_CLASSES.values()])
    median = np.array([content.PUBLIC_PT.get(CandidateClass(kind).name.lower(), 0.5) for kind in pid])
    return {
        **{f"genjet.{k}": v for k, v in {**jet, **share, "response": response}.items()},
        **{f"jet.{k}": v for k, v in {**jet, **share}.items()},
        **{f"event.{k}": v for k, v in counts.items()},
        "candidate.pid": pid,
        "candidate.pt": median * rng.lognormal(0.0, 0.8, len(pid)),
        **tracks,
    }


def tau_table(rng, number=2000):
    prongs = rng.choice([1, 3], number, p=[1 - taus.THREE_PRONG_SHARE, taus.THREE_PRONG_SHARE])
    pt, mass = rng.uniform(20, 60, number), rng.uniform(0.3, 1.6, number)
    found = np.where(rng.random(number) < 0.85, prongs, prongs - 1)
    return {
        "tau.pt": pt, "tau.mass": mass, "tau.num_prongs": prongs,
        "tau.pf_pt": pt * rng.normal(0.99, 0.08, number), "tau.pf_mass": mass * rng.normal(1.0, 0.1, number), "tau.pf_num_prongs": found,
    }  # fmt: skip


def budget_table(rng, number=200):
    """Half in clusters, the other half invisible."""
    generated = rng.uniform(10.0, 100.0, number)
    items = {item: np.zeros(number) for item in closure.EnergyBudget._fields} | {"clustered": 0.5 * generated, "invisible": 0.5 * generated}
    return {"generated": generated, **items, "accounted": generated}


def all_tables(seed=3, bias=1.0):
    """Tables of every sample of the validation."""
    rng = np.random.default_rng(seed)
    tracks = {f"tracks {particle}": charged_particles(rng, particle) for particle in tracking.PARTICLES}
    budgets = {f"energy of {name}": budget_table(rng) for name in ("photons", "ttbar")}
    collisions = {name: collision_table(rng) for name in jets.SAMPLES}
    return {**calorimeter_tables(rng, bias=bias), **tracks, **collisions, **budgets, "ztautau": tau_table(rng)}
