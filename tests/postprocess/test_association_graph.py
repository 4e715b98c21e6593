import json

import networkx as nx
import numpy as np
import pytest

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.postprocess.association_graph import association_graph, elements_in_cone, find_node, hardest_particle, neighbourhood, particle_nodes, write_graph
from mlpf.postprocess.event_graph import event_graph
from mlpf.postprocess.policy import PostprocessConfig
from mlpf.postprocess.rows import postprocess_events
from mlpf.testing import random_events

SETTINGS = [("caloparticle", "2026"), ("trackingparticle", "2020"), ("trackingparticle", "2026")]


def make(policy, version="2026", seed=1, num_events=8, mean_elements=40):
    events = random_events(np.random.default_rng(seed), num_events, mean_elements, version)
    config = PostprocessConfig(policy=policy)
    return events, config, [association_graph(events, i, config) for i in range(num_events)]


@pytest.fixture(scope="module")
def graph():
    """A random event of the policy caloparticle."""
    return make("caloparticle")[2][3]


def links(graph, **wanted):
    return {(first, second): link for first, second, link in graph.edges(data=True) if all(link[name] == value for name, value in wanted.items())}


@pytest.mark.parametrize(("policy", "version"), SETTINGS)
def test_all_links_of_the_ntuple_are_there_with_their_weights(policy, version):
    events, _, graphs = make(policy, version)
    for i, graph in enumerate(graphs):
        raw = event_graph(events, i)
        assert set(graph.nodes) == set(raw.nodes)
        assert len(graph) == sum(events.counts(kind)[i] for kind in ("trackingparticle", "simcluster", "caloparticle", "element", "pfcandidate"))
        assert links(graph, inherited=False).keys() == set(raw.edges)
        for pair, link in links(graph, inherited=False, kind="truth").items():
            assert link["weight"] == raw.edges[pair]["weight"]


@pytest.mark.parametrize(("policy", "version"), SETTINGS)
def test_what_was_chosen_sums_to_the_targets_and_candidates_of_the_dataset(policy, version):
    events, config, graphs = make(policy, version)
    rows, _ = postprocess_events(events, config.choose(events.columns))
    for i, graph in enumerate(graphs):
        row = rows.slice(i, i + 1)
        assert [index for index in range(events.counts("element")[i]) if not graph.nodes["element", index]["dropped"]] == row["element_index"].tolist()
        energy, candidate_pt = dict.fromkeys(row["element_index"].tolist(), 0.0), dict.fromkeys(row["element_index"].tolist(), 0.0)
        for (first, second), link in links(graph, chosen=True).items():
            if link["kind"] == "truth" and graph.nodes[first]["energy"] * link["fraction"] > (0.2 if policy == "trackingparticle" else 0.0):
                energy[second[1]] += graph.nodes[first]["energy"] * link["fraction"]
            elif link["kind"] == "candidate":
                candidate_pt[first[1]] += graph.nodes[second]["pt"]
        np.testing.assert_allclose(list(energy.values()), row["target_energy"], rtol=1e-5)
        np.testing.assert_allclose(list(candidate_pt.values()), row["candidate_pt"], rtol=1e-6)
        kept = [graph.nodes["element", index] for index in row["element_index"].tolist()]
        assert [node["target_class"] for node in kept] == row["target_class"].tolist()
        np.testing.assert_allclose([node["ispu"] for node in kept], row["target_ispu"])


def test_a_particle_joins_once_or_in_parts_that_make_it_whole():
    _, _, graphs = make("caloparticle", mean_elements=80)
    fractions = [[link["fraction"] for *_, link in graph.out_edges(node, data=True) if link["chosen"]] for graph in graphs for node in particle_nodes(graph)]
    assert {round(sum(f), 5) for f in fractions} <= {0.0, 1.0}
    assert max(map(len, fractions)) > 1


def test_particles_count_as_in_the_dataset():
    for policy, version in SETTINGS:
        events, config, graphs = make(policy, version)
        rows, _ = postprocess_events(events, config.choose(events.columns))
        for i, graph in enumerate(graphs):
            row = rows.slice(i, i + 1)
            for element, number in zip(row["element_index"].tolist(), row["target_particle_number"].tolist(), strict=True):
                if number:
                    assert graph.edges[find_node(graph, "particle", number - 1), ("element", element)]["chosen"]


