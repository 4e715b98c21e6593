import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf import kinematics as kin

angles = st.floats(-50, 50)


def test_delta_phi_takes_the_short_way_across_pi():
    assert kin.delta_phi(3.1, -3.1) == pytest.approx(6.2 - 2 * np.pi)  # -0.083, not 6.2


@given(angles, angles)
def test_delta_phi_is_the_angle_between_two_unit_vectors(a, b):
    expected = np.angle(np.exp(1j * (a - b)))
    # +pi and -pi are the same angle
    assert np.cos(kin.delta_phi(a, b) - expected) == pytest.approx(1, abs=1e-12)
    assert -np.pi <= kin.delta_phi(a, b) <= np.pi


def test_wrap_phi_keeps_minus_pi_and_sends_pi_to_minus_pi():
    assert kin.wrap_phi(np.array([-np.pi, 0.5, np.pi, 7 * np.pi / 2])) == pytest.approx([-np.pi, 0.5, -np.pi, -np.pi / 2])


def test_delta_r_is_pythagoras_with_periodic_phi():
    assert kin.delta_r(0.0, np.pi - 0.2, 0.3, -np.pi + 0.2) == pytest.approx(0.5)


@given(st.floats(0.01, 1e4), st.floats(-5, 5), st.floats(-3.1, 3.1))
def test_momentum_and_back(pt, eta, phi):
    pt_back, eta_back, phi_back = kin.pt_eta_phi_from_momentum(*kin.momentum_from_pt_eta_phi(pt, eta, phi))
    assert (pt_back, eta_back, phi_back) == pytest.approx((pt, eta, phi), rel=1e-9, abs=1e-9)


def test_energy_of_a_massive_particle_by_hand():
    # pt 3, pz 4, m 12: |p| = 5, E = 13
    assert kin.energy_from_pt_eta_mass(3.0, np.arcsinh(4 / 3), 12.0) == pytest.approx(13)


def test_eta_along_the_beam_is_infinite_and_of_nothing_zero():
    assert np.array_equal(kin.eta_from_pt_pz(np.zeros(3), np.array([1.0, -1.0, 0.0])), [np.inf, -np.inf, 0])
