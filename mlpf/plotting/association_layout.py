"""What of an association graph is drawn, and where: weak links are left out until it fits on a page, and nodes are ordered so that few links cross."""

from typing import NamedTuple

import networkx as nx
import numpy as np
from scipy.optimize import isotonic_regression

from mlpf.postprocess.event_graph import Node

ROLES = ("part", "particle", "element", "candidate")  # columns of the picture, from left to right
MAX_NODES = 60
MAX_PARTS = 12
SWEEPS = 24  # an even number: both ways; the orders of a jet's graph settle after ten

Pair = tuple[Node, Node]


class Shown(NamedTuple):
    """The part of a graph that is drawn, and what was left out, in words."""

    graph: nx.DiGraph
    notes: list[str]


def shown(graph: nx.DiGraph, max_nodes: int = MAX_NODES) -> Shown:
    """Leave out the weakest links, and the nodes that no link holds any more, until at most ``max_nodes`` remain.

    Links that were not chosen go first, by their share; then chosen ones, by the energy of their element; among each, those of selected nodes last. Of these
    the strongest, as many as a third of ``max_nodes``, stay in any case. Parts are drawn where their particle is selected, the hardest `MAX_PARTS`; they do
    not count, and their links to elements are not drawn. Elements that a dataset leaves out are drawn only where they are selected.

    Args:
        graph: of `mlpf.postprocess.association_graph`, whole or a neighbourhood.
        max_nodes: particles, elements and candidates together.
    """
    selected = sorted((node for node in graph if graph.nodes[node].get("selected", False)), key=lambda node: -graph.nodes[node]["energy"])
    nodes = set([node for node in selected if graph.nodes[node]["role"] != "part"][: max_nodes // 3])
    dropped = {node for node in graph if graph.nodes[node].get("dropped", False) and node not in selected}
    links = [pair for pair in graph.edges if graph.edges[pair]["kind"] != "part" and graph.nodes[pair[0]]["role"] != "part" and dropped.isdisjoint(pair)]
    links.sort(key=lambda pair: _importance(graph, pair), reverse=True)
    own = [pair for pair in links if not nodes.isdisjoint(pair)][: max_nodes // 3]
    links = [*own, *(pair for pair in links if pair not in own)]
    num_links = 0
    for pair in links:
        if len(nodes.union(pair)) > max_nodes:
            break
        nodes.update(pair)
        num_links += 1
    parts = _parts(graph, nodes.intersection(selected))
    hidden = _hidden_links(graph, links, num_links)
    if dropped:
        hidden.append(f"{len(dropped)} {', '.join(sorted({graph.nodes[node]['type'] for node in dropped}))}")
    if len(parts) > MAX_PARTS:
        hidden.append(f"{len(parts) - MAX_PARTS} parts below {graph.nodes[parts[MAX_PARTS]]['pt']:.2g} GeV")
    nodes.update(parts[:MAX_PARTS])
    pairs = {*links[:num_links], *(pair for pair in graph.edges if graph.edges[pair]["kind"] == "part")}
    drawn = nx.DiGraph(**graph.graph)
    drawn.add_nodes_from((node, graph.nodes[node]) for node in graph if node in nodes)
    drawn.add_edges_from((*pair, graph.edges[pair]) for pair in graph.edges if pair in pairs and nodes.issuperset(pair))
    return Shown(drawn, hidden)


def _importance(graph: nx.DiGraph, pair: Pair) -> tuple[bool, bool, float]:
    link = graph.edges[pair]
    element = pair[0] if pair[0][0] == "element" else pair[1]
    selected = any(graph.nodes[node].get("selected", False) for node in pair)
    return link["chosen"], selected, graph.nodes[element]["energy"] if link["chosen"] else link["share"]


def _parts(graph: nx.DiGraph, nodes: set[Node]) -> list[Node]:
    """Parts of particles, and of their parts, by descending pt."""
    particles = [node for node in nodes if graph.nodes[node]["role"] == "particle"]
    found = {part for node in particles for part in nx.descendants(graph, node) | nx.ancestors(graph, node) if graph.nodes[part]["role"] == "part"}
    return sorted(found, key=lambda part: (-graph.nodes[part]["pt"], part))


def _hidden_links(graph: nx.DiGraph, links: list[Pair], num_drawn: int) -> list[str]:
    hidden = [_importance(graph, pair) for pair in links[num_drawn:]]
    weak, chosen = [share for is_chosen, _, share in hidden if not is_chosen], [energy for is_chosen, _, energy in hidden if is_chosen]
    notes = [f"{len(weak)} links with up to {100 * max(weak):.0f} % of their element"] if weak else []
    return notes + ([f"{len(chosen)} chosen links of elements of up to {max(chosen):.3g} GeV"] if chosen else [])


def positions(graph: nx.DiGraph) -> dict[Node, tuple[int, float]]:
    """Column and row of every node.

    Columns hold the roles, in the order of `ROLES`, but for those that are missing. Rows grow downwards, at least 1 apart in a column: each node is drawn
    to the middle of those that it is linked to (the barycentre heuristic of Sugiyama, Tagawa and Toda, 10.1109/TSMC.1981.4308636), weighted by share, first
    of all along chosen links, and parts to those that they are parts of.
    """
    roles = [role for role in ROLES if any(attributes["role"] == role for _, attributes in graph.nodes(data=True))]
    columns = [[node for node, attributes in graph.nodes(data=True) if attributes["role"] == role] for role in roles]
    row = {node: i - 0.5 * len(column) for column in columns for i, node in enumerate(sorted(column, key=lambda node: graph.nodes[node]["phi"]))}
    order = [*range(len(columns)), *range(len(columns) - 2, 0, -1)]
    for _ in range(SWEEPS // 2):
        for c in order:
            _place(graph, columns[c], row)
    top = min(row.values(), default=0.0)
    return {node: (c, row[node] - top) for c, column in enumerate(columns) for node in column}


def _place(graph: nx.DiGraph, column: list[Node], row: dict[Node, float]) -> None:
    """Move the nodes of one column to where their links pull them, at least 1 apart (least squares)."""
    wanted, strength = np.zeros(len(column)), np.zeros(len(column))
    for i, node in enumerate(column):
        links = [(other, graph.edges[node, other]) for other in graph.succ[node]] + [(other, graph.edges[other, node]) for other in graph.pred[node]]
        pull = [(5.0 if link["chosen"] or other in column else 1.0) * link["share"] + 1e-3 for other, link in links]
        strength[i] = sum(pull) + 1e-3
        wanted[i] = (sum(p * row[other] for p, (other, _) in zip(pull, links, strict=True)) + 1e-3 * row[node]) / strength[i]
    order = np.lexsort((np.array([row[node] for node in column]), wanted))
    rank = np.arange(len(column))
    fitted = isotonic_regression(wanted[order] - rank, weights=strength[order]).x + rank if len(column) else wanted
    row.update((column[i], float(place)) for i, place in zip(order, fitted, strict=True))
