import base64
import json
import re

import numpy as np
import pytest

from mlpf import schema
from mlpf.events import Events
from mlpf.jets import cluster_jets
from mlpf.plotting.display.event import make_display
from mlpf.plotting.display.page import page_data, write_page
from mlpf.plotting.event_files import Predicted
from mlpf.testing import random_events


def decode(given):
    return np.frombuffer(base64.b64decode(given["bdata"]), dtype=given["dtype"])


def data_of(path):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', path.read_text(), re.DOTALL)[1])


@pytest.fixture(scope="module")
def event(random_dataset):
    event = random_dataset(1, 80)
    edges = {"edge_source": [0, 1, 2], "edge_target": [1, 2, 3], "edge_distance": [0.1, 0.2, 0.3], "edge_kind": [1, 2, 5]}
    return event.with_columns({name: np.array(values) for name, values in edges.items()}, {"edge": np.array([0, 3])})


@pytest.fixture
def page(event, make_candidates, tmp_path):
    predictions = {"tiny": make_candidates(event, np.arange(5)), "<b>": make_candidates(event, np.arange(9), 0.5)}
    display = make_display(event, {name: Predicted(values, tmp_path / "c.root") for name, values in predictions.items()})
    write_page(display, tmp_path / "event.html", "a</script><b>.root: event 0", 1.5)
    return data_of(tmp_path / "event.html")


def test_the_numbers_of_the_page_are_those_of_the_file(event, page):
    columns = page["objects"]["element"]["columns"]
    for name in ("type", "pt", "eta", "phi", "energy", "charge", "layer", "depth", "index"):
        assert np.array_equal(decode(columns[name]), event[f"element_{name}"]), name
    for prefix, key in (("target", "truth"), ("candidate", "pf")):
        own = event[f"{prefix}_class"] != 0
        for name in ("pt", "eta", "energy", "charge"):
            assert np.array_equal(decode(page["objects"][key]["columns"][name]), event[f"{prefix}_{name}"][own]), (prefix, name)
    hard = np.sort(event["genjet_pt"][event["genjet_pt"] >= 20])[::-1]
    assert np.array_equal(decode(page["objects"]["genjet"]["columns"]["pt"]), hard)
    assert np.array_equal(decode(page["objects"]["model_1"]["columns"]["pt"]), np.float32(0.5 * event["element_pt"][:9]))
    assert (page["source"], page["min_pt"]) == ("a</script><b>.root: event 0", 1.5)


def test_every_object_is_in_one_layer(event, page):
    rows = np.concatenate([decode(layer["rows"]) for layer in page["layers"] if layer["objects"] == "element"])
    assert sorted(rows.tolist()) == list(range(event.size("element")))
    looks = [(layer["look"]["color"], layer["look"]["symbol"]) for layer in page["layers"] if layer["look"]["shape"] != "cone"]
    assert len({symbol for _, symbol in looks}) == len(looks)  # no difference hangs on colour alone


def test_links_name_the_pairs(event, page):
    links = {kind["title"]: kind for kind in page["links"]}
    assert list(links) == ["element – target", "element – rule-based PF", "PF links", "graph edges", "element – tiny", "element – <b>"]
    assert decode(links["element – target"]["first"]).tolist() == np.flatnonzero(event["target_class"]).tolist()
    assert decode(links["PF links"]["first"]).tolist() == [0, 2]
    assert decode(links["graph edges"]["weight"]) == pytest.approx([0.2])


