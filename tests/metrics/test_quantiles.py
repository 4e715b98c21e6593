import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.metrics.binning import FINE_ANGLE, FINE_MOMENTUM, FINE_NUMBER, FINE_RESPONSE
from mlpf.metrics.quantiles import BinnedSamples, Grid
from mlpf.metrics.uncertainty import quantiles, sorted_values, spread, spreads

PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)


def binned(values, grid=FINE_RESPONSE):
    """A single sample."""
    values = np.asarray(values, dtype=np.float64)
    samples = BinnedSamples(grid, 1)
    samples.add(np.zeros(len(values), dtype=np.int64), grid.position(values), values)
    return samples.sample(0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2), st.sampled_from([FINE_RESPONSE, FINE_ANGLE, FINE_MOMENTUM, FINE_NUMBER]))
def test_bins_ascend_with_the_value_and_are_within_the_array(values, grid):
    position = grid.position(np.sort(values))
    assert (np.diff(position) >= 0).all()
    assert 0 <= position[0] <= position[-1] < grid.num_bins


def test_bins_are_as_wide_as_they_say_and_the_center_has_its_own():
    grid = Grid(center=1.0, scale=1e-3, largest=10.0, step=0.02)
    x = np.linspace(1.0, 1.5, 2_000_001)[1:]
    ends = x[np.flatnonzero(np.diff(grid.position(x)))]
    middle, width = 0.5 * (ends[1:] + ends[:-1]) - 1.0, np.diff(ends)
    wide = middle > 1e-3  # narrower bins are not resolved by these x
    assert width[wide] == pytest.approx(0.02 * np.hypot(middle[wide], 1e-3), abs=6e-7)
    assert (grid.position(np.array([np.nextafter(1.0, 0.0), 1.0, np.nextafter(1.0, 2.0)])) - grid.num_each_side).tolist() == [-1, 0, 1]


def test_whole_numbers_have_a_bin_each():
    assert (np.diff(FINE_NUMBER.position(np.arange(-150, 151))) > 0).all()


@pytest.mark.parametrize("values", [[1.0], [3.0, 3.0, 3.0], [0.7, 0.9], [1.0] * 90 + [1.3] * 10, [0.0, 1e9, -1e9, 2.0], np.arange(-40.0, 41.0)])
def test_quantiles_of_few_values_and_of_equal_ones_are_exact(values):
    for grid in (FINE_RESPONSE, FINE_NUMBER):
        assert quantiles(binned(values, grid), PROBABILITIES) == pytest.approx(np.quantile(values, PROBABILITIES), rel=1e-14)


def mixture(rng, n):
    """A narrow core and long tails, as responses of tracks have them."""
    return np.where(rng.random(n) < 0.85, rng.normal(1.0005, 1.5e-3, n), rng.lognormal(-0.1, 0.3, n))


