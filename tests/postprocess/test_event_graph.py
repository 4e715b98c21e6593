import numpy as np
import pytest

from mlpf.events import Events
from mlpf.postprocess.event_graph import contract, element_links, event_graph, nodes_of, particle_links
from mlpf.testing import random_events


@pytest.fixture
def graph():
    """Two CaloParticles, two SimClusters, one TrackingParticle, three elements, one candidate."""
    columns = {
        "element_type": [1, 4, 5],
        "element_pt": [5.0, 4.0, 3.0],
        "trackingparticle_pt": [5.0],
        "simcluster_idx_trackingparticle": [0, -1],
        "simcluster_idx_caloparticle": [0, 1],
        "caloparticle_idx_trackingparticle": [0, -1],
        "caloparticle_to_element.first": [0, 1, 0],
        "caloparticle_to_element.second": [1, 1, 1],
        "caloparticle_to_element_cmp": [2.0, 3.0, 4.0],
        "trackingparticle_to_element.first": [0, 0],
        "trackingparticle_to_element.second": [0, 1],
        "trackingparticle_to_element_cmp": [0.9, 0.8],
        "element_to_candidate.first": [0],
        "element_to_candidate.second": [0],
        "pfcandidate_pt": [5.5],
    }
    sizes = {"element": 3, "trackingparticle": 1, "simcluster": 2, "caloparticle": 2, "pfcandidate": 1}
    sizes |= {"caloparticle_to_element": 3, "trackingparticle_to_element": 2, "element_to_candidate": 1}
    events = Events({name: np.array(values) for name, values in columns.items()}, {name: np.array([0, size]) for name, size in sizes.items()}, 1)
    return event_graph(events, 0)


def test_links_keep_their_order_and_of_a_pair_listed_twice_the_last_counts(graph):
    assert element_links(graph, ("caloparticle", 0)) == {("element", 1): 4.0}
    assert list(particle_links(graph, ("element", 1)).items()) == [
        (("trackingparticle", 0), pytest.approx(0.8)),
        (("caloparticle", 0), 4.0),
        (("caloparticle", 1), 3.0),
    ]


def test_edges_lead_from_the_whole_to_the_part_and_on_to_candidates(graph):
    assert set(graph.predecessors(("trackingparticle", 0))) == {("caloparticle", 0), ("simcluster", 0)}
    assert list(graph.predecessors(("simcluster", 1))) == [("caloparticle", 1)]
    assert list(graph.successors(("element", 0))) == [("pfcandidate", 0)]
    assert graph.nodes["element", 0] == {"type": 1, "pt": 5.0}


@pytest.mark.parametrize(("overwrite", "weight"), [(False, 4.0), (True, pytest.approx(0.8))])
def test_contract_gives_links_to_all_parents(graph, overwrite, weight):
    contract(graph, ("trackingparticle", 0), list(graph.predecessors(("trackingparticle", 0))), overwrite)
    assert ("trackingparticle", 0) not in graph
    assert element_links(graph, ("caloparticle", 0)) == {("element", 1): weight, ("element", 0): pytest.approx(0.9)}
    assert element_links(graph, ("simcluster", 0)) == {("element", 0): pytest.approx(0.9), ("element", 1): pytest.approx(0.8)}


def test_an_event_of_many_has_its_own_nodes_only():
    events = random_events(np.random.default_rng(1), 5)
    for i in range(5):
        graph = event_graph(events, i)
        assert len(nodes_of(graph, "element")) == events.counts("element")[i]
        pt = [graph.nodes[node]["pt"] for node in nodes_of(graph, "element")]
        assert pt == events.slice(i, i + 1)["element_pt"].tolist()


def test_an_ntuple_without_caloparticles_has_none():
    graph = event_graph(random_events(np.random.default_rng(1), 3, version="2020"), 1)
    assert nodes_of(graph, "simcluster")
    assert not nodes_of(graph, "caloparticle")
