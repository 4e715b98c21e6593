import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.errors import DatasetError
from mlpf.events import event_index
from mlpf.features import FEATURE_LIMITS, SCALED_FEATURES, consumer_elements, element_features
from mlpf.io.shards import ShardedDataset
from mlpf.random_elements import random_elements
from mlpf.samples.feature_kernels import _moments
from mlpf.samples.split import SPLITS, SplitConfig, split_index
from mlpf.samples.statistics import ALL_TYPES, NUM_PIECES, FeatureStatistics, measure_features
from mlpf.schema import FEATURE_INDEX, ElementType

COLUMNS = [FEATURE_INDEX[name] for name in SCALED_FEATURES]
PT = SCALED_FEATURES.index("pt")


def statistics_of(features):
    statistics = FeatureStatistics()
    statistics.add(features)
    return statistics


def elements(values, kind=ElementType.TRACK, name="pt"):
    """Elements of one type with one feature that is not 0."""
    features = np.zeros((len(values), 55), dtype=np.float32)
    features[:, FEATURE_INDEX["type"]], features[:, FEATURE_INDEX[name]] = kind, values
    return features


def assert_same(found, expected, rtol=1e-12):
    """Counts, extremes and histogram exactly, moments to rounding."""
    for name in ("num_events", "counts", "extremes", "histogram"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    for one, other in zip(found.summary(), expected.summary(), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-12)


def assert_describes(statistics, features):
    """Moments are those that NumPy finds in the same elements, for every type and for all together."""
    clean = np.clip(np.nan_to_num(features.astype(np.float64), nan=0, posinf=0, neginf=0), -np.array(FEATURE_LIMITS), FEATURE_LIMITS)
    types, x, summary = clean[:, FEATURE_INDEX["type"]], clean[:, COLUMNS], statistics.summary()
    logs = np.sign(x) * np.log1p(np.abs(x))
    low, high = statistics.range()
    for row in range(ALL_TYPES + 1):
        own = slice(None) if row == ALL_TYPES else types == row
        assert summary.num_elements[row] == len(x[own])
        if len(x[own]):
            largest = np.maximum(np.abs(x[own]).max(axis=0), 1.0)
            np.testing.assert_allclose(summary.mean[row] / largest, x[own].mean(axis=0) / largest, rtol=1e-10, atol=1e-14)
            np.testing.assert_allclose(summary.std[row], x[own].std(axis=0), rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(summary.log_mean[row], logs[own].mean(axis=0), rtol=3e-7, atol=1e-7)
            np.testing.assert_allclose(summary.log_std[row], logs[own].std(axis=0), rtol=1e-5, atol=1e-6)  # single precision, as in the model
            np.testing.assert_array_equal(low[row], x[own].min(axis=0).astype(np.float32))
            np.testing.assert_array_equal(high[row], x[own].max(axis=0).astype(np.float32))
        else:
            assert np.isnan(summary.mean[row]).all()


def test_moments_and_range_equal_those_of_numpy():
    features = random_elements(np.random.default_rng(0), 5000)
    assert_describes(statistics_of(features), features)


def test_values_that_are_not_finite_count_as_zero_and_absurd_ones_as_the_limit():
    features = random_elements(np.random.default_rng(1), 300)
    features[:10], features[10:20, 5], features[20:30, 2:5] = np.nan, np.inf, -np.inf
    features[30:40, 1:] = 1e30
    features[40:50, 1:] = -3e38
    features[50:55, 0] = [-3, 40, np.inf, np.nan, 11]
    described = features.copy()
    described[50:55, 0] = [0, 11, 0, 0, 11]  # types that do not exist, as the model takes them
    assert_describes(statistics_of(features), described)


@pytest.mark.parametrize("number", [0, 1])
def test_no_element_and_a_single_one_have_statistics(number):
    features = random_elements(np.random.default_rng(2), number)
    assert_describes(statistics_of(features), features)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 400), max_size=6), order=st.randoms(use_true_random=False))
def test_parts_merge_in_any_order_to_the_same_as_the_whole(seed, cuts, order):
    features = random_elements(np.random.default_rng(seed), 400)
    parts = np.split(features, sorted(cuts))
    order.shuffle(parts)
    merged = FeatureStatistics()
    for part in parts:
        merged.merge(statistics_of(part))
    whole = FeatureStatistics()
    whole.add(features, num_events=len(parts))
    assert_same(merged, whole)


@pytest.mark.parametrize("center", [0.0, 1.0, 5e5])
def test_a_tiny_width_far_from_zero_is_measured_to_the_last_digits(center):
    x = (center + np.random.default_rng(3).normal(0.0, 1e-3 * max(center, 1.0) ** 0.7, 20_000)).astype(np.float32)
    statistics = statistics_of(elements(x[:7000]))
    for part in (x[7000:7001], x[7001:]):
        statistics.merge(statistics_of(elements(part)))
    assert statistics.summary().std[ElementType.TRACK, PT] == pytest.approx(x.astype(np.float64).std(), rel=1e-11)


@pytest.mark.parametrize("value", [0.0, -0.0, 1e6, 0.1, -3.3])
def test_a_constant_feature_has_no_width(value):
    statistics = statistics_of(elements(np.full(5000, value)))
    statistics.merge(statistics_of(elements(np.full(77, value))))
    summary = statistics.summary()
    assert summary.std[ElementType.TRACK, PT] < 1e-9
    assert summary.mean[ElementType.TRACK, PT] == pytest.approx(np.float32(value), rel=1e-14)
    np.testing.assert_array_equal(statistics.quantiles()[ElementType.TRACK, PT], np.float32(value))


