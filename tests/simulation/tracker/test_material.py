import math

import numpy as np
import pytest

from mlpf.simulation.propagation import BARREL, ECAL_RADIUS, ECAL_Z, ENDCAP
from mlpf.simulation.tracker.material import (
    BUDGET_ETA,
    LAYER_HALF_LENGTH,
    LAYER_RADIUS,
    LAYER_SHARE,
    MAX_SLANT,
    NUCLEAR_LENGTHS,
    NUM_LAYERS,
    RADIATION_LENGTHS,
    crossed_material,
    layers_within,
    material_budget,
)


def straight_crossings(eta):
    """Region and point of each layer on the line from the centre of the detector."""
    for radius, half_length in zip(LAYER_RADIUS, LAYER_HALF_LENGTH, strict=True):
        if radius * abs(math.sinh(eta)) <= half_length:
            yield BARREL, radius, radius * math.sinh(eta)
        else:
            yield ENDCAP, half_length / abs(math.sinh(eta)), math.copysign(half_length, eta)


@pytest.mark.parametrize(("eta", "radiation", "nuclear"), [(0.0, 0.4, 0.12), (1.5, 1.9, 0.5), (2.5, 1.2, 0.35), (4.0, 0.1, 0.03), (math.inf, 0.1, 0.03)])
def test_the_budget_is_the_published_one(eta, radiation, nuclear):
    assert material_budget(eta) == pytest.approx((radiation, nuclear))


def test_the_budget_makes_electrons_radiate_a_third_in_the_centre_and_most_where_the_services_run():
    # means of arXiv:2012.06888: 33 % at |eta| = 0, 86 % at 1.4
    assert 1 - math.exp(-material_budget(0.0)[0]) == pytest.approx(0.33, abs=0.005)
    assert 1 - math.exp(-material_budget(1.4)[0]) == pytest.approx(0.86, abs=0.005)


def test_the_budget_is_linear_between_the_points_of_its_table():
    for eta in np.linspace(0.0, 6.0, 601):
        assert material_budget(eta) == pytest.approx((np.interp(eta, BUDGET_ETA, RADIATION_LENGTHS), np.interp(eta, BUDGET_ETA, NUCLEAR_LENGTHS)))


def test_layers_lie_within_each_other_and_in_front_of_the_ecal():
    assert NUM_LAYERS == len(LAYER_HALF_LENGTH) == len(LAYER_SHARE)
    assert (np.diff(LAYER_RADIUS) > 0).all()
    assert (np.diff(LAYER_HALF_LENGTH) > 0).all()
    assert LAYER_RADIUS[-1] < ECAL_RADIUS
    assert LAYER_HALF_LENGTH[-1] < ECAL_Z
    assert LAYER_SHARE.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("eta", [0.0, -0.7, 1.2, 1.45, -1.6, 2.4, 3.1, -4.5])
def test_a_straight_line_from_the_centre_meets_the_whole_budget(eta):
    crossed = np.zeros(2)
    for layer, (region, rho, z) in enumerate(straight_crossings(eta)):
        crossed += crossed_material(layer, region, rho * math.cos(1.0), rho * math.sin(1.0), z, math.cos(1.0), math.sin(1.0), math.sinh(eta))
    assert crossed == pytest.approx(material_budget(abs(eta)))


def test_slanted_crossings_meet_more_up_to_a_limit():
    straight = np.array(crossed_material(3, BARREL, 16.0, 0.0, 0.0, 5.0, 0.0, 0.0))
    for angle, factor in ((np.pi / 3, 2.0), (-np.pi / 3, 2.0), (1.3, MAX_SLANT), (np.pi / 2, MAX_SLANT)):  # 1 / cos(1.3) = 3.7
        slanted = crossed_material(3, BARREL, 16.0, 0.0, 0.0, 5.0 * np.cos(angle), 5.0 * np.sin(angle), 0.0)
        assert slanted == pytest.approx(factor * straight)
    disc = np.array(crossed_material(3, ENDCAP, 5.0, 0.0, -50.0, 0.1, 0.0, -1.0))
    assert crossed_material(3, ENDCAP, 5.0, 0.0, -50.0, 0.0, 1.0, -1.0) == pytest.approx(disc * math.sqrt(2.0 / 1.01))
    assert crossed_material(3, ENDCAP, 0.0, 0.0, 50.0, 0.0, 0.0, 1.0) == pytest.approx(LAYER_SHARE[3] * np.array([0.1, 0.03]))


def test_layers_within_a_point_are_those_it_has_left_behind():
    points = np.random.default_rng(1).uniform((-115, -115, -290), (115, 115, 290), (500, 3))
    for x, y, z in points:
        inside = (math.hypot(x, y) < LAYER_RADIUS) & (abs(z) < LAYER_HALF_LENGTH)
        assert layers_within(x, y, z) == NUM_LAYERS - inside.sum()
    assert layers_within(0.0, 0.0, 0.0) == 0
