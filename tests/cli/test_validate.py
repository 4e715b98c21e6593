import json

import numpy as np
import pytest


@pytest.fixture
def dataset(random_dataset, write_dataset):
    """300 events, the first and second half of different pt if asked for."""

    def make(scale: float = 1.0):
        events = random_dataset(300, 30.0)
        second = np.repeat(np.arange(300) >= 150, events.counts("element"))
        return write_dataset(events.with_columns({"element_pt": events["element_pt"] * np.where(second, scale, 1.0)}))

    return make


def test_a_well_mixed_dataset_passes_with_a_table_a_document_and_figures(dataset, tmp_path, mlpf_cli):
    status, out, err = mlpf_cli("validate", dataset(), "--output", tmp_path / "report", "--chunks", 4, "--strict")
    assert status == 0, err
    content = json.loads((tmp_path / "report" / "validation.json").read_text())
    assert content["summary"]["passed"]
    assert len(content["parts"]) == 4
    assert "read 300 events of 4 chunks" in out
    assert f"p-values below 0.05 ({0.05 * len(content['tests']):.0f} expected by chance)" in out
    assert "passed:" in out
    assert "Bonferroni" in out
    assert {path.name for path in (tmp_path / "report").iterdir()} >= {"validation.json", "p_values.png", "matrix.png", "worst_1.png"}


def test_a_sorted_dataset_fails_and_only_strictly_with_a_status(dataset, tmp_path, mlpf_cli):
    folder = dataset(2.0)
    status, out, _ = mlpf_cli("validate", folder, "--output", tmp_path / "loose", "--chunks", 2)
    assert status == 0
    assert "failed:" in out
    assert "pt in " in out.splitlines()[-1]
    status, _, err = mlpf_cli("validate", folder, "--output", tmp_path / "strict", "--chunks", 2, "--strict")
    assert status == 1
    assert "Bonferroni" in err
    assert not json.loads((tmp_path / "strict" / "validation.json").read_text())["summary"]["passed"]  # written all the same


def test_parameter_file_overrides_and_options_are_taken_in_this_order(dataset, tmp_path, mlpf_cli):
    parameters = tmp_path / "validate.yaml"
    parameters.write_text("validation: {chunks: 3, threshold: 0.2, min_events: 40, variables: [type], inside: [eta]}")
    words = ("validate", dataset(), "validation.threshold=0.1", "validation.min_events=30", "-p", parameters, "--threshold", 0.01, "--reference", "first")
    status, _, err = mlpf_cli(*words, "--output", tmp_path / "report")
    assert status == 0, err
    content = json.loads((tmp_path / "report" / "validation.json").read_text())
    assert {key: content["parameters"][key] for key in ("chunks", "threshold", "min_events", "reference")} == {
        "chunks": 3,
        "threshold": 0.01,
        "min_events": 30,
        "reference": "first",
    }
    assert {test["quantity"] for test in content["tests"]} == {"type", "eta"}
    assert content["compared_with"] == "chunk 0"


def test_one_shard_alone_is_an_error_and_nothing_is_left_behind(dataset, tmp_path, mlpf_cli):
    folder = dataset()
    status, _, err = mlpf_cli("validate", folder, "--output", tmp_path / "report")
    assert status == 1
    assert "--chunks 10" in err
    assert {path.name for path in tmp_path.iterdir()} == {"dataset"}


def test_an_earlier_validation_is_replaced_only_if_asked_for(dataset, tmp_path, mlpf_cli):
    folder, words = dataset(), ("--chunks", 2, "--output", tmp_path / "report")
    assert mlpf_cli("validate", folder, *words)[0] == 0
    status, _, err = mlpf_cli("validate", folder, *words)
    assert (status, "exists already" in err) == (1, True)
    assert mlpf_cli("validate", folder, *words, "--overwrite")[0] == 0
    status, _, err = mlpf_cli("validate", folder, "--chunks", 2, "--output", folder, "--overwrite")
    assert (status, "holds no validation.json" in err) == (1, True)


def test_what_was_left_out_is_said(random_dataset, write_dataset, tmp_path, mlpf_cli):
    events = random_dataset(100, 8.0)
    pt = events["element_pt"].copy()
    pt[7] = np.nan
    columns = {name: events[name] for name in ("event", "element_type", "element_eta")} | {"element_pt": pt}
    events = type(events)(columns, {"element": events.offsets["element"]}, 100, layout=events.layout)
    status, out, err = mlpf_cli("validate", write_dataset(events), "--output", tmp_path / "report", "--chunks", 2)
    assert status == 0, err
    assert "class was not compared: the dataset has no targets" in out
    assert "element_pt: 1 values are not finite" in out
    assert "tests, too few events" in out
