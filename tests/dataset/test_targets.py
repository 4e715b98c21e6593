import math

import numpy as np
import pytest

from mlpf import schema
from mlpf.dataset.targets import training_targets
from mlpf.events import Events
from mlpf.schema import CandidateClass, ElementType

TRUTH = {"class": 211, "pt": 3.0, "eta": 0.5, "sin_phi": 0.6, "cos_phi": 0.8, "energy": 4.0, "charge": 1, "ispu": 0.25, "jet_index": 2}


def event_of(*elements, without=()):
    """One event; each element is a HCAL cluster of pt 2 and energy 3 with the target `TRUTH`, but for what is given."""
    rows = [{"element_type": ElementType.HCAL, "element_pt": 2.0, "element_energy": 3.0} | {f"target_{k}": v for k, v in TRUTH.items()} | e for e in elements]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0] if name not in without}
    identity = {name: np.ones(1, dtype=np.uint64) for name in ("event", "run", "lumi")}
    return Events(identity | columns, {"element": np.array([0, len(rows)])}, 1, "made.parquet", layout=schema.DATASET)


def test_a_particle_has_class_ratios_direction_pileup_charge_and_jet():
    targets = training_targets(event_of({}))
    assert schema.CLASSES[targets.class_position[0]] == CandidateClass.CHARGED_HADRON
    assert targets.momentum[0].tolist() == pytest.approx([math.log(3.0 / 2.0), 0.5, 0.6, 0.8, math.log(4.0 / 3.0)])
    assert (targets.has_momentum[0], targets.pileup[0], targets.charge[0], targets.jet[0]) == (True, 0.25, 2, 3)


@pytest.mark.parametrize("element", [{"target_class": 0}, *({"element_type": kind} for kind in schema.NO_CANDIDATE_TYPES)])
def test_what_can_be_no_particle_has_no_target_at_all(element):
    targets = training_targets(event_of(element))
    assert targets.charge[0] == 1  # neutral
    assert not targets.has_momentum[0]
    assert not any(values[0].any() for values in (targets.class_position, targets.momentum, targets.pileup, targets.jet))


@pytest.mark.parametrize("name", ["element_pt", "element_energy", "target_pt", "target_energy"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_particle_whose_ratios_do_not_exist_is_one_without_momentum(name, value):
    targets = training_targets(event_of({name: value}, {}))
    assert targets.class_position.tolist() == [1, 1]
    assert targets.has_momentum.tolist() == [False, True]
    assert not targets.momentum[0].any()


@pytest.mark.parametrize(("ispu", "expected"), [(-0.1, 0.0), (0.0, 0.0), (0.3, 0.3), (1.0 + 1e-6, 1.0)])
def test_the_energy_fraction_of_pileup_lies_between_0_and_1(ispu, expected):
    assert training_targets(event_of({"target_ispu": ispu})).pileup.tolist() == pytest.approx([expected])


@pytest.mark.parametrize(("charge", "expected"), [(-2, 0), (-1, 0), (0, 1), (1, 2), (3, 2)])
def test_charges_are_counted_from_minus_one_and_larger_ones_are_of_one_sign(charge, expected):
    assert training_targets(event_of({"target_charge": charge})).charge.tolist() == [expected]


def test_events_without_elements_have_no_targets():
    assert {len(values) for values in training_targets(event_of({}).slice(0, 0))} == {0}


JETS = {
    "targetjet": [[(20.0, 0.0, 3.1), (10.0, 1.0, 0.0), (8.0, 3.0, 0.0), (5.0, -3.0, 0.0)], [(50.0, 0.0, 0.0)]],
    "genjet": [[(5.0, 1.12, 0.0), (12.0, 1.05, 0.0), (25.0, 0.05, -3.1), (30.0, 3.0, 0.0)], [(10.0, 0.1, 0.0), (60.0, 0.0, 0.0)]],
}


def events_with_jets(num_pileup=(0, 0), without=()):
    """Two events; elements belong to jets 1 to 4 and none of the first, and to the only one of the second."""
    events = event_of(*({"target_jet_index": jet} for jet in (0, 1, 2, 3, -1, 0)))
    columns = {name: values if len(values) > 1 else np.repeat(values, 2) for name, values in events.columns.items()}
    offsets = {"element": np.array([0, 5, 6])}
    for collection, jets in JETS.items():
        values = np.array([jet for event in jets for jet in event])
        columns |= {f"{collection}_{name}": values[:, i] for i, name in enumerate(("pt", "eta", "phi"))}
        offsets[collection] = np.cumsum([0, *map(len, jets)])
    columns["num_pileup"] = np.array(num_pileup)
    return Events({name: values for name, values in columns.items() if name not in without}, offsets, 2, "made.parquet", layout=schema.DATASET)


def test_a_jet_has_the_scale_of_the_nearest_generated_one():
    """25 / 20 across the boundary of phi; 12 / 10, the nearer of two; 30 / 8 is another jet's; none near the fourth; no jet; 60 / 50."""
    assert training_targets(events_with_jets()).jet_scale.tolist() == pytest.approx([1.25, 1.2, 1.0, 1.0, 1.0, 1.2])


def test_jets_with_pileup_and_datasets_without_generated_jets_have_no_scale():
    assert training_targets(events_with_jets(num_pileup=(60, 0))).jet_scale.tolist() == pytest.approx([1.0] * 5 + [1.2])
    assert training_targets(events_with_jets(without=("genjet_pt",))).jet_scale.tolist() == [1.0] * 6
