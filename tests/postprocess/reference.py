"""The postprocessing once more, one event and one Python object at a time, rule by rule as it is specified; the kernels must give the same."""

import math

from mlpf.postprocess.event_graph import contract, element_links, event_graph, nodes_of, particle_links

TRACK, PS1, PS2, ECAL, HCAL, GSF, BREM, HFEM, HFHAD, SC, HO = range(1, 12)
ZERO = {
    **dict.fromkeys(("pt", "eta", "sin_phi", "cos_phi", "energy", "ispu", "cp_to_track", "cp_to_cluster"), 0.0),
    **dict.fromkeys(("pid", "charge", "particle_number", "class"), 0),
}


def delta_phi(a, b):
    return math.remainder(a - b, 2 * math.pi)


def delta_r(a, b):
    return math.hypot(a["eta"] - b["eta"], delta_phi(a["phi"], b["phi"]))


def chord(a, b):
    def point(node):
        return node["eta"], math.sin(node["phi"]), math.cos(node["phi"])

    return math.dist(point(a), point(b))


def best(links, free=lambda _: True):
    """Key of the highest weight among those that are free, the first of equals; None if there is none."""
    keys = [key for key in links if free(key)]
    return max(keys, key=links.get) if keys else None  # max gives the first of equals


# ---- policy caloparticle --------------------------------------------------------------------------------------------------------------------------------


def caloparticle_graph(events, event):
    """Rules 1 to 8: elements, and CaloParticles with all their links."""
    graph = event_graph(events, event)
    graph.remove_nodes_from([e for e in nodes_of(graph, "element") if graph.nodes[e]["type"] in (PS1, PS2, BREM)])  # 1, 6
    for element in nodes_of(graph, "element"):
        if graph.nodes[element]["type"] == HO:
            graph.nodes[element]["pt"] = graph.nodes[element]["energy"] / math.cosh(graph.nodes[element]["eta"])
    for tp in nodes_of(graph, "trackingparticle"):  # 2, 3
        for element in element_links(graph, tp):
            graph.edges[tp, element]["weight"] *= graph.nodes[element]["energy"]
        contract(graph, tp, sorted(graph.predecessors(tp)))
    for element in nodes_of(graph, "element"):  # 4
        node = graph.nodes[element]
        if node["type"] == TRACK and node["pt"] > 1.0 and not graph.pred[element]:
            for sc in nodes_of(graph, "simcluster"):
                if chord(graph.nodes[sc], node) <= 0.05:
                    graph.add_edge(sc, element, weight=node["energy"])
    for sc in nodes_of(graph, "simcluster"):  # 5
        contract(graph, sc, list(graph.predecessors(sc)))
    for cp in nodes_of(graph, "caloparticle"):  # 7
        links = element_links(graph, cp)
        node = graph.nodes[cp]
        is_track = {e: graph.nodes[e]["type"] in (TRACK, GSF) for e in links}
        node["to_track"] = sum(weight for e, weight in links.items() if is_track[e])
        node["to_cluster"] = sum(weight for e, weight in links.items() if not is_track[e])
        node["number"] = cp[1] + 1
        if abs(node["pid"]) != 11:  # 8
            graph.remove_edges_from([(cp, e) for e in links if graph.nodes[e]["type"] == GSF])
    return graph


def split(graph):
    """Rule 9."""
    cps = nodes_of(graph, "caloparticle")
    following = len(cps)
    for cp in cps:
        node = graph.nodes[cp]
        links = element_links(graph, cp)
        tracks = [e for e in links if graph.nodes[e]["type"] == TRACK and delta_r(node, graph.nodes[e]) < 0.4]
        if abs(node["pid"]) == 11 or len(tracks) <= 1:
            continue
        total = sum(links[e] for e in tracks)
        for element in tracks:
            share = links[element] / total if total else 1 / len(tracks)
            scaled = {name: node[name] * share for name in ("pt", "energy", "to_track", "to_cluster")}
            graph.add_node(("caloparticle", following), **{**node, **scaled})
            graph.add_edge(("caloparticle", following), element, weight=links[element])
            following += 1
        graph.remove_node(cp)


def assign_caloparticles(graph):
    """Rules 10 and 11: element -> its particles in the order in which they joined."""
    members, taken = {}, set()
    for kind in (GSF, TRACK, ECAL, HCAL, HFEM, HFHAD, SC, HO):
        elements = [e for e in nodes_of(graph, "element") if graph.nodes[e]["type"] == kind]
        for element in sorted(elements, key=lambda e: -graph.nodes[e]["pt"]):
            cp = best(particle_links(graph, element), free=lambda cp: cp not in taken)
            if cp is not None:
                members[element] = [cp]
                taken.add(cp)
    for cp in sorted(nodes_of(graph, "caloparticle"), key=lambda cp: -graph.nodes[cp]["pt"]):
        if cp not in taken and element_links(graph, cp):
            members.setdefault(best(element_links(graph, cp)), []).append(cp)
    return members


