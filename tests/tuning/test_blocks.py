"""The search for CLUE's parameters."""

import sys

import numpy as np
import pytest

from mlpf.classical.clue_blocks import ClueBlockParameters, clue_blocks
from mlpf.classical.elements import elements_of
from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.errors import MissingDependencyError
from mlpf.metrics.blocks import adjusted_rand_index, true_blocks
from mlpf.random_ntuple import random_events as random_ntuple
from mlpf.tuning.blocks import tune_clue


@pytest.fixture(scope="module")
def made():
    return rule_based_particle_flow(random_ntuple(np.random.default_rng(1), 10, 60))


def index_of(events, parameters):
    return np.nanmean(adjusted_rand_index(events.offsets["element"], true_blocks(events), clue_blocks(elements_of(events), parameters)))


def test_the_first_trial_is_the_default_and_more_trials_are_no_worse(made):
    parameters, index = tune_clue([made], 1)
    assert parameters == ClueBlockParameters()
    assert index == pytest.approx(index_of(made, parameters))
    parameters, best = tune_clue([made.slice(0, 4), made.slice(4, 10)], 12)
    assert best > index
    assert best == pytest.approx(index_of(made, parameters))


def test_equal_seeds_give_equal_parameters_and_every_trial_is_told(made):
    told = []
    assert tune_clue([made], 6, seed=3, on_trial=lambda: told.append(1)) == tune_clue([made], 6, seed=3)
    assert len(told) == 6


def test_without_optuna_the_error_says_what_to_install(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mlpf\[tune\]'"):
        tune_clue([made], 1)
