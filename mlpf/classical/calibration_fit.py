"""Derive a hadron calibration from single hadrons of known energy.

Coefficients are those that are right on average for hadrons of one true energy and scatter least: with x = (E_ECAL, E_HCAL) / E, of mean m and covariance S,
the weights w that minimise w S w under w m = 1. (A chi^2 against the true energy, without that condition, would pull all energies to the mean.) In a second
step they are scaled until the energies that `hadron_energy` finds without knowing the true one are right on average at every node: fluctuations of the
clusters move the energy at which the coefficients are read, which costs up to a tenth below 10 GeV.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlpf.classical.calibration import FORMAT, TABLES, VERSION, HadronCalibration, hadron_energies
from mlpf.io.files import write_text

KERNEL = 0.25  # Gaussian width, in the logarithm of the energy, of the particles that count for a node
MIN_EFFECTIVE = 30.0  # sum of weights; a class of hadrons with fewer at a node takes the coefficients of the next higher node
NUM_ITERATIONS = 3  # more make neighbouring nodes differ ever more, in opposite ways, for nothing


class Hadrons(NamedTuple):
    """``(n,)`` single hadrons each: true energy [GeV], abs(eta), raw energy of all their clusters in the ECAL and in HCAL and HO [GeV]."""

    energy: np.ndarray
    abs_eta: np.ndarray
    ecal: np.ndarray
    hcal: np.ndarray

    def having(self, mask: np.ndarray) -> "Hadrons":
        """Those of a mask."""
        return Hadrons(*(values[mask] for values in self))


def unbiased_weights(responses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The combination of several measurements that is right on average and scatters least; no measurement counts negatively.

    Args:
        responses: ``(n, D)`` measured over true value.
        weights: ``(n,)`` of the cases.

    Returns:
        ``(D,)`` w with sum_d w_d mean(responses_d) = 1.
    """
    mean = np.average(responses, axis=0, weights=weights)
    covariance = np.atleast_2d(np.cov(responses.T, aweights=weights, ddof=0))
    combined = np.linalg.lstsq(covariance, mean, rcond=1e-9)[0]
    if (combined @ mean <= 0.0) or (combined < 0.0).any():
        combined = np.ones_like(mean)  # the plain sum
    return combined / (combined @ mean)


def weights_near(node: float, energy: np.ndarray) -> np.ndarray:
    """``(n,)`` how much particles of these true energies [GeV] count for a node."""
    return np.exp(-0.5 * (np.log(energy / node) / KERNEL) ** 2)


def fit_calibration(hadrons: Hadrons, energy: np.ndarray, min_ecal: float, eta_edges: np.ndarray) -> HadronCalibration:
    """Coefficients at the nodes ``energy`` [GeV] in the bins of abs(eta); hadrons without energy in the HCAL do not count."""
    hadrons = hadrons.having(hadrons.hcal > 0.0)
    calibration = HadronCalibration(energy, min_ecal, eta_edges, *(np.ones((len(eta_edges) - 1, len(energy))) for _ in TABLES))
    for row in range(len(eta_edges) - 1):
        own = hadrons.having((hadrons.abs_eta >= eta_edges[row]) & (hadrons.abs_eta < eta_edges[row + 1]))
        both, alone = own.having(own.ecal >= min_ecal), _as_hcal_alone(own.having(own.ecal < min_ecal))
        for k in reversed(range(len(energy))):
            last = min(k + 1, len(energy) - 1)
            calibration.ecal[row, k], calibration.hcal[row, k] = _coefficients(both, energy[k], (calibration.ecal[row, last], calibration.hcal[row, last]))
            calibration.hcal_alone[row, k] = _coefficients(alone, energy[k], (0.0, calibration.hcal_alone[row, last]))[1]
    for _ in range(NUM_ITERATIONS):
        _scale(calibration, hadrons)
    return calibration


def closure(calibration: HadronCalibration, hadrons: Hadrons) -> np.ndarray:
    """``(n,)`` calibrated over true energy."""
    return hadron_energies(hadrons.ecal, hadrons.hcal, hadrons.abs_eta, calibration) / hadrons.energy


def write_calibration(path: str | Path, calibration: HadronCalibration, made_by: dict[str, Any]) -> None:
    """Write the JSON file that `read_calibration` reads, coefficients with four digits, with what made it under ``made_by``."""
    write_text(path, calibration_json({"format": FORMAT, "version": VERSION, "made_by": made_by}, calibration._asdict()))


def calibration_json(head: dict[str, Any], tables: dict[str, Any]) -> str:
    """JSON with one row of numbers a line, so that a person and a diff can read it."""
    lines = [f'  "{name}": {json.dumps(value)}' for name, value in head.items()]
    for name, values in tables.items():
        rounded = np.round(values, 4).tolist()
        is_table = isinstance(rounded, list) and rounded and isinstance(rounded[0], list)
        text = "[\n    " + ",\n    ".join(json.dumps(row) for row in rounded) + "\n  ]" if is_table else json.dumps(rounded)
        lines.append(f'  "{name}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _as_hcal_alone(hadrons: Hadrons) -> Hadrons:
    return hadrons._replace(ecal=np.zeros(len(hadrons.ecal)), hcal=hadrons.hcal + hadrons.ecal)


def _coefficients(hadrons: Hadrons, energy: float, otherwise: tuple[float, float]) -> tuple[float, float]:
    """Of the ECAL (0 where no hadron has energy in it) and the HCAL."""
    weights = weights_near(energy, hadrons.energy)
    if weights.sum() < MIN_EFFECTIVE:
        return otherwise
    response = np.column_stack([hadrons.ecal, hadrons.hcal]) / hadrons.energy[:, None]
    used = response.any(axis=0)
    found = np.zeros(2)
    found[used] = unbiased_weights(response[:, used], weights)
    return float(found[0]), float(found[1])


def _scale(calibration: HadronCalibration, hadrons: Hadrons) -> None:
    """Divide the coefficients by the closure at their nodes."""
    response = closure(calibration, hadrons)
    for row in range(len(calibration.eta_edges) - 1):
        inside = (hadrons.abs_eta >= calibration.eta_edges[row]) & (hadrons.abs_eta < calibration.eta_edges[row + 1])
        for has_ecal, tables in ((True, (calibration.ecal, calibration.hcal)), (False, (calibration.hcal_alone,))):
            chosen = inside & ((hadrons.ecal >= calibration.min_ecal) == has_ecal)
            own, found = hadrons.having(chosen), response[chosen]
            for k, energy in enumerate(calibration.energy):
                weights = weights_near(energy, own.energy)
                if weights.sum() >= MIN_EFFECTIVE:
                    for table in tables:
                        table[row, k] /= np.average(found, weights=weights)
