import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mlpf.errors import ConfigError, DatasetError, MlpfError
from mlpf.events import concatenate
from mlpf.io.shards import MANIFEST, ShardedDataset, write_parquet
from mlpf.samples.index import index_dataset
from mlpf.samples.mixing.config import MixConfig
from mlpf.samples.mixing.run import Part, mix_datasets

BINS = {"leading_jet_pt": [0, 12, 20, 1e6]}


@pytest.fixture
def samples(write_shards):
    """Folders of three samples: 65, 80 and 30 events."""
    return {
        "tt": write_shards("tt", (40, 25), seed=1),
        "qcd": write_shards("qcd", (80,), seed=2),
        "ztt": write_shards("ztt", (10, 20), seed=3, mean_elements=20.0),
    }


def config_of(samples, **options):
    sources = [{"name": name, "type": "tt" if name == "tt" else "jets", "datasets": [str(path)]} for name, path in samples.items()]
    return MixConfig.model_validate({"sources": sources, "bins": BINS, "events_per_shard": 32, **options})


def sample(name, path):
    return {"name": name, "type": "t", "datasets": [str(path)]}


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def original_of(samples, mixed):
    """The events of a mixture, looked up in the samples by source and number."""
    whole = {name: ShardedDataset(path).read() for name, path in samples.items()}
    events = []
    for source, number in zip(mixed["source"], mixed["event"], strict=True):
        sample = whole[list(samples)[source]]
        place = int(np.flatnonzero(sample["event"] == number)[0])
        events.append(sample.slice(place, place + 1))
    return concatenate(events)


def test_every_event_is_copied_whole_and_names_its_source(samples, tmp_path):
    report = mix_datasets(config_of(samples, max_bin_occupancy=20), tmp_path / "out")
    mixed = ShardedDataset(tmp_path / "out", verify=True).read()
    original = original_of(samples, mixed)
    assert mixed.columns.keys() == original.columns.keys() | {"source"}
    for name, values in original.columns.items():
        if name != "source":
            np.testing.assert_array_equal(mixed[name], values, name)
    assert len(mixed) == len(report.mixture.plan) == report.outputs[0].num_events
    np.testing.assert_array_equal(mixed["source"], report.mixture.plan.source)


