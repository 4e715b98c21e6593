import pytest

from mlpf.plotting.summary import Summary, columns
from mlpf.plotting.summary.event import draw_emd, draw_multiplicity
from mlpf.plotting.summary.met import draw_met, draw_met_vertices
from mlpf.plotting.summary.timing import draw_timing
from mlpf.plotting.summary.training import draw_training


def test_met_drawn_is_that_measured(summary, drawn):
    distribution, width, width_ratio, ratio = draw_met(summary).axes
    met = summary.entry["met"]
    assert drawn(width, "targets")[1] == pytest.approx(columns(met["targets"]["residual"]["genmet"]["iqr"])[0])
    assert drawn(ratio, "pf")[1] == pytest.approx(columns(met["pf"]["ratio"]["genmet"]["median"])[0])
    expected = columns(met["tiny"]["residual"]["genmet"]["iqr"])[0] / columns(met["pf"]["residual"]["genmet"]["iqr"])[0]
    assert drawn(width_ratio, "tiny")[1] == pytest.approx(expected)
    assert len(distribution.patches) == len(met)


def test_vertices_are_drawn_where_they_are_known(summary, make_entry, drawn):
    width = draw_met_vertices(summary).axes[0]
    assert drawn(width, "pf")[1] == pytest.approx(columns(summary.entry["met"]["pf"]["residual"]["vertices"]["iqr"])[0])
    assert draw_met_vertices(Summary(make_entry())) is None
    assert [len(draw_emd(Summary(make_entry())).axes), len(draw_emd(summary).axes)] == [2, 3]


def test_distances_drawn_are_those_measured(summary, drawn):
    mean, normalised, vertices = draw_emd(summary).axes
    emd = summary.entry["emd"]
    assert drawn(mean, "window")[1].tolist() == [emd["window"]["all"]["value"]]
    assert drawn(normalised, "targets")[1].tolist() == [emd["targets"]["normalised"]["value"]]
    assert drawn(vertices, "pf")[1] == pytest.approx(columns(emd["pf"]["vertices"])[0])


def test_numbers_of_candidates_drawn_are_those_measured(summary, drawn):
    number, number_ratio, mean, spread = draw_multiplicity(summary).axes
    names = number_ratio.xaxis.get_major_formatter().seq
    assert names[names.index("photon")] == "photon"
    for system, classes in summary.entry["multiplicity"].items():
        assert drawn(number, system)[1][names.index("photon")] == classes["photon"]["number"]["value"]
    assert drawn(mean, "pf")[1][0] == summary.entry["multiplicity"]["pf"]["charged_hadron"]["difference"]["mean"]["value"]
    assert drawn(spread, "pf")[1][0] == summary.entry["multiplicity"]["pf"]["charged_hadron"]["difference"]["iqr"]["value"]
    assert not [line for line in mean.lines if line.get_gid() == "system:targets"]  # no difference to themselves


def test_times_are_drawn_over_the_bins_that_have_events(summary, drawn):
    (axes,) = draw_timing(summary).axes
    times = summary.entry["timing"]["window"]["milliseconds_per_event"]
    assert drawn(axes, "window")[1].tolist() == [estimate["value"] for estimate in times["median"][1:4]]
    assert axes.get_xlim() == (250, 1000)
    assert axes.get_title("right") == "cpu, 2 threads"


def test_learning_curves_of_all_models_are_in_one_figure(summary, panels_titled):
    figure = draw_training(summary)
    assert [axes.get_title("right") for axes in figure.axes] == ["total", "log pt", "pid", "pid accuracy"]  # met is switched off
    (axes,) = panels_titled(figure, "pid")
    table = summary.entry["models"]["window"]["training"]
    curves = {line.get_label(): line for line in axes.lines}
    assert set(curves) == {f"{model}, {stage}" for model in ("tiny", "window") for stage in ("train", "validation")}
    assert curves["window, train"].get_ydata().tolist() == table["train/pid"]
    assert curves["window, validation"].get_xdata().tolist() == [500, 1000, 1500, 2000]  # where there was one
    assert {line.get_gid() for line in axes.lines} == {"system:tiny", "system:window"}


def test_models_without_learning_curves_are_left_out(make_entry):
    entry = make_entry(("tiny", "exported"))
    entry["models"]["exported"]["training"] = None
    assert {line.get_gid() for line in draw_training(Summary(entry)).axes[0].lines} == {"system:tiny"}
    assert draw_training(Summary(make_entry(with_training=False))) is None


def test_what_was_not_measured_is_not_drawn(make_entry):
    entry = make_entry()
    for section in ("met", "emd", "multiplicity", "timing", "models"):
        del entry[section]
    assert [draw(Summary(entry)) for draw in (draw_met, draw_met_vertices, draw_emd, draw_multiplicity, draw_timing, draw_training)] == [None] * 6
