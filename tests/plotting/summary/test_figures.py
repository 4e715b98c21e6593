import json
import re
from xml.etree import ElementTree as ET

import matplotlib.image
import pytest

from mlpf.plotting.summary import CAPTIONS, Summary, draw_summary
from mlpf.plotting.summary.figures import FIGURES

ORDER = (
    "jets jets_eta jet_matching jets_vertices met met_vertices emd particles_pt particles_eta particles_vertices response resolution resolution_eta "
    "elements_pt elements_eta confusion multiplicity roc calibration timing training"
).split()
NEEDS_VERTICES = {"jets_vertices", "met_vertices", "particles_vertices"}


@pytest.fixture(scope="module")
def written(summary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots") / "ttbar"
    return folder, draw_summary(summary.entry, summary.classification, folder)


def test_every_figure_is_written_in_three_formats_and_shows_something(written):
    folder, names = written
    assert names == ORDER
    assert {path.name for path in folder.iterdir()} == {f"{name}.{suffix}" for name in ORDER for suffix in ("png", "svg", "pdf")}
    for name in names:
        pixels = matplotlib.image.imread(folder / f"{name}.png")
        assert pixels.shape[0] > 300
        assert (pixels[..., :3].min(axis=2) < 0.9).mean() > 0.005  # ink
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF-")


def test_every_figure_says_what_it_shows_and_what_belongs_to_which_system(written, summary):
    folder, names = written
    for name in names:
        svg = (folder / f"{name}.svg").read_text()
        ET.fromstring(svg)
        assert ">mlpf<" in svg
        assert ("own training and validation events" if name == "training" else "ttbar, 400 events") in svg
        found = set(re.findall(r'id="system:([^"]*)"', svg))
        assert {"tiny", "window"} <= found <= set(summary.titles), name
        if name != "confusion":  # its panels have titles
            assert all(f">{summary.titles[system]}<" in svg for system in found)


def test_svg_files_are_small(written):
    folder, names = written
    sizes = {name: (folder / f"{name}.svg").stat().st_size for name in names}
    assert sorted(sizes.values())[len(sizes) // 2] < 150_000
    assert max(sizes.values()) < 500_000  # two models, all pileup, 36 panels


def test_every_figure_has_a_caption():
    assert list(CAPTIONS) == ORDER


@pytest.mark.parametrize(
    ("models", "with_pf", "with_scores"),
    [(("tiny",), True, True), (("tiny",), False, True), (("tiny",), False, False), (tuple("abcdefgh"), True, True)],
)
def test_any_set_of_systems_can_be_drawn(make_entry, make_classification, models, with_pf, with_scores):
    entry = make_entry(models, with_pf, with_training=False)
    summary = Summary(entry, make_classification(models, with_pf) if with_scores else {})
    drawn = [name for name, figure in FIGURES.items() if figure.draw(summary) is not None]
    missing = NEEDS_VERTICES | {"training"} | (set() if with_scores else {"roc", "calibration"})
    assert drawn == [name for name in ORDER if name not in missing]


def test_an_evaluation_without_any_numbers_has_no_figures(make_entry, tmp_path):
    entry = {key: make_entry()[key] for key in ("num_events", "systems", "bins")}
    assert draw_summary(entry, {}, tmp_path / "plots") == []


def test_no_panel_is_empty_where_nothing_has_a_value(make_entry):
    def emptied(content):
        if isinstance(content, dict) and set(content) == {"value", "low", "high", "n"}:
            return {"value": None, "low": None, "high": None, "n": 0}
        if isinstance(content, dict):
            return {key: [0] * len(value) if key == "histogram" else emptied(value) for key, value in content.items()}
        return [emptied(value) for value in content] if isinstance(content, list) else content

    entry = make_entry(with_training=False)
    summary = Summary({**emptied(entry), "elements": {}})
    assert [name for name, figure in FIGURES.items() if figure.draw(summary) is not None] == []


def test_entries_are_drawn_as_they_come_from_a_file(make_entry, make_classification, tmp_path):
    entry = json.loads(json.dumps(make_entry()))
    draw_summary(entry, make_classification(), tmp_path / "other", reference="targets", dataset="qcd", models=["window", "tiny"])
    svg = (tmp_path / "other" / "jets.svg").read_text()
    assert "qcd, 400 events, ratios to targets" in svg
    assert "#832db6" in svg  # the second of all models
    assert "#5790fc" not in svg
