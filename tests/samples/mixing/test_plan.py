from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlpf.errors import MlpfError
from mlpf.samples.mixing.bins import Bins
from mlpf.samples.mixing.config import MixConfig
from mlpf.samples.mixing.plan import event_weights, first_of_equals, has_parity, plan_mixture


def config_of(weights, types=None, **options):
    types = types or ["t"] * len(weights)
    sources = [{"name": f"s{i}", "type": kind, "datasets": ["x"], "weight": w} for i, (w, kind) in enumerate(zip(weights, types, strict=True))]
    return MixConfig.model_validate({"sources": sources, **options})


def mix(make_pools, config, sizes, seed=0):
    return plan_mixture(config, make_pools(config.sources, sizes, seed))


@st.composite
def mixtures(draw, **fixed):
    """A configuration and sizes of its sources."""
    num_sources = draw(st.integers(1, 4))
    weights = draw(st.lists(st.floats(0.1, 10.0), min_size=num_sources, max_size=num_sources))
    types = draw(st.lists(st.sampled_from("ab"), min_size=num_sources, max_size=num_sources))
    edges = draw(st.sampled_from([{}, {"leading_jet_pt": [0, 20, 60, 1e9]}, {"ht": [0, 100, 1e9], "leading_jet_eta": [-100, 0, 100]}]))
    options = {"bins": edges, "max_bin_occupancy": draw(st.one_of(st.none(), st.integers(40, 300))), "seed": draw(st.integers(0, 1000)), **fixed}
    return config_of(weights, types, **options), draw(st.lists(st.integers(100, 600), min_size=num_sources, max_size=num_sources))


def identities(plan):
    return list(zip(plan.dataset.tolist(), plan.shard.tolist(), plan.row.tolist(), strict=True))


@given(mixtures())
def test_no_event_comes_twice_and_every_quota_is_met(make_pools, drawn):
    config, sizes = drawn
    mixture = mix(make_pools, config, sizes)
    assert max(Counter(identities(mixture.plan)).values()) == 1
    np.testing.assert_array_equal(mixture.written(), mixture.quota)
    total = mixture.available.sum(axis=0)
    np.testing.assert_array_equal(mixture.quota.sum(axis=0), np.minimum(total, config.max_bin_occupancy or total))


@given(mixtures())
def test_every_event_is_in_its_bin_and_belongs_to_its_source(make_pools, drawn):
    config, sizes = drawn
    pools = make_pools(config.sources, sizes)
    plan = plan_mixture(config, pools).plan
    bins = Bins.of(config)
    for i, pool in enumerate(pools):
        mine = plan.select(plan.source == i)
        assert set(mine.dataset) == {i}
        place = mine.shard * 100 + mine.row
        np.testing.assert_array_equal(mine.bin, bins.assign(pool.events, pool.config.type)[place])
        np.testing.assert_array_equal(mine.num_elements, pool.events.num_elements[place])


@given(mixtures())
def test_the_first_events_of_a_stream_come_in_the_order_of_the_files(make_pools, drawn):
    config, sizes = drawn
    pools = make_pools(config.sources, sizes)
    mixture = plan_mixture(config, pools)
    plan = mixture.plan
    for i, pool in enumerate(pools):
        event_bins = mixture.bins.assign(pool.events, pool.config.type)
        for number in range(len(mixture.bins)):
            mine = plan.select((plan.source == i) & (plan.bin == number))
            expected = np.flatnonzero(event_bins == number)[: mixture.quota[i, number]]
            np.testing.assert_array_equal(mine.shard * 100 + mine.row, expected)


@given(mixtures(), st.floats(0, 1), st.floats(0, 1))
def test_any_contiguous_window_has_the_composition_of_the_whole(make_pools, drawn, one, other):
    """A stream with part f of N events gives f w of any w consecutive ones, but for 2 of its own and f times 2 of each of the S streams."""
    config, sizes = drawn
    mixture = mix(make_pools, config, sizes)
    plan = mixture.plan
    first, last = sorted((int(one * len(plan)), int(other * len(plan))))
    streams = np.count_nonzero(mixture.quota)
    part = mixture.quota / len(plan)
    assert (np.abs(mixture.written(plan.select(slice(first, last))) - part * (last - first)) <= 2 + 2 * streams * part + 1e-9).all()


