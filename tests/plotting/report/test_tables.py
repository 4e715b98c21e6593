import re

import pytest

from mlpf.plotting.report import rows, subjects
from mlpf.plotting.report.tables import against, conditions, latex_text, side_by_side, working_points


def lines_of(table):
    return {line.title: line for block in table.blocks for line in block.lines}


def plain(cell):
    return re.sub("<[^>]*>", "", str(cell.shown))


@pytest.fixture(scope="module")
def entry(metrics):
    return metrics["datasets"]["ttbar"]


def test_the_headline_has_all_subjects_in_order(entry, performance):
    groups = subjects.headline(entry, performance["classification"]["ttbar"])
    assert [group.title.split()[0] for group in groups] == ["Jets", "Missing", "Particles", "Classification", "Energy", "Time"]
    assert groups[0].rows[1].title == "response IQR / median, 30–50 GeV"
    assert groups[0].rows[1].values["window"] == entry["jets"]["window"]["central"]["response"]["pt"]["iqr_over_median"][1]


def test_what_is_not_there_has_no_group_and_no_row(entry):
    small = {**entry, "timing": {}, "emd": {}, "particles": {}}
    assert [group.title.split()[0] for group in subjects.headline(small, {})] == ["Jets", "Missing"]
    assert subjects.pileup({**entry, "jets": {}, "met": {}, "particles": {}, "emd": {}}) == []
    assert all(row.title != "response IQR / median, photon" for group in subjects.headline({**entry, "particles": {}}, {}) for row in group.rows)


def test_every_number_of_a_row_is_where_it_says(entry):
    found = {row.title: row for group in subjects.particles(entry) if group.title == "photon" for row in group.rows}
    photon = {system: section["efficiency"]["photon"]["all"] for system, section in entry["particles"].items()}
    assert found["efficiency"].values == photon
    pileup = {group.title: group.rows for group in subjects.pileup(entry)}
    assert pileup["Jet response, |η| < 2.5"][3].title == "median, 40–60 collisions"
    assert pileup["Jet response, |η| < 2.5"][3].values["pf"] == entry["jets"]["pf"]["central"]["response"]["vertices"]["median"][3]
    assert pileup["Fake rate, photon"][0].better == "low"
    assert pileup["Efficiency, photon"][0].better == "high"


def test_a_table_is_what_the_rows_say_and_marks_the_best():
    value = {"value": 0.2, "low": 0.19, "high": 0.21, "n": 5}
    worse, close = ({key: number + by if key != "n" else 5 for key, number in value.items()} for by in (0.1, 0.01))
    groups = [rows.Group("Jets", [rows.Row("far", {"pf": worse, "a": value}, "low"), rows.Row("near", {"pf": close, "a": value, "targets": value}, "low")])]
    table = side_by_side("t", "caption", groups, {"pf": "PF", "a": "A", "targets": "T", "unused": "U"}, ["pf", "a"])
    assert [column.title for column in table.columns] == ["PF", "A", "T"]
    lines = lines_of(table)
    assert [(plain(cell), cell.mark) for cell in lines["far"].cells] == [("0.300 ±0.010", ""), ("0.200 ±0.010", "best"), ("", "")]
    assert [cell.mark for cell in lines["near"].cells] == ["", "first", ""]
    assert lines["far"].cells[1].tsv == "0.2\t0.19\t0.21"
    assert lines["far"].cells[2].tsv == "\t\t"
    assert "PF and A" in table.note


def test_few_entries_are_said():
    groups = [rows.Group("", [rows.Row("few", {"a": {"value": 0.2, "low": None, "high": None, "n": 3}})])]
    assert plain(lines_of(side_by_side("t", "", groups, {"a": "A"}, ["a"]))["few"].cells[0]) == "0.200 n = 3"


def test_differences_come_with_their_worth():
    def around(value):
        return {"value": value, "low": value - 0.03, "high": value + 0.04, "n": 5}

    width = rows.Row("width", {"pf": around(0.5), "a": around(0.25), "b": around(0.48)}, "low")
    groups = [rows.Group("Jets", [width, rows.Row("only a", {"a": around(1.0)}, "low")])]
    table = against("t", "caption", groups, {"pf": "PF", "a": "A", "b": "B"}, ["a", "b"], "pf")
    assert list(lines_of(table)) == ["width"]
    reference, first, second = lines_of(table)["width"].cells
    assert plain(reference) == "0.500 +0.040 −0.030"
    assert (plain(first), first.mark) == ("−0.250 ±0.050▲ better, 5.0 σ", "better")
    assert (plain(second), second.mark) == ("−0.020 ±0.050≈ 0.4 σ", "same")
    assert first.latex == r"$-0.250 \pm 0.050$ (better, 5.0 $\sigma$)"
    assert first.tsv.split("\t") == ["-0.25", "-0.3", "-0.2", "5"]
    assert all(len(cell.tsv.split("\t")) == len(column.tsv.split("\t")) for cell, column in zip((reference, first, second), table.columns, strict=True))


def test_working_points_are_rows_of_their_system(performance):
    table = working_points(performance["classification"]["ttbar"], {"pf": "rule-based PF", "tiny": "tiny", "window": "window"})
    lines = [line for block in table.blocks if block.title == "photon" for line in block.lines]
    assert [(line.title, line.system) for line in lines] == [
        ("rule-based PF, as it is", "pf"),
        ("tiny, 80 % efficiency", "tiny"),
        ("tiny, 90 % efficiency", "tiny"),
        ("window, 80 % efficiency", "window"),
        ("window, 90 % efficiency", "window"),
    ]
    assert [plain(cell) for cell in lines[0].cells][:2] == ["", ""]
    assert [plain(cell) for cell in lines[1].cells][:3] == ["0.2", "0.5", "0.8000 +0.0075 −0.0050"]


def test_conditions_are_one_column_for_each_model(entry):
    table = conditions(entry["timing"], entry["systems"])
    assert [column.title for column in table.columns] == ["tiny", "window"]
    assert [plain(cell) for cell in lines_of(table)["threads"].cells] == ["2", "2"]


def test_words_are_escaped_for_latex():
    assert latex_text("a_b & 5 % of {x} \\ |η| < 2 – σ") == r"a\_b \& 5 \% of \{x\} \textbackslash{} $|$$\eta$$|$ $<$ 2 -- $\sigma$"


@pytest.mark.parametrize(
    ("name", "title"), [("all", "all elements"), ("pt_1_5", "elements of 1–5 GeV"), ("pt_20_inf", "elements above 20 GeV"), ("eta_0_1", "eta 0 1")]
)
def test_bins_have_titles(name, title):
    assert rows.bin_title(name) == title
