import json

import pytest
from detector_toys import all_tables

from mlpf.errors import MlpfError
from mlpf.evaluation.detector import document, validation
from mlpf.evaluation.detector.document import blocks, frame, to_json, write
from mlpf.evaluation.document import fill


def entry(quantity="response", where="", value=1.0, error=0.01, inside=True, topic="response"):
    measured = {"value": value, "low": value - error, "high": value + error, "n": 9}
    return {"topic": topic, "quantity": quantity, "where": where, "measured": measured, "tolerated": [0.9, 1.1], "source": "paper", "inside": inside}


@pytest.fixture(scope="module")
def results():
    curves, checks = validation.measure(all_tables(), scale=0.01, seed=1)
    return {"version": "0", "seed": 1, "num_events": {"ttbar": 60, "gamma barrel": 3000}, "curves": curves, "checks": checks}


def test_only_what_stands_between_markers_is_replaced():
    text = "before\n<!-- measured: a -->\nold\nlines\n<!-- end -->\nbetween\n<!-- measured: b -->\n<!-- end -->\nafter"
    filled = fill(text, {"a": "new\n", "b": "other\n"}, "a.md")
    expected = "before\n<!-- measured: a -->\n\nnew\n\n<!-- end -->\nbetween\n<!-- measured: b -->\n\nother\n\n<!-- end -->\nafter"
    assert filled == expected
    assert fill(filled, {"a": "new\n", "b": "other\n"}, "a.md") == expected


def test_an_unknown_marker_is_an_error_with_a_hint():
    with pytest.raises(MlpfError, match=r"'respons'.*did you mean 'response'"):
        fill("<!-- measured: respons -->\n<!-- end -->", {"response": ""}, "a.md")


def test_what_is_outside_stands_out_in_the_table_and_in_the_summary():
    checks = [entry(where="5 to 10"), entry(where="10 to 20", value=1.3, inside=False)]
    found = blocks({"checks": checks, "num_events": {"ttbar": 10}, "curves": {"closure": {}}})
    assert "| response | 1.000 ± 0.010 | **1.300 ± 0.010** | 0.9 to 1.1 | paper | **1 of 2** |" in found["response"]
    assert found["summary"].startswith("1 of 2 numbers")
    assert "- response: response, 10 to 20: 1.300 ± 0.010, tolerated 0.9 to 1.1" in found["summary"]


def test_rows_of_different_bins_make_different_tables():
    found = blocks({"checks": [entry("a", "x"), entry("b", "y"), entry("c", "x")], "num_events": {}, "curves": {"closure": {}}})["response"]
    tables = found.split("\n\n")
    assert [[line.split("|")[1].strip() for line in table.splitlines()[2:]] for table in tables] == [["a", "c"], ["b"]]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(1.0, 0.012, "1.000 ± 0.012"), (803.2, 25.0, "803 ± 25"), (0.5, 0.0000123, "0.500000 ± 0.000012"), (0.5, 1.2e-8, "0.500000 ± 0.000000"), (4.0, 0.0, "4")],
)
def test_numbers_show_two_digits_of_their_uncertainty(value, error, text):
    assert document._number(entry(value=value, error=error)) == text


def test_the_json_holds_the_same_numbers_to_five_digits(results):
    read = json.loads(to_json(results))
    assert read.keys() == results.keys()
    assert len(read["checks"]) == len(results["checks"])
    for before, after in zip(results["checks"], read["checks"], strict=True):
        assert after["measured"]["value"] == pytest.approx(before["measured"]["value"], rel=1e-4)
        assert after["quantity"] == before["quantity"]


def test_a_document_is_started_where_there_is_none_and_filled_again_where_there_is(results, tmp_path, monkeypatch):
    monkeypatch.setattr(document, "draw_validation", lambda _, folder: (folder / "jets.png").touch())
    write(results, tmp_path)
    path = tmp_path / document.DOCUMENT
    first = path.read_text()
    assert "numbers lie inside" in first
    assert "neutral hadrons" in first
    path.write_text(first.replace("# The simulated detector, measured", "# Mine"))
    write(results, tmp_path)
    assert path.read_text() == first.replace("# The simulated detector, measured", "# Mine")
    assert [picture.name for picture in (tmp_path / document.IMAGES).iterdir()] == ["jets.png"]
    assert not list(tmp_path.rglob("*.partial*"))


def test_the_frame_has_a_block_of_every_topic():
    assert all(f"<!-- measured: {topic} -->" in frame() for topic in document.TOPICS)


def test_an_ideal_detector_is_inside_where_nothing_but_its_tables_is_asked(results):
    asked_elsewhere = [check for check in results["checks"] if check["topic"] == "material" or "interact before, calorimeters" in check["quantity"]]
    tables = [check for check in results["checks"] if check not in asked_elsewhere]
    outside = [check for check in tables if not check["inside"] and "forward" not in check["quantity"]]  # there the widths are near 1, and cut at 0
    assert len(outside) <= 0.02 * len(tables), outside


def test_where_the_energy_went_is_listed(results):
    table = blocks(results)["closure"]
    assert "| sum of all items over generated energy | 1 | 1 | 0.99 to 1.01 | energy is conserved | yes |" in table
    assert "| invisible | 50 | 50 |" in table


def test_a_biased_detector_is_outside():
    _, checks = validation.measure(all_tables(bias=1.08), scale=0.01, seed=1)
    close = [check for check in checks if check["topic"] == "response" and check["tolerated"][1] < 1.08 and "forward" not in check["quantity"]]
    responses = [check for check in close if "calorimeters" not in check["quantity"]]  # whose bias passes through a calibration
    assert sum(not check["inside"] for check in responses) > 0.9 * len(responses) > 30
