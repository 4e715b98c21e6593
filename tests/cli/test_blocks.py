import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mlpf.classical.clue_blocks import ClueBlockParameters
from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.cli.main import app
from mlpf.config import load_parameters, parse_section
from mlpf.io.ntuple import write_ntuple
from mlpf.random_ntuple import random_events


def invoke(*arguments):
    return CliRunner().invoke(app, ["blocks", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def ntuple(tmp_path_factory):
    path = tmp_path_factory.mktemp("blocks") / "ntuple.root"
    write_ntuple(path, [rule_based_particle_flow(random_events(np.random.default_rng(2), 12, 50))])
    return path


def test_contenders_are_compared_and_tuned_on_other_events(ntuple, tmp_path):
    result = invoke(ntuple, "--tune", 3, "--output", tmp_path / "blocks.json")
    assert result.exit_code == 0, result.output
    for text in ("12 events", "tuned CLUE on", "adjusted Rand index", "link rules", "precision 1.000", "wrote"):
        assert text in result.output
    numbers = json.loads((tmp_path / "blocks.json").read_text())
    assert list(numbers["contenders"]) == ["link rules", "CLUE", "CLUE tuned"]
    assert 0 < numbers["contenders"]["CLUE"]["num_predicted"]["n"] < 12
    tuned = parse_section(load_parameters(tmp_path / "blocks.yaml"), "clue", ClueBlockParameters)

    again = invoke(ntuple, "--clue-parameters", tmp_path / "blocks.yaml", "--tune", 3, "--output", tmp_path / "again.json")
    assert again.exit_code == 0, again.output
    assert parse_section(load_parameters(tmp_path / "again.yaml"), "clue", ClueBlockParameters) == tuned
    contenders = json.loads((tmp_path / "again.json").read_text())["contenders"]
    for name in ("adjusted_rand", "candidates_matched"):
        assert contenders["CLUE blocks"][name] == contenders["CLUE tuned"][name]


def test_five_columns_fit_into_a_terminal_of_80(ntuple, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "mine.yaml").write_text("clue: {hf_dc: 0.2}\n")
    result = invoke(ntuple, "--clue-parameters", tmp_path / "mine.yaml", "--tune", 1)
    rows = {line[:19].strip(): line[19:].split() for line in result.output.splitlines()}
    assert [len(rows[name]) for name in ("blocks per event", "largest block", "adjusted Rand index", "candidates matched", "ms to build")] == [
        5,
        5,
        4,
        4,
        4,
    ]
    assert "\u2026" not in result.output
    assert "nothing better than the default was found" in result.output


def test_one_event_has_numbers_without_errors(ntuple):
    result = invoke(ntuple, "--events", 3, "--truth", "particles")
    assert result.exit_code == 0, result.output
    assert "blocks by particles" in result.output
    assert "nan" not in invoke(ntuple, "--events", 2).output


def test_numbers_go_to_json_only(ntuple, tmp_path):
    result = invoke(ntuple, "--output", tmp_path / "blocks.yaml")
    assert result.exit_code == 2
    assert "the numbers go to a .json file" in " ".join(result.output.split())


def test_a_wrong_parameter_is_named(ntuple, tmp_path):
    (tmp_path / "wrong.yaml").write_text("clue: {ecal_d: 1}\n")
    result = invoke(ntuple, "--clue-parameters", tmp_path / "wrong.yaml")
    assert result.exit_code != 0
    assert "unknown key 'ecal_d'; did you mean 'ecal_dc'?" in str(result.exception)
