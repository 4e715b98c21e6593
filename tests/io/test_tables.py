"""Tables of other formats and the rules that make columns of them."""

import numpy as np

from mlpf.io.tables import Table, apply_rules, constant, first_match, members_of, possible, rule, stack


def test_stacking_keeps_events_together_and_the_order_of_the_tables_in_each():
    tracks = Table(np.array([0, 2, 2, 3]), {"pt": np.array([1.0, 2.0, 3.0]), "charge": np.array([1, -1, 1])})
    towers = Table(np.array([0, 1, 3, 3]), {"pt": np.array([4.0, 5.0, 6.0])})
    table, (track_rows, tower_rows) = stack([tracks, towers])
    assert table.offsets.tolist() == [0, 3, 5, 6]
    assert table["pt"].tolist() == [1, 2, 4, 5, 6, 3]
    assert table["charge"].tolist() == [1, -1, 0, 0, 0, 1]
    assert track_rows.tolist() == [0, 1, 5]
    assert tower_rows.tolist() == [2, 3, 4]


def test_rows_know_their_event_and_their_place_in_it():
    table = Table(np.array([0, 2, 2, 5]), {"x": np.arange(5)})
    assert table.event.tolist() == [0, 0, 2, 2, 2]
    assert table.position.tolist() == [0, 1, 0, 1, 2]
    kept = table.where(table["x"] % 2 == 0)
    assert kept.offsets.tolist() == [0, 1, 1, 3]
    assert kept["x"].tolist() == [0, 2, 4]


def test_rules_without_their_members_are_left_out():
    rules = {"type": constant(4), "pt": rule("E", "Eta", function=lambda e, eta: e / np.cosh(eta)), "time": rule("T")}
    table = apply_rules(rules, Table(np.array([0, 2]), {"E": np.array([10.0, 1.0]), "Eta": np.zeros(2)}))
    assert set(table.columns) == {"type", "pt"}
    assert table["type"].tolist() == [4, 4]
    assert table["pt"].tolist() == [10, 1]
    assert members_of(rules) == ("E", "Eta", "T")
    assert set(possible(rules, ("T",))) == {"type", "time"}


def test_first_match_finds_rows_of_numbers_and_of_keys():
    assert first_match(np.array([4, 2, 2]), np.array([2, 3, 4])).tolist() == [1, -1, 0]
    keys = np.array([[0, 1.5], [1, 1.5]])
    assert first_match(keys, np.array([[1, 1.5], [1, 2.5]])).tolist() == [1, -1]
    assert first_match(np.zeros(0), np.array([1.0])).tolist() == [-1]
