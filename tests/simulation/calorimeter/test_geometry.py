import numpy as np
import pytest

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.calorimeter.geometry import locate


def test_places_outside_of_the_detector_have_no_cell():
    section = np.array(
        [g.SECTION_EB, g.SECTION_EE, g.SECTION_EE, g.SECTION_HCAL, g.SECTION_HCAL, g.SECTION_HFEM, g.SECTION_HFHAD, g.SECTION_PS1, g.SECTION_PS2]
    )
    eta = np.array([1.48, 3.01, 1.3, 3.01, 2.0, 2.99, -5.2, 1.64, -2.61])
    depth = np.array([0.0, 0.0, 0.0, 0.1, 10.1, 0.0, 0.0, 0.0, 0.0])
    assert (locate(section, eta, np.zeros(9), depth) == -1).all()


@pytest.mark.parametrize(("eta", "depth", "found"), [(0.5, 5.79, True), (0.5, 5.81, False), (0.5, 7.19, False), (0.5, 7.21, True), (1.25, 8.0, True),
                                                    (1.27, 8.0, False), (0.5, 10.71, False)])  # fmt: skip
def test_the_coil_between_hcal_and_ho_sees_nothing(eta, depth, found):
    cell = locate(np.array([g.SECTION_HCAL]), np.array([eta]), np.array([1.0]), np.array([depth]))
    assert (cell[0] >= 0) == found


def test_azimuth_is_periodic():
    phi = np.array([-3.0, 0.3, 3.1])
    for section, eta in ((g.SECTION_EB, 0.4), (g.SECTION_EE, 2.0), (g.SECTION_HCAL, -1.0), (g.SECTION_HFEM, 4.0), (g.SECTION_PS2, 2.0)):
        places = (np.full(3, section), np.full(3, eta)), np.full(3, 0.1)
        assert np.array_equal(locate(*places[0], phi, places[1]), locate(*places[0], phi + 4 * np.pi, places[1]))


@pytest.mark.parametrize(("plane", "section"), [(0, g.SECTION_PS1), (1, g.SECTION_PS2)])
def test_a_strip_is_found_by_the_coordinate_that_it_measures(plane, section):
    """Steps of 1.9 mm across the strips count them one by one; a step along them of less than 6 cm may change nothing."""
    start, steps = np.array([40.033, 40.033]), np.arange(8) * 0.19
    numbers = []
    for step in steps:
        point = start.copy()
        point[plane] += step
        eta, phi = np.arcsinh(g.PS_Z[plane] / np.hypot(*point)), np.arctan2(point[1], point[0])
        numbers.append(int(locate(np.array([section]), np.array([eta]), np.array([phi]), np.zeros(1))[0]))
    assert np.diff(numbers).tolist() == [g.PS_ROWS] * 7
