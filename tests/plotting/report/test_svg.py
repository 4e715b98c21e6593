import re
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from mlpf.plotting.report.svg import color_on_dark, contrast, inline_svg

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("svg") / "figure.svg"
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "TeX Gyre Heros", "svg.hashsalt": "x", "font.sans-serif": ["DejaVu Sans"]}):
        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        axes.plot([0, 1, 2], [1, 3, 2], "o", color="#832db6", gid="system:tiny", label="<tiny> & co")
        axes.plot([0, 1, 2], [3, 1, 2], "o", color="#ff5e02", gid="system:pf", markerfacecolor="white")
        axes.set_xlabel(r"jet $p_\mathrm{T}$ & more")
        axes.legend(frameon=False)
        figure.savefig(path, transparent=True)
    return path.read_text()


@pytest.fixture(scope="module")
def inline(source):
    return inline_svg(source, "d0-jets-", 'a "caption"')


def test_the_figure_is_one_element_with_a_text_for_those_who_do_not_see_it(inline):
    root = ET.fromstring(inline.markup)
    assert (root.tag, root.get("role"), root.get("aria-label"), root.get("viewBox")) == (f"{SVG}svg", "img", 'a "caption"', "0 0 288 216")
    assert root.find(f".//{SVG}style") is None
    assert root.find(f".//{SVG}metadata") is None


def test_identifiers_are_prefixed_and_complete(inline):
    identifiers = re.findall(r'\bid="([^"]*)"', inline.markup)
    used = set(re.findall(r"url\(#([^)]*)\)", inline.markup)) | set(re.findall(r'href="#([^"]*)"', inline.markup))
    assert used
    assert used == set(identifiers)
    assert len(identifiers) == len(set(identifiers))
    assert all(name.startswith("d0-jets-") for name in identifiers)


def test_systems_are_attributes_that_may_repeat(inline):
    root = ET.fromstring(inline.markup)
    systems = [group.get("data-system") for group in root.iter(f"{SVG}g") if group.get("data-system")]
    assert systems == ["tiny", "pf"]
    assert all(group.get("class") == "system" for group in root.iter(f"{SVG}g") if group.get("data-system"))


def test_definitions_outlive_the_system_that_needed_them_first(inline):
    root = ET.fromstring(inline.markup)
    assert [child.tag for child in root].count(f"{SVG}defs") == 1
    assert root.find(f".//{SVG}g//{SVG}defs") is None


def test_colours_are_those_of_the_page(inline):
    assert inline.colors == {"832db6", "ff5e02"}
    assert "#000000" not in inline.markup
    assert "#ffffff" not in inline.markup
    assert "stroke:var(--c832db6)" in inline.markup
    assert "stroke:currentColor" in inline.markup
    assert "fill:var(--page)" in inline.markup


def test_the_figure_keeps_its_points_within_a_hundredth(source, inline):
    def places(svg):
        return [(float(use.get("x")), float(use.get("y"))) for use in ET.fromstring(svg).iter(f"{SVG}use")]

    before, after = places(source), places(inline.markup)
    assert len(before) == len(after) > 6
    assert max(abs(a - b) for x, y in zip(before, after, strict=True) for a, b in zip(x, y, strict=True)) <= 0.00501
    assert len(inline.markup) < 0.65 * len(source)


def test_words_are_kept_letter_by_letter(source, inline):
    def letters(svg):
        return ["".join(text.itertext()).replace(" ", "").replace("\n", "") for text in ET.fromstring(svg).iter(f"{SVG}text")]

    assert letters(inline.markup) == letters(source)
    assert "&lt;tiny&gt; &amp; co" in inline.markup
    for span in ET.fromstring(inline.markup).iter(f"{SVG}tspan"):
        assert len(span.get("x").split()) == len(span.text)


def test_lines_are_seen_on_the_dark_page():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the well-known grey just below 4.5
    assert color_on_dark("5790fc") == "#5790fc"  # bright enough
    for color in ("000000", "832db6", "7a21dd", "1845fb"):
        assert contrast(color_on_dark(color), "#14171c") >= 3
