"""Blocks against the connected components of networkx."""

import networkx as nx
import numpy as np

from mlpf.classical.blocks import find_blocks
from mlpf.classical.elements import elements_of
from mlpf.classical.links import Links, find_links


def links(pairs):
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Links(array.min(axis=1, initial=1 << 40), array.max(axis=1, initial=-1), np.zeros(len(array)))


def components(pairs, num_elements):
    graph = nx.empty_graph(num_elements)
    graph.add_edges_from(pairs)
    block = np.empty(num_elements, dtype=np.int64)
    for members in nx.connected_components(graph):
        block[list(members)] = min(members)
    return block


def test_blocks_equal_the_connected_components_of_networkx():
    rng = np.random.default_rng(3)
    for num_elements in (1, 2, 50, 400):
        for _ in range(10):
            pairs = rng.integers(0, num_elements, (int(rng.integers(0, num_elements)), 2))
            np.testing.assert_array_equal(find_blocks(links(pairs), num_elements), components(pairs, num_elements))


def test_blocks_of_events_stay_inside_their_event(random_events):
    elements = elements_of(random_events)
    found = find_links(elements)
    blocks = find_blocks(found, len(elements.type))
    np.testing.assert_array_equal(blocks, components(np.column_stack([found.i, found.j]), len(elements.type)))
    np.testing.assert_array_equal(elements.event()[blocks], elements.event())


def test_blocks_do_not_depend_on_the_order_of_elements():
    rng = np.random.default_rng(5)
    pairs = rng.integers(0, 300, (250, 2))
    new_place = rng.permutation(300)
    before, after = find_blocks(links(pairs), 300), find_blocks(links(new_place[pairs]), 300)
    same_before = before[:, None] == before[None, :]
    same_after = after[new_place][:, None] == after[new_place][None, :]
    np.testing.assert_array_equal(same_before, same_after)


def test_a_long_chain_is_one_block_and_no_links_are_no_blocks():
    chain = np.column_stack([np.arange(1, 5000), np.arange(0, 4999)])[::-1]
    assert set(find_blocks(links(chain), 5000)) == {0}
    assert find_blocks(links([]), 3).tolist() == [0, 1, 2]
    assert len(find_blocks(links([]), 0)) == 0
