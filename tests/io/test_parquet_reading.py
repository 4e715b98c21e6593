import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_bits import random_events

from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.io import parquet
from mlpf.io.files import sha256
from mlpf.io.parquet_metadata import chunk
from mlpf.io.parquet_pages import encode_levels
from mlpf.io.parquet_reading import GroupReader, _size_in_header, can_read, decode_counts
from mlpf.io.shards import Shard, ShardedDataset, table_to_events, write_manifest, write_parquet

LAYOUTS = [schema.NTUPLE, schema.DATASET, schema.CANDIDATES]


def open_reader(path, layout):
    file = pq.ParquetFile(path)
    return GroupReader(path, file.metadata, file.schema_arrow.names, layout)


def assert_same(ours, arrows):
    assert list(ours.columns) == list(arrows.columns)
    assert len(ours) == len(arrows)
    for name, values in arrows.columns.items():
        assert ours[name].dtype == values.dtype
        assert ours[name].tobytes() == values.tobytes(), name
    assert ours.offsets.keys() == arrows.offsets.keys()
    for name, edges in arrows.offsets.items():
        assert ours.offsets[name].tolist() == edges.tolist(), name


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(LAYOUTS), st.lists(st.sampled_from([0, 0, 1, 2, 300]), min_size=1, max_size=40), st.integers(0, 2**32), st.data())
def test_what_arrow_reads_is_read(tmp_path_factory, layout, counts, seed, data):
    path = tmp_path_factory.mktemp("reading") / "a.parquet"
    write_parquet(path, [random_events(layout, counts, seed)])
    file = pq.ParquetFile(path)
    groups = data.draw(st.lists(st.integers(0, file.num_row_groups - 1), min_size=1, max_size=4))
    names = data.draw(st.none() | st.sets(st.sampled_from(list(layout.columns))))
    table = file.read_row_groups(groups, columns=None if names is None else [name for name in file.schema_arrow.names if name in names])
    assert_same(open_reader(path, layout).read(groups, names), table_to_events(table, layout))


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 3) | st.sampled_from([63, 64, 8192, 100_000]), min_size=1, max_size=80))
def test_levels_give_the_counts_that_they_were_made_of(counts):
    levels = encode_levels(np.array(counts))
    found, size = decode_counts(np.concatenate([levels, np.arange(7, dtype=np.uint8)]), len(counts))
    assert found.tolist() == counts
    assert size == len(levels)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 6), st.booleans())
def test_any_bytes_are_levels_or_damaged(content, num_rows, framed):
    """Whatever they say of their own length."""
    if framed:
        half = len(content) // 2
        content = half.to_bytes(4, "little") + content[:half] + (len(content) - half).to_bytes(4, "little") + content[half:]
    counts, size = decode_counts(np.frombuffer(content, np.uint8), num_rows)
    assert 0 <= size <= len(content)
    if size:
        assert (counts >= 0).all()
        again, _ = decode_counts(encode_levels(counts), num_rows)
        assert again.tolist() == counts.tolist()


def test_numbers_may_have_leading_zeros():
    """Readers take five digits, and some writers use them all to fill a gap."""
    header = bytes([0x15, 0, 0x15, 0x80 | 6, 0x80, 0x80, 0x80, 0, 0x15, 0x80 | 4, 0x80, 0, 0x2C])
    assert _size_in_header(header, 2) == (3, 8)
    assert _size_in_header(header, 8) == (2, 12)
    levels = bytes([7, 0, 0, 0, 0x82, 0x80, 0x80, 0, 0, 4, 1, 2, 0, 0, 0, 6, 1])
    counts, size = decode_counts(np.frombuffer(levels, np.uint8), 1)
    assert (counts.tolist(), size) == ([3], len(levels))


def make_dataset(folder, events):
    write_manifest(folder, [Shard("a.parquet", *write_parquet(folder / "a.parquet", [events]), sha256(folder / "a.parquet"))], {})
    return folder


def test_files_of_other_programs_are_read_by_arrow(tmp_path):
    events = random_events(schema.DATASET, [3, 0, 2])
    make_dataset(tmp_path, events)
    assert can_read(pq.ParquetFile(tmp_path / "a.parquet").metadata)
    pq.write_table(pq.read_table(tmp_path / "a.parquet"), tmp_path / "a.parquet")
    assert not can_read(pq.ParquetFile(tmp_path / "a.parquet").metadata)
    dataset = ShardedDataset(tmp_path)
    assert_same(dataset.read_groups(0, [0]), events)
    assert list(dataset.read_groups(0, [0], ["element_pt", "no_column", "event"]).columns) == ["event", "element_pt"]
    assert dataset.group_offsets(0).tolist() == [0, 3]


