import base64
import json
import re
from html.parser import HTMLParser

import pytest

from mlpf.plotting.report import page as page_module
from mlpf.plotting.report import write_report

VOID = {"meta", "link", "input"}


class Outline(HTMLParser):
    """Finds tags that are not closed in order; collects identifiers, links and texts of elements."""

    def __init__(self, source):
        super().__init__()
        self.open, self.identifiers, self.links, self.scripts, self.headings = [], [], [], 0, []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        self.identifiers += [attributes["id"]] if "id" in attributes else []
        self.links += [value for key, value in attrs if key in ("href", "src", "xlink:href")]

    def handle_startendtag(self, tag, attrs):  # noqa: ARG002
        self.identifiers += [value for key, value in attrs if key == "id"]
        self.links += [value for key, value in attrs if key == "xlink:href"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)


@pytest.fixture(scope="module")
def source(report):
    return report.read_text()


@pytest.fixture(scope="module")
def outline(source):
    return Outline(source)


def test_the_page_is_closed_and_holds_one_script(outline):
    assert outline.open == []
    assert outline.scripts == 1


def test_identifiers_are_unique_and_links_stay_on_the_page(outline):
    assert len(outline.identifiers) == len(set(outline.identifiers))
    for link in outline.links:
        assert link.startswith("data:") or link[1:] in outline.identifiers, link


def test_the_order_is_verdict_run_headline_comparison_sections_definitions(outline):
    assert outline.headings == [
        "tiny and window on ttbar and qcd",
        *("What was run", "tiny", "window", "ttbar", "qcd"),
        *("ttbar", "Headline", "Comparison", "Against rule-based PF", "Against tiny", "Against window"),
        *("Jets", "Missing transverse momentum", "Particles", "Elements", "Confusion of classes", "Multiplicity", "Classification"),
        *("Calibration of scores", "Pileup", "Time"),
        *("qcd", "Headline", "Comparison", "Against rule-based PF", "Against tiny", "Against window"),
        *("Jets", "Missing transverse momentum", "Particles", "Elements", "Multiplicity", "Classification", "Calibration of scores", "Time"),
        "Definitions and uncertainties",
    ]


def test_what_was_run_is_said(source):
    top = source[source.index('id="run"') : source.index("Headline</h2>")]
    said = {"model": "runs/tiny", "split": "test", "events": "400", "elements": "200,000", "mlpf": "0.1.0", "events digest": "3fd1c0b2aa17ee90"}
    for key, value in said.items():
        assert f"<dt>{key}</dt><dd>{value}</dd>" in top
    assert "<dt>candidates left out, not finite</dt><dd>7 (tiny)</dd>" in top


def test_names_and_texts_from_outside_are_escaped(source):
    assert "/data/&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;amp;" in source
    assert "<script>alert" not in source
    assert "Anti-kt 0.4 &lt;b&gt;" in source


def test_hostile_names_cannot_break_out_of_attributes(metrics, performance, plots, tmp_path):
    bad = '"><img src=x onerror=alert(1)>'
    text = json.dumps({"metrics": metrics, "performance": performance}).replace('"tiny', json.dumps(bad)[:-1])
    evaluation = json.loads(text)
    write_report(tmp_path / "report.html", evaluation["metrics"], evaluation["performance"], plots, {})
    source = (tmp_path / "report.html").read_text()
    assert "<img" not in source
    assert Outline(source).open == []


def test_the_numbers_are_those_of_the_file(source, metrics):
    entry = metrics["datasets"]["ttbar"]
    headline = source[source.index('data-table="headline"') : source.index('id="ttbar-comparison"')]
    row = re.search(r'<tr><th scope="row" data-latex="response IQR / median, 30--50 GeV">.*?</th>(.*?)</tr>', headline).group(1)
    written = re.findall(r'data-system="([^"]*)"[^>]*data-tsv="([^"]*)"', row)
    assert [system for system, _ in written] == list(entry["jets"])
    for system, numbers in written:
        estimate = entry["jets"][system]["central"]["response"]["pt"]["iqr_over_median"][1]
        assert [float(number) for number in numbers.split("\t")] == pytest.approx([estimate[key] for key in ("value", "low", "high")], rel=1e-5)


def test_documents_are_on_the_page_only_while_they_are_small(metrics, performance, plots, tmp_path, monkeypatch):
    figures = {"ttbar": ["met"]}
    expected = base64.b64encode((plots / "ttbar" / "met.pdf").read_bytes()).decode()
    write_report(tmp_path / "with.html", metrics, performance, plots, figures)
    assert f'download="ttbar_met.pdf" href="data:application/pdf;base64,{expected}"' in (tmp_path / "with.html").read_text()
    monkeypatch.setattr(page_module, "MAX_PDF_BYTES", 10)
    write_report(tmp_path / "without.html", metrics, performance, plots, figures)
    assert "application/pdf" not in (tmp_path / "without.html").read_text()


def test_one_model_and_one_dataset_need_no_choices(make_entry, tmp_path):
    entry = make_entry(("tiny",), with_pf=False)
    write_report(tmp_path / "report.html", {"definitions": {}, "datasets": {"ttbar": entry}}, {}, tmp_path, {})
    source = (tmp_path / "report.html").read_text()
    assert 'role="tablist"' not in source
    assert 'id="ttbar-comparison"' not in source  # nothing to compare with
    assert "rule-based PF" not in source[: source.index('id="definitions"')]
    assert "for tiny and" in source


def test_another_reference_comes_first(metrics, performance, plots, tmp_path):
    write_report(tmp_path / "report.html", metrics, performance, plots, {}, reference="window")
    outline = Outline((tmp_path / "report.html").read_text())
    assert [heading for heading in outline.headings if heading.startswith("Against")][:3] == ["Against window", "Against rule-based PF", "Against tiny"]


def test_any_system_can_be_the_reference(metrics, performance, plots, tmp_path):
    write_report(tmp_path / "report.html", metrics, performance, plots, {}, reference="targets")
    source = (tmp_path / "report.html").read_text()
    assert next(heading for heading in Outline(source).headings if heading.startswith("Against")) == "Against targets"
    assert "against targets, rule-based PF" not in source  # the models are judged
    assert "against targets, tiny" in source


def test_models_of_one_name_that_differ_between_datasets_are_told_apart(make_entry, tmp_path):
    entries = {name: make_entry(("tiny",)) for name in ("ttbar", "qcd")}
    entries["qcd"]["models"]["tiny"]["description"] = {"model": "other"}
    write_report(tmp_path / "report.html", {"definitions": {}, "datasets": entries}, {}, tmp_path, {})
    assert Outline((tmp_path / "report.html").read_text()).headings[2:4] == ["tiny on ttbar", "tiny on qcd"]


def test_a_figure_that_no_section_knows_is_shown_all_the_same(metrics, performance, plots, tmp_path):
    folder = tmp_path / "plots" / "ttbar"
    folder.mkdir(parents=True)
    (folder / "new_one.svg").write_bytes((plots / "ttbar" / "met.svg").read_bytes())
    write_report(tmp_path / "report.html", metrics, performance, tmp_path / "plots", {"ttbar": ["new_one"]})
    source = (tmp_path / "report.html").read_text()
    assert "Other figures" in Outline(source).headings
    assert 'id="ttbar-figure-new_one"' in source
