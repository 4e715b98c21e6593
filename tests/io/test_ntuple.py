import gc
import importlib.util
import itertools
import shutil
import tracemalloc
from collections import Counter
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.events import Events, concatenate, offsets_from_counts
from mlpf.io import baskets
from mlpf.io.ntuple import Ntuple, read_candidates, read_ntuple, write_ntuple
from mlpf.random_ntuple import random_events

FILES = Path(__file__).with_name("files")
_spec = importlib.util.spec_from_file_location("make_cpp_ntuples", Path(__file__).with_name("make_cpp_ntuples.py"))
cpp = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cpp)


def some_events(num_events=7, layout=schema.NTUPLE, seed=0):
    """Every column of a layout, small random integers."""
    rng = np.random.default_rng(seed)
    columns, offsets = {}, {}
    for name, collection in layout.collections.items():
        if not collection.scalar:
            offsets[name] = offsets_from_counts(rng.integers(0, 6, num_events))
        size = num_events if collection.scalar else offsets[name][-1]
        columns |= {column.name: rng.integers(0, 50, size) for column in collection.columns}
    return Events(columns, offsets, num_events, layout=layout)


def assert_same(a, b, columns):
    for name in columns:
        assert np.array_equal(a[name], b[name]), name
        collection = a.layout.collection_of[name]
        assert np.array_equal(a.collection_offsets(collection), b.collection_offsets(collection)), name


@pytest.mark.parametrize(("version", "tree_path"), [("2026", "pfana/pftree"), ("2020", "ana/pftree")])
def test_files_with_cpp_vectors_read_to_the_values_that_root_wrote(version, tree_path):
    with Ntuple(FILES / f"cpp_{version}.root") as ntuple:
        assert (ntuple.version, ntuple.tree_path, ntuple.num_events, ntuple.missing) == (version, tree_path, cpp.NUM_EVENTS, ())
        (events,) = ntuple.iterate()
    for k, (collection, content) in enumerate(schema.NTUPLE.collections.items()):
        for column in content.columns:
            if version not in column.versions:
                assert column.name not in events
                continue
            number = list(schema.NTUPLE.columns).index(column.name)
            sizes = [1 if content.scalar else cpp.count(e, k) for e in range(cpp.NUM_EVENTS)]
            expected = [cpp.value(e, number, m) for e, size in enumerate(sizes) for m in range(size)]
            assert events[column.name].tolist() == expected, column.name
            assert events[column.name].dtype == column.dtype
            if not content.scalar:
                assert events.counts(collection).tolist() == sizes


def test_what_is_written_is_read_back_in_any_chunks(tmp_path):
    events = some_events()
    path = tmp_path / "a.root"
    assert write_ntuple(path, [events.slice(0, 3), events.slice(3, 3), events.slice(3, 7)]) == 7
    with Ntuple(path) as ntuple:
        assert (ntuple.version, ntuple.missing) == ("2026", ())
        chunks = list(ntuple.iterate(chunk_bytes=1))
    assert [len(chunk) for chunk in chunks] == [1] * 7
    assert [chunk.first_entry for chunk in chunks] == list(range(7))
    for i, chunk in enumerate(chunks):
        assert_same(chunk, events.slice(i, i + 1), schema.NTUPLE.columns)
    assert_same(read_ntuple(path), events, schema.NTUPLE.columns)


def by_uproot(path):
    """All columns as uproot and awkward read them."""
    with uproot.open(path)["pfana/pftree"] as tree:
        columns, offsets = {}, {}
        for name in tree.keys(recursive=True):
            column, array = name.rpartition("/")[2], tree[name].array()
            pairs = {f"{column}.{field}": array[field] for field in array.fields} if array.fields else {column: array}
            for column, values in pairs.items():
                if column in schema.NTUPLE.columns:
                    columns[column] = ak.to_numpy(ak.flatten(values, axis=None))
                    if values.ndim > 1:
                        offsets[schema.NTUPLE.collection_of[column]] = offsets_from_counts(ak.to_numpy(ak.num(values)))
        return Events(columns, offsets, int(tree.num_entries))


@pytest.mark.parametrize("name", ["simulated", "unsplit", "ragged"])
@pytest.mark.parametrize("chunk_bytes", [1, 30_000, 10**9])
def test_cpp_vectors_split_or_not_compressed_or_not_are_what_uproot_reads(name, chunk_bytes):
    path = FILES / f"cpp_{name}.root"
    with Ntuple(path) as ntuple:
        read, expected = concatenate(list(ntuple.iterate(chunk_bytes=chunk_bytes))), by_uproot(path)
    assert read.columns.keys() == expected.columns.keys()
    assert_same(read, expected, expected.columns)


