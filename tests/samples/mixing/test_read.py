import numpy as np
import pytest

from mlpf.errors import DatasetError
from mlpf.events import concatenate
from mlpf.io.shards import ShardedDataset
from mlpf.samples.index import index_dataset, join_indices
from mlpf.samples.mixing.config import MixConfig
from mlpf.samples.mixing.gather import gather
from mlpf.samples.mixing.plan import Pool, plan_mixture
from mlpf.samples.mixing.read import read_plan


@pytest.fixture
def mixed(write_shards):
    """Two datasets of several shards, and a plan in which streams advance at different rates."""
    datasets = [ShardedDataset(write_shards("a", (70, 50), seed=0)), ShardedDataset(write_shards("b", (33,), seed=1))]
    names = [{"name": name, "type": "t", "datasets": [name]} for name in "ab"]
    config = MixConfig.model_validate({"sources": names, "bins": {"num_elements": [0, 25, 30, 100]}, "max_bin_occupancy": 40})
    indices = [index_dataset(dataset) for dataset in datasets]
    pools = [Pool(source, index, np.full(len(index), i, np.int32)) for i, (source, index) in enumerate(zip(config.sources, indices, strict=True))]
    return datasets, plan_mixture(config, pools).plan


def read_events(plan, *arguments):
    """What a reader of the written events would see."""
    return [gather(rows.chunks, rows.chunk, rows.row) for rows in read_plan(plan, *arguments)]


class Counted(ShardedDataset):
    """A dataset that counts the row groups it decodes."""

    decoded = 0

    def read_groups(self, shard, groups, columns=None):
        type(self).decoded += len(groups)
        return super().read_groups(shard, groups, columns)


def expected_events(datasets, plan):
    whole = [dataset.read() for dataset in datasets]
    places = [datasets[d].shard_offsets[s] + r for d, s, r in zip(plan.dataset, plan.shard, plan.row, strict=True)]
    return concatenate([whole[d].slice(place, place + 1) for d, place in zip(plan.dataset, places, strict=True)])


@pytest.mark.parametrize(("chunk_elements", "held_elements"), [(1, 0), (100, 0), (100, 1000), (10**6, 10**6)])
def test_events_come_in_the_order_of_the_plan_whatever_is_held(mixed, chunk_elements, held_elements):
    datasets, plan = mixed
    expected = expected_events(datasets, plan)
    read = concatenate(read_events(plan, datasets.__getitem__, list(expected.columns), chunk_elements, held_elements))
    assert read["source"].tolist() == plan.source.tolist()
    for name, values in expected.columns.items():
        np.testing.assert_array_equal(read[name], values, name)


def test_chunks_are_as_large_as_asked_give_or_take_an_event(mixed):
    datasets, plan = mixed
    sizes = [chunk.size("element") for chunk in read_events(plan, datasets.__getitem__, ["event", "element_type"], 200, 0)]
    assert len(sizes) > 5
    assert max(sizes) < 200 + plan.num_elements.max()


def test_what_is_held_is_not_decoded_again(mixed):
    datasets, plan = mixed
    counted = [Counted(dataset.path) for dataset in datasets]
    decoded = []
    for held in (0, 1_000_000):
        Counted.decoded = 0
        list(read_plan(plan, counted.__getitem__, ["event", "element_type"], 200, held))
        decoded.append(Counted.decoded)
    needed = {(d, s, int(np.searchsorted(datasets[d].group_offsets(s), r, side="right"))) for d, s, r in zip(plan.dataset, plan.shard, plan.row, strict=True)}
    assert decoded[1] == len(needed)
    assert decoded[0] > decoded[1]


def test_only_the_columns_asked_for_are_read(mixed):
    datasets, plan = mixed
    assert all(set(chunk.columns) == {"event", "source", "element_pt"} for chunk in read_events(plan, datasets.__getitem__, ["event", "element_pt"]))


def test_a_column_that_a_shard_lacks_is_an_error(mixed):
    datasets, plan = mixed
    with pytest.raises(DatasetError, match=r"shard_00000.parquet: no column 'edge_kind', which other shards have"):
        list(read_plan(plan, datasets.__getitem__, ["event", "edge_kind"]))


def test_indices_of_several_datasets_join(mixed):
    datasets, _ = mixed
    joined = join_indices([index_dataset(dataset) for dataset in datasets])
    assert joined.event.tolist() == [*datasets[0].read(["event"])["event"], *datasets[1].read(["event"])["event"]]
