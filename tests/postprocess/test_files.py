import dataclasses
import errno
import json
import os
import signal

import numpy as np
import pytest
from typer.testing import CliRunner

from mlpf.cli.main import app
from mlpf.errors import MlpfError, NtupleError
from mlpf.events import Events
from mlpf.io.ntuple import Ntuple, write_ntuple
from mlpf.io.shards import ShardedDataset
from mlpf.postprocess import CaloParticlePolicy, PostprocessConfig, postprocess_events, postprocess_files
from mlpf.postprocess import tasks as tasks_module
from mlpf.testing import random_events

OTHER = PostprocessConfig(caloparticle=CaloParticlePolicy(split_radius=0.3))


@pytest.fixture
def ntuples(tmp_path):
    """Three ntuples of 20, 5 and 10 events."""
    paths = []
    for i, num_events in enumerate((20, 5, 10)):
        paths.append(tmp_path / f"events_{i}.root")
        write_ntuple(paths[-1], [random_events(np.random.default_rng(i), num_events, 30)])
    return paths


def damaged(path):
    """A file that breaks off in the middle."""
    write_ntuple(path, [random_events(np.random.default_rng(9), 20, 30)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def infinite(path):
    """A file whose last element has an infinite energy."""
    events = random_events(np.random.default_rng(3), 4)
    energy = events["element_energy"].copy()
    energy[-1] = np.inf
    write_ntuple(path, [events.with_columns({"element_energy": energy})])
    return path


def die_of_source_1(task):
    if task.source.index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return tasks_module.make_shard(task)


def content(folder):
    """Names and bytes of all that is in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(folder):
    """Folders in a folder."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def shard_hashes(folder):
    return [shard.sha256 for shard in ShardedDataset(folder, verify=True).shards]


def test_a_dataset_holds_the_rows_of_all_files_and_says_how_it_was_made(ntuples, tmp_path):
    report = postprocess_files(ntuples, tmp_path / "dataset")
    dataset = ShardedDataset(tmp_path / "dataset", verify=True)
    assert len(dataset) == 35 == report.summary.num_events
    read = dataset.read()
    assert read["source"].tolist() == [0] * 20 + [1] * 5 + [2] * 10
    expected, summary = postprocess_events(random_events(np.random.default_rng(2), 10, 30), CaloParticlePolicy(), source_index=2)
    for name in expected.columns:
        np.testing.assert_array_equal(read.slice(25, 35)[name], expected[name], err_msg=name)
    assert dataset.manifest["policy"] == "caloparticle"
    assert CaloParticlePolicy.model_validate(dataset.manifest["policy_options"]) == CaloParticlePolicy()
    assert [source["num_events"] for source in dataset.manifest["sources"]] == [20, 5, 10]
    assert dataset.manifest["counts"]["elements_written"] == read.size("element")
    assert report.repeated_numbers == 15  # the generator numbers the events of every file alike
    assert report.missing_columns == ()
    assert summary.num_targets == (expected["target_particle_number"] > 0).sum()


def test_the_result_does_not_depend_on_jobs_or_chunks(ntuples, tmp_path, monkeypatch):
    one = postprocess_files(ntuples, tmp_path / "one")
    two = postprocess_files(ntuples, tmp_path / "two", jobs=2)
    assert shard_hashes(tmp_path / "one") == shard_hashes(tmp_path / "two")
    assert one == two
    monkeypatch.setattr(tasks_module, "CHUNK_BYTES", 20_000)
    assert postprocess_files(ntuples, tmp_path / "chunked") == one
    whole, chunked = (ShardedDataset(tmp_path / name).read() for name in ("one", "chunked"))
    for name in whole.columns:
        np.testing.assert_array_equal(whole[name], chunked[name], err_msg=name)


def test_the_policy_follows_the_ntuple_unless_it_is_named(ntuples, tmp_path):
    old = tmp_path / "old.root"
    write_ntuple(old, [random_events(np.random.default_rng(1), 5, version="2020")], "ana/pftree")
    report = postprocess_files([old], tmp_path / "old")
    assert report.policy == "trackingparticle"
    assert "element_time" in report.missing_columns
    dataset = ShardedDataset(tmp_path / "old").read()
    assert not dataset["element_time"].any()
    assert dataset.size("edge") > 0
    named = PostprocessConfig(policy="trackingparticle")
    assert postprocess_files(ntuples[:1], tmp_path / "named", named).policy == "trackingparticle"
    with pytest.raises(NtupleError, match=r"old.root: branch 'caloparticle_pt' is missing"):
        postprocess_files([ntuples[0], old], tmp_path / "mixed")


def test_bad_files_are_an_error_unless_they_are_to_be_skipped(ntuples, tmp_path):
    bad = damaged(tmp_path / "bad.root")
    for order in ([bad, ntuples[0]], [ntuples[0], bad]):
        with pytest.raises(NtupleError, match=r"bad.root: .*truncated"):
            postprocess_files(order, tmp_path / "dataset")
    report = postprocess_files([bad, ntuples[0]], tmp_path / "dataset", skip_bad=True)
    assert report.summary.num_events == 20
    assert list(report.skipped) == [str(bad)]
    dataset = ShardedDataset(tmp_path / "dataset")
    assert "skipped" in dataset.manifest["sources"][0]
    assert set(dataset.read()["source"]) == {1}
    with pytest.raises(NtupleError, match=r"none of the 2 input files can be used; the first: .*bad.root"):
        postprocess_files([bad, bad], tmp_path / "none", skip_bad=True)
    with pytest.raises(NtupleError, match=r"^no input files"):
        postprocess_files([], tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["dataset"]


def test_a_file_bad_in_its_values_is_skipped_without_a_trace(ntuples, tmp_path):
    path = infinite(tmp_path / "infinite.root")
    report = postprocess_files([ntuples[0], path], tmp_path / "dataset", skip_bad=True)
    assert "element_energy: 1 non-finite values" in report.skipped[str(path)]
    assert sorted(p.name for p in (tmp_path / "dataset").iterdir()) == ["manifest.json", "shard_00000_000.parquet", "skipped.txt"]
    assert (tmp_path / "dataset" / "skipped.txt").read_text() == f"{path}\t{report.skipped[str(path)]}\n"
    with pytest.raises(NtupleError, match=r"element_energy: 1 non-finite values"):
        postprocess_files([path], tmp_path / "none", skip_bad=True)
    report = postprocess_files([path], tmp_path / "zero", nonfinite="zero")
    assert report.summary.non_finite == {"element_energy": 1}


def test_an_error_keeps_what_is_finished_for_the_next_run(ntuples, tmp_path):
    bad = infinite(tmp_path / "infinite.root")
    inputs = [ntuples[0], bad, ntuples[2]]
    with pytest.raises(NtupleError, match=r"infinite.root: .*element_energy: 1 non-finite values.*; pass --skip-bad to set such files aside$"):
        postprocess_files(inputs, tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()
    seen = []
    report = postprocess_files(inputs, tmp_path / "dataset", skip_bad=True, on_progress=seen.append)
    assert (seen[0].shards, seen[0].shards_found) == (3, 1)
    assert (report.num_shards, report.shards_found) == (2, 1)
    assert [shard.name for shard in ShardedDataset(tmp_path / "dataset").shards] == ["shard_00000_000.parquet", "shard_00002_000.parquet"]
    postprocess_files(inputs, tmp_path / "at_once", skip_bad=True)
    assert content(tmp_path / "dataset") == content(tmp_path / "at_once")
    assert names(tmp_path) == ["at_once", "dataset"]


@pytest.mark.parametrize("damage", ["shard", "note", "no shard", "other key"])
def test_what_an_earlier_run_left_is_used_only_if_it_is_whole_and_the_same(ntuples, tmp_path, damage):
    def interrupt(progress):
        if progress.events_made:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        postprocess_files(ntuples, tmp_path / "dataset", on_progress=interrupt, max_events=4 if damage == "other key" else None)
    shard, note = (tmp_path / ".dataset.partial" / place for place in ("new/shard_00000_000.parquet", "notes/shard_00000_000.json"))
    if damage == "shard":
        shard.write_bytes(shard.read_bytes()[:-8] + bytes(8))
    elif damage == "no shard":
        shard.unlink()
    elif damage == "note":
        note.write_text(note.read_text()[:50])
    (shard.parent / ".shard_00001_000.1x2y.partial.parquet").touch()
    assert postprocess_files(ntuples, tmp_path / "dataset").shards_found == 0
    postprocess_files(ntuples, tmp_path / "at_once")
    assert content(tmp_path / "dataset") == content(tmp_path / "at_once")


def test_a_finished_dataset_stays_as_it_is(ntuples, tmp_path):
    first = postprocess_files(ntuples, tmp_path / "dataset")
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (tmp_path / "dataset").iterdir()}
    second = postprocess_files(ntuples[::-1], tmp_path / "dataset", jobs=2)
    assert second == dataclasses.replace(first, complete=True, shards_found=3)
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (tmp_path / "dataset").iterdir()} == before
    assert names(tmp_path) == ["dataset"]


def test_only_the_shards_of_added_files_are_made_and_older_files_keep_their_place(ntuples, tmp_path):
    postprocess_files(ntuples[1:2], tmp_path / "dataset")
    (old,) = (tmp_path / "dataset").glob("*.parquet")
    inode = old.stat().st_ino
    report = postprocess_files(ntuples, tmp_path / "dataset")
    assert (report.num_shards, report.shards_found, report.complete) == (3, 1, False)
    assert old.stat().st_ino == inode
    postprocess_files([ntuples[1], ntuples[0], ntuples[2]], tmp_path / "at_once")
    assert content(tmp_path / "dataset") == content(tmp_path / "at_once")


def test_an_interrupted_extension_leaves_the_older_dataset_whole(ntuples, tmp_path):
    def interrupt(progress):
        if progress.events_made:
            raise KeyboardInterrupt

    postprocess_files(ntuples[:1], tmp_path / "dataset")
    before = content(tmp_path / "dataset")
    with pytest.raises(KeyboardInterrupt):
        postprocess_files(ntuples, tmp_path / "dataset", on_progress=interrupt)
    assert content(tmp_path / "dataset") == before
    assert postprocess_files(ntuples, tmp_path / "dataset").shards_found == 2
    postprocess_files(ntuples, tmp_path / "at_once")
    assert content(tmp_path / "dataset") == content(tmp_path / "at_once")


def test_a_file_that_was_set_aside_and_then_repaired_is_added_in_its_place(ntuples, tmp_path):
    good = ntuples[1].read_bytes()
    ntuples[1].write_bytes(good[:3000])
    assert list(postprocess_files(ntuples, tmp_path / "dataset", skip_bad=True).skipped) == [str(ntuples[1])]
    assert postprocess_files(ntuples, tmp_path / "dataset", skip_bad=True).complete
    ntuples[1].write_bytes(good)
    assert postprocess_files(ntuples, tmp_path / "dataset").shards_found == 2
    postprocess_files(ntuples, tmp_path / "at_once")
    assert content(tmp_path / "dataset") == content(tmp_path / "at_once")


def test_a_file_is_divided_into_parts_whose_shards_are_its_events(ntuples, tmp_path):
    whole = postprocess_files(ntuples, tmp_path / "whole")
    parts = postprocess_files(ntuples, tmp_path / "parts", part_bytes=60_000)
    assert parts.num_shards > 6
    assert dataclasses.replace(parts, num_shards=3) == whole
    one, many = (ShardedDataset(tmp_path / name).read() for name in ("whole", "parts"))
    for name in one.columns:
        np.testing.assert_array_equal(one[name], many[name], err_msg=name)
    assert postprocess_files(ntuples, tmp_path / "few", part_bytes=60_000, max_events=2).summary.num_events == 6


def test_a_file_given_twice_is_found_before_the_work(ntuples, tmp_path):
    copy = tmp_path / "copy.root"
    copy.write_bytes(ntuples[0].read_bytes())
    with pytest.raises(NtupleError, match=r"copy.root: the same file as .*events_0.root, or a copy of it \(and 1 more files cannot be used\); pass --skip-bad"):
        postprocess_files([*ntuples, copy, ntuples[1]], tmp_path / "dataset", on_progress=pytest.fail)
    report = postprocess_files([*ntuples, copy], tmp_path / "dataset", skip_bad=True)
    assert list(report.skipped) == [str(copy)]
    assert report.summary.num_events == 35


def test_events_that_an_earlier_file_or_the_same_one_holds_are_found(ntuples, tmp_path):
    again, twice = tmp_path / "again.root", tmp_path / "twice.root"
    write_ntuple(again, [random_events(np.random.default_rng(8), 3, 30), random_events(np.random.default_rng(0), 20, 30).slice(7, 9)])
    write_ntuple(twice, [random_events(np.random.default_rng(9), 4, 30)] * 2)
    inputs = [ntuples[0], again, ntuples[2]]
    with pytest.raises(NtupleError, match=r"again.root: event 3: duplicate of event 7 of .*events_0.root, the same run, lumi, event number and"):
        postprocess_files(inputs, tmp_path / "dataset")
    report = postprocess_files(inputs, tmp_path / "dataset", skip_bad=True)
    assert (list(report.skipped), report.summary.num_events, report.shards_found) == ([str(again)], 30, 2)
    assert set(ShardedDataset(tmp_path / "dataset").read()["source"]) == {0, 2}
    with pytest.raises(NtupleError, match=r"twice.root: event \d: duplicate of event \d of .*twice.root"):
        postprocess_files([twice], tmp_path / "twice")


def test_a_file_that_vanishes_while_it_is_looked_at_is_unusable(ntuples, tmp_path, monkeypatch):
    parts = Ntuple.parts

    def vanish(ntuple, columns, part_bytes):
        if ntuple.path == ntuples[1]:
            ntuple.path.unlink()
        return parts(ntuple, columns, part_bytes)

    monkeypatch.setattr(Ntuple, "parts", vanish)
    report = postprocess_files(ntuples, tmp_path / "dataset", skip_bad=True)
    assert report.skipped == {str(ntuples[1]): f"{ntuples[1]}: removed while it was in use"}


def test_a_file_without_events_is_unusable(ntuples, tmp_path):
    empty = tmp_path / "empty.root"
    write_ntuple(empty, [random_events(np.random.default_rng(1), 0)])
    with pytest.raises(NtupleError, match=r"empty.root: holds no events"):
        postprocess_files([*ntuples, empty], tmp_path / "dataset")
    assert postprocess_files([*ntuples, empty], tmp_path / "dataset", skip_bad=True).summary.num_events == 35


@pytest.mark.slow
def test_a_file_that_no_process_survives_is_set_aside(ntuples, tmp_path, monkeypatch):
    monkeypatch.setattr("mlpf.postprocess.files.make_shard", die_of_source_1)
    with pytest.raises(NtupleError, match=r"events_1.root: events 0 to 4: every process that worked on it died"):
        postprocess_files(ntuples, tmp_path / "dataset", jobs=2)
    report = postprocess_files(ntuples, tmp_path / "dataset", jobs=2, skip_bad=True)
    assert list(report.skipped) == [str(ntuples[1])]
    assert report.summary.num_events == 30


def test_an_existing_output_is_kept_unless_it_is_to_be_overwritten(ntuples, tmp_path):
    postprocess_files(ntuples, tmp_path / "dataset")
    for inputs, options in ((ntuples[1:], {}), (ntuples, {"max_events": 3}), (ntuples, {"nonfinite": "zero"}), (ntuples, {"config": OTHER})):
        with pytest.raises(MlpfError, match=r"exists already; choose another output or pass --overwrite"):
            postprocess_files(inputs, tmp_path / "dataset", **options)
    postprocess_files(ntuples, tmp_path / "dataset", overwrite=True, max_events=3)
    assert len(ShardedDataset(tmp_path / "dataset")) == 9
    assert names(tmp_path) == ["dataset"]


def test_what_is_no_dataset_is_kept_and_the_remedy_works(ntuples, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name in ("folder", "file"):
        with pytest.raises(MlpfError, match=r"exists already and is no dataset.*; choose another output$"):
            postprocess_files(ntuples, tmp_path / name)
    postprocess_files(ntuples, tmp_path / "dataset")
    (tmp_path / "dataset" / "shard_00001_000.parquet").unlink()
    with pytest.raises(MlpfError, match=r"shard_00001_000.parquet is listed in manifest.json but missing.*choose another output or pass --overwrite$"):
        postprocess_files(ntuples, tmp_path / "dataset")
    assert postprocess_files(ntuples, tmp_path / "dataset", overwrite=True).summary.num_events == 35


def test_a_file_that_was_set_aside_keeps_its_number_when_it_is_no_longer_given(ntuples, tmp_path):
    bad = damaged(tmp_path / "bad.root")
    postprocess_files([ntuples[0], bad, ntuples[1]], tmp_path / "dataset", skip_bad=True)
    assert postprocess_files(ntuples[:2], tmp_path / "dataset").complete
    report = postprocess_files(ntuples, tmp_path / "dataset", skip_bad=True)
    assert (report.shards_found, report.num_files, list(report.skipped)) == (2, 4, [str(bad)])
    assert set(ShardedDataset(tmp_path / "dataset", verify=True).read()["source"]) == {0, 2, 3}


def test_a_damaged_shard_of_a_dataset_that_grows_is_made_again(ntuples, tmp_path):
    postprocess_files(ntuples[:2], tmp_path / "dataset")
    shard = tmp_path / "dataset" / "shard_00000_000.parquet"
    shard.write_bytes(shard.read_bytes()[:1000])
    seen = []
    assert postprocess_files(ntuples, tmp_path / "dataset", on_progress=seen.append).shards_found == 1
    assert all(progress.events_made <= progress.events for progress in seen)
    postprocess_files(ntuples, tmp_path / "at_once")
    assert content(tmp_path / "dataset") == content(tmp_path / "at_once")


def test_shards_that_only_the_workers_see_make_no_dataset(ntuples, tmp_path, monkeypatch):
    def elsewhere(task):
        done = tasks_module.make_shard(task)
        task.shard.unlink()
        return done

    monkeypatch.setattr("mlpf.postprocess.files.make_shard", elsewhere)
    with pytest.raises(MlpfError, match=r"shard_00000_000.parquet: made by a worker, but not there; workers must see the same file system"):
        postprocess_files(ntuples, tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()


def test_a_disk_that_is_full_only_at_the_end_is_a_clear_error(ntuples, tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(MlpfError, match=r"shard_00000_000.parquet: cannot be written: No space left on device"):
        postprocess_files(ntuples, tmp_path / "dataset")


def test_only_a_dataset_is_overwritten(ntuples, tmp_path):
    (tmp_path / "precious.txt").touch()
    with pytest.raises(MlpfError, match=r"holds no manifest.json, so it is not overwritten"):
        postprocess_files(ntuples, tmp_path, overwrite=True)
    assert (tmp_path / "precious.txt").exists()


def test_events_are_found_twice_by_their_number_where_a_format_has_no_run_or_lumi(tmp_path):
    events = random_events(np.random.default_rng(4), 5)
    columns = {name: values for name, values in events.columns.items() if name not in ("run", "lumi")}
    for name in ("a.root", "b.root"):
        write_ntuple(tmp_path / name, [Events(columns, events.offsets, 5)])
    with pytest.raises(NtupleError, match=r"b\.root: event 0: duplicate of event 0 of .*a\.root"):
        postprocess_files([tmp_path / "a.root", tmp_path / "b.root"], tmp_path / "dataset")


def test_events_without_numbers_are_not_counted_as_duplicates(tmp_path):
    events = random_events(np.random.default_rng(4), 5)
    columns = {name: values for name, values in events.columns.items() if name not in ("run", "lumi", "event")}
    write_ntuple(tmp_path / "anonymous.root", [Events(columns, events.offsets, 5)])
    assert postprocess_files([tmp_path / "anonymous.root"], tmp_path / "dataset").repeated_numbers == 0


def test_the_command_prints_what_it_read_dropped_and_wrote(ntuples, tmp_path):
    parameters = tmp_path / "p.yaml"
    parameters.write_text("postprocess: {policy: caloparticle, caloparticle: {supercluster_class: particle}}")
    bad = damaged(tmp_path / "bad.root")
    arguments = ["postprocess", *map(str, ntuples), str(bad), "--output", str(tmp_path / "dataset"), "-p", str(parameters), "--skip-bad", "--events", "5"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    for text in ("policy caloparticle", "3 of 4", "BREM", "found no free element", "set aside", "15 events"):
        assert text in result.output
    manifest = json.loads((tmp_path / "dataset" / "manifest.json").read_text())
    assert manifest["policy_options"]["supercluster_class"] == "particle"
    assert manifest["policy_options"]["type_order"][0] == "GSF"
