import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.plotting.summary.marks import DOWN, UP, draw_histograms, draw_points, ratio
from mlpf.plotting.summary.panels import MAIN, RATIO, new_panels

EDGES = np.array([0.0, 1.0, 3.0])


def estimates(*triples):
    return [{"value": value, "low": low, "high": high, "n": 9} for value, low, high in triples]


CURVES = {
    "pf": estimates((0.20, 0.18, 0.23), (0.40, 0.36, 0.44)),
    "tiny": estimates((0.10, 0.09, 0.11), (0.30, 0.27, 0.36)),
    "window": estimates((0.15, None, None), (None, None, None)),
}


@pytest.fixture
def panel(summary):
    _, (((panel,),),) = new_panels(summary, [[MAIN, RATIO]], CURVES)
    draw_points(panel, summary, EDGES, CURVES)
    return panel


def test_points_are_the_values_inside_of_their_bins(panel, drawn):
    x, y = drawn(panel.axes, "pf")
    assert y.tolist() == [0.20, 0.40]
    assert np.digitize(x, EDGES).tolist() == [1, 2]


def test_points_of_different_systems_are_side_by_side(panel, drawn):
    places = [drawn(panel.axes, system)[0][0] for system in CURVES]
    assert np.diff(places) == pytest.approx(0.15)  # a bin 1 wide, three systems


def test_bars_reach_over_the_bin_and_the_interval(panel):
    bars = next(line for line in panel.axes.lines if line.get_gid() == "system:tiny" and line.get_linestyle() != "None")
    x, y = (np.asarray(values, dtype=float).reshape(-1, 3) for values in bars.get_data())
    assert np.isnan(x[:, 2]).all()
    assert x[::2, :2].tolist() == [[0.0, 1.0], [1.0, 3.0]]
    assert y[1::2, :2] == pytest.approx(np.array([[0.09, 0.11], [0.27, 0.36]]))


def test_points_without_an_interval_are_hollow_and_those_without_a_value_are_not_there(panel):
    markers = [line for line in panel.axes.lines if line.get_gid() == "system:window" and line.get_linestyle() == "None"]
    (hollow,) = markers
    assert hollow.get_markerfacecolor() == "none"
    assert hollow.get_ydata().tolist() == [0.15]


def test_ratios_are_to_the_reference_with_both_uncertainties(panel, drawn):
    assert not [line for line in panel.ratio.lines if line.get_gid() == "system:pf"]  # the reference
    _, y = drawn(panel.ratio, "tiny")
    assert y == pytest.approx([0.5, 0.75])
    bars = next(line for line in panel.ratio.lines if line.get_gid() == "system:tiny" and line.get_linestyle() != "None")
    vertical = np.asarray(bars.get_ydata(), dtype=float).reshape(-1, 3)[1::2, :2]
    # 0.10 +-0.01 over 0.20 -0.02 +0.03: down by the upper end of the reference, up by the lower one
    assert vertical[0] == pytest.approx([0.5 * (1 - np.hypot(0.10, 0.15)), 0.5 * (1 + np.hypot(0.10, 0.10))])
    # 0.30 -0.03 +0.06 over 0.40 +-0.04
    assert vertical[1] == pytest.approx([0.75 * (1 - np.hypot(0.1, 0.1)), 0.75 * (1 + np.hypot(0.2, 0.1))])


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(1e-5, 1e-3), st.floats(1e-5, 1e-3))
def test_the_uncertainty_of_a_ratio_is_that_of_its_linear_expansion(value, reference, error, reference_error):
    quotient, interval = ratio(np.array([value]), np.full((2, 1), error), np.array([reference]), np.full((2, 1), reference_error))
    step = 1e-6
    by_value = ((value + step) / reference - (value - step) / reference) / (2 * step)
    by_reference = (value / (reference + step) - value / (reference - step)) / (2 * step)
    assert quotient[0] == pytest.approx(value / reference)
    assert interval[:, 0] == pytest.approx(np.hypot(by_value * error, by_reference * reference_error), rel=1e-6)


def test_ratios_to_nothing_are_undefined():
    quotient, interval = ratio(np.array([1.0, 0.0, 2.0]), np.full((2, 3), 0.1), np.array([0.0, 1.0, np.nan]), np.full((2, 3), 0.1))
    assert np.isnan(quotient).tolist() == [True, False, True]
    assert interval[:, 1] == pytest.approx([0.1, 0.1])


def ratios_of(summary, *values):
    """The panel of these ratios to rule-based PF."""
    curves = {"pf": estimates(*[(1.0, 0.9, 1.1)] * len(values)), "tiny": estimates(*[(value, value - 0.1, value + 0.1) for value in values])}
    _, (((panel,),),) = new_panels(summary, [[MAIN, RATIO]], curves)
    draw_points(panel, summary, np.arange(len(values) + 1.0), curves)
    carets = {line.get_marker(): line.get_data() for line in panel.ratio.lines if line.get_marker() in (UP, DOWN)}
    return panel.ratio, carets


def test_ratios_are_in_view(summary):
    axes, carets = ratios_of(summary, 1.02, 0.9, 1.1)
    assert axes.get_ylim()[0] < 0.9
    assert axes.get_ylim()[1] > 1.1
    assert carets == {}
    assert ratios_of(summary, 1.0, 1.0)[0].get_ylim() == (0.95, 1.05)


def test_single_ratios_far_away_do_not_press_the_others_together_and_are_marked_on_the_frame(summary):
    axes, carets = ratios_of(summary, *[1.02, 0.98] * 10, 7.0, 0.01)
    low, high = axes.get_ylim()
    assert (low, high) == (0.95, 1.05)
    assert {marker: (x.astype(int).tolist(), y.tolist()) for marker, (x, y) in carets.items()} == {UP: ([20], [high]), DOWN: ([21], [low])}
    assert ratios_of(summary, 7.0, 8.0)[0].get_ylim() == (0.0, 2.0)  # never more


def test_histograms_are_shares_of_all_entries_also_of_those_outside(summary):
    _, (((panel,),),) = new_panels(summary, [[MAIN]], ["pf"])
    draw_histograms(panel.axes, summary, EDGES, {"pf": {"histogram": [1, 4], "median": {"value": 1.0, "low": None, "high": None, "n": 20}}})
    (steps,) = panel.axes.patches
    assert steps.get_data().values.tolist() == [0.05, 0.2]
    assert steps.get_gid() == "system:pf"


def test_a_histogram_without_entries_is_drawn_as_nothing(summary):
    _, (((panel,),),) = new_panels(summary, [[MAIN]], ["pf"])
    draw_histograms(panel.axes, summary, EDGES, {"pf": {"histogram": [0, 0], "median": {"value": None, "low": None, "high": None, "n": 0}}})
    assert panel.axes.get_ylim() == (0.0, 1.0)
