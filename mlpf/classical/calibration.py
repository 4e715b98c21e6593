"""Calibration of hadrons: what the clusters of a hadron in ECAL and HCAL say about its energy. Tables from a file; particle flow applies them, as in CMS.

After arXiv:1706.04965, section 3.5.2: E = a(E, eta) E_ECAL + b(E, eta) E_HCAL for hadrons that leave energy in both, E = c(E, eta) E_HCAL for those that leave
none in the ECAL. E_ECAL is the raw energy of the clusters, not that calibrated for photons; E_HCAL contains the HO. The coefficients are tables instead of
functions. The E that they are read at is the momentum of the tracks where there are some, else the solution of the equation itself. Unlike there, what a
hadron leaves in the ECAL without a shower, as a minimum ionising particle, counts as HCAL energy.
"""

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from mlpf.errors import ConfigError

FORMAT, VERSION = "mlpf hadron calibration", 1
DEFAULT_FILE = Path(__file__).with_name("calibration.json")  # of the simulation, by scripts/derive_calibration.py
TABLES = ("ecal", "hcal", "hcal_alone")


class HadronCalibration(NamedTuple):
    """Coefficients by abs(eta), constant in each of M bins, and true energy, linear in its logarithm between K nodes and constant beyond them.

    Attributes:
        energy: ``(K,)`` nodes [GeV], growing.
        min_ecal: less energy in the ECAL [GeV] is no shower.
        eta_edges: ``(M + 1,)`` of the bins of abs(eta), growing; beyond the ends the outermost bins hold.
        ecal, hcal: ``(M, K)`` a and b.
        hcal_alone: ``(M, K)`` c.
    """

    energy: np.ndarray
    min_ecal: float
    eta_edges: np.ndarray
    ecal: np.ndarray
    hcal: np.ndarray
    hcal_alone: np.ndarray


@functools.cache
def default_calibration() -> HadronCalibration:
    """That of the simulated detector, which comes with the package."""
    return read_calibration(DEFAULT_FILE)


def read_calibration(path: str | Path) -> HadronCalibration:
    """Calibration in a JSON file: ``format``, ``version`` and the attributes of `HadronCalibration` as lists; further keys (``made_by``) are for people.

    Raises:
        ConfigError: the file cannot be read or is no such calibration.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the calibration: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ConfigError(f"{path}: not a calibration: expected the key format with the value '{FORMAT}'; see {DEFAULT_FILE.name} in mlpf.classical")
    if content.get("version") != VERSION:
        raise ConfigError(f"{path}: version: {content.get('version')!r} is not {VERSION}, the one that this library reads; derive the calibration again")
    energy, min_ecal, *tables = (_numbers(path, content, name) for name in HadronCalibration._fields)
    if min_ecal.ndim or min_ecal < 0:
        raise ConfigError(f"{path}: min_ecal: expected a number from 0 on, found {content['min_ecal']!r}")
    calibration = HadronCalibration(energy, float(min_ecal), *tables)
    _check(path, calibration)
    return calibration


def _numbers(path: str | Path, content: dict[str, Any], name: str) -> np.ndarray:
    if name not in content:
        raise ConfigError(f"{path}: the key '{name}' is missing (needed: {', '.join(HadronCalibration._fields)})")
    try:
        values = np.array(content[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {name}: expected numbers in lists of equal length") from error
    if not np.isfinite(values).all():
        raise ConfigError(f"{path}: {name}: all values must be finite")
    return values


def _check(path: str | Path, calibration: HadronCalibration) -> None:
    energy, edges = calibration.energy, calibration.eta_edges
    for name, values, fewest in (("energy", energy, 1), ("eta_edges", edges, 2)):
        if values.ndim != 1 or len(values) < fewest or (np.diff(values) <= 0).any() or values[0] < 0:
            raise ConfigError(f"{path}: {name}: expected at least {fewest} growing numbers from 0 on")
    if energy[0] <= 0:
        raise ConfigError(f"{path}: energy: must be positive, found {energy[0]}")
    for name in TABLES:
        table, shape = getattr(calibration, name), (len(edges) - 1, len(energy))
        if table.shape != shape:
            raise ConfigError(f"{path}: {name}: expected {shape[0]} rows (bins of eta_edges) of {shape[1]} numbers (energy), found the shape {table.shape}")
        if (table < 0).any() or (name != "ecal" and (table == 0).any()):
            raise ConfigError(f"{path}: {name}: coefficients must be positive, found {table.min()}")


@numba.njit(cache=True)
def _eta_bin(eta: float, edges: np.ndarray) -> int:
    return min(max(int(np.searchsorted(edges, abs(eta), side="right")) - 1, 0), len(edges) - 2)


@numba.njit(cache=True)
def hadron_scales(energy: float, ecal: float, eta: float, calibration: HadronCalibration) -> tuple[float, float]:
    """What raw ECAL and HCAL energy of a hadron are multiplied with.

    Args:
        energy: of the hadron [GeV], as good as it is known.
        ecal: its raw ECAL energy [GeV].
    """
    nodes, row = calibration.energy, _eta_bin(eta, calibration.eta_edges)
    right = int(np.searchsorted(nodes, energy, side="right"))
    left = max(right - 1, 0)
    right = min(right, len(nodes) - 1)
    weight = np.log(energy / nodes[left]) / np.log(nodes[right] / nodes[left]) if right > left else 0.0
    for_ecal, for_hcal = calibration.ecal, calibration.hcal
    if ecal < calibration.min_ecal:
        for_ecal = for_hcal = calibration.hcal_alone
    ecal_scale = (1.0 - weight) * for_ecal[row, left] + weight * for_ecal[row, right]
    return ecal_scale, (1.0 - weight) * for_hcal[row, left] + weight * for_hcal[row, right]


@numba.njit(cache=True)
def hadron_energy(ecal: float, hcal: float, eta: float, calibration: HadronCalibration) -> float:
    """Energy of a hadron that is known by its clusters alone [GeV]: the E that the coefficients at E make of them.

    Args:
        ecal, hcal: raw energies [GeV].
    """
    nodes, row = calibration.energy, _eta_bin(eta, calibration.eta_edges)
    ecal_scale, hcal_scale = calibration.ecal[row], calibration.hcal[row]
    if ecal < calibration.min_ecal:
        ecal_scale = hcal_scale = calibration.hcal_alone[row]
    calibrated = previous = ecal_scale[0] * ecal + hcal_scale[0] * hcal
    if calibrated <= nodes[0]:
        return calibrated
    for k in range(1, len(nodes)):
        calibrated = ecal_scale[k] * ecal + hcal_scale[k] * hcal
        if calibrated < nodes[k]:  # between the last node, where more was found than it has, and this one: a power law meets E
            above, below = np.log(previous / nodes[k - 1]), np.log(calibrated / nodes[k])
            return nodes[k - 1] * (nodes[k] / nodes[k - 1]) ** (above / (above - below))
        previous = calibrated
    return calibrated


@numba.njit(cache=True)
def hadron_energies(ecal: np.ndarray, hcal: np.ndarray, eta: np.ndarray, calibration: HadronCalibration) -> np.ndarray:
    """``(n,)`` `hadron_energy` of each."""
    energy = np.empty(len(ecal))
    for i in range(len(ecal)):
        energy[i] = hadron_energy(ecal[i], hcal[i], eta[i], calibration)
    return energy
