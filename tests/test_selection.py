import math
import operator
import warnings
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf import schema
from mlpf.errors import ConfigError
from mlpf.events import Events, offsets_from_counts
from mlpf.schema import CANDIDATES, DATASET, NTUPLE, CandidateClass, ElementType
from mlpf.selection import Selection, column_values, multiplicities, select


@pytest.fixture(scope="module")
def events(random_dataset):
    return random_dataset(12, 20)


def entries(events):
    """Every element as a dictionary of Python numbers, with those of its event."""
    rows = []
    for event in range(len(events)):
        one = events.slice(event, event + 1)
        of_event = {name: one[name][0].item() for name in ("event", "genmet_pt")} | {"num_element": one.size("element"), "num_genjet": one.size("genjet")}
        own = {name: values.tolist() for name, values in one.columns.items() if DATASET.collection_of[name] == "element"}
        rows += [of_event | {name: values[i] for name, values in own.items()} for i in range(one.size("element"))]
    return rows


CUTS = {
    "element_type == TRACK": lambda e: e["element_type"] == ElementType.TRACK,
    "element_pt > 1 and abs(element_eta) < 2.5": lambda e: e["element_pt"] > 1 and abs(e["element_eta"]) < 2.5,
    "(element_pt > 1) & ~(element_eta < 0) | (element_type == HFEM)": lambda e: (e["element_pt"] > 1 and not e["element_eta"] < 0) or e["element_type"] == 8,
    "1 < element_pt <= 5 < element_energy": lambda e: 1 < e["element_pt"] <= 5 < e["element_energy"],
    "target_class in (PHOTON, CHARGED_HADRON)": lambda e: e["target_class"] in (CandidateClass.PHOTON, CandidateClass.CHARGED_HADRON),
    "element_type not in (TRACK, ECAL)": lambda e: e["element_type"] not in (ElementType.TRACK, ElementType.ECAL),
    "not target_pt / element_pt > .97": lambda e: not e["target_pt"] / e["element_pt"] > 0.97,
    "element_pt * cosh(element_eta) ** 2 - element_pt / 2 > -1 + 3": lambda e: e["element_pt"] * math.cosh(e["element_eta"]) ** 2 - e["element_pt"] / 2 > 2,
    "log10(element_pt) > 0 or sqrt(element_energy) < 2": lambda e: math.log10(e["element_pt"]) > 0 or math.sqrt(e["element_energy"]) < 2,
    "element_pt > 2 and (genmet_pt > 20 or num_element > 20)": lambda e: e["element_pt"] > 2 and (e["genmet_pt"] > 20 or e["num_element"] > 20),
    "(target_class & 2) != 0": lambda e: (e["target_class"] & 2) != 0,
    "element_charge != -1": lambda e: e["element_charge"] != -1,
    "event == 3 and element_pt > 0": lambda e: e["event"] == 3,
}  # fmt: skip


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_on_elements_is_what_python_says(cut, events):
    selection = Selection.parse(cut, DATASET)
    assert selection.collection == "element"
    rows = entries(events)
    expected = [bool(CUTS[cut](row)) for row in rows]
    assert 0 < sum(expected) < len(rows)
    np.testing.assert_array_equal(selection.mask(events), expected)
    kept = selection.apply(events)
    np.testing.assert_array_equal(kept["element_pt"], events["element_pt"][expected])
    owner = np.repeat(np.arange(len(events)), events.counts("element"))
    np.testing.assert_array_equal(kept.counts("element"), np.bincount(owner[expected], minlength=len(events)))
    np.testing.assert_array_equal(kept["genjet_pt"], events["genjet_pt"])  # other collections stay


def test_a_cut_on_events_keeps_whole_events(events):
    selection = Selection.parse("num_genjet >= 2 and genmet_pt > 5", DATASET)
    assert selection.collection is None
    assert selection.needs == {"num_genjet", "genmet_pt"}
    expected = [n >= 2 and met > 5 for n, met in zip(events.counts("genjet"), events["genmet_pt"], strict=True)]
    kept = selection.apply(events)
    np.testing.assert_array_equal(kept["event"], events["event"][expected])
    np.testing.assert_array_equal(kept.counts("element"), events.counts("element")[expected])


