"""Whole files, and the command ``mlpf classical``."""

import numpy as np
import pytest
from typer.testing import CliRunner

from mlpf.classical.files import reconstruct_file
from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.cli.main import app
from mlpf.errors import NtupleError
from mlpf.io.ntuple import read_ntuple, write_ntuple


@pytest.fixture
def ntuple(tmp_path, random_events):
    """A file with candidates of another kind that must go, and a column that must stay."""
    number = len(random_events)
    other = {"event": np.arange(number) + 100, "pfcandidate_pt": np.ones(number), "pfcandidate_pdgid": np.full(number, 22)}
    path = tmp_path / "in.root"
    write_ntuple(path, [random_events.with_columns(other, {"pfcandidate": np.arange(number + 1)})])
    return path


def test_a_file_keeps_its_columns_and_gets_new_candidates(ntuple, tmp_path):
    done = []
    report = reconstruct_file(ntuple, tmp_path / "out.root", on_events=done.append)
    written, read = read_ntuple(tmp_path / "out.root"), read_ntuple(ntuple)
    expected = rule_based_particle_flow(read)
    assert written.columns.keys() == expected.columns.keys()
    for name, values in expected.columns.items():
        np.testing.assert_array_equal(written[name], values, err_msg=name)
    np.testing.assert_array_equal(written["event"], read["event"])
    assert report.num_candidates.total() == written.size("pfcandidate") > 100
    assert (report.num_events, sum(done)) == (len(read), len(read))


def test_a_file_without_events_gives_a_file_without_events(tmp_path, make_events):
    write_ntuple(tmp_path / "in.root", [make_events()])
    assert reconstruct_file(tmp_path / "in.root", tmp_path / "out.root").num_events == 0
    assert "pfcandidate_pt" in read_ntuple(tmp_path / "out.root")


def test_non_finite_momenta_stop_the_file_or_are_zeroed_and_counted(tmp_path, random_events):
    broken = random_events.with_columns({"element_eta": np.where(np.arange(random_events.size("element")) == 5, np.nan, random_events["element_eta"])})
    write_ntuple(tmp_path / "in.root", [broken])
    with pytest.raises(NtupleError, match="element_eta: 1 non-finite values"):
        reconstruct_file(tmp_path / "in.root", tmp_path / "out.root")
    assert not (tmp_path / "out.root").exists()
    assert reconstruct_file(tmp_path / "in.root", tmp_path / "out.root", nonfinite="zero").num_repaired == 1


def test_the_command_says_what_it_made(ntuple, tmp_path):
    done = CliRunner().invoke(app, ["classical", str(ntuple), "--output", str(tmp_path / "out.root")])
    assert done.exit_code == 0, done.output
    number = read_ntuple(tmp_path / "out.root").size("pfcandidate")
    assert f"wrote {number} candidates" in done.output
    assert "charged_hadron" in done.output
    assert "ms per event" in done.output
