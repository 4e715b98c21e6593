import numpy as np
import pytest

from mlpf import schema
from mlpf.dataset.padding import fill_features, place_elements
from mlpf.events import Events
from mlpf.features import consumer_elements, element_features


@pytest.fixture
def events(random_dataset):
    """Random events with all columns of elements, dropped types and non-finite values among them."""
    made = random_dataset(num_events=30, mean_elements=50.0)
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(0.0, 100.0, made.size("element")) for name in schema.NTUPLE.names("element") if name != "element_type"}
    columns["element_pt"][::7] = np.nan
    columns["element_type"] = rng.integers(0, schema.NUM_ELEMENT_TYPES, made.size("element"))
    return made.with_columns(columns)


def test_features_are_bit_for_bit_those_of_the_model_contract_in_their_rows(events):
    counts = np.bincount(np.repeat(np.arange(30), events.counts("element"))[consumer_elements(events["element_type"])], minlength=30)
    start = np.full(30, -1)
    wanted = np.array([17, 3, 29, 8])  # in any order, with gaps
    start[wanted] = [0, 100, 200, 300]
    element, row, found = place_elements(events, start)
    assert found[wanted].tolist() == counts[wanted].tolist()
    assert found.sum() == counts[wanted].sum()
    out = np.full((400, schema.NUM_FEATURES), -1.0, dtype=np.float32)
    fill_features(out, events, element, row)
    expected = np.full_like(out, -1.0)
    for event in wanted:
        one = events.slice(event, event + 1)
        expected[start[event] : start[event] + counts[event]] = element_features(one)[consumer_elements(one["element_type"])]
    assert out.tobytes() == expected.tobytes()


def test_columns_that_a_dataset_lacks_are_zero(events):
    columns = {name: values for name, values in events.columns.items() if name != "element_time"}
    element, row, _ = place_elements(events, np.cumsum(events.counts("element")))
    out = np.ones((2 * events.size("element"), schema.NUM_FEATURES), dtype=np.float32)
    fill_features(out, Events(columns, events.offsets, len(events), layout=schema.DATASET), element, row)
    assert (out[row, schema.FEATURE_INDEX["time"]] == 0).all()


def test_no_wanted_event_places_no_element(events):
    element, row, counts = place_elements(events, np.full(30, -1))
    assert len(element) == len(row) == counts.sum() == 0