@pytest.mark.parametrize("algorithm", [uproot.ZLIB(1), uproot.LZMA(1), uproot.LZ4(1), uproot.ZSTD(1), uproot.ZSTD(0)])
def test_every_compression_of_root_is_read(tmp_path, algorithm):
    events = random_events(np.random.default_rng(1), 5, 200)
    write_ntuple(tmp_path / "a.root", [events], compression=algorithm)
    assert_same(read_ntuple(tmp_path / "a.root"), events, events.columns)


def test_baskets_beyond_the_largest_block_of_a_compression_are_read(tmp_path):
    values = np.arange(3 * 1_500_000, dtype=np.float32)  # 18 MB, blocks hold 16
    names = ("element_pt", "element_eta", "element_phi", "element_energy")
    events = Events({"element_type": np.ones(values.size), **dict.fromkeys(names, values)}, {"element": np.arange(4) * 1_500_000}, 3)
    write_ntuple(tmp_path / "a.root", [events], compression=uproot.ZSTD(1))
    assert_same(read_ntuple(tmp_path / "a.root", ["element_pt", "element_type"]), events, ["element_pt", "element_type"])


def test_parts_end_where_baskets_end_and_only_larger_baskets_are_cut(tmp_path):
    events = random_events(np.random.default_rng(1), 60, 20)
    edges = [0, 3, 7, 8, 11, 60]
    write_ntuple(tmp_path / "a.root", [events.slice(first, last) for first, last in itertools.pairwise(edges)])
    columns = ["element_pt", "element_eta", "caloparticle_pt", "no_such_column"]
    with Ntuple(tmp_path / "a.root") as ntuple:
        event_bytes = sum(ntuple._branch(name).total_bytes for name in columns[:3]) / 60
        assert ntuple.parts(columns, int(8.5 * event_bytes)) == [(0, 8), (8, 11), (11, 18), (18, 25), (25, 32), (32, 39), (39, 46), (46, 53), (53, 60)]
        assert ntuple.parts(columns, 10**9) == [(0, 60)]
        assert ntuple.parts(columns, 1) == [(i, i + 1) for i in range(60)]
        chunks = list(ntuple.iterate(columns, int(8.5 * event_bytes), stop=20, start=5))
        assert [(chunk.first_entry, len(chunk)) for chunk in chunks] == [(5, 6), (11, 5), (16, 4)]
        assert_same(concatenate(chunks), events.slice(5, 20), columns[:3])
        assert list(ntuple.iterate(columns, start=60)) == []


@pytest.mark.parametrize(("keep_bytes", "decompressions"), [(10**9, 1), (0, 6)])
def test_a_basket_larger_than_a_chunk_is_decompressed_once_if_there_is_room_to_keep_it(tmp_path, monkeypatch, keep_bytes, decompressions):
    events = random_events(np.random.default_rng(1), 6, 50)
    write_ntuple(tmp_path / "a.root", [events])
    loaded = []
    load = baskets.Branch._load
    monkeypatch.setattr(baskets.Branch, "_load", lambda self, *arguments: loaded.append(self.name) or load(self, *arguments))
    with Ntuple(tmp_path / "a.root") as ntuple:
        ntuple._baskets._keep_bytes = keep_bytes
        chunks = list(ntuple.iterate(chunk_bytes=1))
        kept = sum(len(basket.data) for basket in ntuple._baskets._kept.values())
    assert len(chunks) == 6
    assert kept <= keep_bytes
    assert set(Counter(loaded).values()) == {decompressions}
    assert_same(concatenate(chunks), events, events.columns)