@given(
    x=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200) | st.lists(st.sampled_from([-2.0, 0.0, 1e-9, 1.0, 1.5]), min_size=1, max_size=50),
    probability=st.floats(0, 1),
)
def test_quantiles_are_within_a_bin_of_the_values_next_to_them(x, probability):
    x = np.array(x, dtype=np.float32)
    found = statistics_of(elements(x)).quantiles([probability])[ElementType.TRACK, PT, 0]
    below, above = (np.quantile(x.astype(np.float64), probability, method=method) for method in ("lower", "higher"))
    assert below - abs(below) / 32 - 2**-24 <= found <= above + abs(above) / 32 + 2**-24  # a bin is 1/32 of its lower edge wide


def test_quantiles_of_many_values_are_those_of_numpy():
    x = np.random.default_rng(4).lognormal(1.0, 2.0, 100_000).astype(np.float32)
    probabilities = [0.01, 0.16, 0.5, 0.84, 0.99]
    found = statistics_of(elements(x)).quantiles(probabilities)
    np.testing.assert_allclose(found[ElementType.TRACK, PT], np.quantile(x, probabilities), rtol=2e-3)
    np.testing.assert_allclose(found[ALL_TYPES, PT], np.quantile(x, probabilities), rtol=2e-3)
    assert np.isnan(found[ElementType.ECAL]).all()


@pytest.fixture
def dataset(random_dataset, write_dataset):
    return ShardedDataset(write_dataset(random_dataset(num_events=150)))


@pytest.mark.parametrize("split", [*SPLITS, None])
def test_a_dataset_is_measured_in_the_events_of_the_split_without_what_the_consumer_drops(random_dataset, write_dataset, split):
    events = random_dataset(num_events=150)
    events.columns["element_type"][::7] = ElementType.BREM
    statistics = measure_features([ShardedDataset(write_dataset(events))], split, SplitConfig())
    in_split = np.ones(150, dtype=bool)
    if split is not None:
        in_split = split_index(events["run"], events["lumi"], events["event"], SplitConfig()) == SPLITS.index(split)
    kept = consumer_elements(events["element_type"]) & in_split[event_index(events.offsets["element"])]
    assert statistics.num_events.sum() == in_split.sum()
    assert_describes(statistics, element_features(events)[kept])


def test_numbers_do_not_depend_on_tasks_and_chunks(dataset, monkeypatch):
    whole = measure_features([dataset], "train", SplitConfig())
    monkeypatch.setattr("mlpf.samples.statistics._TASK_ELEMENTS", 3000)
    monkeypatch.setattr("mlpf.samples.statistics._CHUNK_ELEMENTS", 1000)
    progress = []
    assert_same(measure_features([dataset], "train", SplitConfig(), on_events=lambda *numbers: progress.append(numbers)), whole)
    assert len(progress) > 1
    assert progress[-1] == (150, 150)


def test_two_processes_find_the_same_as_one(dataset, monkeypatch):
    monkeypatch.setattr("mlpf.samples.statistics._TASK_ELEMENTS", 3000)
    assert_same(measure_features([dataset, dataset], "train", SplitConfig(), jobs=2), measure_features([dataset, dataset], "train", SplitConfig()))


@pytest.mark.parametrize("number", [1, 20, 1000])
def test_no_more_events_are_measured_than_asked_for_and_always_the_same(dataset, number):
    one, two = (measure_features([dataset], "train", SplitConfig(), max_events=number) for _ in range(2))
    assert one.num_events.sum() == min(number, measure_features([dataset], "train", SplitConfig()).num_events.sum())
    assert_same(one, two)


def test_a_split_without_events_is_an_error(dataset):
    with pytest.raises(DatasetError, match="no elements in the events of split test"):
        measure_features([dataset], "test", SplitConfig(train=0.5, validation=0.5, test=0.0))


def test_pieces_are_random_halves_quarters_and_so_on(random_dataset):
    events = random_dataset(num_events=4000, mean_elements=1)
    statistics = FeatureStatistics()
    statistics.add_events(events)
    expected = 4000 * 0.5 ** np.arange(1, NUM_PIECES + 1)
    assert (np.abs(statistics.num_events - expected) < 5 * np.sqrt(expected) + 1).all()
    assert statistics.summary(1).num_elements[-1] == statistics.counts[1:].sum()


def test_equal_event_numbers_of_two_datasets_are_shared_out_independently(random_dataset, write_dataset):
    """Simulated samples all count their events from 1: half of the numbers would be half of the events of every sample."""
    samples = [random_dataset(num_events=400, mean_elements=2, seed=seed).with_columns({"event": np.arange(400)}) for seed in (0, 1)]
    datasets = [ShardedDataset(write_dataset(events, f"dataset{i}")) for i, events in enumerate(samples)]
    one, two = (measure_features([dataset], None, SplitConfig()) for dataset in datasets)
    assert (one.num_events != two.num_events).any()
    both = measure_features(datasets, None, SplitConfig())
    one.merge(two)
    assert_same(one, both)


def test_moments_are_the_same_to_the_last_digit_however_the_kernel_was_compiled():
    values, work = np.random.default_rng(8).lognormal(0.0, 2.0, 1024).astype(np.float32), np.empty(1024)
    for filled in (1, 2, 3, 7, 64, 777, 1024):
        assert _moments(values, filled, work) == _moments.py_func(values, filled, work)
        assert _moments(values, filled, work)[0] == pytest.approx(math.fsum(values[:filled].astype(float)) / filled, rel=1e-15)
