import numpy as np
import pytest

from mlpf.plotting.summary import Summary
from mlpf.plotting.summary.scores import draw_calibration, draw_roc, ratio_of_curves


def test_curves_drawn_are_those_measured(summary, panels_titled):
    (axes,) = panels_titled(draw_roc(summary), "photon")
    (curve,) = (line for line in axes.lines if line.get_gid() == "system:window" and line.get_linestyle() != "None")
    roc = summary.classification["all"]["photon"]["window"]["roc"]
    assert curve.get_xdata().tolist() == roc["efficiency"][1:]  # no misidentification has no place on a logarithmic axis
    assert curve.get_ydata().tolist() == roc["misidentification"][1:]


def test_working_points_and_what_rule_based_pf_decides_are_marked(summary, panels_titled, drawn):
    (axes,) = panels_titled(draw_roc(summary), "electron")
    assert drawn(axes, "tiny")[0].tolist() == [0.8, 0.9]
    assert drawn(axes, "tiny")[1] == pytest.approx([0.8**4, 0.9**4])
    assert [values.tolist() for values in drawn(axes, "pf")] == [[0.75], [0.2]]


def test_long_steps_of_a_curve_are_straight_on_linear_axes(make_entry, make_classification, panels_titled):
    classification = make_classification()
    roc = {"threshold": [1.0, 0.5, 0.0], "efficiency": [0.0, 0.04, 1.0], "misidentification": [0.0, 1e-4, 1.0]}
    classification["all"]["muon"]["tiny"] |= {"num_signal": 9, "roc": roc}
    (axes,) = panels_titled(draw_roc(Summary(make_entry(), classification)), "muon")
    (curve,) = (line for line in axes.lines if line.get_gid() == "system:tiny" and line.get_linestyle() != "None")
    x, y = curve.get_data()
    assert len(x) > 20
    assert y == pytest.approx(np.interp(x, roc["efficiency"], roc["misidentification"]))
    assert np.diff(np.log10(y)).max() < 1  # close enough for a logarithmic axis


def test_working_points_without_misidentification_are_on_the_lower_edge(make_entry, make_classification, panels_titled, drawn):
    classification = make_classification()
    classification["all"]["photon"]["tiny"]["working_points"]["0.80"]["misidentification"]["value"] = 0.0
    (axes,) = panels_titled(draw_roc(Summary(make_entry(), classification)), "photon")
    assert drawn(axes, "tiny")[1][0] == axes.get_ylim()[0] > 0


def test_ratios_of_curves_are_at_the_same_efficiency(summary, panels_titled):
    figure = draw_roc(summary)
    (axes,) = panels_titled(figure, "photon")
    ratios = figure.axes[figure.axes.index(axes) + 1]
    (curve,) = (line for line in ratios.lines if line.get_gid() == "system:window")
    assert curve.get_ydata() == pytest.approx(curve.get_xdata())  # x^5 / x^4


def test_curves_are_compared_between_their_points():
    curve = {"efficiency": [1.0, 0.5, 0.2], "misidentification": [1.0, 1e-2, 1e-4]}
    reference = {"efficiency": [0.0, 0.1, 0.35, 0.75, 1.0], "misidentification": [0.0, 1e-5, 1e-2, 0.5, 1.0]}
    efficiency, ratio = ratio_of_curves(curve, reference)
    assert efficiency.tolist() == [0.35, 0.75, 1.0]  # 0.1 is below what the curve knows
    assert ratio == pytest.approx([1e-3 / 1e-2, 1e-1 / 0.5, 1.0])


def test_a_curve_without_misidentification_has_no_ratio():
    nothing = {"efficiency": [0.0, 1.0], "misidentification": [0.0, 0.0]}
    assert [len(values) for values in ratio_of_curves(nothing, nothing)] == [0, 0]


def test_one_model_has_no_ratio_of_curves(make_entry, make_classification):
    figure = draw_roc(Summary(make_entry(), make_classification()))
    assert len(figure.axes) == 8
    assert "ratios" not in figure.texts[2].get_text()


def test_calibration_is_the_observed_share_against_the_mean_score(summary, panels_titled, drawn):
    (axes,) = panels_titled(draw_calibration(summary), "any particle")
    calibration = summary.classification["all"]["any"]["window"]["calibration"]
    x, y = drawn(axes, "window")
    assert x.tolist() == calibration["predicted"]
    assert y.tolist() == [estimate["value"] for estimate in calibration["observed"]]
    assert [np.asarray(values).tolist() for values in axes.lines[0].get_data()] == [[0, 1], [0, 1]]


def test_bins_without_elements_have_no_point(make_entry, make_classification, panels_titled, drawn):
    classification = make_classification()
    calibration = classification["all"]["photon"]["tiny"]["calibration"]
    calibration["predicted"][3] = None
    calibration["observed"][3] = {"value": None, "low": None, "high": None, "n": 0}
    (axes,) = panels_titled(draw_calibration(Summary(make_entry(), classification)), "photon")
    assert len(drawn(axes, "tiny")[0]) == 9


def test_classes_without_elements_have_no_panel(make_entry, make_classification, panels_titled):
    classification = make_classification()
    classification["all"]["muon"]["tiny"] |= {"num_signal": 0, "auc": {"value": None, "low": None, "high": None, "n": 0}}
    summary = Summary(make_entry(), classification)
    assert not panels_titled(draw_roc(summary), "muon")
    assert not panels_titled(draw_calibration(summary), "muon")


def test_without_scores_there_are_no_figures(make_entry):
    assert draw_roc(Summary(make_entry())) is None
    assert draw_calibration(Summary(make_entry(), {"all": {}})) is None
