"""Whole files, and the command ``mlpf classical``."""

import numpy as np
import pytest
from typer.testing import CliRunner

from mlpf.classical.calibration import default_calibration
from mlpf.classical.calibration_fit import write_calibration
from mlpf.classical.comparison import Comparison
from mlpf.classical.files import reconstruct_file
from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.cli.main import app
from mlpf.errors import NtupleError
from mlpf.events import Events
from mlpf.io.ntuple import read_ntuple, write_ntuple
from mlpf.schema import CandidateClass


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
    assert "the ntuple's own candidates" in done.output


def test_a_calibration_of_the_users_own_changes_hadrons(ntuple, tmp_path):
    default = default_calibration()
    doubled = default._replace(**{name: 2 * getattr(default, name) for name in ("ecal", "hcal", "hcal_alone")})
    write_calibration(tmp_path / "mine.json", doubled, {"command": "a test"})
    for options in ([], ["--calibration", tmp_path / "mine.json"]):
        done = CliRunner().invoke(app, ["classical", str(ntuple), "--output", str(tmp_path / f"{len(options)}.root"), *map(str, options)])
        assert done.exit_code == 0, done.output
    energy = [read_ntuple(tmp_path / f"{number}.root")["pfcandidate_energy"].sum() for number in (0, 2)]
    assert energy[1] > 1.05 * energy[0]


def test_threads_change_nothing_in_a_file(ntuple, tmp_path):
    for threads in (1, 3):
        reconstruct_file(ntuple, tmp_path / f"{threads}.root", threads=threads)
    one, three = (read_ntuple(tmp_path / f"{threads}.root") for threads in (1, 3))
    for name in one.columns:
        np.testing.assert_array_equal(one[name], three[name], err_msg=name)


def candidates(*events):
    """Events from lists of (pdgid, pt, eta, phi)."""
    rows = np.array([row for event in events for row in event], dtype=float).reshape(-1, 4)
    columns = {f"pfcandidate_{name}": rows[:, k] for k, name in enumerate(("pdgid", "pt", "eta", "phi"))}
    return Events(columns, {"pfcandidate": np.cumsum([0, *map(len, events)])}, len(events))


def test_candidates_are_compared_within_their_class_and_event():
    given = candidates([(211, 10, 1.0, 3.14), (-211, 5, 0.0, 0.0), (22, 2, 0.0, 1.0)], [(130, 4, 0.0, 0.0)])
    found = candidates([(-211, 11, 1.0, -3.13), (22, 7, 0.0, 0.0), (22, 3, 0.03, 1.03)], [(22, 4, 0.0, 0.0)])
    comparison = Comparison()
    comparison.add(given, found)
    comparison.add(given, given)
    agreement = comparison.by_class()
    assert set(agreement) == {CandidateClass.CHARGED_HADRON, CandidateClass.PHOTON, CandidateClass.NEUTRAL_HADRON}
    charged, photon, neutral = (agreement[kind] for kind in (CandidateClass.CHARGED_HADRON, CandidateClass.PHOTON, CandidateClass.NEUTRAL_HADRON))
    assert (charged.num_given, charged.matched.value, charged.response.value) == (4, 0.75, 1.0)  # 1.1 across the seam of phi, then 1 and 1
    assert (photon.num_given, photon.matched.value, photon.response.value) == (2, 1.0, 1.25)  # 3 / 2 and 1
    assert (neutral.num_given, neutral.matched.value) == (2, 0.5)


def test_an_ntuple_without_candidates_of_its_own_is_not_compared(tmp_path, random_events):
    write_ntuple(tmp_path / "in.root", [random_events])
    assert reconstruct_file(tmp_path / "in.root", tmp_path / "out.root").comparison is None