def test_windows_of_a_large_mixture_deviate_by_much_less_than_drawing_at_random_would(make_pools):
    mixture = mix(make_pools, config_of([1.0, 1.0, 1.0], ["a", "b", "b"], bins={"leading_jet_pt": [0, 20, 60, 1e9]}), [20_000, 30_000, 50_000])
    plan, part = mixture.plan, mixture.quota / 100_000
    deviations = [mixture.written(plan.select(slice(first, first + 1000))) - 1000 * part for first in range(0, 100_000, 1000)]
    assert np.abs(deviations).max() < 4  # the largest stream has 28 % of the events, so a random draw would have a standard deviation of 14


def test_every_order_is_as_likely_as_its_mirror_image(make_pools):
    """Two streams of two events each: the position of the first event is uniform in the first half, so which of them leads is a toss-up."""
    leads = [mix(make_pools, config_of([1.0, 1.0], ["a", "b"], seed=seed), [2, 2]).plan.source[0] for seed in range(400)]
    assert abs(np.mean(leads) - 0.5) < 3 * 0.5 / np.sqrt(400)


@given(mixtures(calc_weights=True), st.booleans())
def test_the_weights_of_every_bin_sum_to_one_over_the_number_of_bins(make_pools, drawn, ensure_uniformity):
    config, sizes = drawn
    try:
        mixture = mix(make_pools, config.model_copy(update={"ensure_uniformity": ensure_uniformity}), sizes)
    except MlpfError as error:
        assume("gets no event" not in str(error) and "no event in the bin" not in str(error))
        raise
    weight = mixture.plan.weight.astype(np.float64) / len(mixture.plan)  # as before they were normalised to mean 1
    np.testing.assert_allclose(np.bincount(mixture.plan.bin, weight), 1 / len(mixture.bins), rtol=1e-5)
    assert mixture.plan.weight.mean() == pytest.approx(1.0, rel=1e-5)


@given(mixtures())
def test_source_shares_are_as_asked_where_no_source_runs_out(make_pools, drawn):
    config, sizes = drawn
    mixture = mix(make_pools, config, sizes)
    weights = np.array([source.weight for source in config.sources])
    for number in range(len(mixture.bins)):
        available, quota = mixture.available[:, number], mixture.quota[:, number]
        having = available > 0
        if having.any() and (quota[having] < available[having]).all():
            expected = quota.sum() * weights[having] / weights[having].sum()
            assert (np.abs(quota[having] - expected) <= len(config.sources)).all()


@given(mixtures(), st.randoms(use_true_random=False))
def test_the_order_in_which_sources_are_listed_does_not_matter(make_pools, drawn, random):
    config, sizes = drawn
    pools = make_pools(config.sources, sizes)
    listed = list(range(len(pools)))
    random.shuffle(listed)
    again = plan_mixture(config.model_copy(update={"sources": tuple(config.sources[i] for i in listed)}), [pools[i] for i in listed])
    assert identities(again.plan) == identities(plan_mixture(config, pools).plan)
    np.testing.assert_array_equal(np.array(listed)[again.plan.source], plan_mixture(config, pools).plan.source)


def test_another_seed_gives_another_order_of_the_same_events(make_pools):
    config = config_of([1.0, 1.0], bins={"ht": [0, 50, 1e9]})
    one, other = (mix(make_pools, config.model_copy(update={"seed": seed}), [300, 300]).plan for seed in (1, 2))
    assert identities(one) != identities(other)
    assert sorted(identities(one)) == sorted(identities(other))


def test_uniformity_stops_with_the_last_event_of_the_bin_that_runs_dry_first(make_pools):
    config = config_of([1.0, 1.0], ["a", "b"], bins={"leading_jet_pt": [0, 20, 60, 1e9]})
    whole = mix(make_pools, config, [500, 700])
    short = mix(make_pools, config.model_copy(update={"ensure_uniformity": True}), [500, 700])
    remaining = whole.quota.sum(axis=0).tolist()
    expected = []
    for identity, number in zip(identities(whole.plan), whole.plan.bin, strict=True):
        remaining[number] -= 1
        expected.append(identity)
        if remaining[number] == 0:
            break
    assert identities(short.plan) == expected
    assert 0 < len(short.plan) < len(whole.plan)


