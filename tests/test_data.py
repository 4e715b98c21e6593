import json
from pathlib import Path

import numpy as np
import pytest

from mlpf import schema
from mlpf.config import load_parameters, parse_section
from mlpf.io.files import sha256
from mlpf.io.ntuple import Ntuple, read_ntuple

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def description():
    (entry,) = json.loads((ROOT / "data" / "manifest.json").read_text())["files"]
    return entry


@pytest.fixture(scope="module")
def sample(description):
    return read_ntuple(ROOT / "data" / description["file"])


def test_the_sample_is_the_one_that_the_manifest_describes(description, sample):
    path = ROOT / "data" / description["file"]
    assert sha256(path) == description["sha256"]
    assert path.stat().st_size == description["bytes"] < 10e6
    assert len(sample) == description["num_events"] >= 100
    assert {name: sample.size(name) for name in sample.offsets} == description["num_entries"]
    types = {name: int((sample["element_type"] == schema.ElementType[name]).sum()) for name in description["num_elements"]}
    assert types == description["num_elements"]


def test_the_sample_is_a_whole_ntuple_of_2026_with_links_inside_their_events(description, sample):
    with Ntuple(ROOT / "data" / description["file"]) as ntuple:
        assert (ntuple.version, ntuple.missing) == ("2026", ())
    sample.validate()
    assert not sample.non_finite(list(sample.columns))


def test_its_origin_makes_the_same_events_again(description, sample):
    pytest.importorskip("pythia8mc")
    from mlpf.simulation.config import SimulationConfig
    from mlpf.simulation.simulate import simulate

    words = description["origin"].split()
    parameters = ROOT / words[words.index("-p") + 1]
    config = parse_section(load_parameters(parameters), "simulation", SimulationConfig, parameters)
    (again,) = simulate(config, 2, int(words[words.index("--seed") + 1]))
    expected = sample.slice(0, 2)
    assert again.counts("element").tolist() == expected.counts("element").tolist()
    for name in ("element_energy", "element_phi", "caloparticle_to_element_cmp"):
        assert np.allclose(again[name], expected[name], rtol=1e-4, atol=1e-5), name
