import os
import signal
import threading

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from toy_events import toy_events, write_toy_inputs
from toy_graph import write_toy_model

from mlpf import schema
from mlpf.errors import MlpfError, ModelError, NtupleError
from mlpf.events import concatenate
from mlpf.io.candidates import read_candidates
from mlpf.io.ntuple import read_ntuple, write_ntuple
from mlpf.io.workers import NO_PROCESS_SURVIVES
from mlpf.producer import Producer, making, produce_files
from mlpf.producer.files import BAD_LIST_SUFFIX, FAILURES_SHOWN


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a toy model and two ntuples, whose parts of 1 byte are events."""
    folder = tmp_path_factory.mktemp("files")
    write_toy_model(folder / "toy.onnx")
    write_toy_inputs(folder)
    return folder


@pytest.fixture
def inputs(folder):
    return [folder / "a.root", folder / "b.root"]


@pytest.fixture
def model(folder):
    return folder / "toy.onnx"


@pytest.fixture
def expected(model, inputs):
    """What the model says of the events one after the other, without any file of candidates."""
    return concatenate([Producer(model)(read_ntuple(path)) for path in inputs])


def assert_equal(found, expected):
    assert len(found) == len(expected)
    np.testing.assert_array_equal(found.offsets["mlpfcandidate"], expected.offsets["mlpfcandidate"])
    for name in schema.CANDIDATES.columns:
        assert found[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(found[name], expected[name])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [".root", ".parquet"])
@pytest.mark.parametrize("part_bytes", [1, 10**8])
def test_the_file_holds_what_the_producer_says_of_the_events_in_their_order(model, inputs, expected, tmp_path, suffix, part_bytes):
    seen = []
    report = produce_files(model, inputs, tmp_path / f"out{suffix}", part_bytes=part_bytes, on_progress=seen.append)
    assert expected.size("mlpfcandidate") > 5
    assert_equal(read_candidates(tmp_path / f"out{suffix}"), expected)
    types = np.concatenate([read_ntuple(path)["element_type"] for path in inputs])
    counts = report.counts
    assert (counts.num_events, counts.num_elements, counts.num_empty_events, counts.num_failed) == (6, 58, 1, 0)
    assert counts.num_dropped == np.isin(types, (2, 3, 7)).sum()
    assert counts.num_candidates == expected.size("mlpfcandidate")
    assert len(report.latency) == 5
    assert report.num_parts == (6 if part_bytes == 1 else 2)
    assert [progress.events_made for progress in seen] == ([0, 1, 2, 3, 4, 5, 6] if part_bytes == 1 else [0, 4, 6])
    assert {(progress.parts, progress.parts_found, progress.events) for progress in seen} == {(report.num_parts, 0, 6)}
    assert [work.num_events for work in report.work.values()] == [6]
    assert names(tmp_path) == [f"out{suffix}"]


def test_the_result_does_not_depend_on_the_number_of_processes(model, inputs, expected, tmp_path):
    report = produce_files(model, inputs, tmp_path / "two.parquet", workers=2, part_bytes=1)  # parts do not depend on the format of the output
    assert_equal(read_candidates(tmp_path / "two.parquet"), expected)
    assert sum(work.num_events for work in report.work.values()) == 6
    assert os.getpid() not in report.work
    produce_files(model, inputs, tmp_path / "one.parquet", part_bytes=1)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_batches_give_the_same_candidates_but_for_rounding(model, inputs, expected, tmp_path):
    produce_files(model, inputs, tmp_path / "out.root", batch_elements=1000)
    found = read_candidates(tmp_path / "out.root")
    np.testing.assert_array_equal(found["mlpfcandidate_pdgid"], expected["mlpfcandidate_pdgid"])
    np.testing.assert_allclose(found["mlpfcandidate_pt"], expected["mlpfcandidate_pt"], rtol=1e-5)


def test_a_root_file_is_a_friend_of_its_input(model, folder, tmp_path):
    produce_files(model, [folder / "a.root"], tmp_path / "out.root", part_bytes=1)
    with uproot.open(tmp_path / "out.root") as candidates, uproot.open(folder / "a.root") as ntuple:
        ours, theirs = candidates["mlpf/candidates"], ntuple["pfana/pftree"]
        assert ours["event"].array().tolist() == theirs["event"].array().tolist() == [100, 101, 102, 103]
        element = ours["mlpfcandidate_element"].array()
        is_hfem = theirs["element_type"].array()[element] == 8
        pdgid = ours["mlpfcandidate_pdgid"].array()
        assert set(ak.flatten(pdgid[is_hfem]).tolist()) == {2}


def test_a_parquet_file_is_read_by_others_and_names_its_model(model, inputs, expected, tmp_path):
    produce_files(model, inputs, tmp_path / "out.parquet", part_bytes=1)
    table = pq.read_table(tmp_path / "out.parquet")
    assert ak.num(ak.from_arrow(table["mlpfcandidate_pt"])).tolist() == np.diff(expected.offsets["mlpfcandidate"]).tolist()
    assert set(table.schema.metadata) >= {b"mlpf.model_sha256", b"mlpf.schema_digest"}


def test_a_dataset_gives_the_candidates_of_its_events_and_positions_in_the_ntuple(model, folder, random_dataset, write_dataset, tmp_path):
    rows = random_dataset(40)
    rows = rows.with_columns({"element_index": rows["element_index"] + 1000})
    dataset = write_dataset(rows)
    report = produce_files(model, [dataset, folder / "b.root"], tmp_path / "out.root", part_bytes=1)
    assert report.num_parts == 3 + 2  # row groups of 16 events; events
    found = read_candidates(tmp_path / "out.root")
    assert_equal(found.slice(0, 40), Producer(model)(rows))
    assert found.slice(0, 40)["mlpfcandidate_element"].min() >= 1000
    assert found["event"].tolist() == [*rows["event"].tolist(), 7, 8]


def test_only_the_first_events_of_all_inputs_are_read_on_request(model, inputs, tmp_path):
    for number, events in ((5, [100, 101, 102, 103, 7]), (2, [100, 101])):
        produce_files(model, inputs, tmp_path / "out.root", max_events=number)
        assert read_candidates(tmp_path / "out.root")["event"].tolist() == events


def test_inputs_after_the_last_event_that_was_asked_for_are_not_looked_at(model, inputs, tmp_path):
    seen = []
    produce_files(model, [*inputs, tmp_path / "none.root"], tmp_path / "out.root", max_events=4, on_survey=seen.extend)
    assert [source.path for source in seen] == inputs[:1]
    assert names(tmp_path) == ["out.root"]


@pytest.mark.parametrize("suffix", [".root", ".parquet"])
def test_an_ntuple_without_events_gives_a_file_without_events(model, tmp_path, suffix):
    write_ntuple(tmp_path / "none.root", [toy_events([])])
    report = produce_files(model, [tmp_path / "none.root"], tmp_path / f"out{suffix}")
    found = read_candidates(tmp_path / f"out{suffix}")
    assert (report.counts.num_events, len(found), found.size("mlpfcandidate")) == (0, 0, 0)


def test_candidates_with_non_finite_momenta_are_counted(model, tmp_path):
    events = toy_events([50], dropped_share=0.0)
    write_ntuple(tmp_path / "nan.root", [events.with_columns({"element_pt": np.full(50, np.nan)})])
    report = produce_files(model, [tmp_path / "nan.root"], tmp_path / "out.root")
    assert report.counts.num_non_finite == report.counts.num_candidates > 0


def test_a_truncated_input_is_an_error_or_left_out(model, inputs, folder, tmp_path):
    bad = tmp_path / "bad.root"
    bad.write_bytes((folder / "b.root").read_bytes()[:3000])
    with pytest.raises(NtupleError, match=r"bad\.root: truncated.*; pass --skip-bad to leave such files out"):
        produce_files(model, [inputs[0], bad], tmp_path / "out.root")
    assert names(tmp_path) == ["bad.root"]
    report = produce_files(model, [inputs[0], bad, inputs[1]], tmp_path / "out.root", skip_bad=True)
    assert list(report.left_out) == [bad]
    assert read_candidates(tmp_path / "out.root")["event"].tolist() == [100, 101, 102, 103, 7, 8]
    assert report.bad_list == tmp_path / "out.root.skipped.txt"
    header, line = report.bad_list.read_text().splitlines()
    assert header.split("\t") == ["file", "entry", "run", "lumi", "event", "reason"]
    assert line == f"{bad}\t\t\t\t\tleft out: {report.left_out[bad]}"
    with pytest.raises(NtupleError, match=r"bad\.root: truncated.*none of the 2 inputs can be used"):
        produce_files(model, [bad, bad], tmp_path / "none.root", skip_bad=True)
    with pytest.raises(NtupleError, match="no input files"):
        produce_files(model, [], tmp_path / "none.root")
    produce_files(model, inputs, tmp_path / "out.root")
    assert names(tmp_path) == ["bad.root", "out.root"]  # the list of an earlier output goes


@pytest.fixture
def failing(write_failing_model, events_with_nan, tmp_path):
    """A model that fails on NaN, and ten events of which two have one."""
    write_ntuple(tmp_path / "nan.root", [events_with_nan(10, [3, 8])])
    return write_failing_model(tmp_path / "failing.onnx"), tmp_path / "nan.root"


def test_an_event_on_which_the_model_fails_is_named_in_the_error(failing, tmp_path):
    model, path = failing
    with pytest.raises(ModelError, match=r"failing\.onnx: fails on .*nan\.root, entry 3 \(run 3, lumi 7, event 53\).*; pass --skip-bad to leave such"):
        produce_files(model, [path], tmp_path / "out.root")
    assert not (tmp_path / "out.root").exists()


@pytest.mark.parametrize("options", [{}, {"part_bytes": 1}, {"batch_elements": 100}])
def test_an_event_on_which_the_model_fails_keeps_its_entry(failing, tmp_path, options):
    model, path = failing
    report = produce_files(model, [path], tmp_path / "out.root", skip_bad=True, **options)
    found = read_candidates(tmp_path / "out.root")
    assert found["event"].tolist() == list(range(50, 60))
    counts = found.counts("mlpfcandidate")
    assert (counts[[3, 8]] == 0).all()
    good = np.delete(np.arange(10), [3, 8])
    producer = Producer(model)
    alone = [producer(read_ntuple(path).slice(i, i + 1)) for i in good]
    assert counts[good].tolist() == [events.size("mlpfcandidate") for events in alone]
    np.testing.assert_allclose(found["mlpfcandidate_pt"], np.concatenate([events["mlpfcandidate_pt"] for events in alone]), rtol=1e-5)
    assert (report.counts.num_events, report.counts.num_failed, len(report.latency)) == (10, 2, 8)
    assert [(p, f.entry, f.run, f.lumi, f.event) for p, f in report.first_failures] == [(path, 3, 3, 7, 53), (path, 8, 3, 7, 58)]
    lines = [line.split("\t") for line in report.bad_list.read_text().splitlines()[1:]]
    assert [line[:5] for line in lines] == [[str(path), "3", "3", "7", "53"], [str(path), "8", "3", "7", "58"]]
    assert all("failing.onnx: fails on" in line[5] for line in lines)


def test_a_model_that_fails_on_all_events_makes_no_file(write_failing_model, events_with_nan, tmp_path):
    model = write_failing_model(tmp_path / "failing.onnx")
    write_ntuple(tmp_path / "nan.root", [events_with_nan(4, range(4))])
    with pytest.raises(MlpfError, match=r"out\.root: all events failed, so it is not written; the first one: .*failing\.onnx: fails on .*entry 0"):
        produce_files(model, [tmp_path / "nan.root"], tmp_path / "out.root", skip_bad=True)
    assert names(tmp_path) == ["failing.onnx", "nan.root"]


def test_parts_with_failures_are_not_taken_over_where_none_may_be(failing, tmp_path):
    model, path = failing

    def stop(progress):
        if progress.events_made == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        produce_files(model, [path], tmp_path / "out.root", skip_bad=True, part_bytes=1, on_progress=stop)
    with pytest.raises(ModelError, match="event 53"):
        produce_files(model, [path], tmp_path / "out.root", part_bytes=1)
    report = produce_files(model, [path], tmp_path / "out.root", part_bytes=1, skip_bad=True)
    assert report.parts_found >= 5
    assert report.counts.num_failed == 2


def damage_basket(path, branch, number):
    """Overwrite the middle of a basket."""
    with uproot.open(path) as file:
        found = file["pfana/pftree"][branch]
        seek, size = int(found.member("fBasketSeek")[number]), int(found.member("fBasketBytes")[number])
    content = bytearray(path.read_bytes())
    content[seek + size // 2 : seek + size] = bytes(size - size // 2)
    path.write_bytes(content)


@pytest.mark.parametrize("part_bytes", [1, 10**8])
def test_events_of_a_damaged_basket_keep_their_entries_and_numbers(model, tmp_path, part_bytes):
    path = tmp_path / "damaged.root"
    events = toy_events([40] * 12)
    write_ntuple(path, [events.slice(start, start + 4) for start in (0, 4, 8)])
    damage_basket(path, "element_eta", 1)
    with pytest.raises(NtupleError, match=r"damaged\.root: events .*element_eta: not readable.*; pass --skip-bad"):
        produce_files(model, [path], tmp_path / "out.root", part_bytes=part_bytes)
    report = produce_files(model, [path], tmp_path / "out.root", part_bytes=part_bytes, skip_bad=True)
    found = read_candidates(tmp_path / "out.root")
    assert found["event"].tolist() == events["event"].tolist()
    assert (report.counts.num_events, report.counts.num_failed) == (12, 4)
    assert [failure.entry for _, failure in report.first_failures] == [4, 5, 6, 7][:FAILURES_SHOWN]
    expected = Producer(model)(events)
    for start, stop in ((0, 4), (8, 12)):
        np.testing.assert_allclose(found.slice(start, stop)["mlpfcandidate_pt"], expected.slice(start, stop)["mlpfcandidate_pt"], rtol=1e-5)
    assert found.slice(4, 8).size("mlpfcandidate") == 0


def test_numbers_that_cannot_be_read_are_zero(model, tmp_path):
    path = tmp_path / "damaged.root"
    write_ntuple(path, [toy_events([40] * 4), toy_events([40] * 4, first_event=5)], compression=None)
    with uproot.open(path) as file:
        seek = int(file["pfana/pftree"]["event"].member("fBasketSeek")[1])
    content = bytearray(path.read_bytes())
    content[seek + 4 : seek + 20] = b"\xff" * 16  # the header of the basket
    path.write_bytes(content)
    report = produce_files(model, [path], tmp_path / "out.root", skip_bad=True)
    found = read_candidates(tmp_path / "out.root")
    assert found["event"].tolist() == [1, 2, 3, 4, 0, 0, 0, 0]
    assert report.counts.num_failed == 4


def die_of_event_102(task):
    if task.start <= 2 < task.stop and task.input.name == "a.root":
        os.kill(os.getpid(), signal.SIGKILL)
    return making.make_part(task)


@pytest.mark.slow
def test_events_that_no_process_survives_keep_their_entries(model, inputs, expected, tmp_path, monkeypatch):
    monkeypatch.setattr("mlpf.producer.files.make_part", die_of_event_102)
    with pytest.raises(MlpfError, match=r"a\.root: events 2 to 2: every process that worked on it died"):
        produce_files(model, inputs, tmp_path / "out.root", workers=2, part_bytes=1)
    report = produce_files(model, inputs, tmp_path / "out.root", workers=2, part_bytes=1, skip_bad=True)
    assert [(failure.entry, failure.event, failure.reason) for _, failure in report.first_failures] == [(2, 102, NO_PROCESS_SURVIVES)]
    counts = expected.counts("mlpfcandidate")
    counts[2] = 0
    assert read_candidates(tmp_path / "out.root").counts("mlpfcandidate").tolist() == counts.tolist()


def test_the_first_error_of_any_thread_is_the_one_of_the_command(model, inputs, tmp_path, monkeypatch):
    before = threading.active_count()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlpf.io.shards.EventWriter", refuse)
    with pytest.raises(MlpfError, match="cannot be written: No space left on device"):
        produce_files(model, inputs, tmp_path / "out.root")
    assert threading.active_count() == before
    assert names(tmp_path) == []


def test_what_cannot_be_the_output_is_refused_before_the_work(model, inputs, tmp_path):
    with pytest.raises(MlpfError, match=r"unknown format '.h5'"):
        produce_files(model, inputs, tmp_path / "out.h5")
    with pytest.raises(MlpfError, match="is also an input"):
        produce_files(model, inputs, inputs[0].parent / "x" / ".." / "a.root")
    (tmp_path / "folder.root").mkdir()
    with pytest.raises(MlpfError, match="a folder; name a file"):
        produce_files(model, inputs, tmp_path / "folder.root")


def test_a_model_or_device_that_cannot_be_used_is_an_error_before_the_work(model, inputs, tmp_path):
    for workers in (1, 2):
        with pytest.raises(ModelError, match=r"none\.onnx: no such file"):
            produce_files(tmp_path / "none.onnx", inputs, tmp_path / "out.root", workers=workers)
    with pytest.raises(ModelError, match="device 'quantum': unknown"):
        produce_files(model, inputs, tmp_path / "out.root", device="quantum", on_survey=pytest.fail)
    assert names(tmp_path) == []


def test_an_older_output_stays_until_the_new_one_is_complete(failing, model, inputs, tmp_path):
    produce_files(model, inputs, tmp_path / "out.root")
    before = (tmp_path / "out.root").read_bytes()
    with pytest.raises(ModelError):
        produce_files(failing[0], [failing[1]], tmp_path / "out.root")
    assert (tmp_path / "out.root").read_bytes() == before
    assert not (tmp_path / f"out.root{BAD_LIST_SUFFIX}").exists()


def test_the_command_names_the_first_events_that_fail(mlpf_cli, write_failing_model, events_with_nan, tmp_path):
    write_ntuple(tmp_path / "nan.root", [events_with_nan(12, range(FAILURES_SHOWN + 2))])
    model = write_failing_model(tmp_path / "f.onnx")
    status, out, _ = mlpf_cli("produce", model, tmp_path / "nan.root", "--output", tmp_path / "out.root", "--skip-bad")
    assert status == 0
    assert f"without candidates: {tmp_path / 'nan.root'}, entry 0 (run 3, lumi 7, event 50): {model}: fails on" in out
    assert out.count("without candidates: ") == FAILURES_SHOWN + 1
    assert "without candidates: 2 more events\n" in out
    assert f"0 files left out, {FAILURES_SHOWN + 2} events failed: listed in {tmp_path / 'out.root.skipped.txt'}" in out
