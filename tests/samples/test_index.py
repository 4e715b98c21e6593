import math
import os
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.events import Events, concatenate
from mlpf.io.files import cache_folder, sha256
from mlpf.io.shards import Shard, ShardedDataset, write_manifest, write_parquet
from mlpf.samples.index import EventIndex, index_dataset, index_datasets, join_indices


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MLPF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def dataset(tmp_path, random_dataset):
    """Two shards of 35 and 20 events; among them are events without jets and elements."""
    parts = [random_dataset(20, 30.0, 1), random_dataset(3, 0.0, 100), random_dataset(12, 50.0, 3)], [random_dataset(20, 30.0, 7)]
    return write(tmp_path / "dataset", *(concatenate(part) for part in parts))


def write(folder, *parts):
    shards = []
    for number, events in enumerate(parts):
        path = folder / f"shard_{number}.parquet"
        num_events, num_elements = write_parquet(path, [events])
        shards.append(Shard(path.name, num_events, num_elements, sha256(path)))
    write_manifest(folder, shards, {})
    return ShardedDataset(folder)


def assert_same(one, other):
    for field in fields(EventIndex):
        mine, others = getattr(one, field.name), getattr(other, field.name)
        assert mine.dtype == others.dtype, field.name
        np.testing.assert_array_equal(mine, others, field.name)


def no_reading(*_):
    raise AssertionError("a shard is read")


def plain(dataset):
    """Variables of every event by a plain loop over its lists."""
    rows = []
    for shard in range(len(dataset.shards)):
        row = 0
        for group in range(len(dataset.group_offsets(shard)) - 1):
            events = dataset.read_groups(shard, [group])
            for i in range(len(events)):
                one = events.slice(i, i + 1)
                jets = [(float(pt), float(eta)) for pt, eta in zip(one["genjet_pt"], one["genjet_eta"], strict=True)]
                leading = max(jets, default=(0.0, 0.0))
                seen = [kind for kind in one["element_type"] if kind not in (2, 3, 7)]  # PS1 is 2, PS2 3, BREM 7
                ht = sum(pt for pt, eta in jets if pt > 30 and abs(eta) < 2.5)
                rows.append((int(one["event"][0]), shard, row, group, len(one["element_type"]), len(seen), *leading, ht))
                row += 1
    return list(map(list, zip(*rows, strict=True)))


def test_the_index_equals_a_plain_loop_over_the_events(dataset):
    index = index_dataset(dataset)
    names = ("event", "shard", "row", "group", "num_elements", "num_consumer_elements", "leading_jet_pt", "leading_jet_eta", "ht")
    for name, expected in zip(names, plain(dataset), strict=True):
        np.testing.assert_allclose(getattr(index, name), expected, rtol=1e-6, err_msg=name)
    assert len(index) == 55
    assert (index.leading_jet_pt[20:23] == 0).all()
    assert (index.num_elements[20:23] == 0).all()
    assert index.ht.max() > 0
    assert set(index.run) == set(index.lumi) == {1}


def test_elements_that_the_consumer_drops_are_not_among_those_it_sees(tmp_path):
    kinds = np.array(list(schema.ElementType), dtype=np.int32)
    events = Events({"element_type": kinds, "event": [1], "run": [1], "lumi": [1]}, {"element": [0, 12]}, 1, layout=schema.DATASET)
    index = index_dataset(write(tmp_path / "d", events))
    assert (index.num_elements[0], index.num_consumer_elements[0]) == (12, 9)


def test_jets_of_targets_stand_in_where_there_are_no_generator_jets(tmp_path):
    jets = {"targetjet_pt": [10.0, 50.0, 40.0, 7.0], "targetjet_eta": [1.0, -2.0, 3.0, 0.5]}
    events = Events({**jets, "event": [1, 2], "run": [1, 1], "lumi": [1, 1]}, {"targetjet": [0, 3, 4]}, 2, layout=schema.DATASET)
    index = index_dataset(write(tmp_path / "d", events))
    assert index.leading_jet_pt.tolist() == [50.0, 7.0]
    assert index.leading_jet_eta.tolist() == [-2.0, 0.5]
    assert index.ht.tolist() == [50.0, 0.0]  # 40 GeV at eta 3 does not count


def test_marks_are_equal_for_equal_elements_only(tmp_path, random_dataset):
    events = random_dataset(5, 20.0, 0)
    other = events.with_columns({"event": events["event"] + 100})
    changed = events.with_columns({"element_energy": events["element_energy"] * np.float32(1.001)})
    marks = index_dataset(write(tmp_path / "d", concatenate([events, other, changed]))).mark.reshape(3, 5)
    assert (marks[0] == marks[1]).all()
    assert (marks[0] != marks[2]).all()


def test_any_number_of_processes_makes_the_same_index(dataset, own_cache):
    one = index_dataset(dataset)
    for path in (own_cache / "index").iterdir():
        path.unlink()
    assert_same(index_dataset(dataset, jobs=2), one)


def test_a_known_shard_is_not_read_again(dataset, monkeypatch):
    first = index_dataset(dataset)
    monkeypatch.setattr(ShardedDataset, "read_groups", no_reading)
    assert_same(index_dataset(ShardedDataset(dataset.path)), first)
    with pytest.raises(AssertionError, match="a shard is read"):
        monkeypatch.setenv("MLPF_CACHE", str(cache_folder() / "other"))
        index_dataset(dataset)


