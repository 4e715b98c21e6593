import json
import shutil

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest

from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.events import Events, concatenate, offsets_from_counts
from mlpf.io.files import sha256
from mlpf.io.shards import MANIFEST, ROWS_PER_GROUP, Shard, ShardedDataset, fingerprint, write_manifest, write_parquet


def some_rows(num_events=20, seed=0, columns=None):
    rng = np.random.default_rng(seed)
    values, offsets = {}, {}
    for name, collection in schema.DATASET.collections.items():
        if not collection.scalar:
            offsets[name] = offsets_from_counts(rng.integers(0, 6, num_events))
        size = num_events if collection.scalar else offsets[name][-1]
        values |= {column.name: rng.integers(0, 50, size) for column in collection.columns if columns is None or column.name in columns}
    return Events(values, offsets, num_events, layout=schema.DATASET)


@pytest.fixture
def rows():
    return [some_rows(20, 0), some_rows(0, 1), some_rows(40, 2)]


@pytest.fixture
def dataset(tmp_path, rows):
    folder = tmp_path / "set"
    folder.mkdir()
    shards = []
    for i, chunks in enumerate((rows[:2], rows[2:])):
        path = folder / f"{i}.parquet"
        shards.append(Shard(path.name, *write_parquet(path, chunks), sha256(path)))
    write_manifest(folder, shards, {"policy": {"name": "test"}})
    return folder


def assert_same(a, b):
    assert a.columns.keys() == b.columns.keys()
    for name in a.columns:
        assert np.array_equal(a[name], b[name]), name
    for name in a.offsets:
        assert np.array_equal(a.offsets[name], b.offsets[name]), name


@pytest.mark.parametrize("step", [1, 7, 16, 50])
def test_the_bytes_of_a_shard_do_not_depend_on_the_chunks(tmp_path, step):
    rows = some_rows(50)
    write_parquet(tmp_path / "whole.parquet", [rows])
    counts = write_parquet(tmp_path / "chunks.parquet", [rows.slice(start, min(start + step, 50)) for start in range(0, 50, step)])
    assert counts == (50, rows.size("element"))
    assert (tmp_path / "chunks.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    groups = pq.ParquetFile(tmp_path / "chunks.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [16, 16, 16, 2]


def test_a_dataset_is_read_back_whole_and_in_chunks(dataset, rows):
    expected = concatenate(rows)
    read = ShardedDataset(dataset, verify=True)
    assert len(read) == 60
    assert_same(read.read(), expected)
    chunks = list(read.iterate(groups_per_chunk=1))
    assert [len(chunk) for chunk in chunks if len(chunk)] == [ROWS_PER_GROUP, 4, ROWS_PER_GROUP, ROWS_PER_GROUP, 8]
    assert [chunk.first_entry for chunk in chunks if len(chunk)] == [0, 16, 20, 36, 52]
    assert_same(concatenate(chunks), expected)


@pytest.mark.parametrize(("start", "stop"), [(0, 60), (0, 1), (15, 17), (19, 21), (30, 30), (35, 59), (59, 60), (60, 60)])
def test_a_range_of_events_is_that_slice_of_all(dataset, rows, start, stop):
    everything = concatenate(rows)
    parts = list(ShardedDataset(dataset).read_range(start, stop))
    assert [part.first_entry for part in parts] == [max(start, first) for first, last in ((0, 20), (20, 60)) if max(start, first) < min(stop, last)]
    if parts:
        assert_same(concatenate(parts), everything.slice(start, stop))
    else:
        assert start == stop


def test_only_the_named_columns_are_read(dataset, rows):
    read = concatenate(list(ShardedDataset(dataset).iterate(["event", "element_pt"])))
    assert list(read.columns) == ["event", "element_pt"]
    assert np.array_equal(read["element_pt"], concatenate(rows)["element_pt"])


def test_awkward_reads_the_same_values(dataset, rows):
    column = ak.from_parquet(dataset / "1.parquet")["target_pt"]
    assert ak.flatten(column).tolist() == rows[2]["target_pt"].tolist()
    assert ak.num(column).tolist() == rows[2].counts("element").tolist()


def test_the_types_on_disk_are_float32_and_int32(dataset):
    fields = [field for field in pq.read_schema(dataset / "0.parquet") if field.name not in ("event", "run", "lumi")]
    assert {str(field.type) for field in fields} == {"float", "int32", "list<element: float not null>", "list<element: int32 not null>"}
    assert not any(field.nullable for field in fields)


def damage_manifest(folder, **changes):
    content = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(content | changes))


