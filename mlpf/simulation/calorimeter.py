"""Readout: energy spots are summed into cells, cells get noise and lose what is below threshold."""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.simulation.geometry import NUM_CELLS, Geometry, locate
from mlpf.simulation.showers import Spots


class Deposits(NamedTuple):
    """Energy of each particle in each cell it touched, ``(D,)`` each, in particle order.

    Attributes:
        particle, cell: which; every pair appears once.
        energy: sum of the spots [GeV].
    """

    particle: np.ndarray
    cell: np.ndarray
    energy: np.ndarray


class Hits(NamedTuple):
    """Cells that were read out, ``(H,)`` each, by ascending cell number.

    Attributes:
        cell: which.
        energy: measured, with noise [GeV].
        deposited: true energy in the cell [GeV].
    """

    cell: np.ndarray
    energy: np.ndarray
    deposited: np.ndarray


@numba.njit(cache=True)
def _sum_spots(particle: np.ndarray, cell: np.ndarray, energy: np.ndarray, num_cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum the spots of a particle in a cell; spots come in particle order, those outside of all cells (-1) are lost."""
    slot = np.full(num_cells, -1, dtype=np.int64)  # of a cell among the current particle's deposits
    out_particle, out_cell, out_energy = np.empty_like(particle), np.empty_like(cell), np.empty_like(energy)
    count, first = 0, 0
    for k in range(len(particle)):
        if count > first and particle[k] != out_particle[first]:
            slot[out_cell[first:count]] = -1
            first = count
        if cell[k] < 0:
            continue
        if slot[cell[k]] < 0:
            slot[cell[k]] = count
            out_particle[count], out_cell[count], out_energy[count] = particle[k], cell[k], 0.0
            count += 1
        out_energy[slot[cell[k]]] += energy[k]
    return out_particle[:count], out_cell[:count], out_energy[:count]


def deposit(spots: Spots) -> Deposits:
    """Drop spots into cells; those in gaps, beyond the edges or behind the last depth are lost."""
    cell = locate(spots.section, spots.eta, spots.phi, spots.depth)
    return Deposits(*_sum_spots(spots.particle, cell, spots.energy, NUM_CELLS))


def read_out(deposits: Deposits, detector: Geometry, rng: np.random.Generator) -> Hits:
    """Measure every cell that anything touched: true energy plus Gaussian noise, dropped below its zero suppression."""
    true_energy = np.bincount(deposits.cell, weights=deposits.energy, minlength=NUM_CELLS)
    touched = np.flatnonzero(true_energy > 0.0)
    measured = true_energy[touched] + detector.cell_noise[touched] * rng.normal(size=len(touched))
    kept = measured > detector.cell_threshold[touched]
    return Hits(touched[kept], measured[kept], true_energy[touched[kept]])
