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
