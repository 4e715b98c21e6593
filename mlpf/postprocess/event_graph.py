"""One event as a networkx graph: for looking at it, and for writing the postprocessing down slowly and readably (the tests do so)."""

from collections.abc import Iterable

import networkx as nx

from mlpf import schema
from mlpf.events import Events

Node = tuple[str, int]

_TRUTH = ("trackingparticle", "simcluster", "caloparticle")
_PARENTS = (("simcluster", "trackingparticle"), ("caloparticle", "trackingparticle"), ("simcluster", "caloparticle"))


def event_graph(events: Events, event: int) -> nx.DiGraph:
    """Graph of one event.

    Nodes are ``(collection, index in the event)``, for example ``("element", 3)``, with the columns of their collection as attributes (``pt``, ``type`` ...).
    Edges lead from truth to elements (``weight``: the ntuple's, 0 where it has none), from elements to candidates, and from each truth particle to the ones
    that are part of it: CaloParticle to SimCluster, either to TrackingParticle. Of a pair listed twice the last one counts.

    Args:
        events: ntuple events.
        event: position of the event in ``events``.
    """
    one = events.slice(event, event + 1)
    graph = nx.DiGraph(source=one.source, entry=one.first_entry)
    for collection in (*_TRUTH, "element", "pfcandidate"):
        names = [name for name in schema.NTUPLE.names(collection) if name in one]
        values = {name.removeprefix(f"{collection}_"): one[name].tolist() for name in names}
        for index in range(one.size(collection)):
            graph.add_node((collection, index), **{name: column[index] for name, column in values.items()})
    for truth in _TRUTH:
        name = f"{truth}_to_element"
        for particle, element, weight in zip(*(one[f"{name}{part}"].tolist() for part in (".first", ".second", "_cmp")), strict=True):
            graph.add_edge((truth, particle), ("element", element), weight=weight)
    for element, candidate in zip(one["element_to_candidate.first"].tolist(), one["element_to_candidate.second"].tolist(), strict=True):
        graph.add_edge(("element", element), ("pfcandidate", candidate))
    for holder, target in _PARENTS:
        name = f"{holder}_idx_{target}"
        for index, other in enumerate(one[name].tolist() if name in one else ()):
            pair = ((holder, index), (target, other)) if target == "trackingparticle" else ((target, other), (holder, index))
            if other >= 0:
                graph.add_edge(*pair)
    return graph


def nodes_of(graph: nx.DiGraph, collection: str) -> list[Node]:
    """Nodes of a collection in the order of their indices."""
    return sorted(node for node in graph if node[0] == collection)


def element_links(graph: nx.DiGraph, particle: Node) -> dict[Node, float]:
    """Elements that a truth particle is linked to -> weight, in the order in which the links were made."""
    return {element: link["weight"] for element, link in graph.succ[particle].items() if element[0] == "element"}


def particle_links(graph: nx.DiGraph, element: Node) -> dict[Node, float]:
    """Truth particles that an element is linked to -> weight, in the order in which the links were made."""
    return {particle: link["weight"] for particle, link in graph.pred[element].items()}


def contract(graph: nx.DiGraph, node: Node, into: Iterable[Node], overwrite: bool = False) -> None:
    """Give the element links of a truth particle to others, and remove it.

    Args:
        graph: changed in place.
        node: the particle that goes.
        into: those that get its links.
        overwrite: replace the weight of links that they have already, instead of keeping the older one.
    """
    for heir in into:
        for element, weight in element_links(graph, node).items():
            if overwrite or not graph.has_edge(heir, element):
                graph.add_edge(heir, element, weight=weight)
    graph.remove_node(node)
