"""The consumer's own reading of outputs, element by element, against this library's."""

import numpy as np
import pytest
from cmssw_mirror import produce, selected_rows
from hypothesis import given
from hypothesis import strategies as st
from toy_events import toy_events
from toy_graph import write_toy_model

from mlpf import schema
from mlpf.candidates import Outputs, make_candidates
from mlpf.producer import Producer, consumer_input
from mlpf.random_elements import random_elements
from mlpf.schema import FEATURE_INDEX, ElementType


def assert_same_candidates(found, event, expected, element_index):
    """Candidates of one event against the mirror's, in order and in number."""
    edges = found.offsets["mlpfcandidate"][event : event + 2]
    names = ("element", "pdgid", "charge", "pt", "eta", "phi", "energy")
    columns = {name: found[f"mlpfcandidate_{name}"][edges[0] : edges[1]] for name in names}
    assert len(columns["pt"]) == len(expected)
    assert columns["element"].tolist() == [element_index[c.element] for c in expected]
    for name in names[1:]:
        np.testing.assert_allclose(columns[name], [getattr(c, name) for c in expected], rtol=2e-5, atol=1e-5)


@given(st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_candidates_are_those_of_the_consumer(num_elements, seed):
    rng = np.random.default_rng(seed)
    features = random_elements(rng, num_elements)
    outputs = Outputs(*(rng.normal(size=(num_elements, width)).astype(np.float32) for width in (2, 9, 5)), rng.normal(size=num_elements))
    events = toy_events([num_elements], dropped_share=0.0)
    found = make_candidates(events, features, np.arange(num_elements), np.array([0, num_elements]), outputs)
    assert_same_candidates(found, 0, produce(features.tolist(), outputs.binary, outputs.pid, outputs.momentum, gsf_charge=True), np.arange(num_elements))


def test_gsf_electrons_alone_differ_from_the_consumer_and_only_in_charge():
    features = random_elements(np.random.default_rng(3), 500)
    outputs = Outputs(np.tile([0.0, 1.0], (500, 1)), np.eye(9)[np.full(500, 6)], np.zeros((500, 5)), np.zeros(500))  # class 6: electron
    found = make_candidates(toy_events([500]), features, np.arange(500), np.array([0, 500]), outputs)
    expected = produce(features.tolist(), outputs.binary, outputs.pid, outputs.momentum)
    different = [c.element for c, charge in zip(expected, found["mlpfcandidate_charge"], strict=True) if c.charge != charge]
    positive_gsf = (features[:, FEATURE_INDEX["type"]] == ElementType.GSF) & (features[:, FEATURE_INDEX["charge"]] > 0)
    assert different == np.flatnonzero(positive_gsf).tolist()
    assert different


@pytest.fixture(scope="module")
def producer(tmp_path_factory):
    return Producer(write_toy_model(tmp_path_factory.mktemp("model") / "toy.onnx"))


def test_the_producer_on_an_ntuple_gives_the_consumers_candidates(producer):
    events = toy_events([40, 0, 1, 120], seed=5)
    found = producer(events)
    assert len(found) == 4
    assert found.size("mlpfcandidate") > 20
    for event in range(4):
        one = events.slice(event, event + 1)
        index = selected_rows(one["element_type"].tolist())
        rows = as_array(one)[index]
        outputs = producer.run(rows)
        assert_same_candidates(found, event, produce(rows.tolist(), outputs.binary, outputs.pid, outputs.momentum, gsf_charge=True), index)


def as_array(events):
    """`ElementFeatures::as_array()`, from the ntuple's columns: names in the order of the C++ struct's array."""
    order = (
        "type pt eta sin_phi cos_phi energy layer depth charge trajpoint eta_ecal phi_ecal eta_hcal phi_hcal muon_dt_hits muon_csc_hits muon_type px py pz "
        "deltap sigmadeltap gsf_electronseed_trkorecal gsf_electronseed_dnn1 gsf_electronseed_dnn2 gsf_electronseed_dnn3 gsf_electronseed_dnn4 "
        "gsf_electronseed_dnn5 num_hits cluster_flags corr_energy corr_energy_err vx vy vz pterror etaerror phierror lambda lambdaerror theta thetaerror "
        "time timeerror etaerror1 etaerror2 etaerror3 etaerror4 phierror1 phierror2 phierror3 phierror4 sigma_x sigma_y sigma_z"
    ).split()
    phi = events["element_phi"]
    special = {"sin_phi": np.sin(phi), "cos_phi": np.cos(phi)}
    return np.stack([special[name] if name in special else events[f"element_{name}"] for name in order], axis=1).astype(np.float32)


def test_features_reach_the_model_in_the_consumers_order_and_selection():
    events = toy_events([30, 5], seed=8)
    rng = np.random.default_rng(0)
    names = [name for name in schema.NTUPLE.names("element") if name != "element_type"]
    events = events.with_columns({name: rng.integers(1, 100, events.size("element")) for name in names})  # no feature is 0 by chance
    selected = consumer_input(events)
    rows = selected_rows(events["element_type"].tolist())
    np.testing.assert_array_equal(selected.features, as_array(events)[rows])
    assert selected.features.shape[1] == 55
    assert (selected.features[:, :3] != 0).all()
    assert selected.offsets[1] == sum(row < 30 for row in rows)
    assert selected.element_index.tolist() == [row if row < 30 else row - 30 for row in rows]
