import pytest

from mlpf.plotting.summary import Summary, columns, draw_confusion, draw_efficiency
from mlpf.plotting.summary.residuals import draw_resolution, draw_response

NOTHING = {"value": None, "low": None, "high": None, "n": 0}


@pytest.mark.parametrize(("per", "variable"), [("particles", "pt"), ("particles", "eta"), ("particles", "vertices"), ("elements", "pt")])
def test_efficiencies_and_fake_rates_drawn_are_those_measured(summary, panels_titled, drawn, per, variable):
    figure = draw_efficiency(summary, per, variable)
    (efficiency,) = panels_titled(figure, "photon")
    fakes = figure.axes[figure.axes.index(efficiency) + 1]
    for system in ("pf", "tiny", "window"):
        measured = summary.entry[per][system]
        assert drawn(efficiency, system)[1] == pytest.approx(columns(measured["efficiency"]["photon"][variable])[0])
        assert drawn(fakes, system)[1] == pytest.approx(columns(measured["fake_rate"]["photon"][variable])[0])
    assert not [line for line in efficiency.lines if line.get_gid() == "system:targets"]  # the truth has none


def test_elements_have_a_panel_for_any_particle(summary, panels_titled):
    assert panels_titled(draw_efficiency(summary, "elements", "pt"), "any particle")
    assert not panels_titled(draw_efficiency(summary, "particles", "pt"), "any particle")


def test_classes_that_do_not_occur_have_no_panels(summary, make_entry, panels_titled):
    assert not panels_titled(draw_efficiency(summary, "particles", "pt"), "muon")  # no target is one
    entry = make_entry()
    for system in entry["particles"].values():
        for quantity in ("efficiency", "fake_rate"):
            system[quantity]["photon"]["pt"] = [NOTHING] * 10
    figure = draw_efficiency(Summary(entry), "particles", "pt")
    assert len(figure.axes) == 2 * 5


@pytest.mark.parametrize("variable", ["pt", "eta"])
def test_resolutions_drawn_are_those_measured(summary, panels_titled, drawn, variable):
    figure = draw_resolution(summary, variable)
    (first,) = panels_titled(figure, "charged hadron")
    start = figure.axes.index(first)
    median, width, width_ratio, energy, _ = figure.axes[start : start + 5]
    residuals = {system: summary.entry["particles"][system]["residuals"]["charged_hadron"] for system in ("pf", "tiny")}
    assert drawn(median, "pf")[1] == pytest.approx(columns(residuals["pf"]["pt_response"][variable]["median"])[0])
    assert drawn(width, "pf")[1] == pytest.approx(columns(residuals["pf"]["pt_response"][variable]["iqr_over_median"])[0])
    assert drawn(energy, "tiny")[1] == pytest.approx(columns(residuals["tiny"]["energy_response"][variable]["iqr_over_median"])[0])
    widths = [columns(residuals[system]["pt_response"][variable]["iqr_over_median"])[0] for system in ("pf", "tiny")]
    assert drawn(width_ratio, "tiny")[1] == pytest.approx(widths[1] / widths[0])


def test_every_median_response_is_inside_its_panel(make_entry, panels_titled):
    entry = make_entry()
    entry["particles"]["pf"]["residuals"]["photon"]["pt_response"]["pt"]["median"][0] = {"value": 0.3, "low": 0.25, "high": 0.35, "n": 9}
    (panel,) = panels_titled(draw_resolution(Summary(entry), "pt"), "photon")
    assert panel.get_ylim()[0] < 0.25
    assert panel.get_ylim()[1] >= 1.5


def test_responses_are_shares_of_the_matched_particles(summary, panels_titled):
    (panel,) = panels_titled(draw_response(summary), "photon")
    steps = {patch.get_gid(): patch for patch in panel.patches}
    response = summary.entry["particles"]["window"]["residuals"]["photon"]["pt_response"]
    assert steps["system:window"].get_data().values * 500 == pytest.approx(response["histogram"])


def test_confusion_has_a_panel_for_each_system_that_is_hidden_with_it(summary):
    figure = draw_confusion(summary)
    assert [axes.get_gid() for axes in figure.axes] == ["system:pf", "system:tiny", "system:window"]
    axes = figure.axes[0]
    confusion = summary.entry["elements"]["pf"]["confusion"]
    rows = [sum(row) for row in confusion]
    names = axes.yaxis.get_major_formatter().seq
    assert names[:2] == [f"none ({rows[0]})", f"charged hadron ({rows[1]})"]
    assert not any(name.startswith("tau") for name in names)  # no element is or becomes one
    written = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert written[1, 1] == f"{100 * confusion[1][1] / rows[1]:.0f}"


def test_the_darker_the_more(summary):
    (cells,) = draw_confusion(summary).axes[0].collections
    confusion = summary.entry["elements"]["pf"]["confusion"]
    assert cells.get_facecolors()[0, 3] == pytest.approx(0.55 * confusion[0][0] / sum(confusion[0]))


def test_without_elements_or_particles_there_are_no_figures(make_entry):
    entry = make_entry()
    del entry["elements"], entry["particles"]
    empty = Summary(entry)
    assert draw_confusion(empty) is None
    assert draw_response(empty) is None
    assert [draw_efficiency(empty, per, "pt") for per in ("elements", "particles")] == [None, None]
    assert [draw_resolution(empty, variable) for variable in ("pt", "eta")] == [None, None]
