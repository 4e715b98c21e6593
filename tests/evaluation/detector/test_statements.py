import numpy as np

from mlpf.evaluation.detector.statements import Check, checks_of, curve, scaled
from mlpf.metrics.uncertainty import Estimate, fraction


def check(value, error, low=0.9, high=1.1):
    return Check("topic", "quantity", "", Estimate(value, value - error, value + error, 100), low, high, "source")


def test_a_number_inside_the_limits_is_inside_whatever_its_uncertainty():
    assert check(1.0, 0.001).inside
    assert check(1.0, 10.0).inside


def test_outside_counts_only_beyond_two_standard_deviations():
    assert check(1.15, 0.03).inside  # 1.7
    assert not check(1.15, 0.02).inside  # 2.5
    assert check(0.85, 0.03).inside
    assert not check(0.85, 0.02).inside


def test_a_number_without_an_interval_is_not_measured():
    assert check(1.0, 0.1).is_measured
    assert not check(1.0, np.nan).is_measured
    assert not check(np.nan, np.nan).is_measured


def test_a_row_of_checks_names_its_bins_and_starts_where_told():
    estimates = fraction(np.array([1, 2, 3]), np.array([10, 10, 10]))
    row = checks_of("topic", "quantity", estimates, np.array([1.0, 5.0, 10.0, 20.0]), (0.0, 0.25), "source", " GeV", first=5.0)
    assert [entry.where for entry in row] == ["5 to 10 GeV", "10 to 20 GeV"]
    assert [float(entry.measured.value) for entry in row] == [0.2, 0.3]


def test_scaling_moves_the_whole_interval():
    assert scaled(Estimate(1.0, 0.5, 2.0, 7), 2.0)[:3] == (2.0, 1.0, 4.0)


def test_curves_have_nothing_that_json_cannot_hold():
    undefined = Estimate(*np.full((3, 1), np.nan), np.array([0]))
    measured = curve(np.array([0.0, 1.0]), {"mean": undefined}, expected=np.array([np.nan]))
    assert measured == {"edges": [0.0, 1.0], "mean": [{"value": None, "low": None, "high": None, "n": 0}], "expected": [None]}
