"""The consumer's own steps (`mlpf.export.consumer`), against its text, against this library, and on a golden event."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_events import toy_events
from toy_graph import write_toy_model

from mlpf import schema
from mlpf.candidates import Outputs, make_candidates
from mlpf.errors import ModelError
from mlpf.export.consumer import NUM_FEATURES, ConsumerSession, decode, selected_rows
from mlpf.io.ntuple import read_ntuple, write_ntuple
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
    assert_same_candidates(found, 0, decode(features.tolist(), outputs.binary, outputs.pid, outputs.momentum, gsf_charge=True), np.arange(num_elements))


def test_gsf_electrons_alone_differ_from_the_consumer_and_only_in_charge():
    features = random_elements(np.random.default_rng(3), 500)
    outputs = Outputs(np.tile([0.0, 1.0], (500, 1)), np.eye(9)[np.full(500, 6)], np.zeros((500, 5)), np.zeros(500))  # class 6: electron
    found = make_candidates(toy_events([500]), features, np.arange(500), np.array([0, 500]), outputs)
    expected = decode(features.tolist(), outputs.binary, outputs.pid, outputs.momentum)
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
        assert_same_candidates(found, event, decode(rows.tolist(), outputs.binary, outputs.pid, outputs.momentum, gsf_charge=True), index)


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


def test_features_reach_the_model_in_the_consumers_order_and_selection(tmp_path):
    events = toy_events([30, 5], seed=8)
    rng = np.random.default_rng(0)
    names = [name for name in schema.NTUPLE.names("element") if name != "element_type"]
    events = events.with_columns({name: rng.integers(1, 100, events.size("element")) for name in names})  # no feature is 0 by chance
    write_ntuple(tmp_path / "events.root", [events])
    selected = consumer_input(read_ntuple(tmp_path / "events.root"))
    rows = selected_rows(events["element_type"].tolist())
    np.testing.assert_array_equal(selected.features, as_array(events)[rows])
    assert selected.features.shape[1] == 55
    assert (selected.features[:, :3] != 0).all()
    assert selected.offsets[1] == sum(row < 30 for row in rows)
    assert selected.element_index.tolist() == [row if row < 30 else row - 30 for row in rows]


PT, ETA, PHI, CHARGE = 10.0, 1.5, 0.4, -1.0
UP = (0.0, 1.0)  # binary logits of a particle
P4 = (float(np.log(2.0)), -1.0, 0.0, -1.0, 5.0)  # twice the element's pt, eta -1, phi pi
CLASSES = (0, 211, 130, 1, 2, 22, 11, 13, 15)
KINDS = {"track": 1, "ecal": 4, "hcal": 5, "gsf": 6, "hfem": 8, "hfhad": 9, "sc": 10}


def row_of(kind, **features):
    """Features of an element of -1 e, 10 GeV, in direction (1.5, 0.4)."""
    row = [0.0] * NUM_FEATURES
    given = {"type": KINDS[kind], "pt": PT, "eta": ETA, "sin_phi": np.sin(PHI), "cos_phi": np.cos(PHI), "charge": CHARGE, **features}
    for name, value in given.items():
        row[FEATURE_INDEX[name]] = float(value)
    return row


def decoded_one(kind, pid, binary=UP, p4=P4, **features):
    """The candidate of one element that the class head takes for ``pid`` and whose pt the model doubles; its direction: eta -1, phi pi."""
    logits = [float(c == pid) for c in CLASSES]
    return decode([row_of(kind, **features)], [binary], [logits], [p4])


# type of element, class -> pdgId and charge: section 1.5 of the contract, line by line
RULES = {
    ("track", 211): (-211, -1),
    ("track", 13): (-211, -1),  # without a muon
    ("track", 15): (-211, -1),
    ("track", 11): (11, -1),
    ("track", 22): (22, 0),
    ("ecal", 211): (130, 0),
    ("hcal", 13): (130, 0),
    ("ecal", 22): (22, 0),
    ("gsf", 11): (11, -1),
    ("sc", 11): (11, -1),
    ("ecal", 15): (0, 0),  # type X
    ("hfem", 130): (2, 0),
    ("hfem", 211): (2, 0),
    ("hfhad", 22): (1, 0),
    ("hcal", 1): (1, 0),  # the class head may name what is not forced
}


@pytest.mark.parametrize(("kind", "pid"), RULES)
def test_type_and_charge_are_corrected_by_the_element(kind, pid):
    (candidate,) = decoded_one(kind, pid)
    assert (candidate.pdgid, candidate.charge) == RULES[kind, pid]


def test_muons_need_a_muon_and_positive_charges_flip_the_sign():
    assert decoded_one("track", 13, muon_type=14)[0].pdgid == 13
    assert [decoded_one("track", pid, charge=1, muon_type=14)[0].pdgid for pid in (13, 11, 211)] == [-13, -11, 211]
    assert decoded_one("gsf", 11, charge=1)[0].pdgid == 11  # negative whatever the element says


def test_momenta_follow_the_element_and_the_track_keeps_its_direction():
    (photon,) = decoded_one("ecal", 22)
    assert (photon.pt, photon.eta) == pytest.approx((20.0, -1.0))
    assert abs(photon.phi) == pytest.approx(np.pi)
    assert photon.energy == pytest.approx(20.0 * np.cosh(1.0))  # not what the model says of the energy
    (pion,) = decoded_one("track", 211)
    assert (pion.pt, pion.eta, pion.phi) == pytest.approx((20.0, ETA, PHI))
    assert pion.energy == pytest.approx(np.hypot(20.0 * np.cosh(ETA), 0.13957))


def test_the_binary_head_decides_strictly_and_class_none_vetoes():
    assert not decoded_one("ecal", 22, binary=(1.0, 1.0))
    assert not decoded_one("ecal", 22, binary=(0.0, np.nan))
    assert not decoded_one("ecal", 0)
    assert decode([row_of("ecal")], [UP], [[0.0] * 9], [(0.0,) * 5]) == []  # all equal: the first entry wins


def test_what_overflows_is_infinite_as_in_the_consumer():
    (candidate,) = decoded_one("ecal", 22, p4=(800.0, 900.0, 0.0, 1.0, 0.0))
    assert candidate.pt == candidate.energy == np.inf


GOLDEN = Path(__file__).with_name("golden_event.json")


def test_the_golden_event_still_gives_its_candidates():
    golden = json.loads(GOLDEN.read_text())
    found = decode(golden["features"], golden["binary"], golden["pid"], golden["momentum"])
    assert [[c.element, c.pdgid, c.charge] for c in found] == [candidate[:3] for candidate in golden["candidates"]]
    np.testing.assert_allclose([c[3:] for c in found], [candidate[3:] for candidate in golden["candidates"]], rtol=1e-6)
    assert {kind for kind, *_ in golden["features"]} >= set(map(float, KINDS.values()))
    assert {abs(pdgid) for _, pdgid, *_ in golden["candidates"]} == {0, 1, 2, 11, 13, 22, 130, 211}


def test_the_golden_event_gives_the_same_in_this_library_but_for_gsf_charges():
    golden = json.loads(GOLDEN.read_text())
    features, binary, pid, momentum = (np.array(golden[name], dtype=np.float32) for name in ("features", "binary", "pid", "momentum"))
    n = len(features)
    found = make_candidates(toy_events([n]), features, np.arange(n), np.array([0, n]), Outputs(binary, pid, momentum, np.zeros(n)))
    columns = zip(*(found[f"mlpfcandidate_{name}"].tolist() for name in ("element", "pdgid", "charge", "pt", "eta", "phi", "energy")), strict=True)
    for ours, theirs in zip(columns, golden["candidates"], strict=True):
        is_gsf_electron = features[theirs[0], 0] == ElementType.GSF and theirs[1] == 11
        assert [*map(abs, ours[:3])] == [*map(abs, theirs[:3])]
        assert list(ours[1:3]) == theirs[1:3] or is_gsf_electron
        np.testing.assert_allclose(ours[3:], theirs[3:], rtol=2e-5, atol=1e-6)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return ConsumerSession(write_toy_model(tmp_path_factory.mktemp("session") / "toy.onnx"))


def feed(features):
    n = len(features)
    shapes = {"Xfeat_normed": (1, n, NUM_FEATURES), "mask": (1, n)}
    return {"Xfeat_normed": features.ravel(), "mask": np.ones(n, dtype=np.float32)}, shapes


@pytest.mark.parametrize("num_elements", [0, 1, 33])
def test_outputs_come_flat_and_in_the_order_of_the_graph(session, producer, num_elements):
    features = random_elements(np.random.default_rng(1), num_elements)
    found, expected = session.run_into(*feed(features)), producer.run(features)
    assert [len(output) for output in found] == [num_elements * width for width in (2, 9, 5, 1)]
    for output, values in zip(found, expected, strict=True):
        np.testing.assert_array_equal(output, values.ravel())


def test_a_missing_input_and_a_wrong_size_are_refused_in_the_consumers_words(session):
    values, shapes = feed(random_elements(np.random.default_rng(1), 5))
    with pytest.raises(ModelError, match="Input mask is not provided!"):
        session.run_into({"Xfeat_normed": values["Xfeat_normed"]}, shapes)
    with pytest.raises(ModelError, match="Input array mask has a wrong size of 5, expected 6"):
        session.run_into(values, {**shapes, "mask": (1, 6)})


STATIC = [("elements, 2] bid", "7, 2] bid"), ("elements, 9] id", "7, 9] id"), ("elements, 5] momentum", "7, 5] momentum"), ("elements, 1] pu", "7, 1] pu")]


def test_outputs_of_a_declared_length_are_written_into_buffers_of_it(session, tmp_path):
    static = ConsumerSession(write_toy_model(tmp_path / "static.onnx", STATIC))
    features = random_elements(np.random.default_rng(2), 12)
    for a, b in zip(static.run_into(*feed(features[:7])), session.run_into(*feed(features[:7])), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(Exception, match=r"(?i)shape"):  # ONNX Runtime's own error: the buffer is for 7
        static.run_into(*feed(features))
    one_free = ConsumerSession(write_toy_model(tmp_path / "free.onnx", STATIC[:3]))  # then ONNX Runtime allocates all
    assert [len(output) for output in one_free.run_into(*feed(features))] == [24, 108, 60, 12]
    with pytest.raises(ModelError, match="Output bid has invalid inferred size 0"):
        ConsumerSession(write_toy_model(tmp_path / "none.onnx", [(old, new.replace("7", "0")) for old, new in STATIC])).run_into(*feed(features[:0]))


def test_scalar_undeclared_and_other_outputs_than_float_are_refused_at_loading(tmp_path):
    as_scalar = [
        ("float[batch, elements, 1] pu", "float pu"),
        ("pu = MatMul(clean, w_pileup)", "all = MatMul(clean, w_pileup) pu = ReduceMax<keepdims = 0>(all)"),
    ]
    with pytest.raises(ModelError, match="output pu is a scalar"):
        ConsumerSession(write_toy_model(tmp_path / "scalar.onnx", as_scalar))
    as_integer = [("float[batch, elements, 1] pu", "int64[batch, elements, 1] pu"), ("pu = MatMul(clean, w_pileup)", "pu = Cast<to = 7>(type)")]
    with pytest.raises(ModelError, match=r"output pu is tensor\(int64\)"):
        ConsumerSession(write_toy_model(tmp_path / "integer.onnx", as_integer))


def test_an_output_of_another_size_than_the_loop_reads_is_refused(tmp_path):
    narrow = [
        ("elements, 5] momentum", "elements, 4] momentum"),
        ("momentum = Tanh(p4)", "all = Tanh(p4) four = Constant<value_ints = [0, 1, 2, 3]>() momentum = Gather<axis = 2>(all, four)"),
    ]
    with pytest.raises(ModelError, match="output 2 has 24 values for 6 elements"):
        ConsumerSession(write_toy_model(tmp_path / "narrow.onnx", narrow)).produce(random_elements(np.random.default_rng(3), 6))


def test_the_session_decodes_what_it_runs(session, producer):
    features = random_elements(np.random.default_rng(4), 200)
    outputs = producer.run(features)
    found = session.produce(features)
    assert found == decode(features.tolist(), outputs.binary.tolist(), outputs.pid.tolist(), outputs.momentum.tolist())
    assert len(found) > 20
