import pytest
from toy_events import write_toy_inputs
from toy_graph import write_toy_model

from mlpf.io.candidates import read_candidates


@pytest.fixture
def folder(tmp_path):
    """A toy model and two ntuples."""
    write_toy_model(tmp_path / "toy.onnx")
    write_toy_inputs(tmp_path)
    return tmp_path


def test_it_says_what_it_read_dropped_and_wrote(mlpf_cli, folder):
    output = folder / "out.parquet"
    status, out, _ = mlpf_cli("produce", folder / "toy.onnx", folder / "a.root", folder / "b.root", "--output", output, "--events", 5)
    assert status == 0
    found = read_candidates(output)
    assert found["event"].tolist() == [100, 101, 102, 103, 7]
    assert f"{folder / 'a.root'}: 4 events, version 2020\n" in out
    assert f"{folder / 'b.root'}: 1 events, version 2020, read as 0: element_muon_type\n" in out
    assert "read 5 events (1 without usable elements)" in out
    assert "elements that the consumer never sees (PS1, PS2, BREM)" in out
    assert "ms per event, 95 % below" in out
    assert "on cpu, 1 thread\n" in out
    assert "5 made in" in out
    assert f"wrote {found.size('mlpfcandidate')} candidates of 5 events to {output}\n" in out


def test_the_shares_of_several_processes_are_told(mlpf_cli, folder):
    status, out, _ = mlpf_cli("produce", folder / "toy.onnx", folder / "a.root", folder / "b.root", "-o", folder / "out.root", "-j", 2)
    assert status == 0
    shares = [int(line.split(":")[1].split()[0]) for line in out.splitlines() if line.startswith("worker ")]
    assert sum(shares) in (0, 6)  # one of them may have done it all: then there is nothing to tell apart
    assert "6 made in" in out


def test_what_is_bad_is_listed(mlpf_cli, folder):
    (folder / "bad.root").write_bytes((folder / "a.root").read_bytes()[:2000])
    words = ["produce", folder / "toy.onnx", folder / "bad.root", folder / "a.root", "--output", folder / "out.root"]
    status, _, err = mlpf_cli(*words)
    assert (status, err.count("\n")) == (1, 1)
    assert "bad.root: truncated" in err
    assert "--skip-bad" in err
    assert not (folder / "out.root").exists()
    status, out, _ = mlpf_cli(*words, "--skip-bad")
    assert status == 0
    assert f"left out: {folder / 'bad.root'}: truncated" in out
    assert f"1 files left out, 0 events failed: listed in {folder / 'out.root.skipped.txt'}" in out
    assert "read 4 events" in out


def test_an_input_that_is_there_twice_is_told(mlpf_cli, folder):
    (folder / "copy.root").write_bytes((folder / "a.root").read_bytes())
    words = ["produce", folder / "toy.onnx", folder / "a.root", folder / "b.root", folder / "copy.root", "--output", folder / "out.root"]
    status, out, _ = mlpf_cli(*words)
    assert status == 0
    assert out.count("the same events as") == 1
    assert f"{folder / 'copy.root'}: 4 events, version 2020\nthe same events as {folder / 'a.root'}: they will be there twice\n" in out
    assert read_candidates(folder / "out.root")["event"].tolist() == [100, 101, 102, 103, 7, 8, 100, 101, 102, 103]
