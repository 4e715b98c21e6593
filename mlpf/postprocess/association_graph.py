"""One event's association graph: truth -> elements -> candidates, what the ntuple links and what the postprocessing made of it.

For looking at single events (`mlpf display --graph`) and for questions to networkx; the postprocessing itself builds no graph.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import networkx as nx
import numpy as np

from mlpf import schema
from mlpf.candidates import charge_of_pdgid
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.files import atomic_file
from mlpf.kinematics import delta_r
from mlpf.postprocess.association import Association, associate_caloparticles, associate_trackingparticles
from mlpf.postprocess.event_graph import Node, event_graph
from mlpf.postprocess.policy import AnyPolicy, CaloParticlePolicy, PostprocessConfig
from mlpf.postprocess.rows import postprocess_events
from mlpf.postprocess.target import matched_candidates
from mlpf.schema import ElementType

GRAPH_SUFFIXES = (".graphml", ".json")
TRUTH = ("caloparticle", "simcluster", "trackingparticle")


def association_graph(events: Events, event: int, config: PostprocessConfig | None = None) -> nx.DiGraph:
    """Graph of one event with the links of the ntuple and the choices of the postprocessing.

    Nodes are ``(collection, index in the event)``, for example ``("element", 3)``. All attributes are plain Python values, so that networkx can write them.

    * every node: ``kind`` (its collection), ``index``, ``role``: ``particle`` (truth that the policy assigns to elements), ``part`` (all other truth),
      ``element`` or ``candidate``; ``pt``, ``eta``, ``phi``, ``energy`` [GeV, rad], ``charge``
    * particles, parts and candidates: ``pid``, signed
    * particles, parts and elements: ``ispu``, the energy fraction from pileup (elements: of their target)
    * elements: ``type`` (name of the `ElementType`), ``dropped`` (the dataset leaves them out), ``target_class``, ``target_pt``, ``target_energy``

    Edges lead from the whole to its parts (``kind`` part), from truth to elements (``truth``) and from elements to candidates (``candidate``).

    * ``weight``: the ntuple's; where the postprocessing made the link, the one that it gave; 1 where links have none
    * ``share``: of the weights that the element has from particles, or from one kind of parts; 1 where links have no weight
    * ``chosen``: the particle joined that element; the candidate is the element's
    * ``fraction``: of the particle's momentum that joined the element: below 1 where it was split, 0 where it did not
    * ``inherited``: the ntuple holds no such link, a part gave it to its particle

    Args:
        events: ntuple events.
        event: position of the event in ``events``.
        config: the choices of the postprocessing. Momenta and weights that are not finite count as 0.

    Raises:
        MlpfError: the events are those of a dataset, which holds no links; or as `postprocess_events`.
    """
    if events.layout is not schema.NTUPLE:
        raise MlpfError(f"{events.source}: a {events.layout.name} holds no links between truth and elements; give the ntuple that it was made of")
    policy = (config or PostprocessConfig()).choose(events.columns)
    one = events.slice(event, event + 1)
    rows, _ = postprocess_events(one, policy, nonfinite="zero")
    one = one.replace_non_finite(list(one.columns)).with_columns({"element_pt": _per_element(rows, "element_pt", one["element_pt"])})
    association = associate_caloparticles(one, policy) if isinstance(policy, CaloParticlePolicy) else associate_trackingparticles(one, policy)
    identity = {name: int(one[name][0]) for name in schema.NTUPLE.names("event")}
    graph = nx.DiGraph(source=one.source, entry=one.first_entry, policy=policy.name, **identity)
    _add_truth(graph, one, policy)
    _add_elements_and_candidates(graph, one, rows)
    _add_links(graph, one)
    _add_decisions(graph, association)
    for element, candidate in enumerate(matched_candidates(one, policy).tolist()):
        if candidate >= 0:
            graph.edges[("element", element), ("pfcandidate", candidate)]["chosen"] = True
    _add_shares(graph)
    return graph


def _per_element(rows: Events, column: str, others: np.ndarray) -> np.ndarray:
    """A column of the dataset for all elements of the ntuple; ``others``: values of the elements that the dataset leaves out."""
    values = others.astype(np.float64)
    values[rows["element_index"]] = rows[column]
    return values


def _add_truth(graph: nx.DiGraph, one: Events, policy: AnyPolicy) -> None:
    by_calo = isinstance(policy, CaloParticlePolicy)
    is_particle = {
        "caloparticle": np.full(one.size("caloparticle"), by_calo),
        "simcluster": (not by_calo) & (one["simcluster_idx_trackingparticle"] < 0),
        "trackingparticle": np.full(one.size("trackingparticle"), not by_calo),
    }
    for kind in TRUTH:
        columns = {"pid": one[f"{kind}_pid"], "charge": one[f"{kind}_charge"], "ispu": (one[f"{kind}_ev"] != 0).astype(np.float64)}
        _add_collection(graph, one, kind, {"role": np.where(is_particle[kind], "particle", "part"), **columns})


def _add_elements_and_candidates(graph: nx.DiGraph, one: Events, rows: Events) -> None:
    types, nothing = one["element_type"], np.zeros(one.size("element"))
    columns = {"role": np.full(len(types), "element"), "type": np.array([ElementType(kind).name for kind in types.tolist()], dtype=np.str_)}
    columns |= {"dropped": ~np.isin(np.arange(len(types)), rows["element_index"]), "charge": one["element_charge"]}
    columns |= {name: _per_element(rows, name, nothing) for name in ("target_pt", "target_energy")}
    columns |= {"target_class": _per_element(rows, "target_class", nothing).astype(np.int32), "ispu": _per_element(rows, "target_ispu", nothing)}
    _add_collection(graph, one, "element", columns)
    pdgid = one["pfcandidate_pdgid"]
    _add_collection(graph, one, "pfcandidate", {"role": np.full(len(pdgid), "candidate"), "pid": pdgid, "charge": charge_of_pdgid(pdgid)})


def _add_collection(graph: nx.DiGraph, one: Events, kind: str, columns: dict[str, np.ndarray]) -> None:
    momentum = {name: one[f"{kind}_{name}"] for name in ("pt", "eta", "phi", "energy")}
    lists = {name: values.tolist() for name, values in {**columns, **momentum}.items()}
    for index in range(one.size(kind)):
        graph.add_node((kind, index), kind=kind, index=index, **{name: values[index] for name, values in lists.items()})


def _add_links(graph: nx.DiGraph, one: Events) -> None:
    """What the ntuple says."""
    for first, second, link in event_graph(one, 0).edges(data=True):
        kind = "part" if second[0] in TRUTH else "truth" if first[0] in TRUTH else "candidate"
        graph.add_edge(first, second, kind=kind, weight=link.get("weight", 1.0), share=1.0, chosen=False, fraction=0.0, inherited=False)


def _add_decisions(graph: nx.DiGraph, association: Association) -> None:
    """Links that the postprocessing made, and which particle joined which element."""
    particles, links, members = association
    nodes = particle_nodes(graph)
    node_of = [nodes[number - 1] for number in particles.number.tolist()]
    for particle, element, weight in zip(*(values.tolist() for values in links), strict=True):
        pair = node_of[particle], ("element", element)
        if not graph.has_edge(*pair):
            graph.add_edge(*pair, kind="truth", weight=weight, share=1.0, chosen=False, fraction=0.0, inherited=True)
    for particle, element in zip(members.particle.tolist(), members.element.tolist(), strict=True):
        whole = graph.nodes[node_of[particle]]["pt"]
        fraction = float(particles.pt[particle]) / whole if whole > 0 else 1.0
        graph.edges[node_of[particle], ("element", element)].update(chosen=True, fraction=fraction)


def _add_shares(graph: nx.DiGraph) -> None:
    """Share of every link from truth in its element; links that all weigh 0, or less, share nothing."""
    sums: dict[tuple[Node, str], float] = {}
    links = [(element, _source(graph, truth), link) for truth, element, link in graph.edges(data=True) if link["kind"] == "truth"]
    for element, source, link in links:
        sums[element, source] = sums.get((element, source), 0.0) + max(link["weight"], 0.0)
    for element, source, link in links:
        link["share"] = max(link["weight"], 0.0) / sums[element, source] if sums[element, source] > 0 else 0.0


def _source(graph: nx.DiGraph, truth: Node) -> str:
    """Links whose weights compare: those of all particles, and those of the parts of one kind."""
    return "particle" if graph.nodes[truth]["role"] == "particle" else truth[0]


def particle_nodes(graph: nx.DiGraph) -> list[Node]:
    """All particles that the policy knows, in the order in which datasets count them (``target_particle_number`` - 1).

    CaloParticles; in the policy trackingparticle TrackingParticles, then SimClusters.
    """
    kinds = ("caloparticle",) if graph.graph["policy"] == CaloParticlePolicy.name else ("trackingparticle", "simcluster")
    return [node for kind in kinds for node in graph if node[0] == kind]


def find_node(graph: nx.DiGraph, role: str, index: int) -> Node:
    """The particle, element or candidate of an index.

    Args:
        graph: of `association_graph`.
        role: ``particle`` (counted as in `particle_nodes`), ``element`` or ``candidate``.
        index: counted from 0.

    Raises:
        MlpfError: the event has no such node.
    """
    nodes = particle_nodes(graph) if role == "particle" else [node for node, attributes in graph.nodes(data=True) if attributes["role"] == role]
    if not 0 <= index < len(nodes):
        raise MlpfError(f"{graph.graph['source']}: event {graph.graph['entry']} has no {role} {index}; it has {len(nodes)}, counted from 0")
    return nodes[index]


def hardest_particle(graph: nx.DiGraph) -> Node:
    """The particle of the highest pt that joined an element.

    Raises:
        MlpfError: none did.
    """
    joined = [first for first, _, link in graph.edges(data=True) if link["kind"] == "truth" and link["chosen"]]
    if not joined:
        raise MlpfError(f"{graph.graph['source']}: event {graph.graph['entry']} has no particle that joined an element; select an element or a candidate")
    return max(joined, key=lambda node: graph.nodes[node]["pt"])


def elements_in_cone(graph: nx.DiGraph, eta: float, phi: float, radius: float) -> list[Node]:
    """Elements that stay in the dataset, within ``radius`` of a direction in delta R."""
    elements = [node for node, attributes in graph.nodes(data=True) if node[0] == "element" and not attributes["dropped"]]
    place = np.array([[graph.nodes[node]["eta"], graph.nodes[node]["phi"]] for node in elements]).reshape(-1, 2)
    return [elements[i] for i in np.flatnonzero(delta_r(place[:, 0], place[:, 1], eta, phi) < radius)]


def neighbourhood(graph: nx.DiGraph, nodes: Iterable[Node], steps: int | None = None) -> nx.DiGraph:
    """Subgraph around some nodes, which get the attribute ``selected``; nodes and edges keep their order.

    Args:
        graph: of `association_graph`.
        nodes: particles, elements or candidates.
        steps: keep what is that many links away, in any direction. None: the elements that the nodes or their parts are linked to, these elements'
            candidates and all truth that is linked to them.
    """
    selected = set(nodes)
    kept = set(selected)
    if steps is None:
        elements = {node for node in _downwards(graph, selected) | _upwards(graph, selected) if node[0] == "element"}
        kept |= _downwards(graph, selected | elements) | _upwards(graph, elements)
    else:
        for _ in range(steps):
            kept |= {other for node in kept for other in (*graph.pred[node], *graph.succ[node])}
    part = nx.DiGraph(**graph.graph)
    part.add_nodes_from((node, {**attributes, "selected": node in selected}) for node, attributes in graph.nodes(data=True) if node in kept)
    part.add_edges_from((first, second, dict(link)) for first, second, link in graph.edges(data=True) if first in kept and second in kept)
    return part


def _downwards(graph: nx.DiGraph, nodes: Iterable[Node]) -> set[Node]:
    return set(nodes).union(*(nx.descendants(graph, node) for node in nodes))


def _upwards(graph: nx.DiGraph, nodes: Iterable[Node]) -> set[Node]:
    return set(nodes).union(*(nx.ancestors(graph, node) for node in nodes))


def write_graph(graph: nx.DiGraph, path: str | Path) -> None:
    """Write a graph as GraphML, or as JSON in networkx's node-link form; nodes are named as in ``element 3``.

    Raises:
        MlpfError: another suffix.
    """
    path = Path(path)
    if path.suffix not in GRAPH_SUFFIXES:
        raise MlpfError(f"{path}: unknown format '{path.suffix}'; name the graph {' or '.join(GRAPH_SUFFIXES)}")
    named = nx.relabel_nodes(graph, {node: f"{node[0]} {node[1]}" for node in graph})
    with atomic_file(path) as temporary:
        if path.suffix == ".json":
            temporary.write_text(json.dumps(nx.node_link_data(named, edges="edges"), indent=1) + "\n")
        else:
            nx.write_graphml(named, temporary)
