import itertools

import networkx as nx
import numpy as np
import pytest

from mlpf.plotting.association_layout import MAX_PARTS, ROLES, positions, shown
from mlpf.postprocess.association_graph import association_graph, find_node, hardest_particle, neighbourhood
from mlpf.testing import random_events


@pytest.fixture(scope="module")
def graph():
    """A random event of about 300 elements."""
    return association_graph(random_events(np.random.default_rng(3), 1, 300), 0)


def count_crossings(place, pairs):
    """Pairs of links between the same two columns whose ends are in opposite order."""
    lines = [sorted((place[a], place[b])) for a, b in pairs]
    return sum(
        (a[0][1] - b[0][1]) * (a[1][1] - b[1][1]) < 0
        for a, b in itertools.combinations(lines, 2)
        if a[0][0] == b[0][0] and a[1][0] == b[1][0]
    )  # fmt: skip


@pytest.mark.parametrize("max_nodes", [1, 10, 60, 10000])
def test_no_more_nodes_are_drawn_than_fit(graph, max_nodes):
    drawn, hidden = shown(graph, max_nodes)
    assert sum(role != "part" for _, role in drawn.nodes(data="role")) <= max_nodes
    assert all(drawn.degree(node) for node in drawn)
    assert bool(hidden)  # at the least the elements that the dataset drops


def test_chosen_links_and_those_of_the_selected_are_the_last_to_go(graph):
    particle = hardest_particle(graph)
    part = neighbourhood(graph, [particle], steps=4)

    def rank(pair):
        link = part.edges[pair]
        element = next(node for node in pair if node[0] == "element")
        return link["chosen"], particle in pair, part.nodes[element]["energy"] if link["chosen"] else link["share"]

    drawn, hidden = shown(part, 40)
    pairs = {pair for pair in part.edges if part.edges[pair]["kind"] != "part" and part.nodes[pair[0]]["role"] != "part"}
    pairs -= {pair for pair in pairs if any(part.nodes[node].get("dropped") for node in pair)}
    kept, absent = (pairs & drawn.edges), pairs - drawn.edges
    own = sorted((pair for pair in pairs if particle in pair), key=rank, reverse=True)[: 40 // 3]
    assert kept.issuperset(own)
    assert min(map(rank, kept - set(own))) >= max(map(rank, absent))
    assert f"{sum(not part.edges[pair]['chosen'] for pair in absent)} links with up to" in hidden[0]


def test_dropped_elements_are_drawn_only_where_selected(graph):
    dropped = next(node for node, attributes in graph.nodes(data=True) if attributes.get("dropped") and graph.degree(node))
    drawn, hidden = shown(neighbourhood(graph, graph.pred[dropped]))
    assert not any(drawn.nodes[node].get("dropped") for node in drawn)
    assert any(graph.nodes[dropped]["type"] in words for words in hidden)
    assert dropped in shown(neighbourhood(graph, [dropped])).graph


def test_parts_are_those_of_the_selected_particle_the_hardest_first(graph):
    particle = max((node for node in graph if node[0] == "caloparticle"), key=graph.out_degree)
    graph = nx.DiGraph(graph)
    graph.add_nodes_from((("simcluster", 10**6 + i), {**graph.nodes["simcluster", 0], "pt": 100.0 + i}) for i in range(MAX_PARTS))
    graph.add_edges_from((particle, ("simcluster", 10**6 + i), {"kind": "part", "share": 1.0, "chosen": False}) for i in range(MAX_PARTS))
    drawn, hidden = shown(neighbourhood(graph, [particle]))
    assert [node[1] for node, role in drawn.nodes(data="role") if role == "part"] == [10**6 + i for i in range(MAX_PARTS)]
    assert any("parts below" in words for words in hidden)
    assert not any(role == "part" for _, role in shown(neighbourhood(graph, [find_node(graph, "element", 3)])).graph.nodes(data="role"))


def test_rows_of_a_column_are_at_least_one_apart_and_start_at_zero(graph):
    place = positions(shown(graph).graph)
    columns = [sorted(row for column, row in place.values() if column == c) for c in range(4)]
    assert min(min(column) for column in columns if column) == 0.0
    for column in columns:
        assert (np.diff(column) > 1 - 1e-9).all()


def test_columns_follow_the_roles_that_are_there(graph):
    drawn = shown(neighbourhood(graph, [find_node(graph, "candidate", 1)])).graph
    roles = [role for role in ROLES if role in set(dict(drawn.nodes(data="role")).values())]
    assert {node: roles.index(drawn.nodes[node]["role"]) for node in drawn} == {node: column for node, (column, _) in positions(drawn).items()}


def test_separate_chains_do_not_cross():
    graph = nx.DiGraph()
    order = np.random.default_rng(1).permutation(20).tolist()
    for role, indices in (("particle", range(20)), ("element", order), ("candidate", order[::-1])):
        graph.add_nodes_from(((role, i), {"role": role, "phi": 0.0}) for i in indices)
    for i in range(20):
        graph.add_edge(("particle", i), ("element", i), share=1.0, chosen=True)
        graph.add_edge(("element", i), ("candidate", i), share=1.0, chosen=False)
    place = positions(graph)
    assert count_crossings(place, graph.edges) == 0
    assert all(place[a][1] == pytest.approx(place[b][1], abs=0.01) for a, b in graph.edges)  # straight lines


def test_ordering_removes_most_crossings(graph):
    drawn = shown(graph, 100).graph
    place = positions(drawn)
    by_index = {node: (column, node[1]) for node, (column, _) in place.items()}
    chosen = [pair for pair in drawn.edges if drawn.edges[pair]["chosen"]]
    assert count_crossings(by_index, chosen) > 50
    assert count_crossings(place, chosen) < 0.2 * count_crossings(by_index, chosen)


def test_no_nodes_have_no_positions():
    assert positions(nx.DiGraph()) == {}