def test_count_counts_entries_per_event(events):
    number = [sum(row["element_type"] == 1 and row["element_pt"] > 1 for row in entries(events) if row["event"] == event) for event in events["event"]]
    cut = Selection.parse("count(element_type == TRACK and element_pt > 1) >= 4", DATASET)
    assert cut.collection is None
    assert 0 < sum(n >= 4 for n in number) < len(events)
    np.testing.assert_array_equal(cut.mask(events), [n >= 4 for n in number])


def test_the_order_of_cuts_does_not_matter_and_each_sees_the_uncut_events(events):
    cuts = [Selection.parse(text, DATASET) for text in ("element_type == TRACK", "num_element > 18", "element_pt > 1", "genmet_pt > 1")]
    forth, back = select(events, cuts), select(events, cuts[::-1])
    rows = [row for row in entries(events) if row["element_type"] == 1 and row["element_pt"] > 1 and row["num_element"] > 18 and row["genmet_pt"] > 1]
    for kept in (forth, back):
        np.testing.assert_array_equal(kept["element_pt"], np.float32([row["element_pt"] for row in rows]))


def test_missing_momentum_of_an_ntuple_is_one_value_per_event_though_its_column_is_a_list():
    events = Events({"genmet_pt": [10.0, 60.0], "event": [1, 2, 3]}, {"genmet": offsets_from_counts([1, 0, 1])}, 3)
    np.testing.assert_array_equal(column_values(events, "genmet_pt"), [10.0, np.nan, 60.0])
    cut = Selection.parse("genmet_pt > 5", NTUPLE)
    assert cut.collection is None
    np.testing.assert_array_equal(cut.apply(events)["event"], [1, 3])


def test_columns_with_a_dot_can_be_cut_on():
    events = Events({"element_to_candidate.first": [0, 3], "element_to_candidate.second": [1, 1]}, {"element_to_candidate": [0, 1, 2]}, 2)
    cut = Selection.parse("element_to_candidate.first > element_to_candidate.second", NTUPLE)
    np.testing.assert_array_equal(cut.mask(events), [False, True])


def test_large_integers_are_compared_exactly():
    events = Events({"event": np.array([2**53, 2**53 + 1], dtype=np.uint64)}, {}, 2)
    np.testing.assert_array_equal(Selection.parse(f"event == {2**53 + 1}", NTUPLE).mask(events), [False, True])


def test_values_that_are_not_finite_pass_no_comparison_and_give_no_warning():
    events = Events({"mlpfcandidate_pt": [0.0, np.nan, np.inf, -1.0]}, {"mlpfcandidate": [0, 4]}, 1, layout=CANDIDATES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(Selection.parse("log(mlpfcandidate_pt) < 5", CANDIDATES).mask(events), [True, False, False, False])
        np.testing.assert_array_equal(Selection.parse("1 / mlpfcandidate_pt > -9**9**9", CANDIDATES).mask(events), [True, False, True, True])


def test_empty_events_have_empty_masks():
    empty = Events({"element_pt": []}, {"element": [0]}, 0, layout=DATASET)
    assert len(Selection.parse("element_pt > 1", DATASET).mask(empty)) == 0
    assert len(Selection.parse("count(element_pt > 1) > 3", DATASET).mask(empty)) == 0
    assert len(Selection.parse("element_pt > 1", DATASET).apply(empty)) == 0


ATTACKS = [
    "__import__('os').system('true')", "element_pt.__class__", "element_pt.real > 1", "(lambda: element_pt > 1)()", "[e for e in element_pt]",
    "open('/etc/passwd')",
    "element_pt > 1 if 1 else 0", "element_pt[0] > 1", "eval('1')", "abs.__self__", "element_pt == 'x'", "f'{element_pt}' > 1", "(x := element_pt) > 1",
    "abs(element_pt, 2) > 1", "abs(x=element_pt) > 1", "abs(*element_pt) > 1", "element_pt > True", "element_pt > 1j", "element_pt is 1",
    "element_pt in element_eta",
    "element_pt @ 2 > 1", "element_pt << 2 > 1", "element_pt // 2 > 1", "~element_type > 1", "None", "lambda: 0", "...", "element_pt > 1; 1", "import os",
]  # fmt: skip


@pytest.mark.parametrize("cut", ATTACKS)
def test_all_but_the_language_is_refused(cut):
    with pytest.raises(ConfigError, match="cut"):
        Selection.parse(cut, DATASET)


@pytest.mark.parametrize(
    "cut", ["(" * 300 + "element_pt" + ")" * 300 + " > 1", "-" * 1500 + "element_pt > 1", "element_pt > 1 and " * 500 + "1", "a\0b", "\ud800"]
)
def test_what_is_too_long_too_deep_or_no_text_is_refused_in_a_line(cut):
    with pytest.raises(ConfigError, match="cut") as raised:
        Selection.parse(cut, DATASET)
    assert "\n" not in str(raised.value)


def test_large_powers_take_no_time(events):
    assert not Selection.parse("element_pt > 9**9**9**9", DATASET).mask(events).any()


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        ("genmet_pt > 1 and elemnt_pt > 5", ["character 19", "'elemnt_pt'", "did you mean 'element_pt'"]),
        ("num_elements > 3", ["did you mean 'num_element'"]),
        ("element_pt", ["a number where a condition is needed"]),
        ("element_pt + (element_eta > 1) > 2", ["character 15", "a condition where a number is needed"]),
        ("element_pt > 1 & element_eta > 2", ["character 14", "parentheses"]),
        ("element_pt > 1 && element_eta > 2", ["write 'and' instead of &&"]),
        ("element_pt > 1 || element_eta > 2", ["write 'or' instead of ||"]),
        ("!(element_pt > 1)", ["write 'not' instead of !"]),
        ("element_pt > genjet_pt", ["element and genjet", "one collection at a time"]),
        ("count(genmet_pt > 3) > 1", ["about events"]),
        ("max(element_pt) > 3", ["no such function", "count, abs"]),
        ("1 < 2", ["names no column"]),
        ("", ["not understood"]),
        ("é + element_pt > elementpt", ["character 1:"]),
    ],
)
def test_errors_say_where_and_what(cut, words):
    with pytest.raises(ConfigError) as raised:
        Selection.parse(cut, DATASET)
    for word in (f"cut '{cut}'", *words):
        assert word in str(raised.value)


