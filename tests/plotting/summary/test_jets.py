import copy

import numpy as np
import pytest

from mlpf.plotting.summary import Summary, columns
from mlpf.plotting.summary.jets import draw_jet_matching, draw_jets, draw_jets_eta, draw_jets_vertices

NOTHING = {"value": None, "low": None, "high": None, "n": 0}


def test_the_responses_drawn_are_those_measured(summary, drawn):
    figure = draw_jets(summary)
    median, ratio, width = figure.axes[:3]
    for system, jets in summary.entry["jets"].items():
        response = jets["central"]["response"]["pt"]
        assert drawn(median, system)[1] == pytest.approx(columns(response["median"])[0])
        assert drawn(width, system)[1] == pytest.approx(columns(response["iqr_over_median"])[0])
    reference = columns(summary.entry["jets"]["pf"]["central"]["response"]["pt"]["median"])[0]
    expected = columns(summary.entry["jets"]["targets"]["central"]["response"]["pt"]["median"])[0] / reference
    assert drawn(ratio, "targets")[1] == pytest.approx(expected)
    assert "ratios to rule-based PF" in figure.texts[2].get_text()


def test_ratio_panels_share_the_axis_above(summary):
    median, ratio = draw_jets(summary).axes[:2]
    assert ratio.get_xlim() == median.get_xlim()
    assert not median.has_numbers_below
    assert ratio.get_xlabel() == r"generated jet $p_\mathrm{T}$ [GeV]"


def test_without_forward_jets_there_is_one_row(make_entry):
    entry = make_entry()
    for jets in entry["jets"].values():
        jets["forward"]["response"]["all"]["median"] = NOTHING
    figure = draw_jets(Summary(entry))
    assert len(figure.axes) == 5
    assert {axes.get_title("right") for axes in figure.axes} == {"", r"$|\eta| < 2.5$"}


def test_against_eta_each_bin_is_of_the_region_that_has_it(summary, drawn):
    figure = draw_jets_eta(summary)
    x, y = drawn(figure.axes[0], "pf")
    edges = np.array(summary.entry["bins"]["jet_eta"])
    assert np.digitize(x, edges).tolist() == list(range(1, len(edges)))  # every bin has a point
    central = columns(summary.entry["jets"]["pf"]["central"]["response"]["eta"]["median"])[0]
    forward = columns(summary.entry["jets"]["pf"]["forward"]["response"]["eta"]["median"])[0]
    assert y == pytest.approx(np.where(np.isnan(central), forward, central))


def test_purity_is_against_reconstructed_pt(summary, drawn):
    figure = draw_jet_matching(summary)
    assert [axes.get_xlabel().split()[0] for axes in figure.axes] == ["generated", "reconstructed"] * 2
    assert drawn(figure.axes[3], "window")[1] == pytest.approx(columns(summary.entry["jets"]["window"]["forward"]["purity"]["pt"])[0])


def test_vertices_are_drawn_where_they_are_known(summary, make_entry, drawn):
    figure = draw_jets_vertices(summary)
    expected = columns(summary.entry["jets"]["targets_hard"]["central"]["response"]["vertices"]["iqr_over_median"])[0]
    assert drawn(figure.axes[2], "targets_hard")[1] == pytest.approx(expected)
    assert draw_jets_vertices(Summary(make_entry())) is None


def test_no_jets_no_figures(make_entry):
    entry = copy.deepcopy(make_entry())
    del entry["jets"]
    assert [draw(Summary(entry)) for draw in (draw_jets, draw_jets_eta, draw_jet_matching, draw_jets_vertices)] == [None] * 4
