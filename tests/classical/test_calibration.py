"""Calibration of hadrons: tables by hand, the fit against toys of known answer, files that are none."""

import json

import numpy as np
import pytest

from mlpf.classical.calibration import DEFAULT_FILE, HadronCalibration, default_calibration, hadron_energies, hadron_energy, hadron_scales, read_calibration
from mlpf.classical.calibration_fit import Hadrons, closure, fit_calibration, unbiased_weights, write_calibration
from mlpf.errors import ConfigError

NODES, EDGES = np.array([1.0, 10.0, 100.0]), np.array([0.0, 1.5, 3.0])
BY_HAND = HadronCalibration(
    NODES, 0.5, EDGES, ecal=np.array([[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]), hcal=np.array([[2.0, 1.5, 1.25]] * 2), hcal_alone=np.array([[2.0, 1.5, 1.25]] * 2)
)


@pytest.mark.parametrize(("energy", "scale"), [(0.01, 3.0), (1.0, 3.0), (10**0.5, 2.5), (10.0, 2.0), (10**1.25, 1.75), (100.0, 1.0), (5000.0, 1.0)])
def test_coefficients_are_linear_in_the_logarithm_of_the_energy_between_nodes_and_constant_beyond(energy, scale):
    assert hadron_scales(energy, 1.0, 0.3, BY_HAND)[0] == pytest.approx(scale)


@pytest.mark.parametrize(("eta", "scale"), [(0.0, 2.0), (-1.49, 2.0), (1.5, 5.0), (-2.9, 5.0), (4.0, 5.0)])
def test_coefficients_are_those_of_the_bin_of_abs_eta(eta, scale):
    assert hadron_scales(10.0, 1.0, eta, BY_HAND)[0] == scale


def test_both_calorimeters_have_the_same_other_coefficient_without_a_shower_in_the_ecal():
    calibration = BY_HAND._replace(hcal_alone=np.full((2, 3), 7.0))
    assert hadron_scales(10.0, 0.5, 0.0, calibration) == (2.0, 1.5)
    assert hadron_scales(10.0, 0.4, 0.0, calibration) == (7.0, 7.0)
    assert hadron_energy(0.4, 30.0, 0.0, calibration) == pytest.approx(7 * 30.4)


@pytest.mark.parametrize("energy", [1.0, 10.0, 100.0])
def test_what_hadrons_leave_at_a_node_is_calibrated_to_its_energy(energy):
    hcal_alone = energy / BY_HAND.hcal_alone[0, list(NODES).index(energy)]
    assert hadron_energy(0.0, hcal_alone, 0.5, BY_HAND) == pytest.approx(energy)
    a, b = hadron_scales(energy, 100.0, 0.5, BY_HAND)
    assert hadron_energy(0.6 * energy / a, 0.4 * energy / b, 0.5, BY_HAND._replace(min_ecal=0.0)) == pytest.approx(energy)


def test_between_nodes_the_calibrated_energy_follows_a_power_law_and_beyond_them_the_last_coefficient():
    # the HCAL of hadrons of 10 GeV holds 6.67 GeV, of 100 GeV 80 GeV: energies grow as (80 / 6.67)^x while E grows as 10^x
    raw = 10 / 1.5 * (80 / (10 / 1.5)) ** 0.3
    assert hadron_energy(0.0, raw, 0.0, BY_HAND) == pytest.approx(10**1.3)
    assert hadron_energy(0.0, 800.0, 0.0, BY_HAND) == pytest.approx(1000.0)
    assert hadron_energy(0.0, 0.1, 0.0, BY_HAND) == pytest.approx(0.2)
    assert hadron_energy(0.0, 0.0, 0.0, BY_HAND) == 0.0


@pytest.mark.parametrize("calibration", [BY_HAND, default_calibration()], ids=["by hand", "default"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_more_clustered_energy_is_more_energy(calibration, share):
    raw = np.geomspace(0.1, 2000.0, 1000)
    for eta in (0.1, 1.4, 2.0, 2.7):
        energy = hadron_energies(share * raw, (1 - share) * raw, np.full(1000, eta), calibration._replace(min_ecal=0.0))
        assert (np.diff(energy) >= -1e-9).all()


def test_unbiased_weights_solve_the_constrained_least_squares():
    # independent measurements of variances 1 and 4 and mean responses .5 and .8: w_d ~ mean_d / variance_d
    rng = np.random.default_rng(1)
    responses = np.column_stack([0.5 + rng.normal(size=400_000), 0.8 + 2.0 * rng.normal(size=400_000)])
    weights = unbiased_weights(responses, np.ones(len(responses)))
    direction = np.array([0.5 / 1.0, 0.8 / 4.0])
    assert weights == pytest.approx(direction / (direction @ [0.5, 0.8]), rel=0.03)
    assert (responses @ weights).mean() == pytest.approx(1.0, abs=1e-9)


def test_measurements_that_would_count_negatively_are_summed_plainly():
    rng = np.random.default_rng(2)
    common = rng.normal(size=10_000)
    noise = 0.01 * rng.normal(size=(10_000, 2))
    responses = np.column_stack([0.5 + 0.1 * common, 0.4 + 0.3 * common]) + noise  # the second has the first's fluctuations, only larger
    weights = unbiased_weights(responses, np.ones(len(responses)))
    assert weights[0] == weights[1]


def toys(number, seed):
    """Hadrons of a detector with a response of .4 to .8, 80 % / sqrt(E), sharing at random, and a threshold of .4 GeV in each calorimeter."""
    rng = np.random.default_rng(seed)
    energy, eta = np.exp(rng.uniform(np.log(2.0), np.log(600.0), number)), rng.uniform(0.0, 3.0, number)
    shape = 1.0 / (0.64 / energy + 0.0025)
    visible = energy * (0.8 - 0.4 * energy**-0.5) * rng.gamma(shape, 1.0 / shape) * np.where(eta < 1.5, 1.0, 0.9)
    share = np.where(rng.random(number) < 0.35, 0.0, rng.beta(1.2, 1.5, number))
    clusters = (visible * part for part in (share, 1.0 - share))
    return Hadrons(energy, eta, *(np.where(values > 0.4, values, 0.0) for values in clusters))


def test_a_fitted_calibration_closes_on_other_hadrons_from_5_to_500_gev():
    nodes = np.array([4.0, 6.0, 9.0, 14.0, 22.0, 40.0, 80.0, 200.0, 500.0])
    calibration = fit_calibration(toys(60_000, 1), nodes, 0.5, EDGES)
    others = toys(60_000, 2)
    response = closure(calibration, others)
    assert len(others.energy) == 60_000
    for low, high in ((5, 7), (7, 10), (10, 20), (20, 50), (50, 100), (100, 200), (200, 500)):
        for eta in (0.0, 1.5):
            chosen = (others.hcal > 0) & (others.energy > low) & (others.energy < high) & (np.abs(others.abs_eta - eta - 0.75) < 0.75)
            uncertainty = response[chosen].std() / np.sqrt(chosen.sum())
            assert response[chosen].mean() == pytest.approx(1.0, abs=0.03 + 3 * uncertainty), (low, eta)


def test_classes_without_hadrons_keep_coefficients_of_one():
    calibration = fit_calibration(toys(2000, 3).having(np.zeros(2000, dtype=bool)), NODES, 0.5, EDGES)
    assert calibration.hcal_alone.tolist() == [[1.0] * 3] * 2


def test_a_written_calibration_reads_back_to_four_digits(tmp_path):
    path = tmp_path / "calibration.json"
    write_calibration(path, BY_HAND._replace(ecal=BY_HAND.ecal / 3), {"command": "a test"})
    read = read_calibration(path)
    assert json.loads(path.read_text())["made_by"] == {"command": "a test"}
    assert read.ecal == pytest.approx(BY_HAND.ecal / 3, abs=5e-5)
    assert read.min_ecal == 0.5
    for name in ("energy", "eta_edges", "hcal", "hcal_alone"):
        np.testing.assert_array_equal(getattr(read, name), getattr(BY_HAND, name))


def content(**changes):
    return json.loads(DEFAULT_FILE.read_text()) | changes


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not json", "not JSON: Expecting value"),
        ("[1, 2]", "not a calibration: expected the key format"),
        (json.dumps(content(format="pictures")), "not a calibration: expected the key format"),
        (json.dumps(content(version=7)), "version: 7 is not 1"),
        (json.dumps({k: v for k, v in content().items() if k != "hcal"}), "the key 'hcal' is missing"),
        (json.dumps(content(ecal="much")), "ecal: expected numbers in lists of equal length"),
        (json.dumps(content(ecal=[[1.0, 2.0], [1.0]])), "ecal: expected numbers in lists of equal length"),
        (json.dumps(content(ecal=[[1.0]])), r"ecal: expected \d+ rows .* found the shape \(1, 1\)"),
        (json.dumps(content(energy=[])), "energy: expected at least 1 growing numbers"),
        (json.dumps(content(energy=[5.0, 3.0])), "energy: expected at least 1 growing numbers"),
        (json.dumps(content(energy=[0.0, 3.0])), "energy: must be positive, found 0.0"),
        (json.dumps(content(eta_edges=[1.0])), "eta_edges: expected at least 2 growing numbers"),
        (json.dumps(content(hcal=[[-1.0] * len(row) for row in content()["hcal"]])), "hcal: coefficients must be positive, found -1.0"),
        (json.dumps(content(min_ecal=-1)), "min_ecal: expected a number from 0 on, found -1"),
        (json.dumps(content(min_ecal=[0.5])), r"min_ecal: expected a number from 0 on, found \[0.5\]"),
        (json.dumps(content(energy=[1.0, float("nan")])), "energy: all values must be finite"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused_in_one_line(tmp_path, text, problem):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"mine\.json: {problem}") as refused:
        read_calibration(path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.json: cannot read the calibration: No such file"):
        read_calibration(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.json: not JSON"):
        read_calibration(tmp_path / "binary.json")
