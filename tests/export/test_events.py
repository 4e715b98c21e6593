import numpy as np
import pytest

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.export.events import contract_events, joined, read_events, write_events
from mlpf.io.ntuple import read_ntuple, write_ntuple
from mlpf.producer import consumer_input
from mlpf.random_ntuple import random_events
from mlpf.schema import CONSUMER_DROPPED_TYPES, FEATURE_INDEX, ElementType


def test_the_events_of_the_contract_have_all_sizes_and_types():
    events = contract_events()
    sizes = [len(event) for event in events]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1
    assert [len([n for n in sizes if low <= n < high]) > 1 for low, high in ((1, 10), (10, 100), (100, 1000), (4000, 6000))] == [True] * 4
    assert sum(sizes) >= 12_000
    assert all(event.dtype == np.float32 and event.shape[1] == schema.NUM_FEATURES and event.flags.c_contiguous for event in events)
    features = np.concatenate(events)
    assert np.isfinite(features).all()
    assert set(features[:, FEATURE_INDEX["type"]]) == {float(kind) for kind in ElementType if kind not in (ElementType.NONE, *CONSUMER_DROPPED_TYPES)}
    assert np.count_nonzero(features[:, FEATURE_INDEX["muon_type"]]) > 3
    np.testing.assert_allclose(np.hypot(*features[:, [FEATURE_INDEX["sin_phi"], FEATURE_INDEX["cos_phi"]]].T), 1.0, atol=1e-6)


def test_written_events_are_read_again_to_the_last_bit(tmp_path, monkeypatch):
    events = contract_events()[:5]
    write_events(tmp_path / "events.npz", events)
    monkeypatch.setattr("mlpf.export.events.CONTRACT_EVENTS", tmp_path / "events.npz")
    for found, expected in zip(contract_events(), events, strict=True):
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_events_of_an_ntuple_are_those_that_the_producer_gives_a_model(repository):
    found = read_events(repository / "data" / "ttbar.root", 5)
    assert len(found) == 5
    assert [len(event) for event in found] == sorted(len(event) for event in found)
    selected = consumer_input(read_ntuple(repository / "data" / "ttbar.root", stop=5))
    rows = {row.tobytes() for row in selected.features}
    assert {row.tobytes() for event in found for row in event} == rows


def test_events_of_a_dataset_are_read_too(random_dataset, write_dataset):
    events = random_dataset(6, 30)
    found = read_events(write_dataset(events), 4)
    assert sorted(len(event) for event in found) == sorted(np.diff(events.offsets["element"])[:4].tolist())


def test_events_without_elements_are_passed_over_and_a_file_of_them_is_refused(tmp_path):
    events = random_events(np.random.default_rng(3), 4)
    types = np.full(events.size("element"), ElementType.PS1)
    write_ntuple(tmp_path / "dropped.root", [events.with_columns({"element_type": types})])
    with pytest.raises(MlpfError, match=r"dropped\.root: no event with elements that the consumer selects"):
        read_events(tmp_path / "dropped.root")


def test_joined_events_are_the_largest_ones_up_to_a_size():
    events = [np.full((n, 55), n) for n in (2, 3, 5)]
    assert joined(events, 7)[:, 0].tolist() == [5] * 5 + [3] * 2
    assert len(joined(events, 100)) == 10
