from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlpf.samples.mixing.bins import Bins, share_quota

EDGES = {"leading_jet_pt": (10.0, 30.0, 60.0, float("inf")), "num_elements": (5.0, 20.5, 40.0)}


def test_events_are_binned_as_in_a_plain_loop(make_index):
    events = make_index(500)
    bins = Bins(("jets", "tau"), EDGES)
    assert len(bins) == 12
    number = 0
    expected = np.full(500, -1)
    for kind in bins.types:
        for low, high in ((10, 30), (30, 60), (60, np.inf)):
            for few, many in ((5, 20.5), (20.5, 40)):
                for i in range(500):
                    if kind == "tau" and low <= events.leading_jet_pt[i] < high and few <= events.num_elements[i] < many:
                        expected[i] = number
                number += 1
    np.testing.assert_array_equal(bins.assign(events, "tau"), expected)
    assert (expected == -1).any()


def test_the_lower_edge_belongs_to_a_bin_and_the_upper_one_does_not(make_index):
    values = np.array([0.0, 0.7, 0.8, np.nan, -1.0, np.inf], dtype=np.float32)  # 0.7 as float32 is 0.699999988
    events = replace(make_index(6), leading_jet_pt=values)
    assert Bins(("t",), {"leading_jet_pt": (0.0, 0.7, 0.8)}).assign(events, "t").tolist() == [0, 1, -1, -1, -1, -1]


def test_without_variables_a_type_is_a_bin(make_index):
    bins = Bins(("a", "b"), {})
    assert len(bins) == 2
    assert set(bins.assign(make_index(3), "b")) == {1}
    assert bins.label(1) == "b"


def test_a_label_names_type_and_intervals():
    assert Bins(("jets", "tau"), EDGES).label(9) == "tau, leading_jet_pt 30 to 60, num_elements 20.5 to 40"


def test_a_quota_is_shared_by_weight():
    assert share_quota(300, [1000, 1000], [2.0, 1.0]) == [200, 100]
    assert share_quota(100, [1000, 1000, 1000], [1.0, 1.0, 1.0]) == [34, 33, 33]  # each of what is left, rounded up
    assert share_quota(10, [100, 100, 100], [0.1, 0.2, 0.7]) == [1, 2, 7]  # 0.1 + 0.2 + 0.7 is not 1
    assert share_quota(40, [100, 100, 100], [1.0, 6.0, 0.25]) == [6, 32, 2]  # 5.5, 33.1 and 1.4: the small ones are rounded up


def test_what_a_source_lacks_goes_to_the_others_in_proportion():
    assert share_quota(120, [10, 1000, 1000], [2.0, 2.0, 1.0]) == [10, 73, 37]
    assert share_quota(30, [10, 0, 20], [1.0, 5.0, 1.0]) == [10, 0, 20]


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(1e-3, 1e3)), min_size=1, max_size=8), st.floats(0, 1))
def test_shares_are_the_quota_and_those_asked_for_where_there_is_enough(sources, fraction):
    available, weights = map(list, zip(*sources, strict=True))
    quota = int(fraction * sum(available))
    shares = share_quota(quota, available, weights)
    assert sum(shares) == quota
    assert all(0 <= share <= count for share, count in zip(shares, available, strict=True))
    free = [i for i in range(len(sources)) if shares[i] < available[i]]
    per_weight = [shares[i] / weights[i] for i in free]
    for i in free:
        rate = sum(shares[k] for k in free) / sum(weights[k] for k in free)
        assert abs(shares[i] - rate * weights[i]) <= len(sources), (shares, per_weight)
    for i in set(range(len(sources))) - set(free):  # the others gave all they had, which is not more than they were asked for
        assert all(shares[i] / weights[i] <= (shares[k] + len(sources)) / weights[k] + 1e-6 for k in free)
