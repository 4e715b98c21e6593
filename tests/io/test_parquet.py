import io
import struct
import subprocess
import sys
from itertools import pairwise

import awkward as ak
import cramjam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_bits import random_events

from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.events import Events, offsets_from_counts
from mlpf.io import parquet, parquet_pages
from mlpf.io.parquet import EventWriter, Rows
from mlpf.io.shards import table_to_events, write_parquet

LAYOUTS = [schema.NTUPLE, schema.DATASET, schema.CANDIDATES]


def arrow_table(events):
    """The same rows as Arrow would hold them, by another way: Python lists."""
    fields, arrays = [], []
    for name in events.layout.columns:
        if name in events:
            kind = pa.from_numpy_dtype(events[name].dtype)
            if not events.layout.is_scalar(name):
                kind = pa.list_(pa.field("element", kind, nullable=False))
                edges = events.offsets[events.layout.collection_of[name]]
                arrays.append(pa.array([events[name][a:b] for a, b in pairwise(edges)], kind))
            else:
                arrays.append(pa.array(events[name], kind))
            fields.append(pa.field(name, kind, nullable=False))
    return pa.table(arrays, schema=pa.schema(fields))


def assert_same_bits(read, written):
    assert read.columns.keys() == written.columns.keys()
    assert len(read) == len(written)
    for name, values in written.columns.items():
        assert read[name].dtype == values.dtype
        assert read[name].tobytes() == values.tobytes(), name
    for name, edges in written.offsets.items():
        assert read.offsets[name].tolist() == edges.tolist(), name


def write(events, metadata=None, rows_per_group=16):
    stream = io.BytesIO()
    writer = EventWriter(stream, events, metadata or {}, rows_per_group)
    writer.write(Rows.all_of(events))
    writer.close()
    return stream.getvalue()


counts_of_events = st.lists(st.one_of(st.integers(0, 5), st.sampled_from([0, 1, 63, 64, 65, 8191, 8192])), max_size=40)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(LAYOUTS), counts_of_events, st.integers(0, 2**32), st.sampled_from([1, 3, 16, 1000]))
def test_arrow_reads_what_was_written_bit_by_bit(layout, counts, seed, rows_per_group):
    names = [name for i, name in enumerate(layout.columns) if (seed >> i % 32) & 1 or layout.is_scalar(name)]
    events = random_events(layout, counts, seed, names)
    content = write(events, rows_per_group=rows_per_group)
    for threads in (False, True):
        assert_same_bits(table_to_events(pq.read_table(io.BytesIO(content), use_threads=threads), layout), events)
    sizes = pq.ParquetFile(io.BytesIO(content)).metadata
    whole, rest = divmod(len(counts), rows_per_group)
    assert [sizes.row_group(i).num_rows for i in range(sizes.num_row_groups)] == ([rows_per_group] * whole + [rest] * (rest > 0) or [0])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("counts", [[], [0], [0] * 20, [3, 0, 7], [100] * 33], ids=str)
def test_a_file_has_the_types_and_names_that_arrow_would_write(tmp_path, layout, counts):
    events, metadata = random_events(layout, counts), {"mlpf.key": "value with ümlaut", "empty": ""}
    expected = arrow_table(events).replace_schema_metadata(metadata)
    pq.write_table(expected, tmp_path / "arrow.parquet", compression="lz4", use_dictionary=False, row_group_size=16)
    (tmp_path / "ours.parquet").write_bytes(write(events, metadata))
    ours, arrows = (pq.ParquetFile(tmp_path / f"{name}.parquet") for name in ("ours", "arrow"))
    assert ours.schema.equals(arrows.schema)
    assert ours.schema_arrow.equals(arrows.schema_arrow, check_metadata=True)
    assert ours.metadata.num_rows == arrows.metadata.num_rows
    assert ours.metadata.num_row_groups == max(arrows.metadata.num_row_groups, 1)
    assert {k: v for k, v in ours.metadata.metadata.items() if k != b"ARROW:schema"} == {b"mlpf.key": "value with ümlaut".encode(), b"empty": b""}
    for name in ("event", list(events.columns)[-1]):
        assert pq.read_table(tmp_path / "ours.parquet", columns=[name]).num_rows == len(counts)


def test_without_the_description_for_arrow_the_types_are_the_same():
    events = random_events(schema.NTUPLE, [2, 0, 5])
    content = write(events).replace(b"ARROW:schema", b"OTHER:schema")
    assert pq.read_schema(io.BytesIO(content)).remove_metadata().equals(arrow_table(events).schema)