SHAPES = {
    "tracks": (FINE_RESPONSE, mixture),
    "clusters": (FINE_RESPONSE, lambda rng, n: rng.gamma(9.0, 0.1, n)),
    "jets off scale": (FINE_RESPONSE, lambda rng, n: rng.normal(0.9, 0.1, n)),
    "directions of tracks": (FINE_ANGLE, lambda rng, n: rng.normal(0.0, 3e-4, n)),
    "directions of clusters": (FINE_ANGLE, lambda rng, n: rng.normal(0.0, 0.02, n)),
    "missing momentum": (FINE_MOMENTUM, lambda rng, n: rng.normal(1.0, 15.0, n)),
    "multiplicity": (FINE_NUMBER, lambda rng, n: rng.poisson(100.0, n) - 90),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("n", [30, 1000, 100_000])
def test_what_is_forgotten_is_far_less_than_the_statistical_error(name, n):
    grid, shape = SHAPES[name]
    values = shape(np.random.default_rng(n), n)
    exact = spread(values)
    estimates = spreads([binned(values, grid)])
    for quantity in ("median", "iqr"):
        half_width = (exact[quantity].high - exact[quantity].low) / 2
        for ours, theirs in zip((column[0] for column in estimates[quantity][:3]), exact[quantity][:3], strict=True):
            assert abs(ours - theirs) <= 0.25 * half_width  # in quadrature, 3 % of the error
    assert estimates["tails"].value[0] == pytest.approx(exact["tails"].value, abs=0.25 * (exact["tails"].high - exact["tails"].low))


@given(st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=40), st.floats(-3.0, 3.0), st.floats(0.0, 2.0))
def test_numbers_outside_limits_are_those_of_the_entries_that_are_told(values, low, width):
    sample = binned(values)
    entries = sample.at(np.arange(sample.size()))
    assert (np.diff(entries) >= -1e-12).all()
    assert entries == pytest.approx(np.sort(values), abs=0.06)  # a bin is .01 times the distance to 1 wide
    limits = low + 1e-4, low + width  # not at an entry but for rounding
    clear = np.abs(entries[:, None] - np.array(limits)).min() > 1e-9
    if clear:
        assert sample.num_outside(*limits) == np.count_nonzero((entries < limits[0]) | (entries > limits[1]))


def test_limits_at_entries_leave_them_inside():
    sample = binned([1.0] * 5 + [2.0] * 3 + [0.5])
    assert sample.num_outside(1.0, 1.0) == 4
    assert sample.num_outside(0.5, 2.0) == 0
    assert sample.num_outside(1.0, 2.0) == 1


@pytest.mark.parametrize("seed", range(3))
def test_any_cut_into_chunks_gives_the_same_bits(seed):
    rng = np.random.default_rng(seed)
    values, group = rng.normal(1.0, 0.01, 3000), rng.integers(0, 4, 3000)
    parts = np.split(rng.permutation(3000), np.sort(rng.integers(0, 3000, 5)))
    once, summed = BinnedSamples(FINE_RESPONSE, 4), BinnedSamples(FINE_RESPONSE, 4)
    once.add(group, FINE_RESPONSE.position(values), values)
    for part in parts:
        chunk = BinnedSamples(FINE_RESPONSE, 4)
        chunk.add(group[part], FINE_RESPONSE.position(values[part]), values[part])
        summed += chunk
    restored = BinnedSamples(FINE_RESPONSE, 4)
    restored.restore(once.arrays())
    for other in (summed, restored):
        for name, expected in once.arrays().items():
            np.testing.assert_array_equal(other.arrays()[name], expected)


def test_infinite_values_are_at_the_ends():
    sample = binned([1.0, np.inf, -np.inf, np.inf])
    entries = sample.at(np.arange(4))
    assert entries[1] == 1.0
    assert np.isfinite(entries).all()
    assert entries[0] < -1e99 < 1e99 < entries[2] == entries[3]


def test_groups_are_apart():
    samples = BinnedSamples(FINE_RESPONSE, 3)
    values = np.array([0.5, 1.5, 2.5])
    samples.add(np.array([0, 2, 2]), FINE_RESPONSE.position(values), values)
    assert [samples.sample(g).size() for g in range(3)] == [1, 0, 2]
    assert samples.sample(2).at(np.array([0, 1])).tolist() == [1.5, 2.5]


def test_bins_that_do_not_exist_are_refused():
    samples = BinnedSamples(FINE_RESPONSE, 1)
    one = {"count": np.ones(1, dtype=np.int64), "smallest": np.ones(1), "largest": np.ones(1)}
    with pytest.raises(IndexError, match="bin"):
        samples.restore({"index": np.array([FINE_RESPONSE.num_bins]), **one})


def test_sorted_values_are_a_sample_as_binned_ones_are():
    values = np.array([3.0, 1.0, 2.0, 8.0])
    for sample in (sorted_values(values), binned(values)):
        assert sample.size() == 4
        assert sample.at(np.array([0, 3])).tolist() == [1.0, 8.0]
        assert sample.num_outside(1.5, 3.0) == 2