def test_the_manifest_tells_what_was_mixed(samples, tmp_path):
    report = mix_datasets(config_of(samples, max_bin_occupancy=20), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["made_by"] == "mlpf mix"
    assert manifest["policy"] == "caloparticle"
    assert [(s["name"], s["type"], s["found"]) for s in manifest["sources"]] == [("tt", "tt", 65), ("qcd", "jets", 80), ("ztt", "jets", 30)]
    assert sum(s["num_events"] for s in manifest["sources"]) == manifest["num_events"] == len(report.mixture.plan)
    assert [len(s["datasets"][0]["fingerprint"]) for s in manifest["sources"]] == [16, 16, 16]
    for counted in manifest["bins"]:
        assert counted["quota"] == counted["written"]
        assert sum(counted["quota"].values()) == min(20, sum(counted["available"].values()))
    assert manifest["options"]["seed"] == 0


def test_weights_are_written_and_every_bin_sums_to_the_same(samples, tmp_path):
    mix_datasets(config_of(samples, calc_weights=True), tmp_path / "out")
    dataset = ShardedDataset(tmp_path / "out")
    weight, jet, source = dataset.read()["weight"], index_dataset(dataset).leading_jet_pt, dataset.read()["source"]
    cells = np.searchsorted(BINS["leading_jet_pt"], jet, side="right") + 3 * (source == 0)
    sums = np.array([weight[cells == cell].sum() for cell in np.unique(cells)])
    np.testing.assert_allclose(sums, len(weight) / 6, rtol=1e-4)


def test_the_bytes_do_not_depend_on_the_number_of_processes_or_the_run(samples, tmp_path):
    config = config_of(samples, calc_weights=True)
    made = []
    for run, jobs in enumerate((1, 1, 2, 3)):
        mix_datasets(config, tmp_path / f"out_{run}", jobs=jobs)
        made.append(content(tmp_path / f"out_{run}"))
    assert len(made[0]) == 175 // 32 + 2
    assert made[0] == made[1] == made[2] == made[3]


def test_parts_together_are_exactly_the_whole(samples, tmp_path):
    config = config_of(samples, calc_weights=True, max_bin_occupancy=40)
    mix_datasets(config, tmp_path / "whole")
    whole = content(tmp_path / "whole")
    parts = {}
    for i in range(3):
        mix_datasets(config, tmp_path / f"part_{i}", part=Part(i, 3))
        part = content(tmp_path / f"part_{i}")
        assert not {path for path in part if path.name != MANIFEST} & set(parts)
        parts |= part
    for made in (whole, parts):
        made.pop(next(path for path in made if path.name == MANIFEST))
    assert parts == whole


def test_parts_that_would_be_empty_are_an_error(samples, tmp_path):
    with pytest.raises(MlpfError, match=r"--n-jobs 9: .*out has only 6 shards to share"):
        mix_datasets(config_of(samples), tmp_path / "out", part=Part(0, 9))
    with pytest.raises(MlpfError, match="--job-index 2: of 2 jobs, expected 0 to 1"):
        Part(2, 2)


def test_per_entry_makes_a_dataset_of_every_source_in_the_order_of_the_mixture(samples, tmp_path):
    mix_datasets(config_of(samples, calc_weights=True), tmp_path / "all")
    mix_datasets(config_of(samples, calc_weights=True, mode="per_entry"), tmp_path / "each")
    together = ShardedDataset(tmp_path / "all").read()
    assert sorted(path.name for path in (tmp_path / "each").iterdir()) == ["qcd", "tt", "ztt"]
    for i, name in enumerate(samples):
        mine = ShardedDataset(tmp_path / "each" / name)
        expected = together.select(together["source"] == i)
        for column in ("event", "source", "weight", "element_pt"):
            np.testing.assert_array_equal(mine.read()[column], expected[column])
        assert [source["name"] for source in mine.manifest["sources"]] == list(samples)


def test_disabled_columns_are_absent(samples, tmp_path):
    mix_datasets(config_of(samples, disabled_columns=["candidate_*", "genmet_phi"]), tmp_path / "out")
    columns = ShardedDataset(tmp_path / "out").read().columns
    assert "genmet_pt" in columns
    assert not [name for name in columns if name.startswith("candidate_") or name == "genmet_phi"]


def test_a_mixture_can_be_mixed_again_with_new_weights(samples, tmp_path):
    mix_datasets(config_of(samples, calc_weights=True), tmp_path / "out")
    again = {"sources": [{"name": "mixture", "type": "m", "datasets": [str(tmp_path / "out")]}], "calc_weights": True}
    mix_datasets(MixConfig.model_validate(again), tmp_path / "again")
    assert set(ShardedDataset(tmp_path / "again").read()["weight"]) == {1.0}


def test_events_of_different_samples_of_a_mixture_are_not_taken_for_duplicates(tmp_path, write_shards):
    """Simulated samples count their events from 0 each."""
    samples = {name: write_shards(name, (30,), seed) for name, seed in (("a", 0), ("b", 1))}
    dataset = ShardedDataset(samples["b"])
    write_parquet(samples["b"] / "shard_00000.parquet", [dataset.read().with_columns({"event": np.arange(30)})])
    mix_datasets(MixConfig.model_validate({"sources": [sample(name, path) for name, path in samples.items()]}), tmp_path / "mixture")
    twice = MixConfig.model_validate({"sources": [sample("mixture", tmp_path / "mixture")]})
    report = mix_datasets(twice, tmp_path / "out")
    assert sorted(ShardedDataset(tmp_path / "out").read()["event"]) == sorted(2 * list(range(30)))
    assert report.mixture.counts[0].duplicates == 0
    both = MixConfig.model_validate({"sources": [{**sample("all", tmp_path / "mixture"), "datasets": [str(tmp_path / "mixture"), str(samples["a"])]}]})
    assert mix_datasets(both, tmp_path / "both").mixture.counts[0].duplicates == 30  # those are the same


def test_several_datasets_of_a_source_follow_each_other(tmp_path, write_shards):
    write_shards("qcd", (80,), seed=2)
    write_shards("qcd_more", (20,), seed=50)
    sources = [{"name": "qcd", "type": "t", "datasets": [str(tmp_path / "qcd*")]}]
    mix_datasets(MixConfig.model_validate({"sources": sources}), tmp_path / "out")
    expected = [*ShardedDataset(tmp_path / "qcd").read()["event"], *ShardedDataset(tmp_path / "qcd_more").read()["event"]]
    assert ShardedDataset(tmp_path / "out").read()["event"].tolist() == expected  # one stream


def test_an_output_that_is_there_is_replaced_only_if_asked_and_only_if_it_is_a_dataset(samples, tmp_path):
    config = config_of(samples)
    mix_datasets(config, tmp_path / "out")
    with pytest.raises(MlpfError, match="out: exists already; choose another output or pass --overwrite"):
        mix_datasets(config, tmp_path / "out")
    mix_datasets(config_of(samples, max_bin_occupancy=5), tmp_path / "out", overwrite=True)
    assert len(ShardedDataset(tmp_path / "out")) == 30
    (tmp_path / "mine").mkdir()
    with pytest.raises(MlpfError, match=f"mine: holds no {MANIFEST}"):
        mix_datasets(config, tmp_path / "mine", overwrite=True)
    (tmp_path / "link").symlink_to(samples["tt"])
    for name in ("tt", "link"):
        with pytest.raises(MlpfError, match=f"{name}: is one of the inputs"):
            mix_datasets(config, tmp_path / name, overwrite=True)
    mix_datasets(config, tmp_path / "out" / "inside")
    with pytest.raises(MlpfError, match="out: holds one of the inputs"):
        mix_datasets(config_of({"tt": tmp_path / "out" / "inside"}), tmp_path / "out", overwrite=True)


def test_a_damaged_shard_is_one_clear_error_and_leaves_nothing_under_the_final_name(samples, tmp_path):
    shard = samples["qcd"] / "shard_00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"qcd/shard_00000.parquet: not readable as Parquet"):
        mix_datasets(config_of(samples), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_values_that_are_damaged_are_found_when_they_are_read(samples, tmp_path):
    shard = samples["qcd"] / "shard_00000.parquet"
    config = config_of(samples)
    index_dataset(ShardedDataset(samples["qcd"]))  # known before the damage, which leaves size and time as they are
    status, damaged = shard.stat(), bytearray(shard.read_bytes())
    damaged[2000 : len(damaged) // 2] = bytes(len(damaged) // 2 - 2000)
    shard.write_bytes(damaged)
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DatasetError, match=r"shard_00000.parquet: damaged row group"):
        mix_datasets(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_is_one_clear_error(samples, tmp_path):
    with pytest.raises(ConfigError, match=r"source 'qcd': '.*absent' finds no dataset"):
        mix_datasets(config_of({**samples, "qcd": tmp_path / "absent"}), tmp_path / "out")


def test_an_interrupted_mixture_goes_on_where_it_was_with_the_same_bytes(samples, tmp_path):
    config = config_of(samples)
    mix_datasets(config, tmp_path / "expected")

    def stop_after_three(made, _total):
        if made == 96:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mix_datasets(config, tmp_path / "out", on_progress=stop_after_three)
    assert not (tmp_path / "out").exists()
    unfinished = tmp_path / ".out.partial" / "new"
    (unfinished / "shard_00001.parquet").write_bytes(b"damaged since")
    report = mix_datasets(config, tmp_path / "out")
    assert report.outputs[0].shards_found == 2
    assert content(tmp_path / "out") == content(tmp_path / "expected")
    assert not (tmp_path / ".out.partial").exists()


def test_datasets_of_several_sources_come_together_and_go_on_together(samples, tmp_path):
    config = config_of(samples, mode="per_entry")
    mix_datasets(config, tmp_path / "expected")

    def stop_in_the_last(made, _total):
        if made > 145:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mix_datasets(config, tmp_path / "out", on_progress=stop_in_the_last)
    assert not [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")]
    report = mix_datasets(config, tmp_path / "out")
    assert [output.shards_found for output in report.outputs] == [3, 3, 1]
    assert content(tmp_path / "out") == content(tmp_path / "expected")


def test_what_is_left_of_another_mixture_is_not_used(samples, tmp_path):
    def stop(made, _total):
        if made:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mix_datasets(config_of(samples), tmp_path / "out", on_progress=stop)
    other = config_of(samples, seed=1, events_per_shard=100)
    assert mix_datasets(other, tmp_path / "out").outputs[0].shards_found == 0
    mix_datasets(other, tmp_path / "expected")
    assert content(tmp_path / "out") == content(tmp_path / "expected")


def test_a_killed_command_goes_on_with_the_same_bytes(samples, tmp_path):
    config = config_of(samples, events_per_shard=4)
    (tmp_path / "mix.json").write_text(json.dumps({"mix": config.model_dump(mode="json")}))  # JSON is YAML
    words = [sys.executable, "-m", "mlpf.cli.main", "mix", "-p", str(tmp_path / "mix.json"), "--output", str(tmp_path / "out")]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        while not (tmp_path / ".out.partial" / "notes" / "shard_00002.json").exists():
            assert process.poll() is None, "it was too fast to be killed"
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    report = mix_datasets(config, tmp_path / "out")
    mix_datasets(config, tmp_path / "expected")
    assert 3 <= report.outputs[0].shards_found < report.outputs[0].num_shards
    assert content(tmp_path / "out") == content(tmp_path / "expected")


def test_an_input_that_changes_meanwhile_is_an_error(samples, tmp_path, write_shards):
    def change(made, _total):
        if made == 0:
            write_shards("qcd", (80,), seed=20)

    with pytest.raises(DatasetError, match="qcd: changed while it was in use"):
        mix_datasets(config_of(samples), tmp_path / "out", on_progress=change)


def test_progress_counts_all_outputs(samples, tmp_path):
    seen = []
    mix_datasets(config_of(samples, mode="per_entry"), tmp_path / "out", on_progress=lambda *counts: seen.append(counts))
    assert seen[0] == (0, 175)
    assert seen[-1] == (175, 175)
    assert [made for made, _ in seen] == sorted(made for made, _ in seen)
