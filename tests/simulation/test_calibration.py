import numpy as np
import pytest

from mlpf.simulation.calibration import RESPONSE, corrected_energy
from mlpf.simulation.geometry import LAYER_HFEM, LAYER_HFHAD


@pytest.mark.parametrize("layer", list(RESPONSE))
def test_mean_raw_energies_of_the_table_are_corrected_to_the_true_ones(layer):
    true_energy, response = RESPONSE[layer]
    assert corrected_energy(true_energy * response, np.full(len(response), layer)) == pytest.approx(true_energy)


@pytest.mark.parametrize("layer", list(RESPONSE))
def test_more_raw_energy_is_more_corrected_energy(layer):
    raw = np.geomspace(0.05, 2000.0, 500)
    assert (np.diff(corrected_energy(raw, np.full(500, layer))) > 0).all()


def test_the_forward_calorimeter_is_left_alone():
    assert corrected_energy(np.array([3.0, 40.0]), np.array([LAYER_HFEM, LAYER_HFHAD])).tolist() == [3.0, 40.0]
