import numpy as np
import pytest

from mlpf import schema
from mlpf.events import Events
from mlpf.metrics.systems import MEASURED, measured_positions, model, rule_based, system_titles, targets, without_pileup
from mlpf.schema import CandidateClass


def candidates(events, element_index, offsets, pdgid=22):
    n = len(element_index)
    columns = {
        "mlpfcandidate_pt": np.full(n, 3.0),
        "mlpfcandidate_element": element_index,
        "mlpfcandidate_pdgid": np.full(n, pdgid),
        **{name: np.zeros(n) for name in ("mlpfcandidate_eta", "mlpfcandidate_phi", "mlpfcandidate_energy", "mlpfcandidate_pileup")},
    }
    return Events(columns, {"mlpfcandidate": offsets}, len(events), layout=schema.CANDIDATES)


def test_targets_and_rule_based_candidates_are_elements_with_a_class(random_dataset):
    events = random_dataset(3)
    for particles, prefix in ((targets(events), "target"), (rule_based(events), "candidate")):
        chosen = events[f"{prefix}_class"] != 0
        assert np.array_equal(particles.element, np.flatnonzero(chosen))
        assert np.array_equal(particles.pt, events[f"{prefix}_pt"][chosen])
        assert np.cos(particles.phi) == pytest.approx(events[f"{prefix}_cos_phi"][chosen], abs=1e-6)
        assert particles.offsets[1] == np.count_nonzero(chosen[: events.offsets["element"][1]])


def test_candidates_find_their_element_even_where_elements_left_the_event():
    elements = Events(
        {"element_index": np.array([0, 4, 7, 2, 4])},  # preshower elements in between are gone
        {"element": np.array([0, 3, 5])},
        2,
        layout=schema.DATASET,
    )
    particles = model(candidates(elements, np.array([7, 0, 4]), np.array([0, 2, 3]), -211), elements)
    assert particles.element.tolist() == [2, 0, 4]
    assert set(particles.category) == {CandidateClass.CHARGED_HADRON}


def test_candidates_that_are_not_finite_are_left_out(random_dataset):
    events = random_dataset(1)
    found = candidates(events, np.arange(3), np.array([0, 3])).with_columns({"mlpfcandidate_pt": np.array([1.0, np.inf, np.nan])})
    assert model(found, events).element.tolist() == [0]


def test_no_candidates_and_no_elements_are_no_error():
    elements = Events({"element_index": np.zeros(0)}, {"element": np.zeros(2)}, 1, layout=schema.DATASET)
    assert len(model(candidates(elements, np.zeros(0), np.zeros(2)), elements).pt) == 0
    assert len(targets(elements).pt) == 0


def test_pileup_is_removed_by_its_probability(random_dataset):
    events = random_dataset(2)
    truth = targets(events)
    pileup = np.array([0.0, 0.5, 0.51, 1.0])[np.arange(len(truth.pt)) % 4]  # one half: of unknown origin
    hard = without_pileup(truth._replace(pileup=pileup))
    assert np.array_equal(hard.element, truth.element[pileup <= 0.5])
    assert hard.offsets[-1] == len(hard.pt)


def test_systems_have_one_order_and_say_what_they_are():
    titles = system_titles(["tiny", "window"])
    assert list(titles) == ["pf", "tiny", "window", "targets", "tiny_hard", "window_hard", "targets_hard"]
    assert (titles["pf"], titles["window"], titles["window_hard"]) == ("rule-based PF", "window", "window, pileup removed")


def test_classes_that_are_not_measured_have_no_position():
    assert measured_positions(np.array([*MEASURED.values()])).tolist() == list(range(len(MEASURED)))
    assert measured_positions(np.array([0, CandidateClass.TAU, -1, 3, 10**6])).tolist() == [-1] * 5
