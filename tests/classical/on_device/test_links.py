"""Links on any device against those of the compiled loops."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mlpf.classical import links as on_cpu
from mlpf.classical.boxes import Boxes, Points
from mlpf.classical.elements import elements_of
from mlpf.classical.link_rules import Keep, Rule
from mlpf.classical.on_device.links import Links, _pairs, find_links
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


def test_the_nearest_is_the_same_where_square_roots_round_differently():
    """20 000 points, each between two boxes whose squared distances are 0 to 3 units in the last place apart; roots would disagree on a hundred."""
    rng, number = np.random.default_rng(0), 20_000
    v, domain, zeros = rng.uniform(0.001, 0.04, number), np.arange(number), np.zeros(number)
    u = np.sqrt(rng.integers(0, 4, number) * np.spacing(v * v))
    half = np.full(2 * number, 0.1)
    boxes = Boxes(number + np.arange(2 * number), np.repeat(domain, 2), np.stack([u, zeros], axis=1).ravel(), np.repeat(v, 2), half, half, 0.0 * half)
    rule = Rule(Points(domain, domain, zeros, zeros, zeros), boxes, number, keep=Keep.NEAREST)
    point, box, _ = on_cpu._pairs(rule, threads=1)
    point_here, box_here, _ = _pairs(rule, torch.device("cpu"))
    assert len(point) == number
    np.testing.assert_array_equal(box_here[point_here.argsort()], box[np.argsort(point)])


def test_links_are_integers_and_doubles(random_events):
    assert [values.dtype for values in find_links(elements_of(random_events))] == [torch.int64, torch.int64, torch.float64]
    assert Links._fields == on_cpu.Links._fields
