"""Bad input at the command line: one clear line, a non-zero exit, nothing half-written."""

import numpy as np
import pytest

from mlpf.events import Events
from mlpf.io.ntuple import read_ntuple, write_ntuple
from mlpf.io.shards import ShardedDataset
from mlpf.random_ntuple import random_events


@pytest.fixture
def ntuple(tmp_path):
    path = tmp_path / "good.root"
    write_ntuple(path, [random_events(np.random.default_rng(1), 6)])
    return path


@pytest.fixture
def fails(mlpf_cli, tmp_path):
    """Run a command that must fail with one line, and leave no file that was not there before; returns the line."""

    def run(*words):
        before = set(tmp_path.rglob("*"))
        status, _, err = mlpf_cli(*words)
        assert status == 1
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert set(tmp_path.rglob("*")) == before
        return err

    return run


def change(path, out, **changes):
    events = read_ntuple(path)
    columns = {name: values for name, values in {**events.columns, **changes}.items() if values is not None}
    write_ntuple(out, [Events(columns, events.offsets, len(events))])
    return out


@pytest.mark.parametrize("command", ["postprocess", "classical", "inspect"])
def test_an_empty_file(fails, tmp_path, command):
    (tmp_path / "empty.root").touch()
    output = [] if command == "inspect" else ["--output", tmp_path / ("out.root" if command == "classical" else "out")]
    assert "empty.root: the file is empty (0 bytes)" in fails(command, tmp_path / "empty.root", *output)


@pytest.mark.parametrize("command", ["postprocess", "classical", "inspect"])
def test_a_truncated_file(fails, ntuple, tmp_path, command):
    ntuple.write_bytes(ntuple.read_bytes()[:5000])
    output = [] if command == "inspect" else ["--output", tmp_path / ("out.root" if command == "classical" else "out")]
    assert "good.root: truncated, 5000 bytes of" in fails(command, ntuple, *output)


@pytest.mark.parametrize("branch", ["element_energy", "caloparticle_to_element.second", "trackingparticle_to_element_cmp"])
def test_a_tree_without_a_needed_branch(fails, ntuple, tmp_path, branch):
    bad = change(ntuple, tmp_path / "bad.root", **{branch: None})
    error = fails("postprocess", bad, "--output", tmp_path / "out")
    assert "bad.root" in error
    assert branch in error


def test_non_finite_values_are_an_error_that_names_the_remedy_which_works(fails, mlpf_cli, ntuple, tmp_path):
    pt = read_ntuple(ntuple)["element_pt"]
    pt[3] = np.nan
    bad = change(ntuple, tmp_path / "bad.root", element_pt=pt)
    error = fails("postprocess", bad, "--output", tmp_path / "out")
    assert "element_pt: 1 non-finite values (first at entry 3); pass --nonfinite zero to replace them" in error
    assert mlpf_cli("postprocess", bad, "--output", tmp_path / "out", "--nonfinite", "zero")[0] == 0


def test_a_link_that_points_outside_its_event(fails, ntuple, tmp_path):
    second = read_ntuple(ntuple)["caloparticle_to_element.second"]
    second[0] = 10_000
    bad = change(ntuple, tmp_path / "bad.root", **{"caloparticle_to_element.second": second})
    assert "caloparticle_to_element.second[0] = 10000 points outside the event's elements" in fails("postprocess", bad, "--output", tmp_path / "out")


def test_an_event_without_elements_passes_through(mlpf_cli, ntuple, tmp_path):
    events = read_ntuple(ntuple)
    empty = Events({name: events[name][:0] if not events.layout.is_scalar(name) else events[name][:2] for name in events.columns},
                   {name: np.zeros(3) for name in events.offsets}, 2)  # fmt: skip
    write_ntuple(tmp_path / "empty.root", [events, empty])
    status, out, _ = mlpf_cli("postprocess", tmp_path / "empty.root", "--output", tmp_path / "out")
    assert status == 0
    dataset = ShardedDataset(tmp_path / "out", verify=True)
    assert len(dataset) == len(events) + 2
    assert dataset.read().counts("element")[-2:].tolist() == [0, 0]
    empty_events = int((dataset.read().counts("element") == 0).sum())
    assert f"({empty_events} without elements" in out


def test_a_misspelt_key_names_the_nearest(fails, tmp_path):
    (tmp_path / "p.yaml").write_text("model: {name: gravnet, num_neighbours: 5}\n")
    error = fails("train", "-p", tmp_path / "p.yaml", "--data", tmp_path / "none", "--output", tmp_path / "run")
    assert "p.yaml: model: unknown key 'num_neighbours'; did you mean 'num_neighbors'?" in error


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "-p", "none.yaml", "--output", "out.root"),
        ("train", "-p", "none.yaml", "--data", "none", "--output", "run"),
        ("evaluate", "none", "none", "--output", "out"),
        ("export", "none", "--output", "out.onnx", "--target", "cmssw"),
        ("produce", "none.onnx", "none.root", "--output", "out.root"),
        ("display", "none.root", "--event", "0", "--output", "out.png"),
        ("inspect", "none"),
        ("benchmark", "inference"),
    ],
)
def test_files_that_do_not_exist(fails, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    fails(*words)


def test_one_bad_file_among_good_ones_is_set_aside_only_when_told(fails, mlpf_cli, ntuple, tmp_path):
    write_ntuple(tmp_path / "other.root", [random_events(np.random.default_rng(2), 6)])
    (tmp_path / "bad.root").write_bytes(ntuple.read_bytes()[:5000])
    files = [ntuple, tmp_path / "bad.root", tmp_path / "other.root"]
    assert "bad.root" in fails("postprocess", *files, "--output", tmp_path / "out")
    status, out, err = mlpf_cli("postprocess", *files, "--output", tmp_path / "out", "--skip-bad")
    assert status == 0
    assert "bad.root" in out + err
    assert len(ShardedDataset(tmp_path / "out")) == 12
