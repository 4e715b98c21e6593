import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.dataset.graph_dataset import GraphDataset
from mlpf.dataset.loader import SIZE_SPREAD, SizeBatchSampler, collate, make_loader
from mlpf.io.shards import ShardedDataset
from mlpf.testing import random_dataset


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 1000), st.booleans())
def test_batches_hold_every_event_once_within_budget_and_of_similar_size(sizes, budget, shuffle):
    sizes = np.array(sizes, dtype=np.int64)
    sampler = SizeBatchSampler(sizes, budget, shuffle)
    batches = list(sampler)
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    assert len(batches) == len(sampler)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * sizes[batch].max() <= budget
        assert sizes[batch].max() <= SIZE_SPREAD * max(sizes[batch].min(), 1)


def test_every_epoch_is_another_shuffle_and_a_seed_repeats_them():
    sizes = np.full(50, 10)
    first, again, other = (SizeBatchSampler(sizes, 100, seed=seed) for seed in (1, 1, 2))
    epochs = [list(first) for _ in range(3)]
    assert epochs == [list(again) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != list(other)


def test_without_shuffling_every_pass_is_the_same():
    sampler = SizeBatchSampler(np.arange(30), 40, shuffle=False)
    assert list(sampler) == list(sampler)


def test_an_iterator_that_nobody_uses_is_not_an_epoch():
    """A loader with workers makes one more than it uses; the order of events must not depend on the number of workers."""
    first, again = (SizeBatchSampler(np.full(50, 10), 100, seed=1) for _ in range(2))
    iter(first)
    assert list(first) == list(again)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    return GraphDataset(ShardedDataset(random_dataset(tmp_path_factory.mktemp("random"), num_events=30, mean_elements=3.0)))


def test_a_batch_is_its_events_and_padding(graphs):
    chosen = [int(np.argmax(graphs.num_elements)), int(np.argmin(graphs.num_elements)), 4]
    assert graphs.num_elements[chosen[1]] == 0  # an empty event among them
    batch = collate([graphs[i] for i in chosen])
    assert batch.features.shape == (3, graphs.num_elements.max(), 55)
    for row, i in enumerate(chosen):
        own = slice(graphs.offsets[i], graphs.offsets[i + 1])
        count = int(graphs.num_elements[i])
        torch.testing.assert_close(batch.features[row, :count], graphs.features[own], equal_nan=True, rtol=0, atol=0)
        assert batch.mask[row].tolist() == [1.0] * count + [0.0] * (batch.mask.shape[1] - count)
        for name, values in batch.targets._asdict().items():
            expected = getattr(graphs.targets, name)[own]
            assert values.dtype == expected.dtype
            assert torch.equal(values[row, :count], expected), name
            assert not values[row, count:].any(), name


def test_a_batch_of_empty_events_has_no_columns(graphs):
    empty = [int(i) for i in np.flatnonzero(graphs.num_elements == 0)[:2]]
    batch = collate([graphs[i] for i in empty])
    assert batch.mask.shape[0] == len(empty)
    assert batch.mask.sum() == 0


def test_the_loader_yields_all_elements(graphs):
    batches = list(make_loader(graphs, max_elements=20, shuffle=True))
    assert sum(int(batch.mask.sum()) for batch in batches) == len(graphs.features)
    assert all(batch.mask.numel() <= 20 for batch in batches)
