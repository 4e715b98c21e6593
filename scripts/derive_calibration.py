#!/usr/bin/env python
"""Derive the calibrations of the simulated detector from particle guns: `python scripts/derive_calibration.py [--jobs 2]`, four minutes on two idle cores.

Writes `mlpf/simulation/calorimeter/calibration.json` (ECAL clusters as photons) and `mlpf/classical/calibration.json` (hadrons, for particle flow), and prints
how well other single particles close with them. Run it again after a change of showers, thresholds, clustering or material. Only particles that reach the
calorimeters as they were shot count: photons that did not convert, hadrons that did not interact in the tracker.
"""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlpf.classical.calibration import HadronCalibration
from mlpf.classical.calibration_fit import Hadrons, calibration_json, closure, fit_calibration, unbiased_weights, weights_near, write_calibration
from mlpf.events import Events, event_index
from mlpf.io.files import write_text
from mlpf.io.workers import map_in_order
from mlpf.schema import ElementType
from mlpf.simulation.calorimeter.calibration import FORMAT, VERSION, PhotonCalibration, photon_energy, strip_energy
from mlpf.simulation.calorimeter.geometry import LAYER_EB, LAYER_EE
from mlpf.simulation.config import GunConfig, GunParticle, SimulationConfig
from mlpf.simulation.generation.gun import is_intact
from mlpf.simulation.simulate import simulate

PACKAGE = Path(__file__).parents[1] / "mlpf"
SEED = 20_000
EVENTS_PER_TASK = 500
ENERGY_RANGES = ((1.8, 16.0), (16.0, 650.0))  # GeV; as many particles in the one, where they scatter most, as in the other

PHOTON_NODES = np.array([2.5, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0])  # GeV
BARREL_EDGES = np.array([0.0, 0.8, 1.3, 1.44, 1.479])
ENDCAP_EDGES = np.array([1.479, 1.53, 1.65, 1.8, 2.2, 2.6, 3.0])  # the preshower covers 1.65 to 2.6
HADRON_NODES = np.array([5.0, 7.0, 10.0, 14.0, 22.0, 40.0, 80.0, 200.0, 500.0])  # GeV; below, many leave nothing, and the coefficients stay as they are
MIN_ECAL = 0.5  # GeV; twice the most probable energy of a minimum ionising particle in 23 cm of lead tungstate
HADRON_EDGES = np.array([0.0, 0.9, 1.3, 1.5, 1.74, 2.1, 2.5, 2.85, 3.0])  # HCAL: barrel up to 1.3, endcap from 1.5, wider towers from 1.74, showers leak at 3
CLOSURE_ENERGIES = np.array([5.0, 7.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0])


class Gun(NamedTuple):
    """One kind of particle, shot into each of the slices of abs(eta) and ranges of energy."""

    particle: GunParticle
    edges: np.ndarray
    number: int  # in each
    seed: int


PHOTONS = Gun("gamma", np.array([0.0, 0.4, 0.8, 1.3, 1.43, 1.48, 1.54, 1.65, 1.8, 2.2, 2.6, 2.95]), 2000, SEED)
HADRONS = Gun("K0L", HADRON_EDGES, 4500, SEED + 100)
CHECKS = (Gun("gamma", np.array([0.0, 1.43, 1.54, 1.65, 2.6, 2.95]), 1000, SEED + 200), Gun("K0L", np.array([0.0, 1.3, 1.5, 2.5, 2.85]), 1500, SEED + 300),
          Gun("pi", np.array([0.0, 1.3, 1.5, 2.5, 2.85]), 1500, SEED + 400))  # fmt: skip


class Shots(NamedTuple):
    """Single particles that reach the calorimeters unharmed, and their clusters.

    Attributes:
        energy, abs_eta: ``(n,)`` of the particles.
        hcal: ``(n,)`` energy of all HCAL and HO clusters.
        shot: ``(C,)`` particle of each ECAL cluster. cluster, layer, cluster_eta: its energy, PFLayer and abs(eta). strips: ``(2, C)`` in front of it.
    """

    energy: np.ndarray
    abs_eta: np.ndarray
    hcal: np.ndarray
    shot: np.ndarray
    cluster: np.ndarray
    layer: np.ndarray
    cluster_eta: np.ndarray
    strips: np.ndarray

    def sum(self, values: np.ndarray) -> np.ndarray:
        """``(n,)`` sums over the ECAL clusters of each particle."""
        return np.bincount(self.shot, values, minlength=len(self.energy))


def join(parts: Sequence[Shots]) -> Shots:
    first = np.cumsum([0, *(len(part.energy) for part in parts)])
    parts = [part._replace(shot=part.shot + start) for part, start in zip(parts, first[:-1], strict=True)]
    return Shots(*(np.concatenate(values, axis=-1) for values in zip(*parts, strict=True)))


