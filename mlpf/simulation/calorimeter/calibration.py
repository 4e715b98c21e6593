"""Calibration of ECAL clusters as photons, as CMS has it: what the preshower, thresholds and leakage take away on average is given back.

The tables (``calibration.json``, by ``scripts/derive_calibration.py``) hold the response of single photons that reach the ECAL without converting: mean energy
of their clusters, with the weighted energy of the preshower strips in front, over the true energy. A cluster of energy E is divided by the response at the true
energy whose mean is E. No other cluster is calibrated: CMSSW leaves the corrected energy at -1 there, and particle flow calibrates hadrons itself
(`mlpf.classical.calibration`).
"""

import functools
import json
import math
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

from mlpf.kinematics import eta_from_pt_pz
from mlpf.simulation.calorimeter.geometry import LAYER_EB, LAYER_EE, LAYER_PS1, LAYER_PS2
from mlpf.simulation.propagation import ECAL_Z

FILE = Path(__file__).with_name("calibration.json")
FORMAT, VERSION = "mlpf photon calibration", 1
NOT_CALIBRATED = -1.0  # CMSSW, default of reco::CaloCluster
ECAL_STOCHASTIC, ECAL_CONSTANT = 0.028, 0.003  # resolution sqrt(a^2 / E + b^2), CMS test beam, JINST 2 (2007) P04004
MAX_STRIP_DISTANCE = 5.0  # cm on the ECAL's face, from a strip cluster to its ECAL cluster; half a strip is 3 cm long, and a shower some centimetres wide


class PhotonCalibration(NamedTuple):
    """Response by true energy (log-linear between K nodes, constant beyond) in bins of abs(eta) of barrel and endcaps.

    Attributes:
        energy: ``(K,)`` true energies [GeV], growing.
        barrel_eta_edges, endcap_eta_edges: ``(M + 1,)`` edges of the bins, growing; beyond the ends the outermost bins hold.
        barrel_response, endcap_response: ``(M, K)``.
        strip_weights: ``(2,)`` energy in the ECAL that 1 GeV in a PS1 and in a PS2 strip stands for.
    """

    energy: np.ndarray
    barrel_eta_edges: np.ndarray
    barrel_response: np.ndarray
    endcap_eta_edges: np.ndarray
    endcap_response: np.ndarray
    strip_weights: np.ndarray


@functools.cache
def photon_calibration() -> PhotonCalibration:
    """The one of the package."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    assert (content["format"], content["version"]) == (FORMAT, VERSION), f"{FILE} is of another version than this module; derive it again"
    return PhotonCalibration(*(np.array(content[name], dtype=np.float64) for name in PhotonCalibration._fields))


def corrected_energy(
    energy: np.ndarray, layer: np.ndarray, position: np.ndarray, preshower: np.ndarray, calibration: PhotonCalibration | None = None
) -> np.ndarray:
    """Energies of one event's clusters as photons [GeV]; `NOT_CALIBRATED` outside of the ECAL.

    Args:
        energy: ``(C,)`` of all clusters [GeV]. layer: ``(C,)`` PFLayer. position: ``(C, 3)`` [cm].
        preshower: ``(C,)`` energy that the strips in front of them stand for, see `preshower_energy` [GeV].
        calibration: that of the package if None.
    """
    abs_eta = np.abs(eta_from_pt_pz(np.hypot(position[:, 0], position[:, 1]), position[:, 2]))
    return photon_energy(energy + preshower, layer, abs_eta, calibration or photon_calibration())


def preshower_energy(energy: np.ndarray, layer: np.ndarray, position: np.ndarray, calibration: PhotonCalibration | None = None) -> np.ndarray:
    """``(C,)`` energy that the strips in front of each of one event's clusters stand for [GeV]; arguments as of `corrected_energy`."""
    return (calibration or photon_calibration()).strip_weights @ strip_energy(energy, layer, position)


def energy_uncertainty(corrected: np.ndarray) -> np.ndarray:
    """Standard deviation of corrected energies [GeV], by the ECAL's resolution; `NOT_CALIBRATED` for those."""
    energy = np.maximum(corrected, 0.0)
    return np.where(corrected > 0.0, np.hypot(ECAL_STOCHASTIC * np.sqrt(energy), ECAL_CONSTANT * energy), NOT_CALIBRATED)


def photon_energy(energy: np.ndarray, layer: np.ndarray, abs_eta: np.ndarray, calibration: PhotonCalibration) -> np.ndarray:
    """``(C,)`` corrected energies of clusters whose ``energy`` contains that of the strips."""
    corrected = np.full(len(energy), NOT_CALIBRATED)
    for part, edges, table in (
        (LAYER_EB, calibration.barrel_eta_edges, calibration.barrel_response),
        (LAYER_EE, calibration.endcap_eta_edges, calibration.endcap_response),
    ):
        row = np.clip(np.searchsorted(edges, abs_eta, side="right") - 1, 0, len(table) - 1)
        for k, response in enumerate(table):
            inside = (layer == part) & (row == k)
            found = np.log(np.maximum(energy[inside], 1e-6))
            corrected[inside] = energy[inside] / np.exp(np.interp(found, np.log(response * calibration.energy), np.log(response)))
    return corrected


@numba.njit(cache=True)
def strip_energy(energy: np.ndarray, layer: np.ndarray, position: np.ndarray) -> np.ndarray:
    """``(2, C)`` energy in PS1 and PS2 in front of each ECAL cluster: every strip cluster belongs to the nearest one, seen from the origin on the ECAL's face.

    Args:
        energy, layer, position: of all clusters of an event, see `corrected_energy`.
    """
    assigned = np.zeros((2, len(energy)))
    scale = ECAL_Z / np.abs(position[:, 2])
    face_x, face_y = scale * position[:, 0], scale * position[:, 1]
    clusters = np.flatnonzero(layer == LAYER_EE)
    clusters = clusters[np.argsort(face_x[clusters])]
    sorted_x = face_x[clusters]
    for strip in np.flatnonzero((layer == LAYER_PS1) | (layer == LAYER_PS2)):
        low, high = np.searchsorted(sorted_x, face_x[strip] - MAX_STRIP_DISTANCE), np.searchsorted(sorted_x, face_x[strip] + MAX_STRIP_DISTANCE)
        nearest, shortest = -1, MAX_STRIP_DISTANCE
        for cluster in clusters[low:high]:
            distance = math.hypot(face_x[strip] - face_x[cluster], face_y[strip] - face_y[cluster])
            if distance < shortest and position[cluster, 2] * position[strip, 2] > 0.0:
                nearest, shortest = cluster, distance
        if nearest >= 0:
            assigned[0 if layer[strip] == LAYER_PS1 else 1, nearest] += energy[strip]
    return assigned
