"""Blocks by CLUE in torch against those in numba."""

import numpy as np
import pytest
import torch

from mlpf.classical import clue_blocks as on_cpu
from mlpf.classical.elements import elements_of
from mlpf.classical.on_device.clue_blocks import clue_blocks
from mlpf.random_ntuple import random_events as random_ntuple

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("parameters", [None, on_cpu.ClueBlockParameters(ecal_dc=0.05, ecal_rho_c=1.5, track_weight=0.5, outlier_factor=1.5)])
def test_blocks_of_random_events_are_those_of_the_loops(random_events, parameters, device):
    for events in (random_events, random_ntuple(np.random.default_rng(3), 20, 200, ties=True)):
        elements = elements_of(events)
        found, expected = clue_blocks(elements, parameters, device), on_cpu.clue_blocks(elements, parameters)
        assert found.device.type == device
        np.testing.assert_array_equal(found.cpu(), expected)
        assert len(np.unique(expected)) < len(expected)


@pytest.mark.parametrize("device", DEVICES)
def test_no_elements_are_no_blocks(make_events, device):
    for events in (make_events(), make_events([], [])):
        assert len(clue_blocks(elements_of(events), device=device)) == 0
