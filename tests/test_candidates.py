import numpy as np
import pytest

from mlpf import schema
from mlpf.candidates import Outputs, candidate_class, charge_of_pdgid, compare_candidates, make_candidates, sigmoid, signed_pdgid
from mlpf.events import Events, concatenate
from mlpf.kinematics import PION_MASS
from mlpf.schema import CLASS_IDS, FEATURE_INDEX, CandidateClass, ElementType


def element(kind, **features):
    """One row of features; everything not given is 0, the direction is eta = 0.5, phi = 0."""
    row = np.zeros((1, schema.NUM_FEATURES), dtype=np.float32)
    for name, value in {"type": kind, "pt": 4.0, "energy": 5.0, "eta": 0.5, "cos_phi": 1.0, **features}.items():
        row[0, FEATURE_INDEX[name]] = value
    return row


def says(pid, momentum=(0.0, 0.0, 0.0, 1.0, 0.0), binary=(0.0, 1.0), pileup=0.0):
    """Outputs for one element: this class wins."""
    logits = np.array([[float(c == pid) for c in CLASS_IDS]], dtype=np.float32)
    return Outputs(np.array([binary], dtype=np.float32), logits, np.array([momentum], dtype=np.float32), np.array([pileup], dtype=np.float32))


def candidates(features, outputs, element_index=None, offsets=None):
    offsets = np.array([0, len(features)]) if offsets is None else np.asarray(offsets)
    index = np.arange(len(features)) if element_index is None else np.asarray(element_index)
    num_events = len(offsets) - 1
    events = Events({"event": np.arange(num_events) + 10, "run": np.ones(num_events), "lumi": np.full(num_events, 2)}, {}, num_events)
    return make_candidates(events, features, index, offsets, outputs)


def one(features, outputs):
    """The only candidate as a dictionary."""
    found = candidates(features, outputs)
    assert found.size("mlpfcandidate") == 1
    return {name.removeprefix("mlpfcandidate_"): found[name][0] for name in schema.CANDIDATES.names("mlpfcandidate")}


@pytest.mark.parametrize(("binary", "yields"), [((0.0, 1.0), True), ((1.0, 0.0), False), ((0.5, 0.5), False), ((np.nan, 1.0), False), ((0.0, np.nan), False)])
def test_the_binary_head_decides_strictly(binary, yields):
    assert candidates(element(ElementType.ECAL), says(22, binary=binary)).size("mlpfcandidate") == yields


def test_class_none_vetoes_whatever_the_element():
    for kind in ElementType:
        assert candidates(element(kind), says(0)).size("mlpfcandidate") == 0


def test_of_equal_class_logits_the_first_wins():
    outputs = says(22)
    outputs.pid[0, [CLASS_IDS.index(130), CLASS_IDS.index(22)]] = 1.0
    assert one(element(ElementType.ECAL), outputs)["pdgid"] == 130


@pytest.mark.parametrize("kind", [ElementType.ECAL, ElementType.HCAL, ElementType.GSF, ElementType.SC, ElementType.HO])
@pytest.mark.parametrize("pid", [211, 13])
def test_a_charged_hadron_or_muon_needs_a_track(kind, pid):
    assert one(element(kind), says(pid))["pdgid"] == 130


@pytest.mark.parametrize(
    ("features", "pid"),
    [({}, 211), ({"muon_type": 2}, -13), ({"muon_dt_hits": 12}, -13), ({"muon_csc_hits": 3}, -13)],
)
def test_a_muon_needs_a_reconstructed_muon(features, pid):
    assert one(element(ElementType.TRACK, charge=1, **features), says(13))["pdgid"] == pid


def test_a_tau_on_a_track_is_a_charged_hadron_and_elsewhere_of_no_type():
    assert one(element(ElementType.TRACK, charge=-1), says(15))["pdgid"] == -211
    elsewhere = one(element(ElementType.ECAL), says(15))
    assert (elsewhere["pdgid"], elsewhere["charge"]) == (0, 0)


@pytest.mark.parametrize("pid", [c for c in CLASS_IDS if c])
def test_in_the_forward_calorimeter_the_element_names_the_class(pid):
    assert one(element(ElementType.HFEM), says(pid))["pdgid"] == 2
    assert one(element(ElementType.HFHAD), says(pid))["pdgid"] == 1


