import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlpf.kinematics import delta_r
from mlpf.simulation.propagation import advance
from mlpf.simulation.tracker.track_finding import count_neighbors, crowding, hadron_survival, is_seeded, leaves_hits, tracking_efficiency


def test_only_charged_particles_inside_the_acceptance_leave_hits(particles, flights):
    momentum = np.array([[1.0, 0, 0], [1.0, 0, 0], [0.05, 0, 0], [1.0, 0, np.sinh(2.6)], [1.0, 0, 0]])
    position = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [61.0, 0, 0]])
    flown = flights(particles(211, [1, 0, 1, 1, 1], momentum, position))
    assert leaves_hits(flown).tolist() == [True, False, False, False, False]
    assert not leaves_hits(flown._replace(layers=np.zeros(5, dtype=np.int64))).any()


def test_efficiency_falls_linearly_with_the_production_radius_and_needs_four_layers(particles, flights):
    momentum, position = np.tile([5.0, 0.0, 0.0], (4, 1)), np.array([[0.0, 0, 0], [15.0, 0, 0], [45.0, 0, 0], [59.9, 0, 0]])
    shot = particles(13, 1, momentum, position)
    assert tracking_efficiency(flights(shot)) == pytest.approx(0.99 * np.array([1.0, 0.75, 0.25, 0.1 / 60]))
    # layers at 2.9, 6.8, 10.9, 16.0, 25.5, 33.9, 41.9, 49.8, 60.8 cm
    ended = shot._replace(ends=np.ones(4, dtype=bool), end_x=np.array([15.9, 50.0, 70.0, 100.0]))
    assert (tracking_efficiency(flights(ended)) > 0).tolist() == [False, True, False, True]


def test_tracks_begin_where_seeds_are_looked_for(particles):
    """Closest approach to the beam by flying along many small steps, backwards (the other charge in the other direction) and forwards."""
    rng = np.random.default_rng(4)
    momentum = np.concatenate([rng.normal(0.0, 0.4, (150, 2)), rng.normal(0.0, 0.6, (150, 1))], axis=1)
    momentum[:, :2] += 0.3 * np.sign(momentum[:, :2])
    position = rng.normal(0.0, [6.0, 6.0, 15.0], (150, 3))
    shot = particles(211, rng.choice([-1, 1], 150), momentum, position)
    expected = []
    for charge, p, start in zip(shot.charge.tolist(), momentum, position, strict=True):
        quarter = 0.5 * np.pi * np.hypot(p[0], p[1]) / (0.00299792458 * 3.8)
        back = [advance(-charge, *-p, *start, length)[:3] for length in np.linspace(0.0, 2 * quarter, 2000)]
        path = np.array([*back, *(advance(charge, *p, *start, length)[:3] for length in np.linspace(0.0, 2 * quarter, 2000))])
        closest = path[np.argmin(np.hypot(path[:, 0], path[:, 1]))]
        expected.append(bool(np.hypot(closest[0], closest[1]) < 6.0 and abs(closest[2]) < 30.0))
    assert 30 < sum(expected) < 120
    assert is_seeded(shot).tolist() == expected


def test_strips_alone_seed_no_softer_track_than_04_gev(particles):
    position = np.array([[15.9, 0.0, 0.0], [16.1, 0.0, 0.0], [16.1, 0.0, 0.0]])
    assert is_seeded(particles(211, 1, np.array([[0.39, 0, 0], [0.39, 0, 0], [0.41, 0, 0]]), position)).tolist() == [True, False, True]


def test_hadrons_that_survive_make_up_for_those_that_interact(particles, flights):
    """Hand arithmetic: at eta 0 there are 0.12 nuclear lengths, 18 % of them in four layers; over the barrel about 4 % interact there."""
    assert hadron_survival()[0] == pytest.approx(0.957, abs=0.005)
    assert hadron_survival()[1] == pytest.approx(0.93, abs=0.01)
    shot = particles(211, 1, np.array([[5.0, 0.0, 0.0]]))
    assert tracking_efficiency(flights(shot))[0] == pytest.approx(0.95 / hadron_survival()[0])


def test_a_dense_core_loses_three_percent_for_each_neighbour(particles, flights):
    spread = np.linspace(0.0, 0.004, 6)  # all within 0.02 of each other
    momentum = 100.0 * np.stack([np.cos(spread), np.sin(spread), 0.1 * spread], axis=1)
    alone = 100.0 * np.array([[-1.0, 0.0, 0.0]])
    shot = particles(13, 1, np.concatenate([momentum, alone]))
    assert crowding(shot, leaves_hits(flights(shot))).tolist() == [5] * 6 + [0]
    assert tracking_efficiency(flights(shot)) == pytest.approx(0.99 * np.array([0.97**5] * 6 + [1.0]))


def test_particles_of_other_collisions_and_from_behind_the_pixels_do_not_crowd(particles, flights):
    momentum = np.tile([50.0, 0.0, 0.0], (3, 1))
    shot = particles(211, 1, momentum, np.array([[0.0, 0, 0], [0, 0, 1.0], [20.0, 0, 0]]))  # 1 cm along the beam is 0.14 at 7 cm
    assert crowding(shot, leaves_hits(flights(shot))).tolist() == [0, 0, 0]


@hypothesis_settings(deadline=None, max_examples=50)
@given(st.integers(0, 60), st.integers(0, 2**31), st.sampled_from([0.01, 0.2, 1.0]))
def test_neighbours_are_counted_as_by_looking_at_all_pairs(number, seed, radius):
    rng = np.random.default_rng(seed)
    eta, phi = rng.uniform(-1, 1, number), rng.choice([-3.1, 3.1, 0.2], number) + rng.normal(0, 0.1, number)
    near = delta_r(eta[:, None], phi[:, None], eta, phi) < radius
    assert count_neighbors(eta, phi, radius).tolist() == (near.sum(axis=1) - 1).tolist() if number else True