def test_every_column_and_multiplicity_of_every_layout_can_be_cut_on():
    for layout in (NTUPLE, DATASET, CANDIDATES):
        for name in (*layout.columns, *multiplicities(layout)):
            assert Selection.parse(f"{name} >= 0", layout).needs == {name}


def test_kinds_of_all_sorts_have_names_and_none_means_two_things():
    names = [member.name for kind in (schema.ElementType, schema.CandidateClass, schema.EdgeKind) for member in kind]
    assert {name for name in names if names.count(name) > 1} == {"NONE"}
    assert ElementType.NONE == CandidateClass.NONE


OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
numbers = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
comparison = st.tuples(st.sampled_from(["element_pt", "element_eta", "element_charge"]), st.sampled_from(sorted(OPERATORS)), numbers)
tree = st.recursive(comparison, lambda part: st.one_of(st.tuples(st.just("not"), part), st.tuples(st.sampled_from(["and", "or"]), part, part)), max_leaves=6)


def text_of(node):
    if node[0] == "not":
        return f"not ({text_of(node[1])})"
    return f"({text_of(node[1])}) {node[0]} ({text_of(node[2])})" if node[0] in ("and", "or") else f"{node[0]} {node[1]} {node[2]}"


def truth_of(node, row):
    if node[0] == "not":
        return not truth_of(node[1], row)
    if node[0] in ("and", "or"):
        return {"and": operator.and_, "or": operator.or_}[node[0]](truth_of(node[1], row), truth_of(node[2], row))
    return OPERATORS[node[1]](row[node[0]], node[2])


@given(tree, st.lists(st.tuples(numbers, numbers, st.sampled_from([-1, 0, 1])), max_size=8))
def test_nested_conditions_are_what_python_says(node, rows):
    rows = [dict(zip(("element_pt", "element_eta", "element_charge"), row, strict=True)) for row in rows]
    events = Events(
        {name: [row[name] for row in rows] for name in ("element_pt", "element_eta", "element_charge")}, {"element": [0, len(rows)]}, 1, layout=DATASET
    )
    np.testing.assert_array_equal(Selection.parse(text_of(node), DATASET).mask(events), [truth_of(node, row) for row in rows])


@given(st.text(max_size=40))
def test_no_text_does_anything_but_parse_or_fail_cleanly(text):
    with suppress(ConfigError):
        Selection.parse(text, DATASET)
