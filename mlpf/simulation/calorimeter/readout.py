"""Readout: energy spots are summed into cells, cells get noise and lose what is below threshold."""

import functools
from typing import NamedTuple

import numba
import numpy as np
from scipy.special import ndtr, ndtri

from mlpf.simulation.calorimeter.cells import READOUT, Geometry, geometry
from mlpf.simulation.calorimeter.geometry import NUM_CELLS, locate
from mlpf.simulation.calorimeter.spots import Spots

MIN_NOISE_HITS = 1e-6  # per event and layer; less is never seen (the preshower)


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
        if cell[k] < 0 or energy[k] <= 0.0:  # a deposit of nothing would have no share in the noise of its cell
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


def join_deposits(first: Deposits, second: Deposits) -> Deposits:
    """Deposits in different detectors, in particle order."""
    order = np.argsort(np.concatenate([first.particle, second.particle]), kind="stable")
    return Deposits._make(np.concatenate(pair)[order] for pair in zip(first, second, strict=True))


class NoiseGroup(NamedTuple):
    """Cells of equal noise and threshold.

    Attributes:
        cells: ``(N,)`` numbers.
        noise: standard deviation [GeV].
        probability: of one of them to be above its zero suppression by noise alone.
    """

    cells: np.ndarray
    noise: float
    probability: float


@functools.cache
def noise_groups() -> tuple[NoiseGroup, ...]:
    """The cells of every layer, as far as they exist and their noise can pass the zero suppression."""
    detector = geometry()
    layer = detector.layer[detector.cell_site]
    groups = []
    for value in np.unique(layer):
        readout = READOUT[int(value)]
        cells = np.flatnonzero((layer == value) & detector.cell_exists)
        groups.append(NoiseGroup(cells, readout.noise, float(ndtr(-readout.zero_suppression / readout.noise))))
    return tuple(group for group in groups if len(group.cells) * group.probability > MIN_NOISE_HITS)


def noise_hits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cells, ascending, that noise alone lifts above their zero suppression in one event, and their energies [GeV].

    The number is drawn first, then the cells, so that no loop over all cells is needed; energies follow the tail of the Gaussian.
    """
    cells, energies = [], []
    for group in noise_groups():
        number = rng.binomial(len(group.cells), group.probability)
        cells.append(group.cells[rng.choice(len(group.cells), number, replace=False, shuffle=False)])
        energies.append(-group.noise * ndtri(group.probability * rng.uniform(size=number)))
    cell, energy = np.concatenate(cells), np.concatenate(energies)
    order = np.argsort(cell)
    return cell[order], energy[order]


def read_out(deposits: Deposits, detector: Geometry, rng: np.random.Generator) -> Hits:
    """Measure all cells: true energy plus Gaussian noise, dropped below the zero suppression."""
    true_energy = np.bincount(deposits.cell, weights=deposits.energy, minlength=NUM_CELLS)
    touched = np.flatnonzero(true_energy > 0.0)
    measured = true_energy[touched] + detector.cell_noise[touched] * rng.normal(size=len(touched))
    kept = measured > detector.cell_threshold[touched]
    noisy, noise = noise_hits(rng)
    untouched = true_energy[noisy] == 0.0
    cell = np.concatenate([touched[kept], noisy[untouched]])
    order = np.argsort(cell)
    return Hits(cell[order], np.concatenate([measured[kept], noise[untouched]])[order], true_energy[cell[order]])