def test_counts_add_up(make_pools):
    config = config_of([1.0], bins={"leading_jet_pt": [20, 60]}, parity="odd")
    pools = make_pools(config.sources, [400])
    pools = [replace(pools[0], events=replace(pools[0].events, lumi=np.ones(400, np.int64), event=np.arange(400) // 2))]
    mixture = plan_mixture(config, pools)
    counts, pt = mixture.counts[0], pools[0].events.leading_jet_pt
    kept = [i for i in range(400) if i % 2 == 0 and (i // 2) % 2 == 1 and 20 <= pt[i] < 60]
    assert (counts.found, counts.duplicates, counts.other_parity) == (400, 200, 100)
    assert counts.available == len(kept) == 100 - counts.outside_bins
    assert sorted(mixture.plan.shard * 100 + mixture.plan.row) == kept


def test_duplicates_are_those_of_a_plain_loop(make_index):
    rng = np.random.default_rng(1)
    run, lumi, number, mark = rng.integers(0, 3, (4, 300))
    events = replace(make_index(300), run=run, lumi=lumi, event=number, mark=mark.astype(np.uint64))
    for duplicates, keys in (("numbers", (run, lumi, number)), ("elements", (run, lumi, number, mark))):
        seen, expected = set(), []
        for key in zip(*keys, strict=True):
            expected.append(key not in seen)
            seen.add(key)
        assert first_of_equals(events, duplicates).tolist() == expected


def test_no_events_have_no_duplicates(make_index):
    assert first_of_equals(make_index(0), "numbers").tolist() == []


def test_parity_divides_the_events(make_index):
    number = make_index(100).event
    assert (has_parity(number, "even") ^ has_parity(number, "odd")).all()
    assert has_parity(number, "none").all()
    assert set(number[has_parity(number, "odd")] % 2) == {1}


def test_a_source_of_which_nothing_is_left_is_an_error_that_says_where_its_events_went(make_pools):
    with pytest.raises(MlpfError, match=r"source 's1': no event is left \(200 found, 0 duplicates, 0 of the other parity, 200 outside the bins\)"):
        config = config_of([1.0, 1.0], bins={"num_elements": [0, 1000]})
        pools = make_pools(config.sources, [100, 200])
        plan_mixture(config, [pools[0], replace(pools[1], events=replace(pools[1].events, num_elements=np.full(200, 5000, np.int32)))])
    with pytest.raises(MlpfError, match="source 's0': no event is left"):
        mix(make_pools, config_of([1.0]), [0])


def test_a_source_without_a_share_is_an_error(make_pools):
    with pytest.raises(MlpfError, match="source 's2': gets no event; raise its weight"):
        mix(make_pools, config_of([1.0, 1.0, 1.0], max_bin_occupancy=2), [100, 100, 100])


def test_weights_of_an_empty_bin_are_an_error_that_names_it(make_pools):
    with pytest.raises(MlpfError, match=r"no event in the bin 't, ht -2 to -1' \(and 1 more\)"):
        mix(make_pools, config_of([1.0], bins={"ht": [-2, -1, 0, 1e9]}, calc_weights=True), [100])


def test_weights_that_differ_too_much_are_an_error():
    bins = Bins(("a", "b"), {})
    event_bins = np.zeros(10_000_001, dtype=np.int32)
    event_bins[0] = 1
    with pytest.raises(MlpfError, match="1 events in the bin 'b', 10000000 in 'a'"):
        event_weights(event_bins, bins)
    weights = event_weights(event_bins[:-1], bins)
    assert weights[0] / weights[1] == pytest.approx(9_999_999, rel=1e-6)


@settings(max_examples=20)
@given(mixtures(calc_weights=False))
def test_a_plan_without_weights_has_none(make_pools, drawn):
    config, sizes = drawn
    assert mix(make_pools, config, sizes).plan.weight is None
