import math

import numpy as np
import pytest

from mlpf.simulation.propagation import (
    BARREL,
    ECAL_BARREL_ETA,
    ECAL_RADIUS,
    ECAL_Z,
    ENDCAP,
    FORWARD,
    NOT_REACHED,
    SPEED_OF_LIGHT,
    calorimeter_impacts,
    flight_impacts,
    propagate,
)

HALF_LENGTH = ECAL_RADIUS * math.sinh(ECAL_BARREL_ETA)
SURFACE = (ECAL_RADIUS, HALF_LENGTH, ECAL_Z)


def step_by_step(charge, momentum, position, radius, half_length, endcap_z, field=3.8, step=0.01):
    """Integrate the Lorentz force with small steps (fourth-order Runge-Kutta) until the particle crosses the surface; cm, GeV."""
    bending = charge * 0.00299792458 * field / np.linalg.norm(momentum)  # per cm of path
    direction, length = np.array(momentum) / np.linalg.norm(momentum), 0.0
    position = np.array(position, dtype=float)

    def turn(u):
        return bending * np.array([u[1], -u[0], 0.0])  # u x B, B along +z

    while True:
        k1 = turn(direction)
        k2 = turn(direction + 0.5 * step * k1)
        k3 = turn(direction + 0.5 * step * k2)
        k4 = turn(direction + step * k3)
        new_direction = direction + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        new_position = position + 0.5 * step * (direction + new_direction)
        if (np.hypot(*new_position[:2]) > radius and abs(new_position[2]) <= half_length) or abs(new_position[2]) > endcap_z:
            return new_position, new_direction, length
        position, direction, length = new_position, new_direction, length + step


@pytest.mark.parametrize(
    ("charge", "momentum", "position", "expected"),
    [
        (1, (1.0, 0.3, 0.5), (0.0, 0.0, 0.0), BARREL),
        (-1, (-0.6, 0.9, -0.2), (3.0, -5.0, 12.0), BARREL),
        (1, (0.2, -0.8, 4.0), (0.0, 0.0, -4.0), ENDCAP),
        (-1, (0.3, 0.1, -1.2), (20.0, 30.0, 5.0), ENDCAP),
        (-2, (5.0, 5.0, 1.0), (-40.0, 10.0, 60.0), BARREL),
        (1, (-0.42, 0.0, 0.02), (90.0, 0.0, 0.0), BARREL),  # turns back and leaves on the side it came from
    ],
)
def test_helix_agrees_with_small_steps_along_the_lorentz_force(charge, momentum, position, expected):
    region, x, y, z, phi, length = propagate(charge, *momentum, *position, *SURFACE)
    reference, direction, reference_length = step_by_step(charge, momentum, position, *SURFACE)
    assert region == expected
    assert (x, y, z) == pytest.approx(reference, abs=0.02)
    assert math.cos(phi - math.atan2(direction[1], direction[0])) == pytest.approx(1.0, abs=1e-6)
    assert length == pytest.approx(reference_length, abs=0.02)


def test_a_particle_on_a_circle_through_the_beam_line_lands_where_geometry_says():
    pt = 1.0
    radius = 100 * pt / (0.299792458 * 3.8)  # 87.78 cm
    region, x, y, z, _, length = propagate(1.0, pt, 0.0, 0.0, 0.0, 0.0, 0.0, *SURFACE)
    half_angle = math.asin(ECAL_RADIUS / (2 * radius))  # a chord of length R spans twice this
    assert region == BARREL
    assert math.atan2(y, x) == pytest.approx(-half_angle)  # a positive particle turns clockwise
    assert math.hypot(x, y) == pytest.approx(ECAL_RADIUS)
    assert z == 0.0
    assert length == pytest.approx(2 * radius * half_angle)


@pytest.mark.parametrize(("pt", "reached"), [(0.73, False), (0.74, True)])
def test_central_particles_loop_below_the_momentum_whose_circle_touches_the_ecal(pt, reached):
    # diameter 2 pt / (0.3 B) = 129 cm at pt = 0.7348 GeV
    assert (propagate(1.0, pt, 0.0, 0.01, 0.0, 0.0, 0.0, *SURFACE)[0] != NOT_REACHED) is reached