def summed(graph, element, cps):
    """Rule 12, without the class."""
    nodes = [graph.nodes[cp] for cp in cps]
    px = math.fsum(n["pt"] * math.cos(n["phi"]) for n in nodes)
    py = math.fsum(n["pt"] * math.sin(n["phi"]) for n in nodes)
    pz = math.fsum(n["pt"] * math.sinh(n["eta"]) for n in nodes)
    energy = math.fsum(n["energy"] for n in nodes)
    pt = math.hypot(px, py)
    heaviest = graph.nodes[max(cps, key=lambda cp: graph.edges[cp, element]["weight"])]
    return {
        "pt": pt,
        "eta": math.asinh(pz / pt) if pt else 0.0,
        "sin_phi": math.sin(math.atan2(py, px)),
        "cos_phi": math.cos(math.atan2(py, px)),
        "energy": energy,
        "pid": max(nodes, key=lambda n: n["energy"])["pid"],
        "charge": heaviest.get("charge", 0),
        "ispu": math.fsum(n["energy"] for n in nodes if n["ev"] != 0) / energy if energy else 0.0,
        "cp_to_track": math.fsum(n.get("to_track", 0) for n in nodes),
        "cp_to_cluster": math.fsum(n.get("to_cluster", 0) for n in nodes),
        "particle_number": heaviest["number"],
    }


def class_of(pid, charge, kind):
    if pid == 0 or kind == SC:
        return 0
    own = abs(pid) if abs(pid) in (22, 11, 13, 1, 2) else (211 if charge else 130)
    if kind == HFEM:
        return 2
    if kind == HFHAD:
        return 1
    if kind == TRACK and own in (130, 22):
        return 211
    if kind == ECAL and own in (211, 13):
        return 22
    if kind in (HCAL, HO) and own in (211, 11, 13):
        return 130
    return own


def caloparticle_targets(events, event):
    """Element -> target, for the elements that stay, in order."""
    graph = caloparticle_graph(events, event)
    split(graph)
    members = assign_caloparticles(graph)
    targets = {}
    for element in nodes_of(graph, "element"):
        target = dict(ZERO)
        if element in members:
            target |= summed(graph, element, members[element])
            target["pid"] = abs(target["pid"])
            target["class"] = class_of(target["pid"], target["charge"], graph.nodes[element]["type"])
        targets[element[1]] = target
    return targets


def caloparticle_candidates(events, event):
    """Rule 13: element -> candidate."""
    graph = event_graph(events, event)
    candidate_of = {}
    for candidate in sorted(nodes_of(graph, "pfcandidate"), key=lambda c: -graph.nodes[c]["pt"]):
        kinds = (TRACK, GSF) if abs(graph.nodes[candidate]["pdgid"]) in (211, 13, 11) else (0, TRACK, ECAL, HCAL, GSF, HFEM, HFHAD, SC, HO)
        for element in graph.predecessors(candidate):
            if graph.nodes[element]["type"] in kinds and element[1] not in candidate_of:
                candidate_of[element[1]] = candidate[1]
                break
    return candidate_of


# ---- policy trackingparticle ----------------------------------------------------------------------------------------------------------------------------


def trackingparticle_graph(events, event):
    """Rules 1 and 2: elements, and the truth that stays with all its links."""
    graph = event_graph(events, event)
    tps = nodes_of(graph, "trackingparticle")
    graph.remove_nodes_from(nodes_of(graph, "caloparticle"))
    for tp in tps:
        graph.nodes[tp]["number"] = tp[1] + 1
        for element in element_links(graph, tp):
            graph.edges[tp, element]["weight"] = 99999.0
    for sc in nodes_of(graph, "simcluster"):
        graph.nodes[sc]["number"] = len(tps) + sc[1] + 1
        tp = [node for node in graph.successors(sc) if node[0] == "trackingparticle"]
        if tp:
            contract(graph, sc, tp, overwrite=True)
    for sc in nodes_of(graph, "simcluster"):
        graph.remove_edges_from([(sc, e) for e, weight in element_links(graph, sc).items() if weight < 0.01])
    truth = tps + nodes_of(graph, "simcluster")
    for particle in truth:
        for element in element_links(graph, particle):
            if graph.nodes[element]["type"] == SC:
                graph.edges[particle, element]["weight"] = 1.0
    graph.remove_nodes_from([p for p in truth if graph.nodes[p]["energy"] < 0.2])
    for element in nodes_of(graph, "element"):
        links = {p: weight for p, weight in particle_links(graph, element).items() if weight != 1.0}
        graph.remove_edges_from([(p, element) for p, weight in links.items() if weight < 0.05 * max(links.values())])
    graph.remove_nodes_from([p for p in truth if p in graph and not element_links(graph, p)])
    return graph


