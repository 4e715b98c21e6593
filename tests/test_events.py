import numpy as np
import pytest

from mlpf.errors import NtupleError
from mlpf.events import Events, concatenate, event_index, offsets_from_counts


def make(**changes):
    columns = {
        "event": [10, 11, 12],
        "element_type": [1, 4, 5, 1],
        "element_pt": [1.0, 2.0, 3.0, 4.0],
        "caloparticle_pt": [5.0, 6.0],
        "caloparticle_to_element.first": [0, 0, 0],
        "caloparticle_to_element.second": [0, 1, 1],
        "simcluster_idx_trackingparticle": [-1],
    }
    offsets = {"element": [0, 2, 2, 4], "caloparticle": [0, 1, 1, 2], "caloparticle_to_element": [0, 2, 2, 3], "simcluster": [0, 0, 1, 1]}
    return Events({**columns, **changes}, offsets, 3, "file.root", first_entry=100)


def test_columns_take_the_types_of_the_schema():
    events = make()
    assert events["element_pt"].dtype == np.float32
    assert events["event"].dtype == np.uint64
    assert events["element_type"].dtype == np.int32


def test_columns_that_a_file_lacks_are_zero_of_the_right_length():
    events = make()
    assert events["element_energy"].tolist() == [0, 0, 0, 0]
    assert events["run"].tolist() == [0, 0, 0]
    assert events["pfcandidate_pt"].tolist() == []
    assert not events.has("element_pt", "element_energy")


def test_an_unknown_column_names_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'element_energy'"):
        make()["element_enrgy"]


def test_selected_events_are_the_concatenation_of_their_slices():
    events = make()
    selected, expected = events.select(np.array([True, False, True])), concatenate([events.slice(0, 1), events.slice(2, 3)])
    assert len(selected) == 2
    for name in events.columns:
        assert np.array_equal(selected[name], expected[name])
    for name in events.offsets:
        assert np.array_equal(selected.offsets[name], expected.offsets[name])


def test_slices_and_concatenation_are_inverse():
    events = make()
    joined = concatenate([events.slice(0, 1), events.slice(1, 1), events.slice(1, 3)])
    assert events.slice(1, 3).first_entry == 101
    for name in events.columns:
        assert np.array_equal(joined[name], events[name])
    for name in events.offsets:
        assert np.array_equal(joined.offsets[name], events.offsets[name])


def test_good_links_pass():
    make().validate()


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("caloparticle_to_element.second", [0, 1, 2], r"file.root: event 102: caloparticle_to_element.second\[0\] = 2 points outside the event's elements"),
        ("caloparticle_to_element.first", [0, -1, 0], r"event 100: caloparticle_to_element.first\[1\] = -1 points outside"),
        ("simcluster_idx_trackingparticle", [0], r"event 101: simcluster_idx_trackingparticle\[0\] = 0 points outside the event's trackingparticles"),
        ("element_type", [1, 12, 5, -1], r"event 100: element_type\[1\] = 12 not a PF element type \(0 to 11\) \(2 such values\)"),
    ],
)
def test_bad_links_and_types_name_event_and_entry(column, values, message):
    with pytest.raises(NtupleError, match=message):
        make(**{column: values}).validate()


def test_non_finite_values_are_named_and_can_be_replaced():
    events = make(element_pt=[1.0, np.nan, 3.0, np.inf])
    message = r"file.root: event 100: element_pt: 2 non-finite values \(first at entry 1\); pass --nonfinite zero to replace them"
    with pytest.raises(NtupleError, match=message):
        events.require_finite(["element_pt"])
    assert events.replace_non_finite(["element_pt"])["element_pt"].tolist() == [1, 0, 3, 0]
    events.require_finite(["element_energy", "caloparticle_pt", "element_type"])


def test_links_are_judged_by_their_own_event():
    rng = np.random.default_rng(3)
    for _ in range(300):
        num_elements, num_links = rng.integers(0, 4, 5), rng.integers(0, 3, 5)
        values = rng.integers(-1, 4, num_links.sum())
        columns = {"element_type": np.ones(num_elements.sum()), "element_distance_i": values, "element_distance_j": np.zeros_like(values)}
        events = Events(columns, {"element": offsets_from_counts(num_elements), "element_distance": offsets_from_counts(num_links)}, 5)
        bad = np.flatnonzero([not 0 <= value < num_elements[event] for event, value in zip(np.repeat(np.arange(5), num_links), values, strict=True)])
        if len(bad) == 0:
            events.validate(["element_distance_i"])
            continue
        event, position = events.locate("element_distance_i", bad[0])
        with pytest.raises(NtupleError, match=rf"event {event}: element_distance_i\[{position}\] = {values[bad[0]]} points .* \({len(bad)} such values\)"):
            events.validate(["element_distance_i"])


def test_negative_values_are_named_and_what_is_not_a_number_is_not_negative():
    events = make(element_pt=[1.0, -0.0, np.nan, -4.0])
    with pytest.raises(NtupleError, match=r"file.root: event 102: element_pt\[1\] = -4.0 is negative \(1 such values\)"):
        events.require_non_negative(["caloparticle_pt", "element_pt"])
    make(element_pt=[np.nan, 0.0, np.inf, 1.0]).require_non_negative(["element_pt", "element_energy", "pfcandidate_pt"])


def test_offsets_and_event_index_by_hand():
    offsets = offsets_from_counts(np.array([2, 0, 3]))
    assert offsets.tolist() == [0, 2, 2, 5]
    assert event_index(offsets).tolist() == [0, 0, 2, 2, 2]
