from collections import Counter
from dataclasses import fields
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.dataset.plan import SHARDS_AT_ONCE, SIZE_SPREAD, Plan, _deal
from mlpf.dataset.sample import Sample
from mlpf.errors import DatasetError
from mlpf.events import offsets_from_counts
from mlpf.io.shards import MAX_OPEN_SHARDS
from mlpf.samples.index import EventIndex

ROWS = 4  # per row group here


def make_sample(sizes, kept=None, groups_per_shard=10**6):
    """A sample whose events have these sizes; ``kept`` marks those of the split. Row groups are counted through all shards."""
    sizes, row = np.asarray(sizes, dtype=np.int32), np.arange(len(sizes))
    kept = np.ones(len(sizes), dtype=bool) if kept is None else np.asarray(kept, dtype=bool)
    group = row // ROWS
    held = np.bincount(group[kept], minlength=-(-len(sizes) // ROWS))
    rows = np.bincount(group, minlength=len(held))
    columns = dict.fromkeys((field.name for field in fields(EventIndex)), np.zeros(len(sizes), dtype=np.int32))
    index = EventIndex(**{**columns, "num_consumer_elements": sizes, "shard": group // groups_per_shard, "group": group, "row": row}).select(kept)
    return Sample(SimpleNamespace(path="sample"), index, (row % ROWS)[kept], offsets_from_counts(held[held > 0]), rows[held > 0])


def batches_of(pools):
    """Per batch its events as (dataset, row) and their sizes."""
    batches = []
    for pool in pools:
        where = pool.groups[pool.group]
        ids = list(zip(where[:, 0].tolist(), (where[:, 2] * ROWS + pool.place).tolist(), strict=True))
        for first, last in zip(pool.offsets[:-1], pool.offsets[1:], strict=True):
            batches.append((ids[first:last], pool.num_elements[first:last]))
    return batches


def events_of(pools):
    return [event for batch, _ in batches_of(pools) for event in batch]


SIZES = st.lists(st.integers(0, 300), max_size=60)


@settings(deadline=None)
@given(SIZES, SIZES, st.integers(1, 1000), st.integers(1, 5000), st.booleans(), st.integers(0, 3))
def test_batches_hold_every_event_at_most_once_within_budget_and_of_similar_size(first, second, budget, pool_elements, shuffle, epoch):
    plan = Plan([make_sample(first), make_sample(second)], budget, pool_elements, shuffle, seed=1)
    pools = plan.pools(epoch)
    batches = batches_of(pools)
    everything = [(0, i) for i in range(len(first))] + [(1, i) for i in range(len(second))]
    found = events_of(pools)
    assert len(batches) == plan.num_batches()
    assert len(set(found)) == len(found)
    assert set(found) <= set(everything)
    if not shuffle or epoch == 0:  # the epoch that the number of batches is taken from
        assert sorted(found) == everything
    for batch, sizes in batches:
        assert [([*first], [*second])[dataset][row] for dataset, row in batch] == sizes.tolist()
        assert len(batch) == 1 or len(batch) * max(1, sizes.max()) <= budget
        assert sizes.max() <= SIZE_SPREAD * max(sizes.min(), 1)


def test_only_events_of_the_split_are_planned_and_their_places_are_right():
    kept = np.random.default_rng(0).random(200) < 0.4
    kept[40:48] = False  # two row groups without any
    pools = Plan([make_sample(np.full(200, 10), kept)], 100, 500, seed=1).pools(0)
    assert sorted(row for _, row in events_of(pools)) == np.flatnonzero(kept).tolist()
    assert all((pool.groups[:, 3] == ROWS).all() for pool in pools)


def test_a_pool_holds_no_more_than_its_elements_and_a_row_group():
    sizes = np.random.default_rng(0).integers(50, 150, 400)
    pools = Plan([make_sample(sizes)], 300, 2000, seed=1).pools(0)
    assert len(pools) == -(-int(sizes.sum()) // 2000)
    assert max(pool.num_elements.sum() for pool in pools) <= 2000 + ROWS * 150
    groups = [tuple(row) for pool in pools for row in pool.groups.tolist()]
    assert len(groups) == len(set(groups)) == 100  # each is read once


def test_every_epoch_is_another_shuffle_of_equal_length_and_a_seed_repeats_them():
    sample = make_sample(np.random.default_rng(0).integers(5, 50, 300))
    first, again, other = (Plan([sample], 100, 1000, seed=seed) for seed in (1, 1, 2))
    epochs = [batches_of(first.pools(epoch)) for epoch in range(4)]
    words = [str([batch for batch, _ in epoch]) for epoch in epochs]
    assert words == [str([batch for batch, _ in batches_of(again.pools(epoch))]) for epoch in range(4)]
    assert len({*words, str([batch for batch, _ in batches_of(other.pools(0))])}) == 5
    assert {len(epoch) for epoch in epochs} == {first.num_batches()}


def test_nearly_no_event_is_lost_to_the_constant_number_of_batches():
    """Where the events of an epoch make fewer batches some are halved; only a few make more."""
    plan = Plan([make_sample(np.random.default_rng(0).normal(100, 30, 5000).clip(1))], 1000, 20_000, seed=1)
    lost = [5000 - len(events_of(plan.pools(epoch))) for epoch in range(10)]
    assert lost[0] == 0
    assert sum(lost) < 0.001 * 10 * 5000


def test_of_many_shards_only_a_few_are_open_at_a_time_and_each_is_opened_once():
    plan = Plan([make_sample(np.full(4000, 10), groups_per_shard=20)], max_elements=100, pool_elements=400)
    for epoch in range(2):
        shards = [group[1] for pool in plan.pools(epoch) for group in pool.groups]
        first = {shard: shards.index(shard) for shard in range(50)}
        last = {shard: len(shards) - 1 - shards[::-1].index(shard) for shard in range(50)}
        open_shards = [sum(first[shard] <= i <= last[shard] for shard in first) for i in range(len(shards))]
        assert max(open_shards) <= 2 * SHARDS_AT_ONCE <= MAX_OPEN_SHARDS
        assert sorted(first, key=first.__getitem__) != list(range(50))


def test_without_shuffling_every_epoch_is_the_same_and_pools_follow_the_dataset():
    plan = Plan([make_sample(np.arange(1, 101))], 300, 600, shuffle=False)
    assert events_of(plan.pools(0)) == events_of(plan.pools(5))
    rows = [np.array([row for _, row in events_of([pool])]) for pool in plan.pools(0)]
    assert all(earlier.max() < later.min() for earlier, later in pairwise(rows))


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([1, 2, 3, 8]), st.integers(32, 120), st.integers(1, 400), st.integers(0, 2))
def test_ranks_see_disjoint_data_in_equally_many_batches(world, num_events, budget, epoch):
    sizes = np.random.default_rng(num_events).integers(1, 100, num_events)
    plan = Plan([make_sample(sizes)], budget, 2000, seed=1, world=world)
    shares = [plan.pools(epoch, rank) for rank in range(world)]
    assert {len(batches_of(share)) for share in shares} == {plan.num_batches()}
    seen = [set(events_of(share)) for share in shares]
    assert sum(map(len, seen)) == len(set().union(*seen))
    dropped = sum(len(plan._cut(epoch, rank)) - plan.num_batches() for rank in range(world) if len(plan._cut(epoch, rank)) > plan.num_batches())
    missing = num_events - sum(map(len, seen))
    assert missing <= dropped * max(1, budget)
    if not dropped:
        assert missing == 0


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_unshuffled_ranks_together_see_every_event(world):
    plan = Plan([make_sample(np.random.default_rng(0).integers(1, 100, 210))], 300, 2000, shuffle=False, world=world)
    seen = [event for rank in range(world) for event in events_of(plan.pools(0, rank))]
    assert sorted(seen) == [(0, i) for i in range(210)]
    assert [sum(map(len, plan.pools(0, rank))) for rank in range(world)] == [plan.num_batches(rank) for rank in range(world)]


def test_ranks_get_equally_many_elements_also_of_a_mixture_of_sizes():
    elements = np.concatenate([np.full(200, 8_000), np.full(200, 70_000)])
    elements = np.random.default_rng(0).permutation(elements)
    load = np.bincount(_deal(elements, 8), elements)
    assert np.ptp(load) <= 70_000


def test_more_ranks_than_row_groups_are_refused():
    with pytest.raises(DatasetError, match="2 row groups of events cannot be shared out to 3 processes"):
        Plan([make_sample(np.full(8, 10))], 100, 1000, world=3).num_batches()


@pytest.mark.parametrize("seed", range(20))
def test_a_dataset_of_one_event_takes_its_part(seed):
    plan = Plan([make_sample(np.full(40, 10)), make_sample([10])], 100, 1000, seed=seed, proportions=[1.0, 1.0])
    assert plan.num_batches() == 1
    assert [len(batches_of(plan.pools(epoch))) for epoch in range(50)] == [1] * 50
    seen = Counter(event for epoch in range(400) for event in events_of(plan.pools(epoch)))
    assert seen[1, 0] > 100


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=3), st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.integers(1, 3), st.integers(0, 9))
def test_with_proportions_every_rank_has_all_its_batches_in_every_epoch_or_there_are_too_few_row_groups(counts, proportions, world, seed):
    plan = Plan([make_sample(np.full(count, 10)) for count in counts], 15, 200, seed=seed, proportions=proportions[: len(counts)], world=world)
    groups = [len(plan._order(epoch)) for epoch in range(12)]
    try:
        length = plan.num_batches()
    except DatasetError as error:
        assert world > 1
        assert int(str(error).split()[0]) <= min(groups)
        return
    assert min(groups) >= world
    assert {len(batches_of(plan.pools(epoch, rank))) for epoch in range(12) for rank in range(world)} == {length}


def test_proportions_hold_in_every_epoch_and_in_every_stretch_of_it():
    samples = [make_sample(np.full(count, 10)) for count in (2000, 600, 1200)]
    plan = Plan(samples, 100, 2000, seed=1, proportions=[0.5, 0.3, 0.2])
    assert [plan.num_events(i) for i in range(3)] == [1000, 600, 400]  # the second runs out first
    for epoch in range(5):
        dataset = np.array([number for number, _ in events_of(plan.pools(epoch))])
        assert np.abs(np.bincount(dataset) - [1000, 600, 400]).max() <= 2 * ROWS
        for stretch in np.array_split(dataset, 10):  # 200 events each
            np.testing.assert_allclose(np.bincount(stretch, minlength=3) / len(stretch), [0.5, 0.3, 0.2], atol=0.06)


def test_with_proportions_no_event_comes_twice_in_an_epoch_and_all_equally_often_in_many():
    plan = Plan([make_sample(np.full(210, 10)), make_sample(np.full(90, 10))], 100, 300, seed=1, proportions=[1.0, 1.0])
    seen = Counter()
    for epoch in range(70):
        found = events_of(plan.pools(epoch))
        assert len(set(found)) == len(found)
        seen.update(found)
    often = np.array([seen[0, row] for row in range(210)])  # 90 of 210 per epoch, 30 times in 70 epochs
    assert often.min() >= 28
    assert often.max() <= 30
    assert min(seen[1, row] for row in range(90)) >= 68  # all that were not dropped with the last batches


def test_without_proportions_datasets_are_interleaved_with_their_natural_shares():
    plan = Plan([make_sample(np.full(900, 10)), make_sample(np.full(300, 10))], 100, 1000, seed=1)
    dataset = np.array([number for number, _ in events_of(plan.pools(3))])
    for stretch in np.array_split(dataset, 6):
        assert np.mean(stretch) == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(("proportions", "message"), [([1.0, 0.0], "proportion 0 of the events"), ([1.0, 1.0], "no events for a proportion of 1")])
def test_impossible_proportions_are_refused(proportions, message):
    with pytest.raises(DatasetError, match=message):
        Plan([make_sample(np.full(8, 10)), make_sample([])], 100, 1000, proportions=proportions)


def test_what_is_left_of_a_pool_needs_only_its_own_row_groups():
    (pool,) = Plan([make_sample(np.random.default_rng(0).integers(1, 100, 100))], 200, 10**6, seed=1).pools(0)
    for count in range(len(pool)):
        rest = pool.after(count)
        assert [batch for batch, _ in batches_of([rest])] == [batch for batch, _ in batches_of([pool])][count:]
        assert sorted({*rest.group.tolist()}) == list(range(len(rest.groups)))
