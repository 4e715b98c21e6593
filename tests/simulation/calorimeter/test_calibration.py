"""Calibration of ECAL clusters as photons: tables by hand, strips in front, and photons of the simulation."""

import numpy as np
import pytest

from mlpf.events import event_index
from mlpf.schema import ElementType
from mlpf.simulation.calorimeter.calibration import (
    NOT_CALIBRATED,
    PhotonCalibration,
    corrected_energy,
    energy_uncertainty,
    photon_calibration,
    photon_energy,
    preshower_energy,
    strip_energy,
)
from mlpf.simulation.calorimeter.geometry import LAYER_EB, LAYER_EE, LAYER_HB, LAYER_HFEM, LAYER_PS1, LAYER_PS2
from mlpf.simulation.propagation import ECAL_Z

BY_HAND = PhotonCalibration(
    energy=np.array([1.0, 10.0, 100.0]),
    barrel_eta_edges=np.array([0.0, 1.0, 1.5]),
    barrel_response=np.array([[0.5, 0.8, 0.9], [0.4, 0.7, 0.8]]),
    endcap_eta_edges=np.array([1.5, 3.0]),
    endcap_response=np.array([[0.6, 0.9, 0.95]]),
    strip_weights=np.array([100.0, 50.0]),
)


def towards(eta, phi=0.3, z=ECAL_Z):
    """The point in a direction on a plane; in the barrel on a cylinder instead."""
    radius = 129.0 if abs(eta) < 1.479 else z / np.sinh(abs(eta))
    return radius * np.cos(phi), radius * np.sin(phi), radius * np.sinh(eta)


@pytest.mark.parametrize(
    ("eta", "layer", "table"), [(0.2, LAYER_EB, "barrel"), (-1.2, LAYER_EB, "barrel"), (2.0, LAYER_EE, "endcap"), (-2.9, LAYER_EE, "endcap")]
)
def test_mean_energies_of_the_table_are_corrected_to_the_true_ones(eta, layer, table):
    row = getattr(BY_HAND, f"{table}_response")[1 if table == "barrel" and abs(eta) > 1 else 0]
    corrected = corrected_energy(row * BY_HAND.energy, np.full(3, layer), np.array([towards(eta)] * 3), np.zeros(3), BY_HAND)
    assert corrected == pytest.approx(BY_HAND.energy)


def test_the_response_is_constant_beyond_the_table():
    corrected = photon_energy(np.array([0.05, 900.0]), np.full(2, LAYER_EB), np.zeros(2), BY_HAND)
    assert corrected == pytest.approx([0.1, 1000.0])


@pytest.mark.parametrize("calibration", [BY_HAND, photon_calibration()], ids=["by hand", "of the package"])
@pytest.mark.parametrize(("layer", "eta"), [(LAYER_EB, 0.5), (LAYER_EB, 1.45), (LAYER_EE, 1.5), (LAYER_EE, 2.0), (LAYER_EE, 2.8)])
def test_more_energy_is_more_corrected_energy(calibration, layer, eta):
    corrected = photon_energy(np.geomspace(0.05, 2000.0, 500), np.full(500, layer), np.full(500, eta), calibration)
    assert (np.diff(corrected) > 0).all()


def test_other_clusters_are_not_calibrated():
    layer = np.array([LAYER_HB, LAYER_HFEM, LAYER_PS1])
    corrected = corrected_energy(np.array([3.0, 40.0, 0.01]), layer, np.array([towards(0.5), towards(3.5), towards(2.0)]), np.zeros(3))
    assert corrected.tolist() == energy_uncertainty(corrected).tolist() == [NOT_CALIBRATED] * 3


def test_strips_count_for_the_nearest_ecal_cluster_behind_them():
    # two ECAL clusters 12 cm apart, strips in front of each and on the other side
    eta, apart = 2.0, 12.0 * np.sinh(2.0) / ECAL_Z
    energy = np.array([5.0, 7.0, 0.010, 0.020, 0.030, 0.040, 0.050])
    layer = np.array([LAYER_EE, LAYER_EE, LAYER_PS1, LAYER_PS2, LAYER_PS1, LAYER_PS1, LAYER_PS2])
    position = np.array([
        towards(eta), towards(eta, 0.3 + apart), towards(eta, 0.3 + 0.1 * apart, z=304.0), towards(eta, 0.3 + 0.2 * apart, z=308.0),
        towards(eta, 0.3 + 0.8 * apart, z=304.0), towards(-eta, 0.3, z=304.0), towards(eta, 0.3 + 0.5 * apart, z=308.0),
    ])  # fmt: skip
    strips = strip_energy(energy, layer, position)  # the last one lies 6 cm from both
    assert strips[:, :2] == pytest.approx(np.array([[0.010, 0.030], [0.020, 0.0]]))
    assert not strips[:, 2:].any()
    corrected = corrected_energy(energy, layer, position, preshower_energy(energy, layer, position, BY_HAND), BY_HAND)[:2]
    assert corrected == pytest.approx(photon_energy(np.array([5.0 + 1.0 + 1.0, 7.0 + 3.0]), layer[:2], np.array([eta, eta]), BY_HAND))


def test_the_uncertainty_is_the_resolution_of_the_test_beam():
    assert energy_uncertainty(np.array([100.0])) == pytest.approx([np.hypot(0.28, 0.3)])


@pytest.mark.parametrize(("low_eta", "high_eta"), [(0.0, 1.4), (1.56, 1.65), (1.7, 2.5), (2.6, 2.9)])
@pytest.mark.parametrize("energy", [5.0, 50.0, 500.0])
def test_photons_that_do_not_convert_close_within_two_percent(gun, energy, low_eta, high_eta):
    events = gun(250, seed=31, particle="gamma", pt=energy / np.cosh(0.5 * (low_eta + high_eta)), min_abs_eta=low_eta, max_abs_eta=high_eta)
    first = np.minimum(events.offsets["simcluster"][:-1], events.size("simcluster") - 1)
    unconverted = (events.counts("simcluster") == 1) & (events["simcluster_pid"][first] == 22)
    link_event = event_index(events.offsets["simcluster_to_element"])
    own = np.unique(events.offsets["element"][link_event] + events["simcluster_to_element.second"])  # the other elements are noise
    own = own[events["element_type"][own] == ElementType.ECAL]
    found = np.bincount(event_index(events.offsets["element"])[own], events["element_corr_energy"][own], minlength=len(events))
    response = (found / events["gen_energy"])[unconverted & (found > 0)]
    assert len(response) > 50
    assert response.mean() == pytest.approx(1.0, abs=0.02 + 3 * response.std() / np.sqrt(len(response)))
