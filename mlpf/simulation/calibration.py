"""Calibration of clusters: what thresholds and the hadronic response take away on average is given back.

The tables hold the mean response (measured over true energy, 0 where nothing is found) of single particles without pileup, by
``scripts/derive_calibration.py``: photons for the ECAL, K0L that leave less than 0.5 GeV in the ECAL for the HCAL. A cluster of raw energy E is divided by the
response at the true energy whose mean raw energy is E (log-linear in between, so that more energy stays more). Photons close within 0.2 % from 3 GeV on, such
hadrons within 4 % from 10 GeV on; of softer ones many leave no cluster, which no correction of clusters can give back. The HF needs none.
"""

import numpy as np

from mlpf.simulation.geometry import LAYER_EB, LAYER_EE, LAYER_HB, LAYER_HE

# True energies [GeV] and the mean response there; statistical uncertainty below 0.003 (photons above 2 GeV) and 0.01 (hadrons)
PHOTON_ENERGY = np.array([0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0])
HADRON_ENERGY = PHOTON_ENERGY[2:]
Tables = dict[int, tuple[np.ndarray, np.ndarray]]  # by PFLayer
RESPONSE: Tables = {
    LAYER_EB: (PHOTON_ENERGY, np.array([0.682, 0.886, 0.925, 0.937, 0.954, 0.961, 0.969, 0.980, 0.989, 0.993, 0.996, 0.998])),
    LAYER_EE: (PHOTON_ENERGY, np.array([0.092, 0.587, 0.870, 0.896, 0.921, 0.933, 0.944, 0.963, 0.977, 0.984, 0.990, 0.994])),
    LAYER_HB: (HADRON_ENERGY, np.array([0.106, 0.217, 0.399, 0.511, 0.617, 0.692, 0.756, 0.780, 0.795, 0.798])),
    LAYER_HE: (HADRON_ENERGY, np.array([0.057, 0.130, 0.271, 0.418, 0.535, 0.677, 0.754, 0.782, 0.799, 0.813])),
}


def corrected_energy(energy: np.ndarray, layer: np.ndarray, tables: Tables = RESPONSE) -> np.ndarray:
    """Calibrated energies of clusters [GeV], by their raw energy [GeV] and PFLayer; the response is constant beyond the ends of its table."""
    corrected = np.asarray(energy, dtype=np.float64).copy()
    for table_layer, (true_energy, response) in tables.items():
        inside = layer == table_layer
        corrected[inside] /= np.exp(np.interp(np.log(energy[inside]), np.log(response * true_energy), np.log(response)))
    return corrected
