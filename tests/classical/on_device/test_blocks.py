"""Blocks on any device against union-find, and how many rounds they take."""

import math

import numpy as np
import pytest
import torch

from mlpf.classical import blocks as on_cpu
from mlpf.classical import links as links_on_cpu
from mlpf.classical.elements import elements_of
from mlpf.classical.on_device.blocks import connected_components, find_blocks
from mlpf.classical.on_device.links import find_links

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def components_and_rounds(pairs, num_elements, device="cpu"):
    """Checked against union-find."""
    i, j = torch.tensor(np.asarray(pairs).reshape(-1, 2).T.copy(), dtype=torch.int64, device=device)
    block, rounds = connected_components(i, j, num_elements)
    expected = on_cpu.find_blocks(links_on_cpu.Links(i.cpu().numpy(), j.cpu().numpy(), np.zeros(len(i))), num_elements)
    np.testing.assert_array_equal(block.cpu(), expected)
    assert rounds <= 2 * math.log2(max(num_elements, 1)) + 1
    return block, rounds


@pytest.mark.parametrize("device", DEVICES)
def test_blocks_of_random_events_are_those_of_union_find(random_events, device):
    elements = elements_of(random_events)
    found = find_blocks(find_links(elements, device), len(elements.type))
    assert found.device.type == device
    np.testing.assert_array_equal(found.cpu(), on_cpu.find_blocks(links_on_cpu.find_links(elements), len(elements.type)))


@pytest.mark.parametrize("device", DEVICES)
def test_components_of_random_graphs_are_those_of_union_find(device):
    rng = np.random.default_rng(4)
    for num_elements in (1, 2, 50, 3000):
        for density in (0.2, 0.5, 0.8, 2.0):
            components_and_rounds(rng.integers(0, num_elements, (int(density * num_elements), 2)), num_elements, device)


def test_long_chains_in_any_order_take_few_rounds():
    rng = np.random.default_rng(5)
    num_elements = 20_000
    chain = np.column_stack([np.arange(num_elements - 1), np.arange(1, num_elements)])
    up_and_down = np.argsort(np.argsort(np.arange(num_elements) % 2, kind="stable"))  # every second place is a local minimum
    for names in (np.arange(num_elements), np.arange(num_elements)[::-1], rng.permutation(num_elements), up_and_down):
        block, _ = components_and_rounds(names[chain], num_elements)
        assert block.unique().tolist() == [0]


def test_a_star_around_its_last_vertex_takes_two_rounds():
    """The centre goes to the smallest leaf in the first round, all other leaves follow in the second."""
    _, rounds = components_and_rounds([(leaf, 999) for leaf in range(999)], 1000)
    assert rounds == 2


def test_no_links_are_no_blocks():
    assert components_and_rounds([], 3)[0].tolist() == [0, 1, 2]
    assert len(components_and_rounds([], 0)[0]) == 0