def test_memory_does_not_grow_from_chunk_to_chunk(tmp_path):
    columns = schema.NTUPLE.names("element")[:12]
    events = Events({name: np.arange(3_000_000) % 9 for name in columns}, {"element": np.arange(11) * 300_000}, 10)
    write_ntuple(tmp_path / "a.root", [events] * 5, compression=uproot.ZSTD(1))
    with Ntuple(tmp_path / "a.root") as ntuple:
        tracemalloc.start()
        try:
            used = [tracemalloc.get_traced_memory()[0] for _ in ntuple.iterate(chunk_bytes=150_000_000)]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert len(used) == 5  # of 144 MB each
    assert max(used[2:]) < 1.1 * used[1]
    assert peak < 2.5 * 144_000_000  # the chunk that the loop still holds, the next one, a basket


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("caloparticle_ev", np.float32("nan"), "nan is no integer that int32 holds"),
        ("caloparticle_ev", np.float32(0.5), "0.5 is no integer"),
        ("gen_status", np.float32(2**31), "2147483648.0 is no integer"),
        ("gen_status", np.int64(2**32 + 1), "4294967297 is no integer"),
        ("gen_status", np.uint32(2**32 - 1), "4294967295 is no integer"),
        ("gen_status", np.int64(-(2**31)), None),
        ("event", np.int64(-1), "-1 is no integer that uint64 holds"),
        ("event", np.int32(2**31 - 1), None),
        ("gen_pt", np.float64(1e300), None),
    ],
)
def test_values_of_other_types_are_converted_unless_integers_would_change(tmp_path, column, value, problem):
    needed = dict.fromkeys(("element_type", "element_pt", "element_eta", "element_phi", "element_energy"), np.float32(1))
    arrays = {name: number[None] if name == "event" else ak.from_regular(number[None, None]) for name, number in (needed | {column: value}).items()}
    with uproot.recreate(tmp_path / "a.root") as file:
        types = {name: array.type.content if isinstance(array, ak.Array) else array.dtype for name, array in arrays.items()}
        file.mktree("pfana/pftree", types).extend(arrays)
    if problem is None:
        with np.errstate(over="ignore"):
            assert read_ntuple(tmp_path / "a.root")[column].tolist() == [value.astype(schema.NTUPLE.dtype(column))]
        return
    with pytest.raises(NtupleError, match=rf"a.root: events 0 to 0: {column}: .*{problem}"):
        read_ntuple(tmp_path / "a.root")


def test_plain_uproot_sees_the_branches_of_the_real_ntuple(tmp_path):
    events = some_events()
    write_ntuple(tmp_path / "a.root", [events])
    with uproot.open(tmp_path / "a.root") as file:
        tree = file["pfana/pftree"]
        assert set(schema.NTUPLE.columns) <= set(tree.keys())
        assert str(tree["caloparticle_ev"].interpretation.content.to_dtype) == "float32"  # as in the real one
        assert ak.flatten(tree["element_to_candidate.second"].array()).tolist() == events["element_to_candidate.second"].tolist()


def test_only_the_named_columns_are_read_and_missing_ones_are_zero(tmp_path):
    events = some_events()
    kept = {name: events[name] for name in (*schema.NTUPLE.names("event"), *schema.NTUPLE.names("element")) if name != "element_time"}
    write_ntuple(tmp_path / "a.root", [Events(kept, {"element": events.offsets["element"]}, 7)])
    read = read_ntuple(tmp_path / "a.root", ["element_pt", "element_time", "caloparticle_pt"])
    assert list(read.columns) == ["element_pt"]
    assert read["element_time"].tolist() == [0] * read.size("element")
    assert read.size("caloparticle") == 0


def test_candidates_go_to_root_and_back(tmp_path):
    events = some_events(layout=schema.CANDIDATES)
    write_ntuple(tmp_path / "c.root", [events], schema.CANDIDATES_TREE)
    assert_same(read_candidates(tmp_path / "c.root"), events, schema.CANDIDATES.columns)


def test_nothing_is_kept_of_a_file_that_was_read(tmp_path):
    events = random_events(np.random.default_rng(1), 20, 1000)
    write_ntuple(tmp_path / "a.root", [events])
    read_ntuple(tmp_path / "a.root")
    gc.disable()
    tracemalloc.start()
    try:
        read_ntuple(tmp_path / "a.root")
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < 0.3 * sum(values.nbytes for values in events.columns.values())


def test_an_ntuple_without_candidates_and_a_missing_file_are_clear_errors(tmp_path):
    write_ntuple(tmp_path / "a.root", [some_events()])
    with pytest.raises(NtupleError, match=r"a.root: holds no candidates of mlpf \(mlpf/candidates\); make them with mlpf produce"):
        read_candidates(tmp_path / "a.root")
    with pytest.raises(NtupleError, match=r"b.root: no such file"):
        read_candidates(tmp_path / "b.root")