def test_a_shard_of_another_time_or_size_is_read_again(dataset, random_dataset):
    index_dataset(dataset)
    path = dataset.path / dataset.shards[0].name
    os.utime(path, ns=(1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardedDataset, "read_groups", no_reading)
        with pytest.raises(AssertionError, match="a shard is read"):
            index_dataset(dataset)
    other = write(dataset.path, random_dataset(35, 10.0, 50))
    os.utime(path, ns=(1, 1))
    assert index_dataset(other).event.tolist() == other.read()["event"].tolist()


def test_another_shard_of_the_same_size_and_time_is_read_again(tmp_path, random_dataset):
    """Clocks of file systems tick slowly."""
    events, sizes = random_dataset(5, 10.0, 1), set()
    for number in (1, 2):
        dataset = write(tmp_path / "d", events.with_columns({"run": np.full(5, number)}))
        path = dataset.path / dataset.shards[0].name
        os.utime(path, ns=(1, 1))
        sizes.add(path.stat().st_size)
        assert set(index_dataset(dataset).run) == {number}
    assert len(sizes) == 1


def test_a_shard_that_is_replaced_while_it_is_read_is_not_taken_for_known(dataset, random_dataset, monkeypatch):
    other, read_groups = random_dataset(55, 10.0, 50), ShardedDataset.read_groups

    def replace_after_reading(dataset, shard, *arguments):
        events = read_groups(dataset, shard, *arguments)
        write(dataset.path, other.slice(0, 35), other.slice(35, 55))
        return events

    monkeypatch.setattr(ShardedDataset, "read_groups", replace_after_reading)
    index_dataset(dataset)
    monkeypatch.setattr(ShardedDataset, "read_groups", read_groups)
    assert index_dataset(ShardedDataset(dataset.path)).event.tolist() == other["event"].tolist()


def test_a_dataset_that_grew_keeps_what_is_known_even_if_its_shards_moved(dataset, monkeypatch):
    old = index_dataset(dataset)
    grown = ShardedDataset(dataset.path)
    grown.shards = [grown.shards[1], grown.shards[0]]
    monkeypatch.setattr(ShardedDataset, "read_groups", no_reading)
    moved = index_dataset(grown)
    assert moved.shard.tolist() == [0] * 20 + [1] * 35
    assert moved.event.tolist() == [*old.event[35:], *old.event[:35]]


@given(st.integers(0, 10**9), st.binary(min_size=1, max_size=8), st.booleans())
def test_a_damaged_cache_file_is_made_anew(damage, place, values, cut):
    dataset, cached, content, expected = damage
    place %= len(content)
    cached.write_bytes(content[:place] if cut else content[:place] + values + content[place + len(values) :])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLPF_CACHE", str(cached.parents[1]))
        assert_same(index_dataset(dataset), expected)


@pytest.fixture(scope="session")
def damage(tmp_path_factory, random_dataset):
    """A small dataset, the cache file of its only shard, what that holds, and the index."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("damage")
        patch.setenv("MLPF_CACHE", str(folder / "cache"))
        dataset = write(folder / "dataset", random_dataset(2, 3.0, 1))
        index = index_dataset(dataset)
        (cached,) = (folder / "cache" / "index").iterdir()
    return dataset, cached, cached.read_bytes(), index


def test_a_cache_that_cannot_be_written_is_done_without(dataset, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLPF_CACHE", str(tmp_path / "file" / "cache"))
    assert len(index_dataset(dataset)) == 55


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("MLPF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "mlpf"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "mlpf"


def test_a_damaged_shard_is_an_error(dataset):
    path = dataset.path / dataset.shards[1].name
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DatasetError, match=r"shard_1.parquet: not readable as Parquet"):
        index_dataset(dataset)


def test_a_shard_with_other_events_than_the_manifest_says_is_an_error(dataset):
    dataset.shards[1] = replace(dataset.shards[1], num_events=21)
    with pytest.raises(DatasetError, match=r"shard_1.parquet: holds 20 events, the manifest says 21; make the dataset again"):
        index_dataset(dataset)


def test_a_dataset_without_events_has_an_empty_index(tmp_path, random_dataset):
    assert len(index_dataset(write(tmp_path / "d", random_dataset(3).slice(0, 0)))) == 0
    (tmp_path / "none").mkdir()
    write_manifest(tmp_path / "none", [], {})
    assert len(index_dataset(ShardedDataset(tmp_path / "none"))) == 0


def test_events_are_selected_and_joined(dataset):
    index = index_dataset(dataset)
    odd, even = (index.select(index.row % 2 == parity) for parity in (1, 0))
    assert len(odd) == math.floor(35 / 2) + 10
    joined = join_indices([even, odd])
    order = np.lexsort((joined.row, joined.shard))
    assert_same(joined.select(order), index)


def test_several_datasets_are_indexed_together(dataset, tmp_path, random_dataset, own_cache):
    other = write(tmp_path / "other", random_dataset(7, 10.0, 60), random_dataset(5, 10.0, 61))
    index_dataset(other)
    for path in list((own_cache / "index").iterdir())[:1]:
        path.unlink()  # one of two is known
    together = index_datasets([other, dataset, other])
    assert_same(together[0], index_dataset(other))
    assert_same(together[2], together[0])
    assert_same(together[1], index_dataset(dataset))
    assert index_datasets([]) == []