def test_forward_classes_are_kept_on_other_elements():
    assert one(element(ElementType.HCAL), says(1))["pdgid"] == 1


@pytest.mark.parametrize(
    ("kind", "charge", "pid", "pdgid", "candidate_charge"),
    [
        (ElementType.TRACK, 1, 211, 211, 1),
        (ElementType.TRACK, -1, 211, -211, -1),
        (ElementType.TRACK, 1, 11, -11, 1),
        (ElementType.TRACK, -1, 11, 11, -1),
        (ElementType.GSF, 1, 11, -11, 1),
        (ElementType.GSF, -1, 11, 11, -1),
        (ElementType.ECAL, 0, 11, 11, -1),  # the consumer knows no neutral electron
        (ElementType.TRACK, 1, 22, 22, 0),
        (ElementType.TRACK, -1, 130, 130, 0),
    ],
)
def test_charge_comes_from_the_element_and_only_for_charged_classes(kind, charge, pid, pdgid, candidate_charge):
    found = one(element(kind, charge=charge), says(pid))
    assert (found["pdgid"], found["charge"]) == (pdgid, candidate_charge)


def test_pt_is_the_elements_times_the_exponential():
    assert one(element(ElementType.ECAL, pt=4.0), says(22, momentum=(np.log(1.5), 0, 0, 1, 0)))["pt"] == pytest.approx(6.0)


def test_a_cluster_goes_where_the_model_says_and_a_track_where_it_went():
    momentum = (0.0, -1.25, np.sin(2.0), np.cos(2.0), 0.0)
    cluster = one(element(ElementType.ECAL), says(22, momentum))
    assert (cluster["eta"], cluster["phi"]) == (pytest.approx(-1.25), pytest.approx(2.0))
    track = one(element(ElementType.TRACK, charge=1, eta=0.75, sin_phi=np.sin(-3.0), cos_phi=np.cos(-3.0)), says(211, momentum))
    assert (track["eta"], track["phi"]) == (pytest.approx(0.75), pytest.approx(-3.0))


def test_the_length_of_the_direction_does_not_matter():
    assert one(element(ElementType.ECAL), says(22, (0.0, 0.0, 0.2, 0.2, 0.0)))["phi"] == pytest.approx(np.pi / 4)


@pytest.mark.parametrize(("kind", "pid", "mass"), [(ElementType.TRACK, 211, PION_MASS), (ElementType.TRACK, 11, 0.0), (ElementType.HCAL, 130, 0.0)])
def test_energy_follows_from_pt_eta_and_mass_and_the_regressed_one_is_ignored(kind, pid, mass):
    found = one(element(kind, pt=0.5, eta=1.0, charge=1), says(pid, (0.0, 1.0, 0.0, 1.0, 7.0)))
    assert found["energy"] == pytest.approx(np.sqrt((0.5 * np.cosh(1.0)) ** 2 + mass**2), rel=1e-6)


def test_an_absurd_element_gives_an_absurd_candidate_without_a_warning():
    assert np.isinf(one(element(ElementType.ECAL, pt=1e38), says(22, (8.0, 0, 0, 1, 0)))["pt"])


def test_score_and_pileup_are_probabilities():
    found = one(element(ElementType.ECAL), says(22, binary=(-1.0, 1.0), pileup=np.log(3.0)))
    assert found["score"] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert found["pileup"] == pytest.approx(0.75)


def test_probabilities_are_those_of_the_candidates():
    outputs = says(22, binary=(-1.0, 1.0), pileup=np.log(3.0))
    found, probabilities = one(element(ElementType.ECAL), outputs), outputs.probabilities()
    assert probabilities.particle.tolist() == pytest.approx([found["score"]])
    assert probabilities.pileup.tolist() == pytest.approx([found["pileup"]])
    weights = [np.e if c == 22 else 1.0 for c in CLASS_IDS]
    assert probabilities.classes[0].tolist() == pytest.approx([weight / sum(weights) for weight in weights])


def test_probabilities_of_extreme_logits_are_0_and_1():
    logits = np.array([[-1e30, 3e4, 0, 0, 0, 0, 0, 0, 0]], dtype=np.float32)
    found = Outputs(np.array([[1e5, -1e5]], np.float32), logits, np.zeros((1, 5)), np.array([-1e5], np.float32)).probabilities()
    assert (found.particle.tolist(), found.pileup.tolist(), found.classes.tolist()) == ([0.0], [0.0], [[0, 1, 0, 0, 0, 0, 0, 0, 0]])
    assert Outputs(np.zeros((0, 2)), np.zeros((0, 9)), np.zeros((0, 5)), np.zeros(0)).probabilities().classes.shape == (0, 9)


