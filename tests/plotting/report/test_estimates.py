import math
import re

import pytest

from mlpf.plotting.report.estimates import best, difference, sigmas, tally, text


def estimate(value, low, high, n=10):
    return {"value": value, "low": low, "high": high, "n": n}


def around(value, error):
    return estimate(value, value - error, value + error)


@pytest.mark.parametrize(
    ("numbers", "shown", "latex"),
    [
        ((0.91234, 0.90813, 0.91655), "0.9123 ±0.0042", r"$0.9123 \pm 0.0042$"),
        ((0.998, 0.995, 0.999), "0.9980 +0.0010 −0.0030", "$0.9980^{+0.0010}_{-0.0030}$"),
        ((93.84, 91.02, 96.61), "93.8 ±2.8", r"$93.8 \pm 2.8$"),
        ((-3.2, -4.4, -2.0), "−3.2 ±1.2", r"$-3.2 \pm 1.2$"),
        ((93841.0, 92640.0, 95042.0), "93841 ±1201", r"$93841 \pm 1201$"),
        ((1.0, 1.0, 1.0), "1.000 ±0.000", r"$1.000 \pm 0.000$"),
        ((0.000213, 0.000201, 0.000225), "2.13 ±0.12 × 10−4", r"$(2.13 \pm 0.12) \times 10^{-4}$"),
        ((0.0, 0.0, 0.0184), "0.000 +0.018 −0.000", "$0.000^{+0.018}_{-0.000}$"),
        ((0.5, None, None), "0.500", "$0.500$"),
        ((16021.4, None, None), "16021", "$16021$"),
    ],
)
def test_numbers_come_with_their_interval_at_two_digits(numbers, shown, latex):
    written = text(estimate(*numbers))
    assert re.sub("<[^>]*>", "", written.html()).replace("&thinsp;", " ") == shown
    assert written.latex() == latex


def test_a_number_that_is_not_there_has_no_text():
    assert text(estimate(None, None, None)) is None


def test_a_difference_has_the_quadratic_sum_of_the_halves_that_face_each_other():
    low, high = estimate(10.0, 9.0, 13.0), estimate(20.0, 16.0, 27.0)
    found = difference(high, low, "low")
    assert found.difference["value"] == 10
    assert found.difference["high"] - 10 == pytest.approx(5)  # hypot(20 - 16, 13 - 10), not of the outer halves
    assert found.significance == pytest.approx(-2)  # larger, so worse
    assert difference(low, high, "low").significance == pytest.approx(2)


@pytest.mark.parametrize(
    ("better", "value", "reference", "sign"),
    [("high", 2.0, 1.0, 1), ("low", 2.0, 1.0, -1), ("one", 1.1, 0.8, 1), ("one", 1.3, 0.9, -1), ("zero", -0.1, 0.5, 1), ("zero", -0.6, 0.5, -1)],
)
def test_better_is_what_the_quantity_says(better, value, reference, sign):
    assert math.copysign(1, difference(around(value, 0.01), around(reference, 0.01), better).significance) == sign


def test_values_on_either_side_of_the_ideal_are_equally_good():
    assert difference(around(1.1, 0.01), around(0.9, 0.01), "one").significance == pytest.approx(0)


def test_a_difference_without_an_interval_has_no_significance():
    found = difference(estimate(2.0, None, None), around(1.0, 0.1), "high")
    assert (found.difference["value"], found.significance, found.is_significant) == (1.0, None, False)
    assert difference(None, around(1.0, 0.1), "high") is None
    assert difference(estimate(None, None, None), around(1.0, 0.1), "high") is None


def test_equal_numbers_without_any_width_do_not_differ():
    assert difference(around(1.0, 0.0), around(1.0, 0.0), "high").significance == 0
    assert difference(around(2.0, 0.0), around(1.0, 0.0), "high").significance == math.inf


def test_the_best_is_called_so_only_beyond_two_standard_deviations_from_every_other():
    assert best({"a": around(1.0, 0.1), "b": around(2.0, 0.1)}, "low") == ("a", True)
    assert best({"a": around(1.0, 0.1), "b": around(2.0, 0.1), "c": around(1.2, 0.1)}, "low") == ("a", False)
    assert best({"a": around(1.0, 0.1), "b": around(2.0, 0.1)}, "high") == ("b", True)
    assert best({"a": around(1.4, 0.1), "b": around(0.9, 0.1)}, "one") == ("b", True)
    assert best({"a": around(1.0, 0.1), "b": estimate(0.1, None, None)}, "low") is None  # nobody to compare with
    assert best({"a": around(1.0, 0.1), "b": around(2.0, 0.1)}, None) is None


def test_significances_far_out_are_not_told_in_numbers():
    assert [sigmas(s) for s in (-2.96, 9.9, 12.0, math.inf)] == ["3.0 σ", "9.9 σ", "> 10 σ", "> 10 σ"]


def test_the_tally_counts_only_what_is_known():
    one = around(1.0, 0.1)
    rows = [difference(around(value, 0.1), one, "high") for value in (3.0, 2.5, -1.0, 1.1)]
    assert tally([*rows, None, difference(estimate(5.0, None, None), one, "high")]) == (2, 1, 1)
