import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mlpf.cli.main import app
from mlpf.config import load_parameters, parse_section
from mlpf.errors import ConfigError
from mlpf.io.ntuple import read_ntuple
from mlpf.simulation.config import SimulationConfig


def invoke(*arguments):
    return CliRunner().invoke(app, ["simulate", *(str(argument) for argument in arguments)])


def test_a_gun_is_simulated_written_and_counted(repository, tmp_path):
    output = tmp_path / "gun.root"
    parameters = repository / "parameters/simulate_gun.yaml"
    result = invoke("-p", parameters, "--events", 5, "--seed", 3, "--output", output, "simulation.gun.particle=gamma", "simulation.gun.number=4")
    assert result.exit_code == 0, result.output
    assert "5 events of gun" in result.output
    assert "ECAL" in result.output
    events = read_ntuple(output)
    assert (events["gen_pdgid"] == 22).all()
    assert events.size("gen") == 20


def test_jobs_that_share_a_sample_make_the_same_events(repository, tmp_path):
    parameters = repository / "parameters/simulate_gun.yaml"
    invoke("-p", parameters, "--events", 4, "--output", tmp_path / "all.root")
    invoke("-p", parameters, "--events", 2, "--first-event", 2, "--output", tmp_path / "second.root")
    whole, second = read_ntuple(tmp_path / "all.root"), read_ntuple(tmp_path / "second.root")
    assert second["event"].tolist() == [2, 3]
    assert (whole.slice(2, 4)["element_pt"] == second["element_pt"]).all()


def assert_same_events(first, second):
    first, second = read_ntuple(first), read_ntuple(second)
    for name in first.columns:
        assert np.array_equal(first[name], second[name]), name


def test_events_do_not_depend_on_the_number_of_processes(repository, tmp_path):
    gun = ("-p", repository / "parameters/simulate_gun.yaml", "--events", 7, "--first-event", 2)
    for jobs in (1, 3):
        result = invoke(*gun, "--jobs", jobs, "--output", tmp_path / f"{jobs}.root", "simulation.events_per_chunk=2")
        assert result.exit_code == 0, result.output
    assert_same_events(tmp_path / "1.root", tmp_path / "3.root")


def test_pileup_from_a_shared_pool_is_that_of_one_process(tmp_path, monkeypatch):
    pytest.importorskip("pythia8mc")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    pileup = ("--events", 3, "simulation.process=gun", "simulation.pileup={mean: 4, pool_size: 100}")
    for jobs in (1, 2):
        result = invoke(*pileup, "--jobs", jobs, "--output", tmp_path / f"{jobs}.root")
        assert result.exit_code == 0, result.output
    assert_same_events(tmp_path / "1.root", tmp_path / "2.root")
    assert list(temporary.iterdir()) == []


def test_filters_leave_only_events_that_pass_and_their_efficiency_is_printed(tmp_path):
    filters = "simulation.filters=[{abs_pdgid: [22], min_abs_eta: 3.0, min_number: 2}]"
    gun = ("simulation.process=gun", "simulation.gun={particle: gamma, number: 2}")
    result = invoke("--events", 6, "--output", tmp_path / "a.root", *gun, filters)
    assert result.exit_code == 0, result.output
    assert np.abs(read_ntuple(tmp_path / "a.root")["gen_eta"]).min() > 3.0
    passed, generated = (int(word) for word in result.output.split("filters: ")[1].split(" generated")[0].split(" of "))
    assert passed == 6
    assert 12 < generated < 120  # 16 % pass


def test_an_impossible_filter_is_one_line_from_any_process(mlpf_cli, tmp_path):
    filters = ("simulation.process=gun", "simulation.filters=[{abs_pdgid: [13]}]", "simulation.max_attempts=5")
    for jobs in (1, 2):
        status, _, error = mlpf_cli("simulate", "--events", 4, "--jobs", jobs, "--output", tmp_path / "a.root", *filters)
        assert status == 1
        assert error.count("\n") == 1
        assert "none of 5 attempts passed the filters; filters.0" in error
    assert list(tmp_path.iterdir()) == []


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks processes up in /proc")
def test_an_interrupt_leaves_no_file_and_no_process_behind(tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = ["simulate", "--events", "100000", "--jobs", "2", "--output", str(tmp_path / "a.root"), "simulation.process=gun"]
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from mlpf.cli.main import main; main()"
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True, env=environment)
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    deadline = time.monotonic() + 60
    while len(children.read_text().split()) < 3 and time.monotonic() < deadline:  # two workers, and multiprocessing's resource tracker
        time.sleep(0.1)
    workers = [int(process) for process in children.read_text().split()]
    assert len(workers) == 3
    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "stopped; nothing half-written" in errors
    assert [path.name for path in tmp_path.rglob("*")] == ["temporary"]
    deadline = time.monotonic() + 30  # a worker that was starting ends once it has started
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_running, workers))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("simulation.pileup={}", "simulation: pileup: Value error, give either mean or both min_number and max_number"),
        ("simulation.pileup.mena=60", "unknown key 'pileup.mena'; did you mean 'mean'?"),
        ("simulation.filters=[{min_ptt: 3}]", "unknown key 'filters.0.min_ptt'; did you mean 'min_pt'?"),
        ("simulation.filters=[{min_number: 0}]", "filters.0: Value error, min_number 0 without max_number passes every event"),
        ("simulation.gun.particle=[pi, tauu]", "simulation: gun.particle"),
    ],
)
def test_settings_of_pileup_filters_and_guns_are_checked(tmp_path, override, message):
    result = invoke("--output", tmp_path / "x.root", override)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_without_a_parameter_file_the_defaults_hold():
    assert parse_section(load_parameters(None, ["simulation.min_pt_hat=7"]), "simulation", SimulationConfig) == SimulationConfig(min_pt_hat=7)


def test_the_parameter_files_are_valid(repository):
    ttbar = repository / "parameters/simulate_ttbar.yaml"
    assert parse_section(load_parameters(ttbar), "simulation", SimulationConfig, ttbar) == SimulationConfig()


def test_a_wrong_process_leaves_nothing_behind(tmp_path):
    result = invoke("--output", tmp_path / "x.root", "simulation.process=tbar")
    assert isinstance(result.exception, ConfigError)
    assert "process" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("--events", -1), ("--seed", -1)])
def test_negative_numbers_are_refused(tmp_path, arguments):
    assert invoke("--output", tmp_path / "x.root", *arguments).exit_code == 2