def test_a_file_without_events_is_read_as_no_events(tmp_path):
    write_ntuple(tmp_path / "a.root", [some_events().slice(0, 0)])
    assert len(read_ntuple(tmp_path / "a.root")) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"not ROOT at all, but long enough", "not a ROOT file"), (b"root", "not a ROOT file"), (None, "no such file")],
)
def test_what_is_not_root_is_one_clear_error(tmp_path, content, message):
    path = tmp_path / "a.root"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NtupleError, match=message) as error:
        read_ntuple(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_and_an_unreadable_file_are_clear_errors(tmp_path):
    with pytest.raises(NtupleError, match=r"a folder; name the .root files in it"):
        Ntuple(tmp_path)
    (tmp_path / "a.root").symlink_to("a.root")
    with pytest.raises(NtupleError, match=r"a.root: too many levels of symbolic links"):
        Ntuple(tmp_path / "a.root")


def test_branches_that_end_before_the_tree_are_an_error():
    with Ntuple(FILES / "cpp_2026.root") as ntuple:
        ntuple.num_events += 1  # as a damaged entry count has it
        with pytest.raises(NtupleError, match=rf"event: {cpp.NUM_EVENTS} entries, the tree has {cpp.NUM_EVENTS + 1}, damaged"):
            list(ntuple.iterate())


def test_a_branch_of_another_shape_is_a_clear_error(tmp_path):
    with uproot.recreate(tmp_path / "flat.root") as file:
        flat = {name: np.ones(3, dtype=np.float32) for name in ("element_pt", "element_eta", "element_phi", "element_energy")}
        file.mktree("pfana/pftree", flat | {"element_type": np.ones(3, dtype=np.int32)})
    with pytest.raises(NtupleError, match=r"flat.root: events 0 to 2: element_type: not readable as a ROOT ntuple, damaged\? \(one value per event\)"):
        read_ntuple(tmp_path / "flat.root")


def test_lengths_beyond_all_memory_mean_a_damaged_file_but_a_lack_of_memory_for_baskets_does_not(monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    with Ntuple(FILES / "cpp_2026.root") as ntuple:
        monkeypatch.setattr(baskets.BasketFile, "allocate", refuse)
        with pytest.raises(MemoryError):
            next(ntuple.iterate())
    monkeypatch.setattr(uproot, "open", refuse)
    with pytest.raises(NtupleError, match=r"cpp_2026.root: not readable .*\(a length in it asks for more memory than there is"):
        Ntuple(FILES / "cpp_2026.root")


def test_what_is_no_tree_is_named(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file["pfana/pftree"] = np.histogram([1.0])
    with pytest.raises(NtupleError, match=r"pfana/pftree is a TH1D, not a TTree"):
        Ntuple(tmp_path / "a.root")


def test_a_truncated_file_is_one_clear_error_wherever_it_was_cut(tmp_path):
    write_ntuple(tmp_path / "a.root", [some_events(200)])
    content = (tmp_path / "a.root").read_bytes()
    for kept in np.linspace(1, len(content) - 1, 25).astype(int):
        (tmp_path / "cut.root").write_bytes(content[:kept])
        with pytest.raises(NtupleError, match=r"cut.root: (truncated, \d+ bytes of \d+|not a ROOT file)"):
            read_ntuple(tmp_path / "cut.root")


def test_flipped_bytes_never_raise_anything_but_a_clear_error(tmp_path):
    rng = np.random.default_rng(1)
    content = (FILES / "cpp_2026.root").read_bytes()
    for _ in range(60):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 20):
            damaged[position] ^= 1 << rng.integers(0, 8)
        (tmp_path / "bad.root").write_bytes(bytes(damaged))
        try:
            read_ntuple(tmp_path / "bad.root", list(schema.NTUPLE.names("element")))
        except NtupleError as error:
            assert "bad.root" in str(error)


def test_a_tree_elsewhere_is_named_in_the_error(tmp_path):
    write_ntuple(tmp_path / "a.root", [some_events()], "other/tree")
    with pytest.raises(NtupleError, match=r"no tree at pfana/pftree or ana/pftree \(the file holds other, other/tree"):
        read_ntuple(tmp_path / "a.root")


def test_a_missing_needed_branch_is_named(tmp_path):
    events = some_events()
    columns = {name: values for name, values in events.columns.items() if name != "element_energy"}
    write_ntuple(tmp_path / "a.root", [Events(columns, events.offsets, 7)])
    with pytest.raises(NtupleError, match="needed branch 'element_energy' is missing"):
        Ntuple(tmp_path / "a.root")


def test_columns_of_one_collection_that_disagree_in_length_are_an_error(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        jagged = {name: ak.Array([[1.0], [2.0]]) for name in ("element_eta", "element_phi", "element_energy")}
        jagged["element_pt"] = ak.Array([[1.0], [2.0, 3.0]])
        jagged["element_type"] = ak.values_astype(ak.Array([[1], [1]]), np.int32)
        tree = file.mktree("pfana/pftree", {name: array.type.content for name, array in jagged.items()})
        tree.extend(jagged)
    with pytest.raises(NtupleError, match=r"event 1: element_\w+: . values, the other element branches have ."):
        read_ntuple(tmp_path / "a.root")


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def chunks():
        yield some_events()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_ntuple(tmp_path / "a.root", chunks())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_older_file(tmp_path):
    def chunks():
        yield some_events()
        raise ValueError("the disk is full")

    shutil.copy(FILES / "cpp_2026.root", tmp_path / "a.root")
    before = (tmp_path / "a.root").read_bytes()
    with pytest.raises(ValueError, match="the disk is full"):
        write_ntuple(tmp_path / "a.root", chunks())
    assert (tmp_path / "a.root").read_bytes() == before
