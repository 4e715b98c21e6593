import numpy as np
import pytest

from mlpf import schema
from mlpf.events import Events
from mlpf.io.ntuple import write_ntuple
from mlpf.io.shards import ShardedDataset, write_parquet
from mlpf.postprocess import postprocess_files
from mlpf.random_ntuple import random_events
from mlpf.samples.split import SplitConfig, split_index


@pytest.fixture
def ntuple(tmp_path):
    path = tmp_path / "[red]events.root"  # names are not markup
    write_ntuple(path, [random_events(np.random.default_rng(1), 6)])
    return path


def test_an_ntuple_is_named_counted_and_checked(mlpf_cli, ntuple):
    status, out, _ = mlpf_cli("inspect", ntuple)
    assert status == 0
    for text in (f"{ntuple}: PFAnalysis ntuple, version 2026", "6 events", "links and types: all inside their events", "that it lacks: none"):
        assert text in out


def test_an_unknown_element_type_is_counted_as_such(mlpf_cli, ntuple):
    events = random_events(np.random.default_rng(1), 6)
    types = events["element_type"].copy()
    types[:2], types[2:] = (-1, 99), 1
    write_ntuple(ntuple, [events.with_columns({"element_type": types})])
    assert f"elements by type: TRACK {len(types) - 2}, unknown 2\n" in mlpf_cli("inspect", ntuple)[1]


def test_columns_are_one_line_each_with_their_full_name(mlpf_cli, ntuple):
    lines = mlpf_cli("inspect", ntuple, "--columns")[1].splitlines()
    for name, column in schema.NTUPLE.columns.items():
        assert len([line for line in lines if line.split()[:1] == [name] and line.endswith(column.meaning)]) == 1


@pytest.mark.parametrize("suffix", [".root", ".parquet"])
def test_candidates_are_counted_in_both_formats(mlpf_cli, tmp_path, suffix):
    columns = {name: np.zeros(3 if schema.CANDIDATES.is_scalar(name) else 5) for name in schema.CANDIDATES.columns}
    candidates = Events(columns, {"mlpfcandidate": np.array([0, 2, 2, 5])}, 3, layout=schema.CANDIDATES)
    path = tmp_path / f"c{suffix}"
    if suffix == ".root":
        write_ntuple(path, [candidates], tree_path=schema.CANDIDATES_TREE)
    else:
        write_parquet(path, [candidates])
    status, out, err = mlpf_cli("inspect", path)
    assert status == 0, err
    assert f"{path}: candidates of mlpf" in out
    assert [row.split()[3:8:2] for row in out.splitlines() if "mlpfcandidate" in row] == [["5", "1.7", "9"]]


def test_a_bad_link_is_told_with_its_place(mlpf_cli, ntuple):
    events = random_events(np.random.default_rng(1), 6)
    second = events["caloparticle_to_element.second"].copy()
    second[0] = 10_000
    write_ntuple(ntuple, [events.with_columns({"caloparticle_to_element.second": second})])
    assert "caloparticle_to_element.second[0] = 10000 points outside" in mlpf_cli("inspect", ntuple)[1]


def test_a_dataset_tells_its_sources_and_classes(mlpf_cli, ntuple, tmp_path):
    postprocess_files([ntuple], tmp_path / "out")
    events = ShardedDataset(tmp_path / "out").read()
    status, out, _ = mlpf_cli("inspect", tmp_path / "out", "--columns")
    assert status == 0
    splits = np.bincount(split_index(events["run"], events["lumi"], events["event"], SplitConfig()), minlength=3)
    split_line = "train {}, validation {}, test {}".format(*splits)
    for text in ("checksums agree", "charged_hadron", str(ntuple), "policy: caloparticle", "target_jet_index", split_line):
        assert text in out