def test_a_looper_that_needs_more_than_one_turn_does_not_reach_the_endcap():
    turn_length = 2 * math.pi * 0.3 / (0.00299792458 * 3.8)  # transverse, pt = 0.3
    for factor, expected in ((0.99, NOT_REACHED), (1.01, ENDCAP)):
        assert propagate(1.0, 0.3, 0.0, factor * 0.3 * ECAL_Z / turn_length, 0.0, 0.0, 0.0, *SURFACE)[0] == expected


def test_neutral_particles_fly_straight_from_a_displaced_vertex():
    region, x, y, z, _, length = propagate(0.0, 3.0, 4.0, 1.0, 10.0, -20.0, 5.0, *SURFACE)
    flown = np.array([x, y, z]) - [10.0, -20.0, 5.0]
    assert region == BARREL
    assert math.hypot(x, y) == pytest.approx(ECAL_RADIUS)
    assert flown / length == pytest.approx(np.array([3.0, 4.0, 1.0]) / math.sqrt(26))


def test_rotation_and_charge_conjugation_are_symmetries(particles, flights):
    rng = np.random.default_rng(3)
    momentum = rng.normal(size=(200, 3)) * (1.0, 1.0, 3.0)
    charge = rng.choice([-1, 0, 1], 200)
    reference = flight_impacts(flights(particles(211, charge, momentum)))
    angle = 1.234
    turned = momentum @ np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    rotated = flight_impacts(flights(particles(211, charge, turned)))
    mirrored = flight_impacts(flights(particles(211, -charge, momentum * (1.0, -1.0, 1.0))))
    for other, phi in ((rotated, reference.phi + angle), (mirrored, -reference.phi)):
        assert np.array_equal(other.region, reference.region)
        reached = reference.region != NOT_REACHED
        assert other.eta == pytest.approx(reference.eta, abs=1e-9)
        assert np.cos(other.phi - phi)[reached] == pytest.approx(1.0)
        assert np.array_equal(other.enters_hcal, reference.enters_hcal)


def test_prompt_neutral_particles_keep_their_direction_in_every_region(particles, flights):
    eta = np.array([0.3, -1.2, 1.6, -2.7, 3.5, -5.0, 5.5])
    momentum = np.stack([np.cos(0.4 + 0 * eta), np.sin(0.4 + 0 * eta), np.sinh(eta)], axis=1)
    impacts = flight_impacts(flights(particles(22, 0, momentum, mass=0.0)))
    assert impacts.region.tolist() == [BARREL, BARREL, ENDCAP, ENDCAP, FORWARD, FORWARD, NOT_REACHED]
    inside = impacts.region != NOT_REACHED
    assert impacts.eta[inside] == pytest.approx(eta[inside])
    assert impacts.delay[inside] == pytest.approx(0.0, abs=1e-9)
    assert impacts.hcal_eta[:4] == pytest.approx(eta[:4])


def test_slow_particles_arrive_later_than_light():
    momentum, mass = 1.0, 0.938
    impacts = calorimeter_impacts(np.zeros(1), np.array([momentum]), np.zeros(1), np.zeros(1), np.array([math.hypot(momentum, mass)]), np.zeros((3, 1)))
    assert impacts.delay[0] == pytest.approx(ECAL_RADIUS / SPEED_OF_LIGHT * (math.hypot(momentum, mass) - 1.0))


def test_a_particle_that_decays_before_enters_no_calorimeter(particles, flights):
    shot = particles(211, 1, np.array([[5.0, 0.0, 0.0]]))
    assert flight_impacts(flights(shot._replace(ends=np.array([True])))).region[0] == NOT_REACHED


def test_a_soft_track_reaches_the_ecal_but_not_the_hcal(particles, flights):
    # circles of 2 * 87.8 pt: 176 cm of diameter at 1 GeV, between the fronts at 129 and 190 cm
    impacts = flight_impacts(flights(particles(211, 1, np.array([[1.0, 0.0, 0.1], [3.0, 0.0, 0.1]]))))
    assert impacts.region.tolist() == [BARREL, BARREL]
    assert impacts.enters_hcal.tolist() == [False, True]
    assert np.isfinite(impacts.hcal_eta).all()
