from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.events import offsets_from_counts
from mlpf.producer.batches import pad, plan_batches


@given(st.lists(st.integers(0, 300), max_size=40), st.integers(0, 1000))
def test_batches_hold_every_event_with_elements_once_and_stay_below_the_limit(counts, max_elements):
    counts = np.array(counts, dtype=np.int64)
    batches = list(plan_batches(counts, max_elements))
    assert sorted(event for batch in batches for event in batch.tolist()) == np.flatnonzero(counts).tolist()
    for batch in batches:
        assert len(batch) == 1 or counts[batch].max() * len(batch) <= max_elements
        assert counts[batch[0]] == counts[batch].max()
    for batch, following in pairwise(batches):  # each is as full as it may be
        assert counts[batch].min() >= counts[following].max()
        assert counts[batch[0]] * (len(batch) + 1) > max_elements


def test_events_of_similar_size_share_a_batch():
    assert [batch.tolist() for batch in plan_batches(np.array([5, 0, 100, 7, 7, 300, 1]), 100)] == [[5], [2], [3, 4, 0, 6]]


def test_without_room_for_two_every_event_goes_alone():
    assert [batch.tolist() for batch in plan_batches(np.array([5, 5, 9]), 0)] == [[2], [0], [1]]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_a_padded_batch_holds_each_event_from_its_first_row_on_and_zeros(counts, seed):
    rng = np.random.default_rng(seed)
    offsets = offsets_from_counts(np.array(counts))
    features = rng.normal(size=(offsets[-1], 3)).astype(np.float32)
    batch = rng.permutation(len(counts))[: rng.integers(1, len(counts) + 1)]
    padded = pad(features, offsets, batch)
    assert padded.features.shape == (len(batch), max(counts[event] for event in batch), 3)
    for row, event in enumerate(batch):
        assert padded.is_real[row].tolist() == [position < counts[event] for position in range(padded.is_real.shape[1])]
        np.testing.assert_array_equal(padded.features[row, : counts[event]], features[offsets[event] : offsets[event + 1]])
        assert (padded.features[row, counts[event] :] == 0).all()
    np.testing.assert_array_equal(features[padded.rows], padded.features[padded.is_real])


@pytest.mark.parametrize("batch", [[1], [1, 0]])
def test_an_event_alone_is_not_copied(batch):
    features = np.zeros((5, 2), dtype=np.float32)
    assert np.shares_memory(pad(features, np.array([0, 2, 5]), np.array(batch)).features, features) == (len(batch) == 1)
