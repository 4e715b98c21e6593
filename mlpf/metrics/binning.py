"""Edges of the bins in which numbers are claimed: every report has the same ones. And the fine bins that quantiles are taken from."""

import numpy as np

from mlpf.metrics.quantiles import Grid

PARTICLE_PT = np.array([0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0])  # GeV
PARTICLE_ETA = np.linspace(-5.0, 5.0, 21)
JET_PT = np.array([20.0, 30.0, 50.0, 80.0, 120.0, 200.0, 400.0])  # GeV
JET_ETA = np.array([-5.0, -4.0, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0])
MET = np.array([10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0])  # GeV, generated
VERTICES = np.array([0.0, 1.0, 20.0, 40.0, 60.0, 80.0, 100.0, 140.0, 200.0, 300.0])  # pileup collisions; the first bin is none

RESPONSE = np.linspace(0.0, 2.0, 51)  # histograms; what lies outside is counted in the tails
RESIDUAL = np.linspace(-100.0, 100.0, 41)  # GeV, missing momentum

FINE_RESPONSE = Grid(center=1.0, scale=1e-3, largest=10.0, step=0.01)  # 1e-5 wide at 1: tracks have 1e-3 and more
FINE_ANGLE = Grid(center=0.0, scale=1e-3, largest=10.0, step=0.005)  # 5e-6 wide at 0: tracks have 1e-4 and more
FINE_MOMENTUM = Grid(center=0.0, scale=0.1, largest=1e4, step=0.005)  # GeV, 5e-4 wide at 0 and .05 at 10, the width of missing momentum
FINE_NUMBER = Grid(center=0.0, scale=1.0, largest=1e5, step=0.005)  # whole numbers up to 200 have a bin each


def bin_index(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """``(N,) int64``: i + 1 where ``edges[i] <= x < edges[i + 1]``, 0 below the first edge, ``len(edges)`` from the last on and for NaN."""
    return np.digitize(x, edges)