def test_the_table_says_what_the_systems_say(event, page):
    facts = {fact["title"]: fact for fact in page["facts"]}
    assert list(facts) == ["generator", "targets", "rule-based PF", "tiny", "<b>"]
    own = event["target_class"] != 0
    pt, energy = event["target_pt"][own], event["target_energy"][own]
    phi = np.arctan2(event["target_sin_phi"][own], event["target_cos_phi"][own])
    assert facts["targets"]["sum_pt"] == pytest.approx(pt.sum(), rel=1e-5)
    assert facts["targets"]["met"] == pytest.approx(np.hypot((pt * np.cos(phi)).sum(), (pt * np.sin(phi)).sum()), rel=1e-4)
    assert facts["generator"]["met"] == pytest.approx(event["genmet_pt"][0])  # those of the same targets
    assert facts["targets"]["met_phi"] == pytest.approx(event["genmet_phi"][0], abs=1e-3)
    jets = cluster_jets(pt, event["target_eta"][own], phi, energy, np.array([0, len(pt)]))
    assert facts["targets"]["num_jets"] == (jets.pt >= 20).sum() == facts["generator"]["num_jets"]
    assert facts["generator"]["number"] is None


def test_generated_jets_that_are_not_finite_are_not_counted(event):
    pt = event["genjet_pt"].copy()
    pt[:3] = np.inf, np.nan, 1e30
    generated = page_data(make_display(event.with_columns({"genjet_pt": pt}), {}), "a")["facts"][0]
    assert generated["num_jets"] == (pt[2:] >= 20).sum()
    assert generated["jet_pt"][0] == np.float32(1e30)


def test_values_that_are_not_finite_leave_sums_and_jets_alone(event, make_candidates, tmp_path):
    pt = make_candidates(event, np.arange(5))["mlpfcandidate_pt"].copy()
    pt[2] = np.nan
    broken = make_candidates(event, np.arange(5)).with_columns({"mlpfcandidate_pt": pt})
    display = make_display(event, {"tiny": Predicted(broken, tmp_path / "c.root")})
    data = page_data(display, "a")
    assert data["num_undrawn"] == {"tiny": 1}
    assert data["facts"][-1]["sum_pt"] == pytest.approx(np.nansum(pt), rel=1e-6)
    json.dumps(data, allow_nan=False)


def test_candidates_alone_make_a_page(event, make_candidates, tmp_path):
    candidates = make_candidates(event, np.arange(5))
    write_page(make_display(candidates, {"tiny": Predicted(candidates, tmp_path / "c.root")}), tmp_path / "a.html", "c.root")
    page = data_of(tmp_path / "a.html")
    assert list(page["objects"]) == ["model_0"]
    assert [layer["title"] for layer in page["layers"]] == ["tiny"]
    assert page["links"] == []


@pytest.mark.parametrize("layout", [schema.NTUPLE, schema.DATASET])
def test_an_event_of_nothing_makes_a_page(layout, tmp_path):
    nothing = Events({"event": [1], "run": [1], "lumi": [1]}, {}, 1, layout=layout)
    write_page(make_display(nothing, {}), tmp_path / "a.html", "a")
    page = data_of(tmp_path / "a.html")
    assert page["layers"] == []
    assert [(fact["number"], fact["met"], fact["met_phi"]) for fact in page["facts"][1:]] == [(0, 0.0, None)] * 2


def test_an_ntuple_with_everything_makes_a_page(tmp_path):
    event = random_events(np.random.default_rng(2), 1, 100)
    write_page(make_display(event, {}), tmp_path / "a.html", "a")
    page = data_of(tmp_path / "a.html")
    assert {"TRACK", "GSF", "ECAL", "HCAL", "HO", "HFEM", "HFHAD", "SC", "BREM", "PS", "truth", "pf"} <= {layer["key"] for layer in page["layers"]}
    pairs = next(kind for kind in page["links"] if kind["title"] == "PF links")
    assert np.array_equal(decode(pairs["first"]), event["element_distance_i"])


def test_the_page_asks_for_nothing_outside(event, tmp_path):
    write_page(make_display(event, {}), tmp_path / "a.html", "a")
    text = tmp_path.joinpath("a.html").read_text()
    assert "{{" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"<(?:script|img|link)[^>]*(?:src|href)=", re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
