import copy
from typing import NamedTuple

import numpy as np
import pytest
import torch

from mlpf.candidates import Outputs
from mlpf.export.consumer import Candidate
from mlpf.export.decisions import certain, compare, library_candidates
from mlpf.export.exporter import ConsumerModule
from mlpf.export.parity import check_parity, check_same_candidates
from mlpf.random_elements import random_elements


class Changed(NamedTuple):
    module: ConsumerModule
    bias: torch.Tensor  # of the last layer: binary, class, momentum, pileup


@pytest.fixture
def changed(toy_model):
    """A copy of the model that was exported, to be spoilt."""
    model = copy.deepcopy(toy_model).eval()
    return Changed(ConsumerModule(model), model.layers[-1].bias.data)


def test_a_file_agrees_with_the_module_it_was_made_from(changed, exported_toy, few_events):
    numbers, candidates = (check(changed.module, exported_toy.path, few_events) for check in (check_parity, check_same_candidates))
    assert numbers.passed, numbers.problem
    assert "sizes up to 1500" in numbers.measured
    assert candidates.passed, candidates.problem
    assert "of 1043 elements on the edge of a decision" in candidates.measured


@pytest.mark.parametrize(("position", "name"), [(1, "binary"), (2 + 5, "class"), (2 + 9 + 1, "momentum"), (16, "pileup")])
def test_any_output_that_differs_is_found(position, name, changed, exported_toy, few_events):  # noqa: ARG001
    changed.bias[position] += 0.02
    assert "allowed 0.001" in check_parity(changed.module, exported_toy.path, few_events).problem


def test_other_decisions_and_other_momenta_are_found_as_other_candidates(changed, exported_toy, few_events):
    changed.bias[1] += 0.5
    assert "have another candidate" in check_same_candidates(changed.module, exported_toy.path, few_events).problem
    changed.bias[1] -= 0.5
    changed.bias[2 + 9] += 0.01
    assert "momenta differ by" in check_same_candidates(changed.module, exported_toy.path, few_events).problem


def test_large_events_are_compared_too(changed, exported_toy):
    """They are the library's own where none are given."""
    check = check_parity(changed.module, exported_toy.path)
    assert check.passed
    assert "up to 12000" in check.measured


def outputs_of(rows):
    """Binary logits and class logits (the first of nine) by hand."""
    binary, pid = (np.array([row[i] for row in rows], dtype=np.float32) for i in (0, 1))
    return Outputs(binary, np.pad(pid, ((0, 0), (0, 9 - pid.shape[1])), constant_values=-50.0), np.zeros((len(rows), 5)), np.zeros(len(rows)))


def test_a_decision_is_certain_only_beyond_the_tolerance_of_both_its_sides():
    rows = [
        ([0.0, 0.5], [0.0, 3.0]),
        ([0.0, 0.001], [0.0, 3.0]),  # particle or not
        ([0.5, 0.0], [3.0, 2.999]),  # which class
        ([1000.0, 1001.5], [0.0, 3.0]),  # large logits are less sure
        ([1000.0, 1003.0], [0.0, 3.0]),
    ]
    assert certain(outputs_of(rows), 1e-3).tolist() == [True, False, False, False, True]


def test_candidates_are_compared_element_by_element():
    features = random_elements(np.random.default_rng(1), 30)
    expected = library_candidates(features, outputs_of([([0.0, 1.0], [0.0, 0.0, 1.0])] * 30))
    columns = [expected[f"mlpfcandidate_{name}"].tolist() for name in ("element", "pdgid", "charge", "pt", "eta", "phi", "energy")]
    found = [Candidate(*values) for values in zip(*columns, strict=True)]
    everywhere = np.ones(30, dtype=bool)
    assert compare(found, expected, everywhere) == (0, 0.0)
    turned = found[3]._replace(phi=found[3].phi + 2 * np.pi)
    assert compare([*found[:3], turned, *found[4:]], expected, everywhere) == (0, pytest.approx(0.0, abs=1e-9))
    shifted = found[3]._replace(eta=found[3].eta + 0.5)
    assert compare([*found[:3], shifted, *found[4:]], expected, everywhere) == (0, pytest.approx(0.5 / max(1.0, abs(found[3].eta))))
    assert compare([*found[:3], found[3]._replace(pt=np.nan), *found[4:]], expected, everywhere) == (0, np.inf)
    spoilt = [found[0]._replace(pdgid=22), found[1]._replace(charge=1), *found[3:]]  # another kind, another charge, one missing
    assert compare(spoilt, expected, everywhere)[0] == 3
    assert compare(spoilt, expected, np.arange(30) > 2) == (0, 0.0)