def assign_truth(graph):
    """Rule 3: element -> its truth particles in the order in which they joined."""
    members, left = {}, []
    truth = nodes_of(graph, "trackingparticle") + nodes_of(graph, "simcluster")
    for particle in sorted(truth, key=lambda p: -graph.nodes[p]["pt"]):
        links = {e: w for e, w in element_links(graph, particle).items() if graph.nodes[e]["type"] not in (PS1, PS2, BREM, SC)}
        element = best(links, free=lambda e: e not in members)
        if element is not None:
            members[element] = [particle]
        elif links:
            left.append((particle, best(links)))
    for particle, element in left:
        members[element].append(particle)
    return members


def signed_pid(pid, kind, eta):
    """Rule 4."""
    positive = (211, 2212, 321, -3112, 3222, -3312, -3334)
    if pid in positive:
        mapped = 211
    elif -pid in positive:
        mapped = -211
    elif abs(pid) in (111, 130, 2112, 310, 3122, 3322):
        mapped = 130
    else:
        mapped = pid if abs(pid) in (11, 13) or pid == 22 else 0
    electromagnetic = abs(mapped) in (22, 11)
    if abs(eta) > 3 and kind == HFHAD:
        return 1
    if abs(eta) > 3 and kind == HFEM:
        return 2 if electromagnetic else 1
    return 130 if kind == HCAL and electromagnetic else mapped


def trackingparticle_targets(events, event):
    """Element -> target, for all elements, in order."""
    graph = trackingparticle_graph(events, event)
    members = assign_truth(graph)
    targets = {}
    for element in nodes_of(graph, "element"):
        target, node = dict(ZERO), graph.nodes[element]
        particles = [p for p in members.get(element, []) if graph.nodes[p]["energy"] > 0.2]
        if particles:
            target |= summed(graph, element, particles)
            target["pid"] = signed_pid(target["pid"], node["type"], node["eta"])
            target["charge"] = {211: 1, -211: -1, 11: -1, -11: 1, 13: -1, -13: 1}.get(target["pid"], 0)
            target["class"] = class_of(target["pid"], target["charge"], node["type"])
        targets[element[1]] = target
    return targets


def trackingparticle_candidates(events, event):
    """Rule 5: element -> candidate."""
    graph = event_graph(events, event)
    candidate_of = {}
    for candidate in sorted(nodes_of(graph, "pfcandidate"), key=lambda c: -graph.nodes[c]["pt"]):
        free = [e for e in graph.predecessors(candidate) if e[1] not in candidate_of]
        if abs(graph.nodes[candidate]["pdgid"]) in (211, 13):
            chosen = next((e for e in free if graph.nodes[e]["type"] == TRACK), None)
        else:
            chosen = best({e: graph.nodes[e]["energy"] for e in free if graph.nodes[e]["type"] in (ECAL, HCAL, HFEM, HFHAD, SC)})
        if chosen is not None:
            candidate_of[chosen[1]] = candidate[1]
    return candidate_of


def edges(events, event):
    """Rule 6: three dicts or sets over pairs of element indices: distances, pairs that share a candidate, pairs that share truth."""
    graph = event_graph(events, event)
    elements = nodes_of(graph, "element")
    distances = {}
    for a in elements:
        for b in elements:
            distance = delta_r(graph.nodes[a], graph.nodes[b])
            if a < b and distance < 0.2:
                distances[a[1], b[1]] = distance
    one = events.slice(event, event + 1)
    for i, j, d in zip(*(one[f"element_distance_{name}"].tolist() for name in "ijd"), strict=True):
        if i != j:
            distances[min(i, j), max(i, j)] = d
    shared_candidate = _pairs([list(graph.predecessors(c)) for c in nodes_of(graph, "pfcandidate")])
    cleaned = trackingparticle_graph(events, event)
    truth = nodes_of(cleaned, "trackingparticle") + nodes_of(cleaned, "simcluster")
    return distances, shared_candidate, _pairs([list(element_links(cleaned, p)) for p in truth])


def _pairs(groups):
    return {(a[1], b[1]) for group in groups for a in group for b in group if a[1] < b[1]}
