"""Fake tracks: hits of several particles that happen to lie on one helix."""

import numpy as np

from mlpf.simulation.tracker.helix import MIN_ARM, SIGMA_ANGLE, HelixFit, at_closest_approach, relative_pt_resolution
from mlpf.simulation.tracker.track_finding import MIN_LAYERS, MIN_TRACK_PT

# Fakes per true track: a constant, and a part that grows with the number of true tracks, as the number of combinations does: 2.5 % with the 1400 of pileup 65.
# Ours, for what CMS calls a few percent of high-purity tracks at such pileup (CMS-DP-2022-018).
FAKE_FRACTION, FAKE_FRACTION_PER_TRACK = 0.005, 1.4e-5
MAX_PT = 100.0  # GeV; the curvature of random combinations is flat, which makes a spectrum 1 / pt^2
MAX_EXTRA_LAYERS = 4  # beyond the smallest number
VERTEX_SPREAD = 0.3  # cm; fakes point less well at the beam
MAX_FAKE_ARM = 0.6


def expected_fakes(num_tracks: int) -> float:
    """Mean number of fakes among that many true tracks."""
    return num_tracks * (FAKE_FRACTION + FAKE_FRACTION_PER_TRACK * num_tracks)


def fake_tracks(true_tracks: HelixFit, rng: np.random.Generator) -> tuple[HelixFit, np.ndarray]:
    """Fakes of an event: polar angle and position along the beam of one true track, azimuth of another, curvature at random.

    Returns:
        helices, and the number of layers with hits of each.
    """
    num_true = len(true_tracks.pt)
    number = int(rng.poisson(expected_fakes(num_true)))
    along, around = rng.integers(0, max(num_true, 1), (2, number))
    pt = MIN_TRACK_PT / rng.uniform(MIN_TRACK_PT / MAX_PT, 1.0, number)
    charge = np.where(rng.random(number) < 0.5, -1, 1)
    layers = MIN_LAYERS + rng.integers(0, MAX_EXTRA_LAYERS + 1, number)
    arm = rng.uniform(MIN_ARM, MAX_FAKE_ARM, number)
    angle_error = np.hypot(SIGMA_ANGLE[0], SIGMA_ANGLE[1] / pt) / arm
    theta = true_tracks.theta[along]
    resolution = relative_pt_resolution(np.full(number, 211), pt, np.arctanh(np.cos(theta)), arm)
    position = (*VERTEX_SPREAD * rng.normal(size=(2, number)), true_tracks.z[along])
    fit = HelixFit(charge, pt, theta, true_tracks.phi[around], resolution * pt, angle_error, angle_error, *position)
    return at_closest_approach(fit), layers