def test_awkward_reads_the_same_lists(tmp_path):
    events = random_events(schema.DATASET, [3, 0, 900, 1] * 9)
    (tmp_path / "a.parquet").write_bytes(write(events))
    array = ak.from_parquet(tmp_path / "a.parquet")
    for name in events.columns:
        if not events.layout.is_scalar(name):
            assert ak.to_numpy(ak.flatten(array[name])).tobytes() == events[name].tobytes()
            assert ak.num(array[name]).tolist() == events.counts(events.layout.collection_of[name]).tolist()
    assert str(array.type) == f"36 * {{{', '.join(f'{n}: {_awkward_type(events, n)}' for n in events.columns)}}}"


def _awkward_type(events, name):
    return events[name].dtype.name if events.layout.is_scalar(name) else f"var * {events[name].dtype.name}"


def test_sizes_in_the_footer_add_up_to_the_file():
    content = write(random_events(schema.DATASET, [50, 0, 700] * 11))
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    position = 4
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(i) for i in range(metadata.num_columns)]
        assert group.total_byte_size == sum(column.total_uncompressed_size for column in columns)
        for column in columns:
            assert column.data_page_offset == position
            assert (column.compression == "LZ4") == (column.total_compressed_size < column.total_uncompressed_size)
            position += column.total_compressed_size
    (footer,) = struct.unpack("<I", content[-8:-4])
    assert position + footer + 8 == len(content)


def test_columns_that_lz4_cannot_shrink_stay_as_they_are():
    rng = np.random.default_rng(0)
    values = {"element_pt": rng.random(5000), "element_eta": np.zeros(5000)}
    events = Events(values, {"element": [0, 5000]}, 1, layout=schema.DATASET)
    group = pq.ParquetFile(io.BytesIO(write(events))).metadata.row_group(0)
    assert [group.column(i).compression for i in range(2)] == ["UNCOMPRESSED", "LZ4"]
    assert group.column(1).total_compressed_size < 200


def decompressed(block, size):
    return bytes(cramjam.lz4.decompress_block(block.tobytes(), output_len=size))


def compress(head, values, room=None):
    """A block, in memory that ends where it may."""
    out = np.full(2 * values.nbytes + len(head) + 64, 77, np.uint8)
    room = len(out) if room is None else room
    size = parquet_pages.compress(np.frombuffer(head, np.uint8), values, out[:room])
    assert (out[room:] == 77).all()
    return out[:size]


words = st.lists(st.tuples(st.integers(0, 3) | st.integers(0, 2**32 - 1), st.integers(1, 300)), max_size=60)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=700), words, st.integers(1, 200), st.integers(0, 3))
def test_another_decompressor_finds_the_words_in_the_block(head, runs, period, noise):
    rng = np.random.default_rng(noise)
    values = np.concatenate([np.full(length, word, np.uint32) for word, length in runs] + [np.zeros(0, np.uint32)])
    values = np.concatenate([values, np.tile(values[:period], 5), rng.integers(0, 1 << 4 * noise, 500).astype(np.uint32)])
    assert decompressed(compress(head, values), len(head) + values.nbytes) == head + values.tobytes()


@pytest.mark.parametrize("size", range(12))
@pytest.mark.parametrize("head", [b"", b"abc"])
def test_few_words_are_compressed_too(size, head):
    values = np.zeros(size, np.uint32)
    assert decompressed(compress(head, values), len(head) + values.nbytes) == head + values.tobytes()


@pytest.mark.parametrize("distance", [16382, 16383, 16384, 20000])
def test_matches_reach_back_as_far_as_lz4_can(distance):
    values = np.random.default_rng(distance).integers(0, 2**32, distance, dtype=np.uint32)
    values = np.concatenate([values, values])
    assert decompressed(compress(b"", values), values.nbytes) == values.tobytes()


@pytest.mark.parametrize("kind", ["any", "pairs", "few"])
def test_a_block_has_room_or_is_given_up_without_a_byte_behind_its_end(kind):
    rng = np.random.default_rng(0)
    values = {"any": rng.integers(0, 2**32, 300), "pairs": np.repeat(rng.integers(0, 2**32, 150), 2), "few": rng.integers(0, 3, 300)}[kind].astype(np.uint32)
    sizes = [len(compress(b"head", values, room)) for room in range(1300)]
    needed = sizes[-1]
    assert 0 < needed < 1250
    assert not any(sizes[:needed])
    assert set(sizes[needed + 20 :]) == {needed}


def expand(levels):
    """Levels by a slow reader: number of bytes, then runs of (twice the length, 7 bits a byte; level)."""
    (size,) = struct.unpack_from("<I", levels)
    content, found = levels[4 : 4 + size], []
    while content:
        length = shift = 0
        while True:
            byte, content = content[0], content[1:]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        assert byte or shift == 7, "leading zeros"
        assert length % 2 == 0, "not a run"
        found += [content[0]] * (length // 2)
        content = content[1:]
    return found, levels[4 + size :]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 3) | st.sampled_from([63, 64, 65, 8192, 100_000]), min_size=1, max_size=80))
