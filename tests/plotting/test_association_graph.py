import networkx as nx
import numpy as np
import pytest

from mlpf.errors import MlpfError
from mlpf.plotting.association_graph import draw_association_graph, look, symbol
from mlpf.plotting.style import BLUE, GREY, ORANGE, PURPLE, RED, VIOLET
from mlpf.postprocess.association_graph import association_graph, find_node, hardest_particle, neighbourhood
from mlpf.postprocess.policy import PostprocessConfig
from mlpf.testing import random_events


@pytest.fixture(scope="module")
def graph():
    """A random event of about 60 elements."""
    return association_graph(random_events(np.random.default_rng(2), 1, 60), 0)


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_a_graph_is_drawn_in_the_format_of_its_name(graph, tmp_path, suffix):
    path = tmp_path / f"graph{suffix}"
    draw_association_graph(neighbourhood(graph, [hardest_particle(graph)]), path)
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"%PDF-", b"<?xml")
    assert path.stat().st_size > 10000


def test_a_picture_names_its_nodes_its_event_and_what_it_leaves_out(graph, tmp_path):
    element = find_node(graph, "element", 7)
    hidden = draw_association_graph(neighbourhood(graph, [element], steps=3), tmp_path / "graph.svg", max_nodes=12)
    text = (tmp_path / "graph.svg").read_text()
    assert f"{graph.nodes[element]['type']} " in text
    assert "true particles" in text
    assert f"event {graph.graph['event']}" in text
    assert hidden
    assert all(words.replace("&", "&amp;") in text for words in hidden)


def test_the_same_graph_gives_the_same_picture(graph, tmp_path):
    part = neighbourhood(graph, [hardest_particle(graph)])
    for name in "ab":
        draw_association_graph(part, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_single_node_an_empty_graph_and_a_whole_event_are_drawn(graph, tmp_path):
    for name, drawn in (("one", neighbourhood(graph, [hardest_particle(graph)], 0)), ("none", nx.DiGraph(run=1, lumi=1, event=1)), ("all", graph)):
        draw_association_graph(drawn, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").is_file()


def test_the_other_policy_is_drawn_too(tmp_path):
    config = PostprocessConfig(policy="trackingparticle")
    graph = association_graph(random_events(np.random.default_rng(2), 1, 60, "2020"), 0, config)
    draw_association_graph(neighbourhood(graph, [hardest_particle(graph)]), tmp_path / "graph.png")
    assert (tmp_path / "graph.png").is_file()


def test_an_unknown_format_is_refused_and_nothing_is_left(graph, tmp_path):
    with pytest.raises(MlpfError, match=r"unknown format '\.html'"):
        draw_association_graph(graph, tmp_path / "graph.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("pid", "sign"),
    [(211, r"$\pi^{+}$"), (-211, r"$\pi^{-}$"), (11, "$e^{-}$"), (-11, "$e^{+}$"), (22, r"$\gamma$"), (130, "$K_L^{0}$"), (-2112, r"$\overline{n}$"),
     (-3112, r"$\overline{\Sigma}^{+}$"), (-12, r"$\overline{\nu_e}$"), (1000010020, "1000010020")],
)  # fmt: skip
def test_particles_have_their_signs(pid, sign):
    assert symbol(pid) == sign


def test_candidates_are_named_by_their_class():
    assert [symbol(pid, candidate=True) for pid in (211, -211, 130, 22)] == ["$h^+$", "$h^-$", "$h^0$", r"$\gamma$"]


@pytest.mark.parametrize(
    ("node", "color", "marker"),
    [({"role": "particle", "pid": -321, "charge": -1, "eta": 0.0}, BLUE, "^"), ({"role": "particle", "pid": 2112, "charge": 0, "eta": 0.0}, RED, "h"),
     ({"role": "particle", "pid": 2112, "charge": 0, "eta": 4.0}, VIOLET, "D"), ({"role": "candidate", "pid": 22, "charge": 0}, ORANGE, "s"),
     ({"role": "part", "pid": -11, "charge": 1, "eta": 0.0}, PURPLE, "v"), ({"role": "candidate", "pid": 2, "charge": 0}, VIOLET, "D"),
     ({"role": "element", "type": "GSF"}, PURPLE, "v"), ({"role": "element", "type": "ECAL"}, ORANGE, "s"), ({"role": "element", "type": "SC"}, GREY, "o")],
)  # fmt: skip
def test_a_particle_looks_like_the_element_that_it_makes(node, color, marker):
    assert (look(node).color, look(node).marker) == (color, marker)


def test_the_legend_names_what_is_drawn_and_no_more(graph, tmp_path):
    alone = neighbourhood(graph, [next(node for node, kind in graph.nodes(data="type") if kind == "HCAL")], 0)
    draw_association_graph(alone, tmp_path / "graph.svg")
    text = (tmp_path / "graph.svg").read_text()
    assert "neutral hadron, HCAL" in text
    assert "photon, ECAL" not in text