@pytest.mark.parametrize("at", [3, 4, 6, 7])
def test_a_wrong_size_is_an_error(tmp_path, at):
    path = make_dataset(tmp_path, random_events(schema.DATASET, [700])) / "a.parquet"
    group = pq.ParquetFile(path).metadata.row_group(0)
    column = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema.startswith("element_type"))
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + at] ^= 1 << 3
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a.parquet: damaged row group \(sizes of a page are impossible\)"):
        ShardedDataset(tmp_path).read_groups(0, [0])


def test_columns_of_a_collection_that_disagree_are_an_error(tmp_path):
    """Though each is fine in itself."""
    path = make_dataset(tmp_path, random_events(schema.DATASET, [3, 2, 2])) / "a.parquet"
    content = path.read_bytes()
    levels = [encode_levels(np.array(counts)).tobytes() for counts in ([3, 2, 2], [2, 3, 2], [2, 2, 3])]
    at, length = next((content.find(level, 4000), len(level)) for level in levels if content.find(level, 4000) > 0)
    other = next(level for level in levels if len(level) == length and level != content[at : at + length])
    path.write_bytes(content[:at] + other + content[at + length :])
    with pytest.raises(DatasetError, match=r"damaged row group \(columns of a collection have other numbers of entries\)"):
        ShardedDataset(tmp_path).read_groups(0, [0])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ({"offset": 5}, "its pages do not follow each other"),
        ({"compressed": -1}, "its pages do not follow each other"),
        ({"compressed": 1 << 40}, "sizes of a page are impossible"),
        ({"uncompressed": 1 << 40}, "sizes of a page are impossible"),
        ({"uncompressed": 1 << 20}, "sizes of a page are impossible"),
    ],
)
def test_places_of_pages_that_cannot_be_right_are_an_error(tmp_path, monkeypatch, damage, problem):
    def damaged(head, num_values, uncompressed, compressed, offset):
        changed = {"uncompressed": uncompressed, "compressed": compressed, "offset": offset}
        if b"genmet_phi" in head:
            changed = {name: value + damage.get(name, 0) for name, value in changed.items()}
        return chunk(head, num_values, **changed)

    monkeypatch.setattr(parquet, "chunk", damaged)
    folder = make_dataset(tmp_path, random_events(schema.DATASET, [3, 2]))
    with pytest.raises(DatasetError, match=rf"a.parquet: not readable as Parquet, damaged or truncated\? \({problem}\)"):
        ShardedDataset(folder)._open(0)


def test_a_footer_that_names_other_columns_than_it_describes_is_an_error(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, [random_events(schema.CANDIDATES, [3, 2])])
    file = pq.ParquetFile(path)
    with pytest.raises(ValueError, match="two lists of its columns differ"):
        GroupReader(path, file.metadata, file.schema_arrow.names[1:], schema.CANDIDATES)


def test_no_row_groups_are_no_events_with_all_the_columns(tmp_path):
    events = random_events(schema.DATASET, [3, 0, 2])
    read = ShardedDataset(make_dataset(tmp_path, events)).read_groups(0, [])
    assert_same(read, events.slice(0, 0))


def test_damage_anywhere_is_an_error_or_another_value_but_never_worse(tmp_path):
    path = make_dataset(tmp_path, random_events(schema.DATASET, [40, 0, 300] * 9)) / "a.parquet"
    content, rng, errors = path.read_bytes(), np.random.default_rng(0), 0
    heads = [pq.ParquetFile(path).metadata.row_group(0).column(i).data_page_offset for i in range(0, 60, 3)]
    for trial in range(300):
        damaged = bytearray(content)
        at = int(rng.choice(heads) + rng.integers(0, 60)) if trial % 2 else int(rng.integers(len(content)))
        damaged[at] = int(rng.integers(256))
        path.write_bytes(damaged)
        try:
            for chunk in ShardedDataset(tmp_path).iterate(groups_per_chunk=1):
                assert len(chunk) in (16, 11)
        except DatasetError as error:
            errors += 1
            assert "\n" not in str(error)
    assert errors > 10