def test_shares_of_an_element_sum_to_one(graph):
    for element in (node for node in graph if node[0] == "element"):
        by_source = {}
        for truth, _, link in graph.in_edges(element, data=True):
            by_source.setdefault(truth[0], []).append((link["weight"], link["share"]))
        for pairs in by_source.values():
            weights, shares = np.array(pairs).T
            np.testing.assert_allclose(shares, weights / weights.sum() if weights.sum() else 0.0)


def test_a_neighbourhood_holds_truth_elements_and_candidates_in_the_order_of_the_event(graph):
    particle = hardest_particle(graph)
    part = neighbourhood(graph, [particle])
    family = {particle, *(node for node in nx.descendants(graph, particle) if node[0] in ("simcluster", "trackingparticle"))}
    elements = {second for first, second in graph.edges if first in family and second[0] == "element"}
    for element in elements:
        assert set(part.pred[element]) == set(graph.pred[element])
        assert set(part.succ[element]) == set(graph.succ[element])
    assert {node for node in part if node[0] == "element"} == elements
    assert list(part) == [node for node in graph if node in part]
    assert list(part.edges) == [edge for edge in graph.edges if edge in part.edges]
    assert [node for node, selected in part.nodes(data="selected") if selected] == [particle]
    assert not any("selected" in attributes for _, attributes in graph.nodes(data=True))  # which stays as it was


def test_a_neighbourhood_of_a_candidate_holds_its_elements(graph):
    candidate = find_node(graph, "candidate", 2)
    part = neighbourhood(graph, [candidate])
    assert {node for node in part if node[0] == "element"} == set(graph.pred[candidate])


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_steps_count_links_in_any_direction(graph, steps):
    start = find_node(graph, "element", 5)
    part = neighbourhood(graph, [start], steps)
    expected = nx.ego_graph(graph.to_undirected(), start, radius=steps)
    assert set(part) == set(expected)
    assert {frozenset(edge) for edge in part.edges} == {frozenset(edge) for edge in expected.edges}


def test_a_cone_goes_across_pi(graph):
    node = graph.nodes["element", 4]
    nearby = {node for node in graph if node[0] == "element" and not graph.nodes[node]["dropped"]}

    def inside(other, phi):
        return np.hypot(other["eta"] - node["eta"], np.angle(np.exp(1j * (other["phi"] - phi)))) < 1.5

    for phi in (node["phi"], np.pi, -3.1):
        assert set(elements_in_cone(graph, node["eta"], phi, 1.5)) == {other for other in nearby if inside(graph.nodes[other], phi)}


def test_networkx_reads_back_what_was_written(graph, tmp_path):
    part = neighbourhood(graph, [hardest_particle(graph)])
    named = nx.relabel_nodes(part, {node: f"{node[0]} {node[1]}" for node in part})
    write_graph(part, tmp_path / "g.json")
    write_graph(part, tmp_path / "g.graphml")
    for read in (nx.node_link_graph(json.loads((tmp_path / "g.json").read_text()), edges="edges"), nx.read_graphml(tmp_path / "g.graphml")):
        assert dict(read.nodes(data=True)) == dict(named.nodes(data=True))
        assert {tuple(pair): link for *pair, link in read.edges(data=True)} == {tuple(pair): link for *pair, link in named.edges(data=True)}
        assert read.graph["policy"] == "caloparticle"
    with pytest.raises(MlpfError, match=r"unknown format '\.gml'; name the graph \.graphml or \.json"):
        write_graph(part, tmp_path / "g.gml")


@pytest.mark.parametrize(("role", "index"), [("particle", 10**6), ("element", -1), ("candidate", 999)])
def test_an_index_out_of_range_is_one_clear_error(graph, role, index):
    with pytest.raises(MlpfError, match=rf"random events: event 3 has no {role} {index}; it has \d+, counted from 0"):
        find_node(graph, role, index)


def test_a_dataset_has_no_links(random_dataset):
    with pytest.raises(MlpfError, match="a dataset holds no links between truth and elements; give the ntuple"):
        association_graph(random_dataset(1), 0)


def test_an_event_without_anything_has_an_empty_graph():
    columns = {name: [] for name in schema.NTUPLE.columns if not schema.NTUPLE.is_scalar(name)} | {name: [1] for name in schema.NTUPLE.names("event")}
    collections = {schema.NTUPLE.collection_of[name] for name in columns} - {"event"}
    graph = association_graph(Events(columns, {name: [0, 0] for name in collections}, 1), 0)
    assert len(graph) == 0
    with pytest.raises(MlpfError, match="no particle that joined an element"):
        hardest_particle(graph)
