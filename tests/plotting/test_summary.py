import matplotlib.image
import numpy as np
import pytest

from mlpf.plotting.style import style
from mlpf.plotting.summary import columns, draw_confusion, draw_efficiency, draw_jets, draw_multiplicity, draw_summary


@pytest.fixture
def points():
    """What is drawn in a panel: label -> (x, y) of the markers."""
    return lambda axes: {line.get_label(): line.get_data() for line in axes.lines if not line.get_label().startswith("_")}


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
    edges = results["bins"]["particle_pt"]
    assert np.array_equal(np.digitize(drawn["model"][0], edges) - 1, np.arange(len(edges) - 1))  # every point inside its bin


def test_the_jet_responses_drawn_are_those_measured(results, points):
    with style():
        figure = draw_jets(results)
    drawn = points(figure.axes[0])["targets"][1]
    assert drawn == pytest.approx(columns(results["jets"]["targets"]["central"]["response"]["pt"]["median"])[0], nan_ok=True)


def test_confusion_rows_are_in_per_cent(results):
    with style():
        figure = draw_confusion(results)
    percent = np.asarray(figure.axes[0].images[0].get_array())
    assert percent.sum(axis=1) == pytest.approx(np.full(len(percent), 100.0))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == ["none", "charged hadron"]


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