def test_levels_are_those_of_the_paper(counts):
    """Melnik et al., Dremel (2010), section 4.1: repeated at 0 or 1, defined at 1 unless there is nothing."""
    levels = parquet_pages.encode_levels(np.array(counts)).tobytes()
    repetition, rest = expand(levels)
    definition, rest = expand(rest)
    assert rest == b""
    assert repetition == [int(i > 0) for count in counts for i in range(max(count, 1))]
    assert definition == [int(count > 0) for count in counts for _ in range(max(count, 1))]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_events_picked_from_chunks_are_written_as_if_they_had_been_one(tmp_path, layout):
    rng = np.random.default_rng(1)
    chunks = [random_events(layout, rng.integers(0, 60, size), seed) for seed, size in enumerate((30, 1, 0, 12))]
    chunk = rng.choice([0, 1, 3], 100)
    row = np.array([rng.integers(len(chunks[i])) for i in chunk])
    one_by_one = [chunks[i].slice(j, j + 1) for i, j in zip(chunk, row, strict=True)]
    whole = concatenated(one_by_one)
    assert write_parquet(tmp_path / "whole.parquet", [whole]) == (100, whole.size("element"))
    parts = [slice(0, 5), slice(5, 5), slice(5, 60), slice(60, 100)]
    assert write_parquet(tmp_path / "picked.parquet", [Rows(chunks, chunk[part], row[part]) for part in parts]) == (100, whole.size("element"))
    write_parquet(tmp_path / "single.parquet", one_by_one)
    content = (tmp_path / "whole.parquet").read_bytes()
    assert (tmp_path / "picked.parquet").read_bytes() == content
    assert (tmp_path / "single.parquet").read_bytes() == content
    assert_same_bits(table_to_events(pq.read_table(io.BytesIO(content)), layout), whole)


def concatenated(chunks):
    columns = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0].columns}
    offsets = {name: offsets_from_counts(np.concatenate([chunk.counts(name) for chunk in chunks])) for name in chunks[0].offsets}
    return Events(columns, offsets, len(chunks), layout=chunks[0].layout)


@pytest.mark.parametrize(("chunk", "row"), [([1], [0]), ([-1], [0]), ([0], [3]), ([0], [-1]), ([0, 0], [0])])
def test_rows_that_are_not_there_are_refused(chunk, row):
    with pytest.raises(AssertionError):
        Rows([random_events(schema.DATASET, [1, 2, 3])], np.array(chunk), np.array(row))


def test_chunks_of_other_columns_are_refused():
    writer = EventWriter(io.BytesIO(), random_events(schema.DATASET, [1]), {}, 16)
    with pytest.raises(AssertionError, match="other columns"):
        writer.write(Rows.all_of(random_events(schema.DATASET, [1], columns=["event"])))


def test_columns_of_the_wrong_length_are_refused():
    events = random_events(schema.DATASET, [4, 3])
    for columns in ({"event": events["event"][:1]}, {"element_pt": events["element_pt"][:6]}):
        damaged = events.slice(0, 2)
        damaged.columns.update(columns)
        with pytest.raises(AssertionError, match="values"):
            write(damaged)
    for offsets in ([0, 9, 7], [0, 7]):
        damaged = events.slice(0, 2)
        damaged.offsets["element"] = np.array(offsets)
        with pytest.raises(AssertionError, match="element: impossible offsets"):
            write(damaged)


def test_a_large_event_is_written(tmp_path):
    events = random_events(schema.DATASET, [3, 700_000, 0], columns=["event", "element_pt", "element_type", "particle_pt"])
    write_parquet(tmp_path / "a.parquet", [events])
    assert_same_bits(table_to_events(pq.read_table(tmp_path / "a.parquet")), events)


def test_events_too_large_for_a_page_are_an_error_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_ENTRIES", 1000)
    with pytest.raises(DatasetError, match=r"events: 2 events with 1010 entries of element, too many for a page of Parquet"):
        write_parquet(tmp_path / "a.parquet", [Events({"element_index": np.arange(1010)}, {"element": [0, 10, 1010]}, 2, layout=schema.DATASET)])
    assert list(tmp_path.iterdir()) == []


def test_nothing_at_all_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="nothing to write"):
        write_parquet(tmp_path / "a.parquet", [])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands in for the disk."""
    code = f"""
import resource, signal, sys
import numpy as np
from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.shards import write_parquet
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
values = np.random.default_rng(0).random(300_000)
events = Events({{"element_pt": values}}, {{"element": [0, len(values)]}}, 1, layout=schema.DATASET)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_parquet({str(tmp_path / "a.parquet")!r}, [events])
except MlpfError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / 'a.parquet'}: cannot be written: File too large\n"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
