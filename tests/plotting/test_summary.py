import copy

import matplotlib.image
import numpy as np
import pytest

from mlpf.plotting.style import style
from mlpf.plotting.summary import columns, draw_confusion, draw_efficiency, draw_jets, draw_multiplicity, draw_resolution, draw_response, draw_summary


@pytest.fixture
def points():
    """What is drawn in a panel: label -> (x, y) of the markers, the hollow ones among them."""

    def collect(axes):
        found = {}
        for line, hollow in zip(axes.lines, axes.lines[1:], strict=False):
            if not line.get_label().startswith("_"):
                assert hollow.get_markerfacecolor() == "none"
                found[line.get_label()] = line.get_xdata(), np.where(np.isnan(line.get_ydata()), hollow.get_ydata(), line.get_ydata())
        return found

    return collect


def test_columns_give_values_and_both_errors():
    value, error = columns([{"value": 0.5, "low": 0.4, "high": 0.8, "n": 3}, {"value": None, "low": None, "high": None, "n": 0}])
    assert value[0] == 0.5
    assert error[:, 0] == pytest.approx([0.1, 0.3])
    assert np.isnan([value[1], *error[:, 1]]).all()


def test_the_efficiencies_drawn_are_those_measured(results, points):
    with style():
        figure = draw_efficiency(results, "particles", "pt")
    (panel,) = [axes for axes in figure.axes if axes.get_title("right") == "charged hadron"]
    drawn = points(panel)
    expected = columns(results["particles"]["pf"]["efficiency"]["charged_hadron"]["pt"])[0]
    assert drawn["rule-based PF"][1] == pytest.approx(expected, nan_ok=True)
    assert set(drawn) == {"rule-based PF", "model"}
    assert panel.get_xlabel().startswith("target ")  # of fakes, the candidate's
    assert sum(axes.get_xlabel().startswith("candidate ") for axes in figure.axes) == len(figure.axes) // 2
    edges = results["bins"]["particle_pt"]
    assert np.array_equal(np.digitize(drawn["model"][0], edges) - 1, np.arange(len(edges) - 1))  # every point inside its bin


def test_the_jet_responses_drawn_are_those_measured(results, points):
    with style():
        figure = draw_jets(results)
    drawn = points(figure.axes[0])["targets"][1]
    assert drawn == pytest.approx(columns(results["jets"]["targets"]["central"]["response"]["pt"]["median"])[0], nan_ok=True)


def test_points_without_an_interval_are_hollow(results):
    changed = copy.deepcopy(results)
    bins = changed["jets"]["targets"]["central"]["response"]["pt"]["median"]
    bins[:] = [{"value": 0.9, "low": 0.8, "high": 1.0, "n": 9}, {"value": 0.7, "low": None, "high": None, "n": 1}, *bins[2:]]
    with style():
        lines = draw_jets(changed).axes[0].lines
    (filled,) = (i for i, line in enumerate(lines) if line.get_label() == "targets")
    assert lines[filled].get_ydata()[0] == 0.9
    assert np.isnan(lines[filled].get_ydata()[1])
    assert lines[filled + 1].get_ydata()[1] == 0.7
    assert lines[filled + 1].get_markerfacecolor() == "none"


def test_every_median_response_is_inside_its_panel(results):
    changed = copy.deepcopy(results)
    changed["particles"]["pf"]["residuals"]["photon"]["pt_response"]["pt"]["median"][0] = {"value": 0.3, "low": 0.25, "high": 0.35, "n": 9}
    with style():
        figure = draw_resolution(changed)
    (panel,) = [axes for axes in figure.axes if axes.get_title("right") == "photon"]
    assert panel.get_ylim()[0] < 0.25
    assert panel.get_ylim()[1] >= 1.5


def test_histograms_are_shares_of_all_entries_also_of_those_outside(results):
    changed = copy.deepcopy(results)
    response = changed["particles"]["pf"]["residuals"]["photon"]["pt_response"]
    response["histogram"] = [0] * 49 + [5]
    response["median"]["n"] = 20
    with style():
        figure = draw_response(changed)
    (panel,) = [axes for axes in figure.axes if axes.get_title("right") == "photon"]
    assert panel.patches[0].get_data().values.sum() == pytest.approx(0.25)


def test_confusion_rows_are_in_per_cent(results):
    with style():
        figure = draw_confusion(results)
    percent = np.asarray(figure.axes[0].images[0].get_array())
    assert percent.sum(axis=1) == pytest.approx(np.full(len(percent), 100.0))
    counts = np.array(results["elements"]["pf"]["confusion"]).sum(axis=1)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == [f"none ({counts[0]})", f"charged hadron ({counts[1]})"]


def test_multiplicity_bars_have_the_mean_numbers(results):
    with style():
        figure = draw_multiplicity(results)
    names = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    heights = {bars.get_label(): [patch.get_height() for patch in bars] for bars in figure.axes[0].containers if len(bars) == len(names)}
    for system, title in results["systems"].items():
        assert heights[title][names.index("photon")] == results["multiplicity"][system]["photon"]["number"]["value"]


def test_every_figure_is_written_and_shows_something(results, tmp_path):
    names = draw_summary(results, tmp_path / "plots")
    assert len(names) == 11
    for name in names:
        pixels = matplotlib.image.imread(tmp_path / "plots" / f"{name}.png")
        assert pixels.shape[0] > 300
        assert (pixels[..., :3].min(axis=2) < 0.9).mean() > 0.005  # ink
        assert (tmp_path / "plots" / f"{name}.svg").stat().st_size > 5000
