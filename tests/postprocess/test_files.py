import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mlpf.cli.main import app
from mlpf.errors import MlpfError, NtupleError
from mlpf.events import Events
from mlpf.io.ntuple import write_ntuple
from mlpf.io.shards import ShardedDataset
from mlpf.postprocess import CaloParticlePolicy, PostprocessConfig, postprocess_events, postprocess_files
from mlpf.postprocess import files as files_module
from mlpf.testing import random_events


@pytest.fixture
def ntuples(tmp_path):
    """Three ntuples of 20, 0 and 10 events."""
    paths = []
    for i, num_events in enumerate((20, 0, 10)):
        paths.append(tmp_path / f"events_{i}.root")
        write_ntuple(paths[-1], [random_events(np.random.default_rng(i), num_events, 30)])
    return paths


def damaged(path):
    """A file that breaks off in the middle."""
    write_ntuple(path, [random_events(np.random.default_rng(9), 20, 30)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def shard_hashes(folder):
    return [shard.sha256 for shard in ShardedDataset(folder, verify=True).shards]


def test_a_dataset_holds_the_rows_of_all_files_and_says_how_it_was_made(ntuples, tmp_path):
    report = postprocess_files(ntuples, tmp_path / "dataset")
    dataset = ShardedDataset(tmp_path / "dataset", verify=True)
    assert len(dataset) == 30 == report.summary.num_events
    read = dataset.read()
    assert read["source"].tolist() == [0] * 20 + [2] * 10
    expected, summary = postprocess_events(random_events(np.random.default_rng(2), 10, 30), CaloParticlePolicy(), source_index=2)
    for name in expected.columns:
        np.testing.assert_array_equal(read.slice(20, 30)[name], expected[name], err_msg=name)
    assert dataset.manifest["policy"] == "caloparticle"
    assert CaloParticlePolicy.model_validate(dataset.manifest["policy_options"]) == CaloParticlePolicy()
    assert [source["num_events"] for source in dataset.manifest["sources"]] == [20, 0, 10]
    assert dataset.manifest["counts"]["elements_written"] == read.size("element")
    assert report.duplicated_events == 10  # the generator numbers the events of every file alike
    assert report.missing_columns == ()
    assert summary.num_targets == (expected["target_particle_number"] > 0).sum()


def test_the_result_does_not_depend_on_jobs_or_chunks(ntuples, tmp_path, monkeypatch):
    one = postprocess_files(ntuples, tmp_path / "one")
    two = postprocess_files(ntuples, tmp_path / "two", jobs=2)
    assert shard_hashes(tmp_path / "one") == shard_hashes(tmp_path / "two")
    assert one == two
    monkeypatch.setattr(files_module, "CHUNK_BYTES", 20_000)
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
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["dataset"]


def test_a_file_bad_in_its_values_is_skipped_without_a_trace(ntuples, tmp_path):
    events = random_events(np.random.default_rng(3), 4)
    energy = events["element_energy"].copy()
    energy[-1] = np.inf
    path = tmp_path / "infinite.root"
    write_ntuple(path, [events.with_columns({"element_energy": energy})])
    report = postprocess_files([ntuples[0], path], tmp_path / "dataset", skip_bad=True)
    assert "element_energy: 1 non-finite values" in report.skipped[str(path)]
    assert sorted(p.name for p in (tmp_path / "dataset").iterdir()) == ["manifest.json", "shard_00000.parquet"]
    with pytest.raises(NtupleError, match=r"none of the 1 input files can be used; the first: .*element_energy"):
        postprocess_files([path], tmp_path / "none", skip_bad=True)
    report = postprocess_files([path], tmp_path / "zero", nonfinite="zero")
    assert report.summary.non_finite == {"element_energy": 1}


def test_an_interrupt_leaves_nothing_behind(ntuples, tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        postprocess_files(ntuples, tmp_path / "dataset", on_file=interrupt)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_an_existing_output_is_kept_unless_it_is_to_be_overwritten(ntuples, tmp_path):
    postprocess_files(ntuples[:1], tmp_path / "dataset")
    with pytest.raises(MlpfError, match=r"exists already; choose another output or pass --overwrite"):
        postprocess_files(ntuples, tmp_path / "dataset")
    postprocess_files(ntuples, tmp_path / "dataset", overwrite=True, max_events=3)
    assert len(ShardedDataset(tmp_path / "dataset")) == 6


def test_only_a_dataset_is_overwritten(ntuples, tmp_path):
    (tmp_path / "precious.txt").touch()
    with pytest.raises(MlpfError, match=r"holds no manifest.json, so it is not overwritten"):
        postprocess_files(ntuples, tmp_path, overwrite=True)
    assert (tmp_path / "precious.txt").exists()


def test_events_without_numbers_are_not_counted_as_duplicates(tmp_path):
    events = random_events(np.random.default_rng(4), 5)
    columns = {name: values for name, values in events.columns.items() if name not in ("run", "lumi", "event")}
    write_ntuple(tmp_path / "anonymous.root", [Events(columns, events.offsets, 5)])
    assert postprocess_files([tmp_path / "anonymous.root"], tmp_path / "dataset").duplicated_events == 0


def test_the_command_prints_what_it_read_dropped_and_wrote(ntuples, tmp_path):
    parameters = tmp_path / "p.yaml"
    parameters.write_text("postprocess: {policy: caloparticle, caloparticle: {supercluster_class: particle}}")
    bad = damaged(tmp_path / "bad.root")
    arguments = ["postprocess", *map(str, ntuples), str(bad), "--output", str(tmp_path / "dataset"), "-p", str(parameters), "--skip-bad", "--events", "5"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    for text in ("policy caloparticle", "3 of 4", "BREM", "found no free element", "skipped", "10 events"):
        assert text in result.output
    manifest = json.loads((tmp_path / "dataset" / "manifest.json").read_text())
    assert manifest["policy_options"]["supercluster_class"] == "particle"
    assert manifest["policy_options"]["type_order"][0] == "GSF"
