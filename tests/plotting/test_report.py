import html
import re
from html.parser import HTMLParser

import pytest

from mlpf.plotting.report import CAPTIONS, format_estimate, write_report


def estimate(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 10}


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.91234, 0.90813, 0.91655), "0.9123 &plusmn;0.0042"),
        ((0.998, 0.995, 0.999), "0.9980 +0.0010 &minus;0.0030"),
        ((93.84, 91.02, 96.61), "93.8 &plusmn;2.8"),
        ((1.0, 1.0, 1.0), "1.000 &plusmn;0.000"),
        ((0.5, None, None), "0.5 (n = 10)"),
        ((None, None, None), "none"),
    ],
)
def test_numbers_come_with_their_interval_at_two_digits(numbers, text):
    assert re.sub("<[^>]*>", "", format_estimate(estimate(*numbers))) == text


@pytest.fixture
def page(results, tmp_path):
    for name in CAPTIONS:
        (tmp_path / f"{name}.svg").write_text(
            f'<?xml version="1.0"?>\n<svg viewBox="0 0 9 9">\n <g id="axes_1"><path style="stroke: #000000" id="{name}"/></g></svg>'
        )
    write_report(tmp_path / "report.html", results, tmp_path, list(CAPTIONS))
    return (tmp_path / "report.html").read_text()


class Balance(HTMLParser):
    """Finds tags that are not closed in order."""

    VOID = ("meta",)

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_a_closed_page_without_anything_from_elsewhere(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    assert "prefers-color-scheme: dark" in page


def test_the_report_holds_the_measured_numbers_side_by_side(page, results):
    rows = {cells[0]: cells[1:] for row in re.findall("<tr>(.*?)</tr>", page) if len(cells := re.findall("<td>(.*?)</td>", row)) == 4}
    place = ("central", "response", "pt", "iqr_over_median", 0)
    for cell, system in zip(rows["response IQR / median, 20-30 GeV"], ("pf", "model", "targets"), strict=True):
        value = results["jets"][system]
        for key in place:
            value = value[key]
        assert cell == format_estimate(value)
    efficiency = results["particles"]["pf"]["efficiency"]["photon"]["all"]
    assert rows["efficiency, photon"][0] == format_estimate(efficiency)
    assert rows["efficiency, photon"][0].startswith(f"{efficiency['value']:.3f} ")


def test_the_page_starts_with_what_was_run(page, results):
    top = page[: page.index("<table>")]
    for name, value in (("dataset", "work/ttbar"), ("split", "test"), ("mlpf", "0.1"), ("events", 30), ("elements", results["num_elements"])):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in top
    assert "not finite" not in top


def test_candidates_left_out_are_said_at_the_top(results, tmp_path):
    write_report(tmp_path / "report.html", {**results, "num_not_finite": 7}, tmp_path, [])
    assert "<dt>candidates left out, not finite</dt><dd>7</dd>" in (tmp_path / "report.html").read_text()


def test_names_from_outside_are_escaped(page):
    assert html.escape("runs/<best>") in page
    assert "runs/<best>" not in page


def test_figures_take_the_text_colour_of_the_page(page):
    assert page.count("<svg") == len(CAPTIONS)
    assert "#000000" not in page
    assert "currentColor" in page
    assert "axes_1" not in page  # the same id in every figure
