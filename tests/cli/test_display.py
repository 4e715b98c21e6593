import json

import networkx as nx
import numpy as np
import pytest

from mlpf.io.ntuple import write_ntuple
from mlpf.testing import random_events


@pytest.fixture(scope="module")
def ntuple(tmp_path_factory):
    """Three random events."""
    path = tmp_path_factory.mktemp("display") / "a.root"
    write_ntuple(path, [random_events(np.random.default_rng(1), 3, 30)])
    return path


def test_a_graph_is_drawn_around_the_hardest_particle(mlpf_cli, ntuple, tmp_path):
    status, out, _ = mlpf_cli("display", ntuple, "--event", 1, "--graph", "--output", tmp_path / "graph.png")
    assert status == 0
    assert "a.root: event 1 (run 1, lumi 1, event 2): " in out
    assert "around caloparticle " in out
    assert f"wrote {tmp_path / 'graph.png'}" in out
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("selection", [("--particle", 2), ("--element", 3), ("--candidate", 0), ("--cone", "-0.5,3.1,3"), ("--element", 3, "--steps", 0)])
def test_a_graph_around_a_selection_is_written_for_networkx(mlpf_cli, ntuple, tmp_path, selection):
    status, out, err = mlpf_cli("display", ntuple, "--graph", *selection, "--output", tmp_path / "graph.json")
    assert status == 0, err
    graph = nx.node_link_graph(json.loads((tmp_path / "graph.json").read_text()), edges="edges")
    selected = [node for node, chosen in graph.nodes(data="selected") if chosen]
    named = {"--particle": "caloparticle 2", "--element": "element 3", "--candidate": "pfcandidate 0"}
    assert selected == [named[selection[0]]] if selection[0] in named else len(selected) > 1
    assert "--steps" not in selection or len(graph) == 1
    assert f"{graph.number_of_edges()} links" in out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--graph", "--particle", 999), "event 0 has no particle 999; it has "),
        (("--graph", "--element", -1), "event 0 has no element -1; it has "),
        (("--graph", "--event", 3), "has no event 3; it holds 3, counted from 0"),
        (("--graph", "--cone", "1,2"), "--cone 1,2: expected three numbers, ETA,PHI,DR"),
        (("--graph", "--cone", "99,0,0.1"), "--cone 99,0,0.1: the event has no element in it"),
        (("--graph", "--cone", "0,0,1", "--element", 1), "give one of them"),
        (("--graph", "--predictions", "x.root"), "--predictions: not with --graph"),
        (("--element", 1, "--steps", 2), "--element, --steps: for graphs only; add --graph"),
    ],
)
def test_a_selection_that_cannot_be_is_one_clear_error(mlpf_cli, ntuple, tmp_path, words, problem):
    status, _, err = mlpf_cli("display", ntuple, *words, "--output", tmp_path / "graph.png")
    assert status == 1
    assert problem in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_dataset_has_no_graph(mlpf_cli, random_dataset, write_dataset, tmp_path):
    status, _, err = mlpf_cli("display", write_dataset(random_dataset(2)), "--graph", "--output", tmp_path / "graph.png")
    assert (status, err.count("\n")) == (1, 1)
    assert "a dataset holds no links between truth and elements; give the ntuple" in err


@pytest.mark.parametrize(("words", "formats"), [((), ".png, .pdf, .svg\n"), (("--graph",), ".png, .pdf, .svg, .graphml, .json\n")])
def test_an_unknown_format_names_those_that_are_known(mlpf_cli, ntuple, tmp_path, words, formats):
    status, _, err = mlpf_cli("display", ntuple, *words, "--output", tmp_path / "graph.txt")
    assert status == 1
    assert err.endswith(formats)


def test_an_event_is_still_drawn_without_a_graph(mlpf_cli, ntuple, tmp_path):
    status, out, _ = mlpf_cli("display", ntuple, "--event", 2, "--output", tmp_path / "event.png")
    assert status == 0
    assert "true particles above 0.5 GeV" in out
