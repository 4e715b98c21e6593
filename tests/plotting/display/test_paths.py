import numpy as np
import pytest
from scipy.integrate import solve_ivp

from mlpf.plotting.display.paths import cluster_positions, fly, project, rims
from mlpf.schema import ElementType

MOMENTUM = 0.299792458  # GeV per (T m): p = 0.3 B R


def lorentz(pt, eta, phi, charge, vertex, path):
    """Positions [cm] along a path of a given length [cm], by integrating d(direction)/ds = q / p direction x B."""
    momentum = np.array([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
    size = np.linalg.norm(momentum)

    def change(_, state):
        bend = charge * MOMENTUM * 3.8 / 100.0 / size * np.cross(state[3:], [0.0, 0.0, 1.0])
        return np.concatenate([state[3:], bend])

    start = np.concatenate([vertex, momentum / size])
    return solve_ivp(change, (0.0, path[-1]), start, t_eval=path, rtol=1e-10, atol=1e-10).y[:3].T


@pytest.mark.parametrize(
    ("pt", "eta", "phi", "charge", "vertex"),
    [
        (0.9, 0.3, 0.2, 1, (0, 0, 0)),
        (5.0, -1.2, 3.1, -1, (1.0, -2.0, 12.0)),
        (1.5, 2.3, -2.0, 1, (0.1, 0.1, -20.0)),
        (60.0, 0.0, 1.0, -1, (0, 0, 5.0)),
        (0.3, 0.05, 1.0, 1, (0, 0, 0)),
        (2.0, 0.4, 1.0, 2, (0, 0, 0)),
    ],
)
def test_a_path_is_what_the_lorentz_force_gives(pt, eta, phi, charge, vertex):
    points, offsets = fly(*(np.array([value]) for value in (pt, eta, phi, charge)), np.array([vertex], dtype=float))
    assert offsets.tolist() == [0, len(points)]
    along = np.cosh(eta) / np.sinh(eta) if abs(eta) > 0.1 else None
    if along is not None:  # z grows evenly
        length = np.abs((points[:, 2] - points[0, 2]) * along)
    else:
        turn = np.linspace(0, 1, len(points))
        radius = 100 * pt / (MOMENTUM * 3.8 * abs(charge))
        chord = np.hypot(*(points[1, :2] - points[0, :2]))
        length = 2 * radius * np.arcsin(chord / (2 * radius)) * (len(points) - 1) * turn * np.cosh(eta)
    np.testing.assert_allclose(points, lorentz(pt, eta, phi, charge, np.array(vertex, dtype=float), length), atol=1e-3)


def test_paths_end_at_the_ecal_at_the_hf_or_after_half_a_turn():
    eta = np.array([0.0, 1.4, 2.0, -4.0, 0.0, 0.2])
    pt = np.array([10.0, 10.0, 10.0, 10.0, 10.0, 0.3])
    charge = np.array([1, -1, 1, 0, 0, 1])
    ends = fly(pt, eta, np.zeros(6), charge, np.zeros((6, 3))).ends()
    assert np.hypot(ends[:2, 0], ends[:2, 1]) == pytest.approx([129.0, 129.0])
    assert ends[2, 2] == pytest.approx(317.0)
    assert ends[3] == pytest.approx([1115.0 / np.sinh(4.0), 0.0, -1115.0])
    assert ends[4] == pytest.approx([129.0, 0.0, 0.0])
    assert np.hypot(ends[5, 0], ends[5, 1]) == pytest.approx(2 * 100 * 0.3 / (MOMENTUM * 3.8))


def test_neutral_paths_have_two_points_and_bent_ones_stay_within_millimetres_of_the_circle():
    points, offsets = fly(np.array([5.0, 0.8]), np.array([0.5, 0.1]), np.array([1.0, 2.0]), np.array([0, 1]), np.zeros((2, 3)))
    assert offsets[1] == 2
    bent = points[offsets[1] :, :2]
    radius = 100 * 0.8 / (MOMENTUM * 3.8)
    centre = radius * np.array([np.sin(2.0), -np.cos(2.0)])
    assert np.hypot(*(bent - centre).T) == pytest.approx(np.full(len(bent), radius))
    middles = np.hypot(*(0.5 * (bent[1:] + bent[:-1]) - centre).T)
    assert (radius - middles).max() < 0.25


@pytest.mark.parametrize(
    ("pt", "eta", "vertex"),
    [(0.0, 0.0, 0.0), (np.nan, 0.0, 0.0), (1.0, np.inf, 0.0), (1.0, 99.0, 0.0), (1.0, 0.0, np.nan), (1.0, 0.0, 500.0), (1.0, 0.0, np.inf)],
)
def test_what_cannot_fly_has_no_path(pt, eta, vertex):
    paths = fly(np.array([pt, 2.0]), np.array([eta, 0.0]), np.zeros(2), np.ones(2), np.array([[vertex, 0, 0], [0, 0, 0]]))
    assert paths.offsets[1] == 0
    assert np.isnan(paths.ends()[0]).all()
    assert np.isfinite(paths.points).all()
    assert paths.offsets[2] > 2


def test_an_absurd_pt_flies_straight():
    ends = fly(np.array([1e30]), np.array([0.3]), np.array([1.0]), np.array([1]), np.zeros((1, 3))).ends()
    assert ends[0] == pytest.approx([129 * np.cos(1.0), 129 * np.sin(1.0), 129 * np.sinh(0.3)])


def test_no_particles_have_no_paths():
    nothing = np.zeros(0)
    paths = fly(nothing, nothing, nothing, nothing, np.zeros((0, 3)))
    assert (len(paths.points), paths.offsets.tolist(), paths.ends().shape) == (0, [0], (0, 3))


def test_a_line_from_the_centre_meets_barrel_or_endcap():
    eta, phi = np.array([0.0, 1.0, -2.5, 12.0, np.nan]), np.array([0.0, 1.0, 2.0, 0.0, 0.0])
    points = project(eta, phi, 129.0, 1.479, 317.0)
    assert points[1] == pytest.approx([129 * np.cos(1), 129 * np.sin(1), 129 * np.sinh(1.0)])
    assert points[2, 2] == pytest.approx(-317.0)
    assert np.arcsinh(points[2, 2] / np.hypot(*points[2, :2])) == pytest.approx(-2.5)
    assert np.isnan(points[3:]).all()


def test_clusters_are_where_they_were_measured_and_else_on_the_front_of_their_calorimeter():
    types = np.array([ElementType.ECAL, ElementType.HCAL, ElementType.HFEM, ElementType.BREM, ElementType.ECAL])
    measured = np.array([[100.0, 90.0, 5.0], [0, 0, 0], [0, 0, 0], [1.0, 2.0, 3.0], [1e9, 0, 0]])
    found = cluster_positions(types, np.array([0.1, 0.0, 4.0, 0.0, 0.0]), np.zeros(5), measured)
    assert found[0] == pytest.approx(measured[0])
    assert found[1] == pytest.approx([190.0, 0, 0])
    assert found[2, 2] == pytest.approx(1115.0)
    assert found[3:] == pytest.approx(np.array([[129.0, 0, 0], [129.0, 0, 0]]))


def test_the_rim_of_a_cone_keeps_its_distance_in_eta_and_phi():
    points, offsets = rims(np.array([0.5, 4.0]), np.array([3.0, 0.0]), 0.4)
    for start, stop, eta, phi in zip(offsets[:-1], offsets[1:], (0.5, 4.0), (3.0, 0.0), strict=True):
        x, y, z = points[start:stop].T
        delta_phi = np.angle(np.exp(1j * (np.arctan2(y, x) - phi)))
        assert np.hypot(np.arcsinh(z / np.hypot(x, y)) - eta, delta_phi) == pytest.approx(np.full(stop - start, 0.4))
    assert points[0] == pytest.approx(points[offsets[1] - 1])
