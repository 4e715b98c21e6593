import json

import numpy as np
import pytest

from mlpf.errors import ConfigError, DatasetError
from mlpf.io.files import sha256
from mlpf.io.shards import MANIFEST, Shard, ShardedDataset, write_manifest, write_parquet
from mlpf.samples.mixing.config import MixConfig, SourceConfig
from mlpf.samples.mixing.sources import common_columns, find_folders, open_sources


def source(*patterns, name="a"):
    return SourceConfig(name=name, type="t", datasets=tuple(map(str, patterns)))


def names(*patterns):
    return [folder.name for folder in find_folders(source(*patterns))]


@pytest.fixture
def folder(tmp_path):
    """Folders that look like datasets, and others."""
    for name in ("qcd_1", "qcd_2", "qcd_10", "deep/qcd_3", "tt", ".qcd_4.partial/new", "qcd_1/inside"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / MANIFEST).write_text("{}")
    (tmp_path / "qcd_5_is_no_dataset").mkdir()
    return tmp_path


def test_a_folder_is_found_by_its_path(folder):
    assert names(folder / "tt") == ["tt"]
    assert names(f"{folder}/./tt/") == ["tt"]


def test_a_glob_finds_datasets_sorted_and_nothing_else(folder):
    assert names(folder / "qcd_*") == ["qcd_1", "qcd_10", "qcd_2"]
    assert names(folder / "**" / "qcd_3") == ["qcd_3"]


def test_a_regular_expression_matches_whole_paths(folder):
    assert names(f"re:{folder}/qcd_[0-9]") == ["qcd_1", "qcd_2"]
    assert names(f"re:{folder}/.*qcd_\\d+") == ["qcd_3", "qcd_1", "qcd_10", "qcd_2"]  # neither hidden ones nor one in another


def test_a_regular_expression_may_be_relative(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert names("re:qcd_.") == ["qcd_1", "qcd_2"]
    assert names("re:deep/.*") == ["qcd_3"]
    assert names("re:./tt|./qcd_2") == ["qcd_2", "tt"]


def test_every_folder_is_found_once(folder, monkeypatch):
    (folder / "link").symlink_to(folder / "tt")
    assert names(folder / "tt", folder / "t*", folder / "link") == ["tt"]
    monkeypatch.chdir(folder)
    assert names(folder / "tt", "tt", "re:t+") == ["tt"]


@pytest.mark.parametrize("pattern", ["absent", "absent_*", "re:absent.*", "qcd_5*"])
def test_a_pattern_that_finds_nothing_is_an_error(folder, pattern, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=r"source 'a': '.*' finds no dataset"):
        find_folders(source("tt", pattern))


def test_two_sources_cannot_share_a_folder(write_shards):
    path = write_shards("a")
    with pytest.raises(ConfigError, match="belongs to the sources 'a' and 'b'"):
        open_sources([source(path), source(path, name="b")])


def test_a_folder_that_is_no_dataset_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty: not a dataset"):
        open_sources([source(tmp_path / "empty")])


def test_targets_of_different_policies_do_not_mix(write_shards):
    one, other = write_shards("a"), write_shards("b", policy="trackingparticle")
    with pytest.raises(DatasetError, match=r"b: its targets are not made as those of .*a \(policy differs; policies trackingparticle, caloparticle\)"):
        open_sources([source(one), source(other, name="b")])


def test_policies_of_different_options_do_not_mix(write_shards):
    one, other = write_shards("a"), write_shards("b")
    manifest = json.loads((other / MANIFEST).read_text())
    (other / MANIFEST).write_text(json.dumps({**manifest, "policy_options": {"split_radius": 0.3}}))
    with pytest.raises(DatasetError, match="policy_options differs"):
        open_sources([source(one, other)])


@pytest.fixture
def unequal(write_shards, tmp_path):
    """Two datasets, the second with one more column."""
    one = ShardedDataset(write_shards("a"))
    events = one.read()
    path = tmp_path / "b" / "shard.parquet"
    num_events, num_elements = write_parquet(path, [events.with_columns({"element_time": np.zeros(events.size("element"))})])
    write_manifest(path.parent, [Shard(path.name, num_events, num_elements, sha256(path))], {"policy": "caloparticle"})
    return [one, ShardedDataset(path.parent)]


def config_of(**options):
    return MixConfig(sources=(source("a"),), **options)


def test_a_column_that_only_some_have_is_an_error_that_names_it(unequal):
    with pytest.raises(DatasetError, match=r"a: no column 'element_time', which .*b has; add it to disabled_columns"):
        common_columns(unequal, config_of())
    assert "element_time" not in common_columns(unequal, config_of(disabled_columns=("element_time",)))


def test_columns_are_disabled_by_name_or_pattern_but_never_those_that_tell_events_apart(unequal):
    columns = common_columns(unequal[:1], config_of(disabled_columns=("candidate_*", "element_index", "*n*")))
    assert not any(name.startswith("candidate_") for name in columns)
    assert "element_index" not in columns
    assert {"event", "run", "lumi"} <= set(columns)


def test_a_column_to_disable_that_no_dataset_has_is_an_error(unequal):
    with pytest.raises(ConfigError, match="no dataset has a column 'elment_pt'; did you mean 'element_pt'"):
        common_columns(unequal[:1], config_of(disabled_columns=("elment_pt",)))
