import numpy as np
import pytest

from mlpf.events import concatenate
from mlpf.samples.mixing.gather import gather


@pytest.fixture(scope="module")
def chunks(random_dataset):
    return [random_dataset(num_events, 8.0, seed) for seed, num_events in enumerate((5, 1, 9))]


def assert_equal(one, other):
    assert one.columns.keys() == other.columns.keys()
    assert one.offsets.keys() == other.offsets.keys()
    for name, values in one.columns.items():
        assert values.dtype == other.columns[name].dtype
        np.testing.assert_array_equal(values, other.columns[name])
    for name, values in one.offsets.items():
        np.testing.assert_array_equal(values, other.offsets[name])


def test_rows_of_several_chunks_are_the_slices_put_together(chunks):
    rng = np.random.default_rng(0)
    chunk = rng.integers(0, 3, 40)
    row = rng.integers(0, np.array([5, 1, 9])[chunk])
    picked = gather(chunks, chunk, row)
    assert_equal(picked, concatenate([chunks[c].slice(r, r + 1) for c, r in zip(chunk, row, strict=True)]))
    assert len(picked) == 40


def test_no_rows_make_no_events(chunks):
    picked = gather(chunks, np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    assert_equal(picked, chunks[0].slice(0, 0))


def test_events_without_elements_are_kept(random_dataset):
    empty = random_dataset(3, 0.0, 4)
    assert empty.size("element") == 0
    picked = gather([empty], np.zeros(2, dtype=int), np.array([2, 0]))
    assert picked["event"].tolist() == [empty["event"][2], empty["event"][0]]


def test_chunks_of_different_columns_are_our_own_mistake(chunks):
    other = chunks[0].with_columns({"weight": np.ones(5)})
    with pytest.raises(AssertionError, match="different columns"):
        gather([chunks[0], other], np.zeros(1, dtype=int), np.zeros(1, dtype=int))
