#!/usr/bin/env python
"""Measure the simulation and rule-based particle flow on it: `python scripts/validate_simulation.py` prints docs/simulation.md's tables (a minute)."""

import zlib
from collections.abc import Iterator

import numpy as np

from mlpf import schema
from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.events import Events, concatenate, event_index
from mlpf.jets import cluster_jets
from mlpf.metrics.jets import JetSet, compare_jets, generated_jets
from mlpf.schema import CandidateClass, ElementType
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.particles import NEUTRINOS
from mlpf.simulation.simulate import simulate
from mlpf.simulation.tracker import relative_pt_resolution

SEED, NUM_SHOTS, NUM_COLLISIONS = 77, 2000, 600
BARREL, ENDCAP, FORWARD = (0.1, 1.2), (1.7, 2.4), (3.3, 4.7)
CALORIMETERS = (ElementType.ECAL, ElementType.HCAL, ElementType.HFEM, ElementType.HFHAD)
Row = tuple[str, str, str]  # quantity, measured, expected


def shoot(particle: str, energy: float, eta: tuple[float, float]) -> Events:
    """Single particles of about one energy: of one pt, that has this energy in the middle of the range of eta."""
    pt = energy / np.cosh(0.5 * (eta[0] + eta[1]))
    gun = GunConfig(particle=particle, min_pt=pt, max_pt=pt, min_abs_eta=eta[0], max_abs_eta=eta[1])
    seed = zlib.crc32(f"{particle} {energy} {eta}".encode())
    return rule_based_particle_flow(concatenate(list(simulate(SimulationConfig(process="gun", gun=gun), NUM_SHOTS, seed))))


def response(events: Events, collection: str, column: str, chosen: np.ndarray) -> np.ndarray:
    """``(B,)`` summed energy of the chosen objects over that of the particle."""
    found = np.bincount(event_index(events.offsets[collection])[chosen], events[column][chosen], minlength=len(events))
    return found / events["gen_energy"][events.offsets["gen"][:-1]]


def calorimeter_response(events: Events) -> np.ndarray:
    return response(events, "element", "element_corr_energy", np.isin(events["element_type"], CALORIMETERS))


def photons() -> Iterator[Row]:
    for name, eta, (stochastic, noise, constant), energies in (
        ("ECAL barrel", BARREL, (0.028, 0.12, 0.003), (5, 50)),
        ("ECAL endcap", ENDCAP, (0.028, 0.45, 0.003), (5, 50)),
        ("HF", FORWARD, (1.98, 0.0, 0.09), (50, 300)),
    ):
        for energy in energies:
            found = calorimeter_response(shoot("gamma", energy, eta))
            width = np.sqrt(stochastic**2 / energy + (noise / energy) ** 2 + constant**2)
            yield f"photon, {energy} GeV, {name}", f"{found.mean():.3f} ± {found.std():.3f}", f"1 ± {width:.3f}"


def hadrons() -> Iterator[Row]:
    for name, eta, (stochastic, constant) in (("barrel", BARREL, (1.1, 0.09)), ("endcap", ENDCAP, (1.1, 0.09)), ("HF", FORWARD, (2.8, 0.11))):
        for energy in (5, 20, 100):
            found = calorimeter_response(shoot("K0L", energy, eta))
            measured = f"{found.mean():.3f} ± {found.std():.3f}, not seen {100 * np.mean(found == 0):.0f} %"
            yield f"K0L, {energy} GeV, {name}", measured, f"1 ± {np.hypot(stochastic / np.sqrt(energy), constant):.3f}"


def tracks() -> Iterator[Row]:
    for pdgid, particle, pt, eta, expected in (
        (211, "pi", 0.7, BARREL, 0.70), (211, "pi", 20.0, BARREL, 0.95), (211, "pi", 20.0, ENDCAP, 0.85),
        (11, "e", 20.0, BARREL, 0.95), (13, "mu", 20.0, BARREL, 0.99),
    ):  # fmt: skip
        events = shoot(particle, pt * np.cosh(0.5 * sum(eta)), eta)
        track = events["element_type"] == ElementType.TRACK
        inside = np.abs(events["element_eta"][track]) > 0.5 if eta is BARREL else np.ones(track.sum(), dtype=bool)  # one value of the table
        width = np.std(pt / events["element_pt"][track][inside])
        formula = relative_pt_resolution(np.array([pdgid]), np.array([pt]), np.array([eta[1]]))[0]
        name = f"{particle}, pt {pt:g} GeV, {'barrel' if eta is BARREL else 'endcap'}"
        yield f"track efficiency, {name}", f"{track.sum() / len(events):.3f}", f"{expected:.2f}"
        yield f"sigma(1/pt) pt, {name}", f"{width:.4f}", f"{formula:.4f}"


