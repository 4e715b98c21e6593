import numpy as np
import pytest

from mlpf.plotting.style import style
from mlpf.plotting.training import draw_class_response, draw_learning_curves

EDGES = np.geomspace(0.05, 20.0, 4801)


def response_of(values):
    return np.histogram(values, EDGES)[0]


def test_the_response_of_each_class_that_occurs_is_drawn_with_its_quartiles():
    rng = np.random.default_rng(0)
    photons = rng.normal(1.1, 0.1, 10_000)
    counts = np.stack([np.zeros(4800, dtype=int), response_of(photons)])
    quantiles = np.array([[np.nan] * 3, np.quantile(photons, (0.25, 0.5, 0.75))])
    with style():
        figure = draw_class_response(EDGES, counts, quantiles, ("electron", "photon"))
    (axes,) = [axes for axes in figure.axes if axes.get_visible()]
    assert axes.get_title("right") == "photon"
    drawn, bins, _ = axes.patches[-1].get_data()
    expected = np.histogram(photons, bins)[0] / len(photons)
    assert drawn == pytest.approx(expected, abs=0.005)  # fine bins at the edge of a coarse one fall to one side
    assert drawn.sum() == pytest.approx(1.0)
    assert axes.lines[0].get_xdata()[0] == quantiles[1, 1]
    assert f"10000 elements\nmedian {np.median(photons):.3f}\n" in axes.texts[0].get_text()
    assert f"IQR / median {(quantiles[1, 2] - quantiles[1, 0]) / quantiles[1, 1]:.3f}" in axes.texts[0].get_text()


def test_nothing_to_draw_is_an_empty_figure():
    with style():
        assert not any(axes.get_visible() for axes in draw_class_response(EDGES, np.zeros((1, 4800)), np.full((1, 3), np.nan), ("photon",)).axes)
        assert not any(axes.get_visible() for axes in draw_learning_curves({"step": []}).axes)


def test_curves_are_those_of_the_table_the_total_first_and_terms_without_a_value_left_out():
    table = {
        "step": [10.0, 20.0],
        "train/log_pt": [3.0, 2.0],
        "train/total": [30.0, 2.0],
        "validation/log_pt": [2.5, 1.5],
        "validation/met": [0.0, 0.0],
        "validation/pid_accuracy": [0.5, 0.6],
        "validation/total": [28.0, float("nan")],
        "events_per_second": [100.0, 110.0],
    }
    with style():
        figure = draw_learning_curves(table)
    drawn = {axes.get_title("right"): [line.get_ydata().tolist() for line in axes.lines] for axes in figure.axes if axes.get_visible()}
    assert list(drawn) == ["total", "log pt", "pid accuracy"]
    assert drawn["log pt"] == [[3.0, 2.0], [2.5, 1.5]]
    assert drawn["pid accuracy"] == [[0.5, 0.6]]
    assert [axes.get_yscale() for axes in figure.axes[:2]] == ["log", "linear"]  # a factor of 15, and one of 2
    assert figure.axes[0].lines[0].get_xdata().tolist() == [10.0, 20.0]
