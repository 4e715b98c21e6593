from types import SimpleNamespace

import numpy as np
import pytest

from mlpf.errors import DatasetError, MlpfError
from mlpf.evaluation import choice
from mlpf.evaluation.choice import Choice, Part, read_blocks
from mlpf.io.shards import ROWS_PER_GROUP, ShardedDataset
from mlpf.samples.split import SplitConfig, in_split

COLUMNS = ("run", "lumi", "event", "element_pt")


def model(seed=0, split="test", **fractions):
    return SimpleNamespace(split=SplitConfig(seed=seed, **(fractions or {"train": 0.3, "validation": 0.1, "test": 0.6})), default_split=split)


@pytest.fixture
def dataset(random_dataset, write_dataset):
    return ShardedDataset(write_dataset(random_dataset(100, 20)))


def chosen(dataset, models, split=None, part=None, max_events=None):
    blocks = list(read_blocks(dataset, COLUMNS, Choice(models, split), part, max_events, lambda _: None))
    assert all(len(block) for block in blocks)
    return np.concatenate([block["event"] for block in blocks]) if blocks else np.zeros(0, dtype=int)


def test_events_are_those_of_the_split_of_every_model(dataset):
    events = dataset.read()
    models = {"a": model(1), "b": model(2), "c": model(3, split="all")}
    masks = {name: in_split(events["run"], events["lumi"], events["event"], "test", m.split) for name, m in models.items()}
    assert 0 < (masks["a"] & masks["b"]).sum() < masks["a"].sum()
    assert chosen(dataset, models).tolist() == events["event"][masks["a"] & masks["b"]].tolist()
    assert chosen(dataset, models, "test").tolist() == events["event"][masks["a"] & masks["b"] & masks["c"]].tolist()
    assert chosen(dataset, models, "all").tolist() == events["event"].tolist()
    assert str(Choice(models, None)) == "test of a, test of b, all of c"
    assert str(Choice(models, "train")) == "train"


def test_the_size_of_blocks_does_not_matter(dataset, monkeypatch):
    models = {"a": model()}
    whole = chosen(dataset, models)
    monkeypatch.setattr(choice, "BLOCK_ELEMENTS", 1)
    assert len(list(read_blocks(dataset, COLUMNS, Choice(models, None), None, None, lambda _: None))) > 3
    assert np.array_equal(chosen(dataset, models), whole)


@pytest.mark.parametrize("number", [1, 7, 16, 40])
def test_it_stops_after_so_many_events(dataset, number):
    models = {"a": model()}
    read = []
    blocks = list(read_blocks(dataset, COLUMNS, Choice(models, None), None, number, read.append))
    assert np.concatenate([block["event"] for block in blocks]).tolist() == chosen(dataset, models)[:number].tolist()
    assert sum(read) < len(dataset)  # what is not needed is not read


def test_parts_share_the_row_groups(dataset):
    models = {"a": model()}
    parts = [chosen(dataset, models, part=Part(i, 3)) for i in (1, 2, 3)]
    assert sorted(np.concatenate(parts).tolist()) == sorted(chosen(dataset, models).tolist())
    assert np.all(parts[1] // ROWS_PER_GROUP % 3 == 1)  # events are numbered as they lie there
    with pytest.raises(MlpfError, match="part 8/8 is too fine, it has 7 row groups"):
        chosen(dataset, models, part=Part(8, 8))


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/", "/4", "a/b", "1/0", "-1/4", "1/4/2", "1.0/4"])
def test_a_part_is_one_of_some(text):
    with pytest.raises(MlpfError, match=r"must be I/N, with I from 1 to N"):
        Part.parse(text)
    assert Part.parse("3/4") == Part(3, 4)
    assert str(Part(3, 4)) == "3/4"


def test_no_event_in_all_splits_is_explained(dataset):
    kept, other = model(1, train=0.0, validation=0.0, test=1.0), model(1, train=1.0, validation=0.0, test=0.0)
    selection = Choice({"a": kept, "b": other}, "test")
    assert not list(read_blocks(dataset, COLUMNS, selection, None, None, lambda _: None))
    error = selection.no_events(dataset)
    assert isinstance(error, DatasetError)
    assert "none of 100 events falls to the split of every model (100 to test of a, 0 to test of b): they were trained with different splits" in str(error)
    with pytest.raises(MlpfError, match="split 'tset': unknown; choose one of train, validation, test, all"):
        Choice({"a": kept}, "tset")
