import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from toy_events import toy_events
from toy_graph import write_toy_model
from typer.testing import CliRunner

from mlpf import schema
from mlpf.cli.main import app
from mlpf.errors import MlpfError, NtupleError
from mlpf.events import Events, concatenate
from mlpf.io.ntuple import read_candidates, read_ntuple, write_ntuple
from mlpf.io.shards import table_to_events
from mlpf.producer import Producer, produce_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a toy model and two ntuples."""
    folder = tmp_path_factory.mktemp("files")
    write_toy_model(folder / "toy.onnx")
    write_ntuple(folder / "a.root", [toy_events([30, 0, 8, 12], seed=1, first_event=100)])
    events = toy_events([5, 3], seed=2, first_event=7)
    columns = {name: values for name, values in events.columns.items() if name != "element_muon_type"}
    write_ntuple(folder / "b.root", [Events(columns, events.offsets, 2)])
    return folder


@pytest.fixture
def producer(folder):
    return Producer(folder / "toy.onnx")


def read_output(path):
    return read_candidates(path) if path.suffix == ".root" else table_to_events(pq.read_table(path), schema.CANDIDATES)


def assert_equal(found, expected):
    assert len(found) == len(expected)
    np.testing.assert_array_equal(found.offsets["mlpfcandidate"], expected.offsets["mlpfcandidate"])
    for name in schema.CANDIDATES.columns:
        assert found[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("suffix", [".root", ".parquet"])
@pytest.mark.parametrize("chunk_bytes", [1, 10**8])
def test_the_file_holds_what_the_producer_says_of_the_events_in_their_order(folder, producer, tmp_path, suffix, chunk_bytes):
    inputs = [folder / "a.root", folder / "b.root"]
    output = tmp_path / f"candidates{suffix}"
    seen = []
    report = produce_files(producer, inputs, output, chunk_bytes=chunk_bytes, on_events=seen.append)
    expected = concatenate([Producer(producer.path)(read_ntuple(path)) for path in inputs])
    assert expected.size("mlpfcandidate") > 5
    assert_equal(read_output(output), expected)
    types = np.concatenate([read_ntuple(path)["element_type"] for path in inputs])
    assert (report.num_events, sum(seen), report.num_elements, report.num_empty_events) == (6, 6, 58, 1)
    assert report.num_dropped == np.isin(types, (2, 3, 7)).sum()
    assert report.num_candidates == expected.size("mlpfcandidate")
    assert len(report.call_seconds) == 5
    assert (len(seen) > 2) == (chunk_bytes == 1)


def test_a_root_file_is_a_friend_of_its_input(folder, producer, tmp_path):
    produce_files(producer, [folder / "a.root"], tmp_path / "out.root")
    with uproot.open(tmp_path / "out.root") as candidates, uproot.open(folder / "a.root") as ntuple:
        ours, theirs = candidates["mlpf/candidates"], ntuple["pfana/pftree"]
        assert ours["event"].array().tolist() == theirs["event"].array().tolist() == [100, 101, 102, 103]
        element = ours["mlpfcandidate_element"].array()
        is_hfem = theirs["element_type"].array()[element] == 8
        pdgid = ours["mlpfcandidate_pdgid"].array()
        assert set(ak.flatten(pdgid[is_hfem]).tolist()) == {2}


def test_only_the_first_events_are_read_on_request(folder, producer, tmp_path):
    produce_files(producer, [folder / "a.root", folder / "b.root"], tmp_path / "out.root", max_events=5)
    assert read_candidates(tmp_path / "out.root")["event"].tolist() == [100, 101, 102, 103, 7]
    produce_files(producer, [folder / "a.root", folder / "b.root"], tmp_path / "out.root", max_events=2)
    assert read_candidates(tmp_path / "out.root")["event"].tolist() == [100, 101]


@pytest.mark.parametrize("suffix", [".root", ".parquet"])
def test_an_ntuple_without_events_gives_a_file_without_events(producer, tmp_path, suffix):
    write_ntuple(tmp_path / "none.root", [toy_events([])])
    report = produce_files(producer, [tmp_path / "none.root"], tmp_path / f"out{suffix}")
    found = read_output(tmp_path / f"out{suffix}")
    assert (report.num_events, len(found), found.size("mlpfcandidate")) == (0, 0, 0)


def test_candidates_with_non_finite_momenta_are_counted(producer, tmp_path):
    events = toy_events([50], dropped_share=0.0)
    write_ntuple(tmp_path / "nan.root", [events.with_columns({"element_pt": np.full(50, np.nan)})])
    report = produce_files(producer, [tmp_path / "nan.root"], tmp_path / "out.root")
    assert report.num_non_finite == report.num_candidates > 0


def test_a_damaged_input_leaves_no_output(folder, producer, tmp_path):
    (tmp_path / "bad.root").write_bytes((folder / "b.root").read_bytes()[:3000])
    with pytest.raises(NtupleError, match=r"bad\.root"):
        produce_files(producer, [folder / "a.root", tmp_path / "bad.root"], tmp_path / "out.root")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.root"]


def test_an_unknown_format_and_an_output_that_is_an_input_are_refused(folder, producer, tmp_path):
    with pytest.raises(MlpfError, match=r"unknown format '.h5'"):
        produce_files(producer, [folder / "a.root"], tmp_path / "out.h5")
    with pytest.raises(MlpfError, match="is also an input"):
        produce_files(producer, [folder / "a.root"], folder / "x" / ".." / "a.root")


def test_the_command_says_what_it_read_dropped_and_wrote(folder, tmp_path):
    output = tmp_path / "out.parquet"
    done = CliRunner().invoke(app, ["produce", *(str(folder / name) for name in ("toy.onnx", "a.root", "b.root")), "--output", str(output), "--events", "5"])
    assert done.exit_code == 0, done.output
    found = read_output(output)
    assert len(found) == 5
    assert f"{folder / 'a.root'}: 4 events, version 2020\n" in done.stdout
    assert f"{folder / 'b.root'}: 2 events, version 2020, read as 0: element_muon_type\n" in done.stdout
    assert "read 5 events (1 without usable elements)" in done.stdout
    assert "ms per event on cpu, 1 thread" in done.stdout
    assert f"wrote {found.size('mlpfcandidate')} candidates to {output}" in done.stdout
