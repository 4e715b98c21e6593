#!/usr/bin/env python
"""Derive the tables of `mlpf/simulation/calibration.py` from particle guns: `python scripts/derive_calibration.py` (about five minutes on one core).

Prints the tables to paste, and how well single particles close with them. Derive them again after a change of showers, thresholds or clustering.
"""

from typing import NamedTuple

import numpy as np

from mlpf.events import event_index
from mlpf.schema import ElementType
from mlpf.simulation.calibration import HADRON_ENERGY, PHOTON_ENERGY, corrected_energy
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.geometry import LAYER_EB, LAYER_EE, LAYER_HB, LAYER_HE
from mlpf.simulation.simulate import simulate

SEED = 20_000
HALF_WINDOW = 0.12  # particles within 12 % of a table's energy count for it
MAX_ECAL_ENERGY = 0.5  # GeV; hadrons that leave more in the ECAL do not calibrate the HCAL


class Source(NamedTuple):
    """A gun that calibrates a layer; it stays away from the edges of the layer."""

    layer: int
    name: str
    particle: str
    number: int
    eta: tuple[float, float]
    energies: np.ndarray


SOURCES = (
    Source(LAYER_EB, "LAYER_EB", "gamma", 40_000, (0.0, 1.4), PHOTON_ENERGY),
    Source(LAYER_EE, "LAYER_EE", "gamma", 40_000, (1.6, 2.9), PHOTON_ENERGY),
    Source(LAYER_HB, "LAYER_HB", "K0L", 60_000, (0.0, 1.3), HADRON_ENERGY),
    Source(LAYER_HE, "LAYER_HE", "K0L", 60_000, (1.5, 2.8), HADRON_ENERGY),
)


class Shots(NamedTuple):
    """Single particles and the clusters of the calibrated type that they made: true energies; clusters' event, raw energy, layer."""

    true_energy: np.ndarray
    event: np.ndarray
    energy: np.ndarray
    layer: np.ndarray

    def mean_response(self, cluster_energy: np.ndarray, energies: np.ndarray) -> np.ndarray:
        """Mean of found over true energy at each of ``energies``; particles without a cluster count as 0."""
        response = np.bincount(self.event, cluster_energy, minlength=len(self.true_energy)) / self.true_energy
        near = np.abs(np.log(self.true_energy / energies[:, None])) < HALF_WINDOW
        return np.array([np.mean(response[window]) for window in near])


def shoot(source: Source) -> Shots:
    low, high = source.energies[0] * np.exp(-HALF_WINDOW), source.energies[-1] * np.exp(HALF_WINDOW)
    eta = {"min_abs_eta": source.eta[0], "max_abs_eta": source.eta[1]}
    gun = GunConfig(particle=source.particle, min_pt=low / np.cosh(source.eta[1]), max_pt=high / np.cosh(source.eta[0]), **eta)
    config = SimulationConfig(process="gun", gun=gun, vertex_spread_z=0.0, events_per_chunk=2000)
    is_hadron = source.particle == "K0L"
    parts = []
    for chunk in simulate(config, source.number, SEED):
        event = event_index(chunk.offsets["element"])
        ecal, hcal = (chunk["element_type"] == kind for kind in (ElementType.ECAL, ElementType.HCAL))
        in_ecal = np.bincount(event[ecal], chunk["element_energy"][ecal], minlength=len(chunk))
        wanted = in_ecal < MAX_ECAL_ENERGY if is_hadron else np.ones(len(chunk), dtype=bool)
        clusters = (hcal if is_hadron else ecal) & wanted[event]
        number = np.cumsum(wanted) - 1
        parts.append(Shots(chunk["gen_energy"][wanted], number[event[clusters]], chunk["element_energy"][clusters], chunk["element_layer"][clusters]))
    first = np.cumsum([0] + [len(part.true_energy) for part in parts])
    event = [part.event + start for part, start in zip(parts, first[:-1], strict=True)]
    true_energy, energy, layer = (np.concatenate([getattr(part, name) for part in parts]) for name in ("true_energy", "energy", "layer"))
    return Shots(true_energy.astype(float), np.concatenate(event), energy.astype(float), layer)


def main() -> None:
    shots = [shoot(source) for source in SOURCES]
    tables = {}
    for source, shot in zip(SOURCES, shots, strict=True):
        tables[source.layer] = (source.energies, np.round(shot.mean_response(shot.energy, source.energies), 3))
        name = "PHOTON_ENERGY" if source.particle == "gamma" else "HADRON_ENERGY"
        print(f"    {source.name}: ({name}, np.array([{', '.join(f'{value:.3f}' for value in tables[source.layer][1])}])),")
    print("closure (mean corrected over true energy):")
    for source, shot in zip(SOURCES, shots, strict=True):
        closure = shot.mean_response(corrected_energy(shot.energy, shot.layer, tables), source.energies)
        print(f"  {source.name}: " + ", ".join(f"{energy:g} GeV {value:.3f}" for energy, value in zip(source.energies, closure, strict=True)))


if __name__ == "__main__":
    main()