def test_a_folder_without_manifest_is_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"not a dataset, manifest.json cannot be read"):
        ShardedDataset(tmp_path)


def test_another_schema_is_refused(dataset):
    damage_manifest(dataset, schema_digest="0123")
    with pytest.raises(DatasetError, match=rf"made with schema {schema.SCHEMA_VERSION} \(0123\)"):
        ShardedDataset(dataset)


@pytest.mark.parametrize("text", ["{", "[]", "{}", ""])
def test_a_damaged_manifest_is_a_clear_error(dataset, text):
    (dataset / MANIFEST).write_text(text)
    with pytest.raises(DatasetError, match=MANIFEST):
        ShardedDataset(dataset)


@pytest.mark.parametrize("shards", [3, ["a.parquet"], [{"name": "a.parquet"}]])
def test_a_damaged_list_of_shards_is_a_clear_error(dataset, shards):
    damage_manifest(dataset, shards=shards)
    with pytest.raises(DatasetError, match=r"manifest.json: its list of shards is damaged"):
        ShardedDataset(dataset)


def test_a_missing_shard_is_named(dataset):
    (dataset / "1.parquet").unlink()
    with pytest.raises(DatasetError, match=r"shard 1.parquet .* missing"):
        ShardedDataset(dataset)


def test_a_changed_shard_is_found_by_its_checksum(dataset):
    shutil.copy(dataset / "0.parquet", dataset / "1.parquet")
    ShardedDataset(dataset)
    with pytest.raises(DatasetError, match=r"shard 1.parquet differs from its checksum"):
        ShardedDataset(dataset, verify=True)


@pytest.mark.parametrize("kept", [0, 3, 2000, -5])
def test_a_truncated_shard_is_a_clear_error(dataset, kept):
    path = dataset / "1.parquet"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DatasetError, match=r"1.parquet"):
        ShardedDataset(dataset).read()


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def chunks():
        yield some_rows()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parquet(tmp_path / "a.parquet", chunks())
    assert list(tmp_path.iterdir()) == []


def test_shards_that_are_not_needed_are_closed(tmp_path, random_dataset):
    events, shards = random_dataset(30), []
    for number in range(3):
        path = tmp_path / f"shard_{number}.parquet"
        num_events, num_elements = write_parquet(path, [events.slice(10 * number, 10 * number + 10)])
        shards.append(Shard(path.name, num_events, num_elements, sha256(path)))
    write_manifest(tmp_path, shards, {})
    dataset = ShardedDataset(tmp_path)
    dataset.read()
    dataset.keep_open({1, 7})
    for shard in shards:
        (tmp_path / shard.name).unlink()  # what is open can still be read
    assert dataset.read_groups(1, [0], ["event"])["event"].tolist() == events["event"][10:20].tolist()
    for closed in (0, 2):
        with pytest.raises(DatasetError, match="not readable"):
            dataset.read_groups(closed, [0])


def test_the_fingerprint_is_of_the_shards_and_their_order(random_dataset, write_dataset):
    one, same, other = (ShardedDataset(write_dataset(random_dataset(20, seed=seed), name)) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    assert len({fingerprint(one, other), fingerprint(other, one), fingerprint(one), fingerprint(other)}) == 4
    assert len(fingerprint(one)) == 16