def test_candidates_stay_in_their_events_with_their_elements():
    features = np.concatenate([element(ElementType.ECAL, pt=pt) for pt in (1.0, 2.0, 3.0, 4.0)])
    outputs = Outputs(*(np.concatenate([column] * 4) for column in says(22)))
    outputs.binary[1] = 1.0, 0.0
    found = candidates(features, outputs, element_index=[5, 6, 0, 9], offsets=[0, 2, 2, 4])
    assert found.offsets["mlpfcandidate"].tolist() == [0, 1, 1, 3]
    assert found["mlpfcandidate_element"].tolist() == [5, 0, 9]
    assert found["mlpfcandidate_pt"].tolist() == [1.0, 3.0, 4.0]
    assert (found["event"].tolist(), found["run"].tolist(), found["lumi"].tolist()) == ([10, 11, 12], [1, 1, 1], [2, 2, 2])


def test_no_elements_give_no_candidates():
    empty = Outputs(np.zeros((0, 2)), np.zeros((0, 9)), np.zeros((0, 5)), np.zeros(0))
    found = candidates(np.zeros((0, schema.NUM_FEATURES)), empty, offsets=[0, 0, 0])
    assert (len(found), found.size("mlpfcandidate")) == (2, 0)
    assert candidate_class(np.zeros((0, schema.NUM_FEATURES)), empty).shape == (0,)


def test_charge_and_pdgid_determine_each_other():
    pid = np.array([c for c in CLASS_IDS if c and c != CandidateClass.TAU])
    charged = np.isin(pid, schema.CHARGED_CLASSES)
    for sign in (-1, 1):
        charge = np.where(charged, sign, 0)
        pdgid = signed_pdgid(pid, charge)
        assert np.abs(pdgid).tolist() == pid.tolist()
        assert charge_of_pdgid(pdgid).tolist() == charge.tolist()


def test_sigmoid_of_extreme_logits_is_exact():
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]


def some_candidates(**changes):
    """Two events of three candidates."""
    columns = {
        "run": [1, 1],
        "lumi": [1, 1],
        "event": [7, 8],
        "mlpfcandidate_element": [0, 2, 1],
        "mlpfcandidate_pdgid": [211, 22, -13],
        "mlpfcandidate_pt": [1.0, 2.0, 3.0],
        "mlpfcandidate_phi": [3.14, 0.0, 1.0],
    }
    columns |= changes
    for column in schema.CANDIDATES.names("mlpfcandidate"):
        columns.setdefault(column, np.zeros(3))
    return Events(columns, {"mlpfcandidate": [0, 2, 3]}, 2, layout=schema.CANDIDATES)


def test_candidates_agree_with_themselves_in_any_order_of_events():
    a = some_candidates()
    b = concatenate([a.slice(1, 2), a.slice(0, 1)])
    comparison = compare_candidates(a, b)
    assert comparison == (2, 3, 0, 0, 0.0, 0.0)
    assert comparison.agree


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"mlpfcandidate_element": [0, 3, 2]}, "num_only_one", 4),
        ({"mlpfcandidate_pdgid": [211, 130, 13]}, "num_other_pdgid", 2),
        ({"mlpfcandidate_pt": [1.0, 2.0, 3.3]}, "max_relative_pt", 0.1),
        ({"mlpfcandidate_phi": [-3.14, 0.0, 1.0]}, "max_delta_r", 2 * np.pi - 6.28),
        ({"mlpfcandidate_eta": [0.0, 0.0, 0.1]}, "max_delta_r", 0.1),
    ],
)
def test_every_kind_of_difference_is_seen(changes, field, value):
    comparison = compare_candidates(some_candidates(), some_candidates(**changes))
    assert getattr(comparison, field) == pytest.approx(value, rel=1e-4)
    assert not comparison.agree
    assert "DIFFER" in str(comparison)


def test_candidates_of_other_events_do_not_agree():
    assert not compare_candidates(some_candidates(), some_candidates(event=[9, 10])).agree
