"""Edges of the bins in which numbers are claimed: every report has the same ones."""

import numpy as np

PARTICLE_PT = np.array([0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0])  # GeV
PARTICLE_ETA = np.linspace(-5.0, 5.0, 21)
JET_PT = np.array([20.0, 30.0, 50.0, 80.0, 120.0, 200.0, 400.0])  # GeV, of the generated jet
MET = np.array([10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0])  # GeV, generated

RESPONSE = np.linspace(0.0, 2.0, 51)  # histograms; what lies outside is counted in the tails
RESIDUAL = np.linspace(-100.0, 100.0, 41)  # GeV, missing momentum
