import json

import pytest
import yaml

from mlpf.io.shards import ShardedDataset


@pytest.fixture
def parameters(tmp_path, write_dataset, random_dataset):
    """A parameter file that mixes two samples of 40 and 30 events, of which the second holds 10 twice."""
    from mlpf.events import concatenate

    tt, qcd = random_dataset(40, 30.0, 1), random_dataset(20, 30.0, 2)
    folders = [write_dataset(tt, "tt"), write_dataset(concatenate([qcd, qcd.slice(0, 10)]), "qcd")]
    sources = [{"name": folder.name, "type": folder.name, "datasets": [str(folder)]} for folder in folders]
    path = tmp_path / "mix.yaml"
    path.write_text(yaml.safe_dump({"mix": {"sources": sources, "max_bin_occupancy": 15}}))
    return path


def rows_of(out, name):
    """Cells of the rows of a printed table that begin with a name."""
    rows = ([cell.strip() for cell in line.strip("│ ").split("│")] for line in out.splitlines() if line.startswith("│"))
    return [row for row in rows if row[0] == name]


def test_mix_says_what_it_found_left_out_and_wrote(mlpf_cli, parameters, tmp_path):
    status, out, err = mlpf_cli("mix", "-p", parameters, "--output", tmp_path / "out", "mix.parity=even")
    assert status == 0, err
    tt, tt_bin = rows_of(out, "tt")
    qcd, qcd_bin = rows_of(out, "qcd")
    assert tt == ["tt", "tt", "40", "0", "20", "0", "20", "15"]
    assert qcd == ["qcd", "qcd", "30", "10", "10", "0", "10", "10"]
    assert (tt_bin, qcd_bin) == (["tt", "tt", "20", "15", "15"], ["qcd", "qcd", "10", "10", "10"])
    assert f"wrote {tmp_path / 'out'}: 25 events" in out
    assert "/s)" in out
    assert len(ShardedDataset(tmp_path / "out", verify=True)) == 25


def test_mix_replaces_a_dataset_only_if_asked(mlpf_cli, parameters, tmp_path):
    words = ("mix", "-p", parameters, "--output", tmp_path / "out")
    assert mlpf_cli(*words)[0] == 0
    status, _, err = mlpf_cli(*words)
    assert status == 1
    assert "exists already; choose another output or pass --overwrite" in err
    assert mlpf_cli(*words, "--overwrite", "mix.max_bin_occupancy=3")[0] == 0
    assert len(ShardedDataset(tmp_path / "out")) == 6


def test_parts_of_a_mixture_are_made_one_by_one(mlpf_cli, parameters, tmp_path):
    for index in range(2):
        words = ("--job-index", index, "--n-jobs", 2, "mix.events_per_shard=5")
        assert mlpf_cli("mix", "-p", parameters, "--output", tmp_path / f"part_{index}", *words)[0] == 0
    parts = [ShardedDataset(tmp_path / f"part_{index}") for index in range(2)]
    assert [len(part) for part in parts] == [15, 15]
    assert [json.loads((part.path / "manifest.json").read_text())["part"]["job_index"] for part in parts] == [0, 1]


def test_bins_without_events_are_counted(mlpf_cli, parameters, tmp_path):
    status, out, _ = mlpf_cli("mix", "-p", parameters, "--output", tmp_path / "out", "mix.bins.num_elements=[0,1000,2000]")
    assert status == 0
    assert "2 of 4 bins have no events" in out


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("mix.bins.jet_pt=[0,1]", "mix: bins.jet_pt"),
        ("mix.bins.num_elements=[5000,6000]", "source 'tt': no event is left (40 found, 0 duplicates, 0 of the other parity, 40 outside the bins)"),
        ("mix.disabled_columns=[element_pz]", "no dataset has a column 'element_pz'"),
        ("mix.sources=[{name: a, type: t, datasets: [absent]}]", "source 'a': 'absent' finds no dataset"),
        ("mix.seeed=1", "did you mean 'seed'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(mlpf_cli, parameters, tmp_path, override, problem):
    status, _, err = mlpf_cli("mix", "-p", parameters, "--output", tmp_path / "out", override)
    assert status == 1
    assert problem in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
