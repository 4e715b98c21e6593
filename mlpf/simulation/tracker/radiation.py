"""Electrons that radiate on their way through the tracker, as a track fit sees them: a path that bends more and more."""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.simulation.tracker.flights import Flights
from mlpf.simulation.tracker.helix import full_arm

# A fit that does not know of radiation loses the path where the electron gives up a third of its momentum, once there are hits enough for a track
# (arXiv:1706.04965, section 3.2: such tracks have few hits or a large chi2). Where: ours.
BREAKING_LOSS, BREAKING_ARM = 0.3, 0.3
MIN_LEFT = 1e-3  # of its momentum at least is left to an electron at each emission


class Radiation(NamedTuple):
    """What emissions do to the selected particles, ``(S,)`` each.

    Attributes:
        curvature: mean over its arm, relative to that at production.
        final_curvature: at the end of the arm, relative to that at production.
        followed: part of the arm over which a fit without radiation follows the particle.
        followed_curvature: mean over that part.
    """

    curvature: np.ndarray
    final_curvature: np.ndarray
    followed: np.ndarray
    followed_curvature: np.ndarray


@numba.njit(cache=True)
def _weight_behind(part: float) -> float:
    """Weight of what lies behind a point at ``part`` of the arm.

    The curvature of a parabola fitted to equally spaced points is the mean of the true one with weight ``30 s^2 (1 - s)^2``, s from 0 to 1 along the arm.
    """
    s = min(max(part, 0.0), 1.0)
    return 1.0 - s**3 * (10.0 - 15.0 * s + 6.0 * s**2)


@numba.njit(cache=True)
def _radiation(emitter: np.ndarray, part: np.ndarray, lost: np.ndarray, num_selected: int) -> np.ndarray:
    """``(4, S)`` rows of `Radiation`; emitter and part: see `emissions_of`."""
    result = np.ones((4, num_selected))
    for e in range(len(emitter)):
        i = emitter[e]
        if i >= 0 and lost[e] > BREAKING_LOSS and BREAKING_ARM < part[e] < result[2, i]:
            result[2, i] = part[e]
    for e in range(len(emitter)):
        i = emitter[e]
        if i >= 0:
            change = result[1, i] / max(1.0 - lost[e], MIN_LEFT) - result[1, i]
            result[1, i] += change
            result[0, i] += change * _weight_behind(part[e])
            result[3, i] += change * _weight_behind(part[e] / result[2, i])
    return result


def emissions_of(flights: Flights, selected: np.ndarray, arm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(R,)`` which of the selected particles emits, -1 for others; and where on its arm that happens, 0 at production to 1 at the end.

    Args:
        selected: ``(S,)`` particles, each once.
        arm: ``(S,)`` their lever arms, relative to the full one.
    """
    particles, emissions = flights.particles, flights.emissions
    slot, arms = np.full(len(flights.layers), -1, dtype=np.int64), np.ones(len(flights.layers))
    slot[selected], arms[selected] = np.arange(len(selected)), arm
    own = emissions.electron
    length = arms[own] * full_arm(np.hypot(particles.px[own], particles.py[own]), particles.pz[own])
    return slot[own], np.hypot(emissions.x - particles.x[own], emissions.y - particles.y[own]) / length


def find_radiation(flights: Flights, selected: np.ndarray, arm: np.ndarray) -> Radiation:
    """Radiation of the selected particles, whose lever arms ``(S,)`` are given."""
    return Radiation(*_radiation(*emissions_of(flights, selected, arm), flights.emissions.lost, len(selected)))
