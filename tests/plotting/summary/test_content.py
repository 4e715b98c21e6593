import numpy as np
import pytest

from mlpf.plotting.summary import Summary, columns
from mlpf.plotting.summary.content import pick


def test_columns_give_values_and_both_errors():
    value, error = columns([{"value": 0.5, "low": 0.4, "high": 0.8, "n": 3}, {"value": None, "low": None, "high": None, "n": 0}])
    assert value[0] == 0.5
    assert error[:, 0] == pytest.approx([0.1, 0.3])
    assert np.isnan([value[1], *error[:, 1]]).all()


@pytest.mark.parametrize(
    ("models", "asked", "among", "expected"),
    [
        (("a",), None, ("pf", "a", "targets"), "pf"),  # usually to rule-based PF
        (("a", "b"), None, ("targets", "pf", "a", "b"), "pf"),
        (("a",), None, ("a", "targets"), "a"),  # where there is none: to the model
        (("a", "b"), None, ("a", "b", "targets"), "a"),  # of several to the first
        (("a",), None, ("targets", "targets_hard"), "targets"),
        (("a", "b"), "b", ("pf", "a", "b"), "b"),
        (("a", "b"), "targets", ("pf", "a", "b"), "pf"),  # targets have no particles to compare
        (("a",), None, ("a",), None),
        (("a",), None, (), None),
    ],
)
def test_ratios_are_to_what_was_asked_for_or_to_the_usual(make_entry, models, asked, among, expected):
    assert Summary(make_entry(models), reference=asked).reference_among(among) == expected


def test_pick_leaves_out_systems_that_lack_something():
    assert pick({"a": {"x": {"y": 1}}, "b": {"x": {}}, "c": {}, "d": {"x": None}}, "x", "y") == {"a": 1}


def test_systems_come_in_their_order_and_a_missing_section_is_empty(make_entry):
    entry = make_entry(("a", "b"))
    entry["jets"] = dict(reversed(entry["jets"].items()))
    assert list(Summary(entry).section("jets")) == ["pf", "a", "b", "targets"]
    del entry["jets"]
    assert Summary(entry).section("jets") == {}


def test_the_range_of_pileup_is_that_of_the_bins_with_events(make_entry):
    entry = make_entry(with_pileup=True)
    assert Summary(entry).pileup_range() == (0, 300)
    for met in entry["met"].values():
        iqr = met["residual"]["vertices"]["iqr"]
        met["residual"]["vertices"]["iqr"] = [{**estimate, "n": 10 if i in (4, 5) else 0} for i, estimate in enumerate(iqr)]
    assert Summary(entry).pileup_range() == (60, 100)
    del entry["met"]
    assert Summary(entry).pileup_range() == (0, 300)


def test_classes_are_those_among_the_targets(make_entry):
    assert "muon" not in Summary(make_entry()).classes()  # its targets are 0