def shoot(guns: Sequence[Gun], jobs: int) -> list[Shots]:
    """What each of the guns hits."""
    tasks = [(number, task) for number, gun in enumerate(guns) for task in tasks_of(gun)]
    results: list[list[Shots]] = [[] for _ in guns]
    for (number, _), shots in zip(tasks, map_in_order(shoot_some, [task for _, task in tasks], jobs), strict=True):
        results[number].append(shots)
    return [join(parts) for parts in results]


def tasks_of(gun: Gun) -> Iterator[tuple[SimulationConfig, int, int]]:
    for k, ((low, high), (min_energy, max_energy)) in enumerate(itertools.product(itertools.pairwise(gun.edges), ENERGY_RANGES)):
        cosh = np.cosh(0.5 * (low + high))
        shot = GunConfig(particle=gun.particle, min_pt=min_energy / cosh, max_pt=max_energy / cosh, min_abs_eta=low, max_abs_eta=high)
        config = SimulationConfig(process="gun", gun=shot, events_per_chunk=EVENTS_PER_TASK)
        for first in range(0, gun.number, EVENTS_PER_TASK):
            yield config, gun.seed + k, first


def shoot_some(task: tuple[SimulationConfig, int, int]) -> Shots:
    config, seed, first = task
    return join([read_shots(chunk) for chunk in simulate(config, EVENTS_PER_TASK, seed, first)])


def read_shots(chunk: Events) -> Shots:
    intact = np.flatnonzero(is_intact(chunk))
    number = np.full(len(chunk), -1)
    number[intact] = np.arange(len(intact))
    event, kind = event_index(chunk.offsets["element"]), chunk["element_type"]
    position = np.column_stack([chunk[f"element_p{axis}"] for axis in "xyz"]).astype(np.float64)
    energy = chunk["element_energy"].astype(np.float64)
    strips = [strip_energy(energy[part], chunk["element_layer"][part], position[part]) for part in parts(chunk.offsets["element"])]
    own = of_the_particle(chunk)
    hcal = np.bincount(event, energy * (own & np.isin(kind, (ElementType.HCAL, ElementType.HO))), minlength=len(chunk))
    ecal = own & (kind == ElementType.ECAL) & (number[event] >= 0)
    return Shots(
        chunk["gen_energy"][intact].astype(np.float64),
        np.abs(chunk["gen_eta"][intact]).astype(np.float64),
        hcal[intact],
        number[event[ecal]],
        energy[ecal],
        chunk["element_layer"][ecal],
        np.abs(chunk["element_eta"][ecal]).astype(np.float64),
        np.concatenate(strips, axis=1)[:, ecal],
    )


def parts(offsets: np.ndarray) -> list[slice]:
    return [slice(start, stop) for start, stop in itertools.pairwise(offsets)]


def of_the_particle(chunk: Events) -> np.ndarray:
    """``(N,)`` elements that hold some of the particle's energy; the others are noise."""
    own = np.zeros(chunk.size("element"), dtype=bool)
    event = event_index(chunk.offsets["simcluster_to_element"])
    own[chunk.offsets["element"][event] + chunk["simcluster_to_element.second"]] = True
    return own


def fit_photons(shots: Shots) -> PhotonCalibration:
    weights = fit_strip_weights(shots)
    energy = shots.cluster + weights @ shots.strips
    calibration = PhotonCalibration(
        PHOTON_NODES, BARREL_EDGES, np.ones((len(BARREL_EDGES) - 1, len(PHOTON_NODES))),
        ENDCAP_EDGES, np.ones((len(ENDCAP_EDGES) - 1, len(PHOTON_NODES))), weights,
    )  # fmt: skip
    leading = leading_cluster(shots)
    found = leading >= 0
    for _ in range(4):  # a photon of several clusters is corrected cluster by cluster
        corrected = photon_energy(energy, shots.layer, shots.cluster_eta, calibration)
        response = shots.sum(corrected) / shots.energy
        for part, edges, table in ((LAYER_EB, BARREL_EDGES, calibration.barrel_response), (LAYER_EE, ENDCAP_EDGES, calibration.endcap_response)):
            for row in range(len(table)):
                eta = shots.cluster_eta[leading]
                inside = found & (shots.layer[leading] == part) & (eta >= edges[row]) & (eta < edges[row + 1])
                for k, node in enumerate(PHOTON_NODES):
                    table[row, k] *= np.average(response[inside], weights=weights_near(node, shots.energy[inside]))
    return calibration


