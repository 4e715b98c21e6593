import numpy as np
import pytest

from mlpf.dataset.sample import select_split
from mlpf.features import consumer_elements
from mlpf.io.shards import ROWS_PER_GROUP, ShardedDataset
from mlpf.samples.split import SPLITS, SplitConfig, split_index
from mlpf.testing import random_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return ShardedDataset(random_dataset(tmp_path_factory.mktemp("random"), num_events=5 * ROWS_PER_GROUP + 3))


def test_splits_share_out_all_events_and_no_event_twice(dataset):
    config = SplitConfig(train=0.5, validation=0.3, test=0.2, seed=3)
    rows = [select_split(dataset, split, config).index.row for split in SPLITS]
    assert sorted(np.concatenate(rows)) == list(range(len(dataset)))
    assert sorted(select_split(dataset).index.row) == list(range(len(dataset)))


def test_every_event_is_found_in_its_row_group(dataset):
    config = SplitConfig(train=0.2, validation=0.4, test=0.4)  # so few that some row groups may hold none
    sample = select_split(dataset, "train", config)
    found = []
    for group, (first, last) in enumerate(zip(sample.group_offsets[:-1], sample.group_offsets[1:], strict=True)):
        events = dataset.read_groups(int(sample.index.shard[first]), [int(sample.index.group[first])])
        assert len(events) == sample.group_rows[group]
        chosen = events.select(np.isin(np.arange(len(events)), sample.place[first:last]))
        assert (split_index(chosen["run"], chosen["lumi"], chosen["event"], config) == SPLITS.index("train")).all()
        seen = [int(consumer_elements(chosen.slice(i, i + 1)["element_type"]).sum()) for i in range(len(chosen))]
        assert seen == sample.num_elements[first:last].tolist()
        found += chosen["event"].tolist()
    assert found == sample.index.event.tolist()
    assert 0 < len(found) < len(dataset)
