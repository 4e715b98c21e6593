"""Calibration of clusters: what thresholds and the hadronic response take away on average is given back.

The tables hold the mean response (measured over true energy, 0 where nothing is found) of single particles without pileup, from the guns of this package
(the tests close them): photons for the ECAL, K0L that leave less than 0.5 GeV in the ECAL for the HCAL. A cluster of raw energy E is divided by the
response at the true energy whose mean raw energy is E (log-linear in between, so that more energy stays more). The HF needs none.
"""

import numpy as np

from mlpf.simulation.geometry import LAYER_EB, LAYER_EE, LAYER_HB, LAYER_HE

# True energies [GeV] and the mean response there; statistical uncertainty 0.002 (photons above 2 GeV) and 0.01 (hadrons)
_PHOTON_ENERGY = np.array([0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0])
_HADRON_ENERGY = _PHOTON_ENERGY[2:]
RESPONSE: dict[int, tuple[np.ndarray, np.ndarray]] = {
    LAYER_EB: (_PHOTON_ENERGY, np.array([0.670, 0.875, 0.925, 0.937, 0.954, 0.961, 0.970, 0.980, 0.988, 0.993, 0.996, 0.998])),
    LAYER_EE: (_PHOTON_ENERGY, np.array([0.045, 0.543, 0.871, 0.901, 0.922, 0.934, 0.942, 0.964, 0.977, 0.985, 0.989, 0.994])),
    LAYER_HB: (_HADRON_ENERGY, np.array([0.107, 0.187, 0.389, 0.498, 0.588, 0.699, 0.757, 0.779, 0.798, 0.805])),
    LAYER_HE: (_HADRON_ENERGY, np.array([0.046, 0.112, 0.276, 0.401, 0.530, 0.671, 0.760, 0.780, 0.797, 0.807])),
}


def corrected_energy(energy: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Calibrated energies of clusters [GeV], by their raw energy [GeV] and PFLayer; the response is constant beyond the ends of its table."""
    corrected = np.asarray(energy, dtype=np.float64).copy()
    for table_layer, (true_energy, response) in RESPONSE.items():
        inside = layer == table_layer
        corrected[inside] /= np.exp(np.interp(np.log(energy[inside]), np.log(response * true_energy), np.log(response)))
    return corrected
