"""Links on any device against those of the compiled loops."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mlpf.classical import links as on_cpu
from mlpf.classical.elements import elements_of
from mlpf.classical.on_device.links import Links, find_links
from mlpf.io.ntuple import read_ntuple
from mlpf.random_ntuple import random_events as random_ntuple

SAMPLE = Path(__file__).parents[3] / "data" / "ttbar.root"
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def assert_same_links(elements, device):
    found, expected = find_links(elements, device), on_cpu.find_links(elements)
    assert all(values.device.type == device for values in found)
    np.testing.assert_array_equal(found.i.cpu(), expected.i)
    np.testing.assert_array_equal(found.j.cpu(), expected.j)
    np.testing.assert_allclose(found.distance.cpu(), expected.distance, rtol=0, atol=1e-6)
    return found


@pytest.mark.parametrize("device", DEVICES)
def test_links_of_random_events_are_those_of_the_loops(random_events, device):
    assert len(assert_same_links(elements_of(random_events), device).i) > 500


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("ties", [False, True])
def test_links_of_random_ntuples_with_and_without_ties_are_those_of_the_loops(device, ties):
    events = random_ntuple(np.random.default_rng(3), 20, 200, ties=ties)
    assert len(assert_same_links(elements_of(events), device).i) > 1000


@pytest.mark.parametrize("device", DEVICES)
def test_links_of_simulated_events_are_those_of_the_loops(device):
    assert len(assert_same_links(elements_of(read_ntuple(SAMPLE, stop=40)), device).i) > 1000


@pytest.mark.parametrize("device", DEVICES)
def test_no_events_and_empty_events_have_no_links(make_events, device):
    for events in (make_events(), make_events([], [])):
        assert [len(values) for values in find_links(elements_of(events), device)] == [0, 0, 0]


def test_links_are_integers_and_doubles(random_events):
    assert [values.dtype for values in find_links(elements_of(random_events))] == [torch.int64, torch.int64, torch.float64]
    assert Links._fields == on_cpu.Links._fields
