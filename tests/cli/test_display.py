import json
import re

import networkx as nx
import numpy as np
import pytest

from mlpf import schema
from mlpf.events import Events
from mlpf.io.candidates import read_candidates
from mlpf.io.ntuple import read_ntuple, write_ntuple
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


@pytest.mark.parametrize(("words", "formats"), [((), ".html, .png, .pdf, .svg\n"), (("--graph",), ".png, .pdf, .svg, .graphml, .json\n")])
def test_an_unknown_format_names_those_that_are_known(mlpf_cli, ntuple, tmp_path, words, formats):
    status, _, err = mlpf_cli("display", ntuple, *words, "--output", tmp_path / "graph.txt")
    assert status == 1
    assert err.endswith(formats)


def test_an_event_is_still_drawn_without_a_graph(mlpf_cli, ntuple, tmp_path):
    status, out, _ = mlpf_cli("display", ntuple, "--event", 2, "--output", tmp_path / "event.png")
    assert status == 0
    assert "true particles above 0.5 GeV" in out


@pytest.fixture
def produced(ntuple, tmp_path):
    """Candidates on the first elements of each event, as mlpf produce writes them."""
    events = read_ntuple(ntuple)
    counts = np.minimum(events.counts("element"), 5)
    n, offsets = int(counts.sum()), np.concatenate([[0], np.cumsum(counts)])
    columns = {name: np.ones(n) for name in schema.CANDIDATES.names("mlpfcandidate")} | {name: events[name] for name in schema.IDENTITY}
    columns["mlpfcandidate_element"] = np.arange(n) - np.repeat(offsets[:-1], counts)
    path = tmp_path / "tiny.root"
    write_ntuple(path, [Events(columns, {"mlpfcandidate": offsets}, len(events), layout=schema.CANDIDATES)], tree_path=schema.CANDIDATES_TREE)
    return path


def test_an_event_becomes_a_page(mlpf_cli, ntuple, produced, tmp_path):
    words = ("--predictions", produced, "--predictions", f"other={produced}")
    status, out, err = mlpf_cli("display", ntuple, "--event", 1, *words, "--output", tmp_path / "event.html")
    assert status == 0, err
    lines = out.splitlines()
    assert re.match(r".*a\.root: event 1 \(run 1, lumi 1, event 2\): \d+ elements, \d+ true particles, \d+ rule-based PF", lines[0])
    assert lines[1:3] == [f"{produced}: 5 candidates of {name}" for name in ("tiny", "other")]
    assert re.fullmatch(r"wrote .*event\.html: \d+\.\d MB in \d+\.\d s", lines[-1])
    assert (tmp_path / "event.html").read_text().startswith("<!DOCTYPE html>")


def test_candidates_alone_become_a_page_but_no_picture(mlpf_cli, produced, tmp_path):
    status, out, _ = mlpf_cli("display", produced, "--output", tmp_path / "event.html")
    assert status == 0
    assert "event 0 (run 1, lumi 1, event 1): candidates alone" in out
    status, _, err = mlpf_cli("display", produced, "--output", tmp_path / "event.png")
    assert (status, err.count("\n")) == (1, 1)
    assert "holds candidates alone, which only a page shows; name the output .html" in err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--event", 3), "has no event 3; it holds 3, counted from 0"),
        (("--predictions", "none.root"), "none.root"),
        (("--predictions", "STRANGER"), "has no candidates of run 9, lumi 1, event 1"),
        (("--predictions", "MISFIT"), "a candidate is made of element 999, which the event of "),
        (("--predictions", "TINY", "--predictions", "TINY"), "give another name with NAME="),
    ],
)
def test_what_no_page_can_show_is_one_clear_error(mlpf_cli, ntuple, produced, tmp_path, words, problem):
    events, candidates = read_ntuple(ntuple), read_candidates(produced)
    given = {"TINY": produced, "MISFIT": tmp_path / "misfit.root", "STRANGER": produced}
    misfit = candidates.with_columns({"mlpfcandidate_element": np.full(candidates.size("mlpfcandidate"), 999)})
    write_ntuple(given["MISFIT"], [misfit], tree_path=schema.CANDIDATES_TREE)
    write_ntuple(tmp_path / "b.root", [events.with_columns({"run": np.full(3, 9)})])
    path = tmp_path / "b.root" if "STRANGER" in words else ntuple
    status, _, err = mlpf_cli("display", path, *(given.get(word, word) for word in words), "--output", tmp_path / "event.html")
    assert (status, err.count("\n")) == (1, 1)
    assert problem in err
    assert not (tmp_path / "event.html").exists()


def test_values_that_are_not_finite_are_counted_and_left_out(mlpf_cli, ntuple, tmp_path):
    events = read_ntuple(ntuple)
    pt = events["element_pt"].copy()
    pt[:2] = np.nan, np.inf
    write_ntuple(tmp_path / "b.root", [events.with_columns({"element_pt": pt})])
    status, out, _ = mlpf_cli("display", tmp_path / "b.root", "--output", tmp_path / "event.html")
    assert status == 0
    assert f"not drawn: 2 of {events.counts('element')[0]} elements, with values that are not finite or along the beam" in out