def fit_strip_weights(shots: Shots) -> np.ndarray:
    """What makes the energy of photons in front of which the preshower lies scatter least; 0 without strips."""
    sums = np.column_stack([shots.sum(values) for values in (shots.cluster, *shots.strips)])
    inside = sums[:, 1:].all(axis=1)
    if not inside.any():
        return np.zeros(2)
    found = []
    for low, high in itertools.pairwise(PHOTON_NODES[1:]):
        chosen = inside & (shots.energy > low) & (shots.energy < high)
        weights = unbiased_weights(sums[chosen] / shots.energy[chosen, None], np.ones(chosen.sum()))
        found.append(weights[1:] / weights[0])
    return np.round(np.median(found, axis=0), 1)


def leading_cluster(shots: Shots) -> np.ndarray:
    """``(n,)`` most energetic ECAL cluster of each particle, -1 if it has none."""
    leading = np.full(len(shots.energy), -1)
    order = np.argsort(shots.cluster, kind="stable")
    leading[shots.shot[order]] = order  # the last one written stays
    return leading


def hadrons_of(shots: Shots) -> Hadrons:
    return Hadrons(shots.energy, shots.abs_eta, shots.sum(shots.cluster), shots.hcal)


def print_photons(gun: Gun, shots: Shots, calibration: PhotonCalibration) -> None:
    energy = shots.cluster + calibration.strip_weights @ shots.strips
    response = shots.sum(photon_energy(energy, shots.layer, shots.cluster_eta, calibration)) / shots.energy
    print_closure("gamma, corrected over true energy of those with an ECAL cluster", gun, shots, response, response > 0)


def print_hadrons(gun: Gun, shots: Shots, calibration: HadronCalibration) -> None:
    hadrons = hadrons_of(shots)
    title = f"{gun.particle}, calibrated over true energy of those with an HCAL cluster"
    print_closure(title, gun, shots, closure(calibration, hadrons), hadrons.hcal > 0)
    for name, chosen in (("with an ECAL cluster alone", (hadrons.ecal > 0) & (hadrons.hcal == 0)), ("without any", (hadrons.ecal == 0) & (hadrons.hcal == 0))):
        print_closure(f"{gun.particle}, fraction {name}", gun, shots, chosen.astype(float), np.ones(len(chosen), dtype=bool))


def print_closure(title: str, gun: Gun, shots: Shots, values: np.ndarray, chosen: np.ndarray) -> None:
    """Means, with their statistical uncertainty, by energy and abs(eta)."""
    print(f"\n{title}\n{'abs(eta)':<12}" + "".join(f"{f'{low:g}-{high:g} GeV':>16}" for low, high in itertools.pairwise(CLOSURE_ENERGIES)))
    for low_eta, high_eta in itertools.pairwise(gun.edges):
        row = f"{f'{low_eta:g}-{high_eta:g}':<12}"
        for low, high in itertools.pairwise(CLOSURE_ENERGIES):
            own = values[chosen & (shots.abs_eta >= low_eta) & (shots.abs_eta < high_eta) & (shots.energy >= low) & (shots.energy < high)]
            row += f"{f'{own.mean():.3f} +- {own.std() / np.sqrt(len(own)):.3f}' if len(own) else '-':>16}"
        print(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--output-folder", type=Path, default=PACKAGE, help="receives simulation/calorimeter/calibration.json and classical/calibration.json")
    options = parser.parse_args()
    start = time.monotonic()
    photons, hadrons, *checks = shoot((PHOTONS, HADRONS, *CHECKS), options.jobs)
    photon_calibration, hadron_calibration = fit_photons(photons), fit_calibration(hadrons_of(hadrons), HADRON_NODES, MIN_ECAL, HADRON_EDGES)
    made_by = {"command": "python scripts/derive_calibration.py", "mlpf": version("mlpf")}
    head = {"format": FORMAT, "version": VERSION, "made_by": made_by | provenance(PHOTONS, photons)}
    write_text(options.output_folder / "simulation" / "calorimeter" / "calibration.json", calibration_json(head, photon_calibration._asdict()))
    write_calibration(options.output_folder / "classical" / "calibration.json", hadron_calibration, made_by | provenance(HADRONS, hadrons))
    for gun, shots in zip(CHECKS, checks, strict=True):
        if gun.particle == "gamma":
            print_photons(gun, shots, photon_calibration)
        else:
            print_hadrons(gun, shots, hadron_calibration)
    print(f"\nwrote {options.output_folder}/simulation/calorimeter/calibration.json and classical/calibration.json after {time.monotonic() - start:.0f} s")


def provenance(gun: Gun, shots: Shots) -> dict[str, object]:
    places = (len(gun.edges) - 1) * len(ENERGY_RANGES)
    return {"particle": gun.particle, "seeds": [gun.seed, gun.seed + places - 1], "shot": gun.number * places, "used": len(shots.energy)}


if __name__ == "__main__":
    main()
