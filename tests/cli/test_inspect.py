import numpy as np
import pytest

from mlpf.io.ntuple import write_ntuple
from mlpf.postprocess import postprocess_files
from mlpf.random_ntuple import random_events


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


def test_a_bad_link_is_told_with_its_place(mlpf_cli, ntuple):
    events = random_events(np.random.default_rng(1), 6)
    second = events["caloparticle_to_element.second"].copy()
    second[0] = 10_000
    write_ntuple(ntuple, [events.with_columns({"caloparticle_to_element.second": second})])
    assert "caloparticle_to_element.second[0] = 10000 points outside" in mlpf_cli("inspect", ntuple)[1]


def test_a_dataset_tells_its_sources_and_classes(mlpf_cli, ntuple, tmp_path):
    postprocess_files([ntuple], tmp_path / "out")
    status, out, _ = mlpf_cli("inspect", tmp_path / "out", "--columns")
    assert status == 0
    for text in ("checksums agree", "charged_hadron", str(ntuple), '"policy": "caloparticle"', "target_jet_index"):
        assert text in out
