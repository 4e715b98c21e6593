import numpy as np
import pytest

from mlpf.simulation.tracker.flights import Emissions
from mlpf.simulation.tracker.radiation import emissions_of, find_radiation


def chain(parts, lost):
    """Emissions of one electron along x at parts of the full arm of 110 cm."""
    number = len(parts)
    zeros = np.zeros(number, dtype=np.int64)
    return Emissions(zeros, zeros - 1, np.arange(number), 110.0 * np.asarray(parts), np.zeros(number), np.zeros(number), np.asarray(lost))


def fitted_curvature(parts, lost):
    """Oracle: parabola through 20 000 points of the path, in the small-angle limit."""
    s = np.linspace(0.0, 1.0, 20_001)
    curvature = np.ones_like(s)
    for part, fraction in zip(parts, lost, strict=True):
        curvature[s > part] /= 1.0 - fraction
    slope = np.cumsum(curvature) * (s[1] - s[0])
    path = np.cumsum(slope) * (s[1] - s[0])
    return 2.0 * np.polyfit(s, path, 2)[0]


@pytest.mark.parametrize(("parts", "lost"), [((0.5,), (0.2,)), ((0.1,), (0.6,)), ((0.2, 0.7, 0.9), (0.25, 0.1, 0.29)), ((), ())])
def test_the_mean_curvature_is_that_of_a_fitted_parabola(particles, flights, parts, lost):
    flown = flights(particles(11, -1, np.array([[20.0, 0, 0]])), chain(parts, lost))
    radiation = find_radiation(flown, np.array([0]), np.ones(1))
    assert radiation.curvature[0] == pytest.approx(fitted_curvature(parts, lost), abs=1e-3)
    assert radiation.final_curvature[0] == pytest.approx(1.0 / np.prod(1.0 - np.asarray(lost)))
    assert radiation.followed[0] == 1.0
    assert radiation.followed_curvature[0] == radiation.curvature[0]


def test_a_simple_fit_ends_at_the_first_loss_of_a_third_or_more_after_enough_layers(particles, flights):
    flown = flights(particles(11, -1, np.array([[20.0, 0, 0]])), chain((0.1, 0.4, 0.6, 0.8), (0.5, 0.2, 0.4, 0.5)))
    radiation = find_radiation(flown, np.array([0]), np.ones(1))
    assert radiation.followed[0] == pytest.approx(0.6)
    assert radiation.followed_curvature[0] == pytest.approx(fitted_curvature((0.1 / 0.6, 0.4 / 0.6), (0.5, 0.2)), abs=2e-3)


def test_particles_that_do_not_radiate_are_straight_and_those_not_selected_are_left_out(particles, flights):
    shot = particles([211, 11, 11], [1, -1, -1], np.tile([5.0, 0, 0], (3, 1)))
    flown = flights(shot, chain((0.5,), (0.2,))._replace(electron=np.array([2])))
    radiation = find_radiation(flown, np.array([0, 1]), np.ones(2))
    assert all(np.array_equal(values, np.ones(2)) for values in radiation)
    emitter, part = emissions_of(flown, np.arange(3), np.ones(3))
    assert emitter.tolist() == flown.emissions.electron.tolist()
    assert part == pytest.approx([0.5])
    assert len(find_radiation(flights(shot), np.zeros(0, dtype=np.int64), np.zeros(0)).curvature) == 0
