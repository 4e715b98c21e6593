"""Energy budget: where the energy of the generated particles went, item by item."""

from typing import NamedTuple

import numpy as np

from mlpf.simulation.calorimeter.calorimetry import Calorimetry, arriving_energy
from mlpf.simulation.calorimeter.cells import geometry
from mlpf.simulation.calorimeter.geometry import LAYER_PS1, LAYER_PS2
from mlpf.simulation.calorimeter.showers import MIN_ENERGY, hadron_response
from mlpf.simulation.detector import Detected
from mlpf.simulation.particles import EM, HADRON, INVISIBLE, MUON, available_energy, interaction_kind
from mlpf.simulation.propagation import FORWARD, NOT_REACHED
from mlpf.simulation.tracker.flights import Flights


class EnergyBudget(NamedTuple):
    """Of one event [GeV]. All items but ``noise`` add up to the energy of the particles from all its collisions.

    Attributes:
        rest_mass: mass of baryons, which no shower frees; negative for antibaryons, which annihilate.
        tracker: left in the tracker's material, and freed or bound as mass by decays and interactions there; of pileup also what decays take beyond the HF,
            which is not in its pool.
        neutrinos: taken away by neutrinos.
        unreached: of particles outside of all calorimeters, or that the field keeps away from them.
        muons: taken away by muons.
        stopped: of particles too soft to be seen.
        preshower: left in its lead.
        invisible: mean energy that hadronic showers do not show.
        fluctuations: what is missing to the mean visible energy: resolution; on average 0.
        leaked: visible, but in gaps, in the coil or behind the last depth.
        suppressed: in cells below their zero suppression.
        unclustered: in hits of no cluster.
        clustered: in clusters.
        noise: what electronics noise adds to the clusters.
    """

    rest_mass: float
    tracker: float
    neutrinos: float
    unreached: float
    muons: float
    stopped: float
    preshower: float
    invisible: float
    fluctuations: float
    leaked: float
    suppressed: float
    unclustered: float
    clustered: float
    noise: float

    @property
    def accounted(self) -> float:
        """Sum of all items but the noise."""
        return sum(self) - self.noise

    @property
    def measured(self) -> float:
        """Energy of the clusters of ECAL, HCAL, HO and HF."""
        return self.clustered + self.noise


def energy_budget(detected: Detected) -> EnergyBudget:
    """Itemise the energy of one event."""
    flights, calorimetry = detected.flights, detected.calorimetry
    own = flights.particles.parent < 0
    freed = available_energy(flights.particles)[own].sum()
    final = np.where(flights.particles.ends, 0.0, arriving_energy(flights))
    before_cells = _before_cells(flights, final, calorimetry)
    return EnergyBudget(
        rest_mass=float(flights.particles.energy[own].sum() - freed), tracker=float(freed - final.sum()), **before_cells, **_in_cells(calorimetry)
    )


def generated_energy(flights: Flights) -> float:
    """Energy of all particles from the collisions [GeV]."""
    return float(flights.particles.energy[flights.particles.parent < 0].sum())


def _before_cells(flights: Flights, final: np.ndarray, calorimetry: Calorimetry) -> dict[str, float]:
    """Items of the particles that leave the tracker, with ``(P,)`` final energy, up to the visible energy of their showers."""
    kind, region = interaction_kind(flights.particles.pdgid), calorimetry.impacts.region
    visible = np.bincount(calorimetry.spots.particle, weights=calorimetry.spots.energy, minlength=len(final))
    arriving = final - calorimetry.absorbed
    invisible_kind, unreached = kind == INVISIBLE, (kind != INVISIBLE) & (region == NOT_REACHED)
    muon, em, hadron = ((kind == k) & ~unreached for k in (MUON, EM, HADRON))
    stopped = (em | hadron) & (arriving < MIN_ENERGY)
    showers, central_hadron = (em | hadron) & ~stopped, hadron & ~stopped & (region != FORWARD)
    mean_visible = arriving.copy()
    mean_visible[central_hadron] *= [hadron_response(energy) for energy in arriving[central_hadron]]
    return {
        "neutrinos": float(final[invisible_kind].sum()),
        "unreached": float(final[unreached].sum()),
        "muons": float((arriving - visible)[muon].sum()),
        "stopped": float(arriving[stopped].sum()),
        "preshower": float(calorimetry.absorbed.sum()),
        "invisible": float((arriving - mean_visible)[showers].sum()),
        "fluctuations": float((mean_visible - visible)[showers].sum()),
    }


def _in_cells(calorimetry: Calorimetry) -> dict[str, float]:
    """Items of the visible energy."""
    detector, deposits, hits = geometry(), calorimetry.deposits, calorimetry.hits
    is_strip = np.isin(detector.layer[detector.cell_site], (LAYER_PS1, LAYER_PS2))
    deposited = deposits.energy[~is_strip[deposits.cell]].sum()
    counts = ~is_strip[hits.cell]
    fraction = np.bincount(calorimetry.cluster_hits.hit, weights=calorimetry.cluster_hits.fraction, minlength=len(hits.cell))
    read = hits.deposited[counts].sum()
    clustered = (hits.deposited * fraction)[counts].sum()
    return {
        "leaked": float(calorimetry.spots.energy.sum() - deposited),
        "suppressed": float(deposited - read),
        "unclustered": float(read - clustered),
        "clustered": float(clustered),
        "noise": float(((hits.energy - hits.deposited) * fraction)[counts].sum()),
    }