def single_particle_flow() -> Iterator[Row]:
    for particle, energy in (("pi", 20), ("pi", 100), ("K0L", 20), ("gamma", 20), ("e", 20)):
        events = shoot(particle, energy, BARREL)
        everything = np.ones(events.size("pfcandidate"), dtype=bool)
        found = response(events, "pfcandidate", "pfcandidate_energy", everything)
        yield f"{particle}, {energy} GeV, all candidates", f"median {np.median(found):.3f}, mean {found.mean():.3f}", "1"


def jets(events: Events) -> Iterator[Row]:
    found = cluster_jets(*(events[f"pfcandidate_{name}"] for name in ("pt", "eta", "phi", "energy")), events.offsets["pfcandidate"])
    table, _ = compare_jets(generated_jets(events), JetSet(found.pt, found.eta, found.phi, np.zeros(len(found.pt)), found.offsets))
    central = np.abs(table["eta"]) < 2.5
    # CMS, arXiv:1706.04965: resolution 15 to 20 % at 30 GeV, 10 % at 100; the interquartile range of a Gaussian is 1.35 sigma
    for (low, high), expected in zip(((20, 30), (30, 50), (50, 80), (80, 120)), ("0.25", "0.21", "0.17", "0.14"), strict=True):
        wanted = central & (table["pt"] > low) & (table["pt"] < high)
        matched = wanted & (table["delta_r"] < 0.1)
        first, median, third = np.percentile(table["pt_response"][matched], [25, 50, 75])
        measured = f"median {median:.3f}, IQR/median {(third - first) / median:.3f}, matched {matched.sum() / wanted.sum():.3f} of {wanted.sum()}"
        yield f"jets, {low} to {high} GeV", measured, f"CMS: median about 0.9, IQR/median about {expected}"


def composition(events: Events) -> Iterator[Row]:
    for kind in ElementType:
        if count := np.sum(events["element_type"] == kind):
            yield f"{kind.name} elements", f"{count / len(events):.1f}", ""
    stable = events["gen_status"] == 1
    generated = candidate_classes(events["gen_pdgid"][stable], events["gen_charge"][stable])
    true_share = central_share(generated, events["gen_eta"][stable], events["gen_energy"][stable])
    pid = np.abs(events["pfcandidate_pdgid"])
    share = central_share(pid, events["pfcandidate_eta"], events["pfcandidate_energy"])
    for kind in schema.CLASSES:
        if count := np.sum(pid == kind):
            fraction = f", {share[kind]:.3f} of the energy in abs(eta) < 2.5" if kind in share else ""
            yield f"{kind.name.lower()} candidates", f"{count / len(events):.1f}{fraction}", f"{true_share[kind]:.3f} generated" if kind in true_share else ""


def candidate_classes(pdgid: np.ndarray, charge: np.ndarray) -> np.ndarray:
    """Class of each generated particle; 0 for neutrinos."""
    identity = np.abs(pdgid)
    classes = np.where(charge != 0, CandidateClass.CHARGED_HADRON, CandidateClass.NEUTRAL_HADRON)
    return np.where(np.isin(identity, (11, 13, 22)), identity, np.where(np.isin(identity, NEUTRINOS), 0, classes))


def central_share(classes: np.ndarray, eta: np.ndarray, energy: np.ndarray) -> dict[int, float]:
    """Fraction of the visible energy in abs(eta) < 2.5 of each class that has some there."""
    central = (np.abs(eta) < 2.5) & (classes > 0)
    total = energy[central].sum()
    return {int(kind): energy[central & (classes == kind)].sum() / total for kind in np.unique(classes[central])}


def print_table(title: str, rows: Iterator[Row]) -> None:
    print(f"\n| {title} | measured | expected |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def main() -> None:
    print_table("calorimeter response: calibrated energy over true energy, mean ± standard deviation", photons())
    print_table("the same for neutral hadrons", hadrons())
    print_table("tracks", tracks())
    print_table("particle flow, energy over that of the particle, barrel", single_particle_flow())
    collisions = concatenate([rule_based_particle_flow(chunk) for chunk in simulate(SimulationConfig(process="ttbar"), NUM_COLLISIONS, SEED)])
    print_table("rule-based particle flow in ttbar, pt over that of the generated jet, abs(eta) < 2.5", jets(collisions))
    print_table("ttbar, per event", composition(collisions))


if __name__ == "__main__":
    main()
