import numpy as np
import plane
import pytest

from mlpf.errors import NtupleError
from mlpf.events import Events
from mlpf.postprocess.policy import CaloParticlePolicy, TrackingParticlePolicy
from mlpf.postprocess.rows import postprocess_events
from mlpf.schema import DATASET, NTUPLE, ElementType
from mlpf.testing import random_events


@pytest.mark.parametrize("ties", [False, True])
def test_edges_are_those_of_the_readable_reference(reference, ties):
    events = random_events(np.random.default_rng(1), 60, 30, "2020", ties)
    dataset, _ = postprocess_events(events, TrackingParticlePolicy())
    for i in range(len(events)):
        row = dataset.slice(i, i + 1)
        distances, shared_candidate, shared_truth = reference.edges(events, i)
        pairs = list(zip(row["edge_source"].tolist(), row["edge_target"].tolist(), strict=True))
        assert pairs == sorted(distances)
        np.testing.assert_allclose(row["edge_distance"], [distances[pair] for pair in pairs], rtol=1e-4, atol=1e-6)
        for name, expected in (("candidateedge", shared_candidate), ("truthedge", shared_truth)):
            assert list(zip(row[f"{name}_source"].tolist(), row[f"{name}_target"].tolist(), strict=True)) == sorted(expected)


def test_pf_link_distance_stands_alone_where_delta_r_exists_too():
    events = random_events(np.random.default_rng(2), 40, 20, "2020")
    near = events.with_columns({"element_eta": np.zeros(events.size("element")), "element_phi": np.zeros(events.size("element"))})
    near = near.with_columns({"element_distance_d": np.full(events.size("element_distance"), 5.0)})
    dataset, _ = postprocess_events(near, TrackingParticlePolicy())
    assert set(dataset["edge_distance"].tolist()) == {0.0, 5.0}


def test_neighbours_are_found_across_the_seam_of_phi():
    events = random_events(np.random.default_rng(3), 1, 3, "2020")
    num_elements = events.size("element")
    assert num_elements >= 2
    phi = np.where(np.arange(num_elements) % 2, 3.1, -3.1)
    columns = {"element_eta": np.zeros(num_elements), "element_phi": phi, "element_distance_i": np.zeros(events.size("element_distance"))}
    dataset, _ = postprocess_events(events.with_columns({**columns, "element_distance_j": columns["element_distance_i"]}), TrackingParticlePolicy())
    assert dataset["edge_distance"].max() == pytest.approx(2 * np.pi - 6.2, rel=1e-5)  # 0.083, not 6.2


def test_the_policy_caloparticle_makes_no_edges_unless_asked():
    dataset, _ = postprocess_events(random_events(np.random.default_rng(4), 3), CaloParticlePolicy())
    assert not any("edge" in name for name in dataset.columns)
    dataset, _ = postprocess_events(random_events(np.random.default_rng(4), 3), CaloParticlePolicy(edges=("radius",)))
    assert {name for name in dataset.columns if "edge" in name} == set(DATASET.names("edge"))


def test_the_policy_trackingparticle_keeps_its_truth_edges_without_any_other():
    dataset, _ = postprocess_events(random_events(np.random.default_rng(4), 3, 20, "2020"), TrackingParticlePolicy(edges=()))
    assert {name for name in dataset.columns if "edge" in name} == {*DATASET.names("candidateedge"), *DATASET.names("truthedge")}


def expected_edges(events, event, policy):
    """(source, target) in the row -> distance, kind; one event, one pair at a time."""
    own = events.slice(event, event + 1)
    row = [i for i, kind in enumerate(own["element_type"]) if kind not in policy.dropped_types]
    eta, phi = own["element_eta"].astype(float), own["element_phi"].astype(float)
    apart = plane.distances(eta[row], phi[row], eta[row], phi[row])
    nearest = [pair[:2] for pair in plane.nearest(eta[row], phi[row], np.array([0, len(row)]), policy.edge_neighbors)]
    edges = {}
    for name, bit, pairs in (("radius", 2, np.argwhere(apart < policy.edge_radius)), ("knn", 4, nearest)):
        for i, j in pairs if name in policy.edges else ():
            if i != j:
                kind = edges.get((min(i, j), max(i, j)), (0.0, 0))[1]
                edges[min(i, j), max(i, j)] = apart[i, j], kind | bit
    if "links" in policy.edges:
        for i, j, d in zip(own["element_distance_i"], own["element_distance_j"], own["element_distance_d"], strict=True):
            if i != j and i in row and j in row:
                pair = min(row.index(i), row.index(j)), max(row.index(i), row.index(j))
                edges[pair] = d, edges.get(pair, (0.0, 0))[1] | 1
    return edges


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("edges", [("links",), ("radius",), ("knn",), ("radius", "links"), ("knn", "radius", "links")])
@pytest.mark.parametrize("policy", [CaloParticlePolicy, TrackingParticlePolicy])
def test_every_kind_of_edge_is_right_in_the_positions_of_the_row(policy, edges, ties):
    events = random_events(np.random.default_rng(5), 25, 25, "2026", ties)
    policy = policy(edges=edges, edge_radius=0.6, edge_neighbors=3, dropped_types=(ElementType.ECAL, ElementType.PS1))
    dataset, _ = postprocess_events(events, policy)
    found = 0
    for i in range(len(events)):
        row, expected = dataset.slice(i, i + 1), expected_edges(events, i, policy)
        pairs = list(zip(row["edge_source"].tolist(), row["edge_target"].tolist(), strict=True))
        assert pairs == sorted(expected)
        assert row["edge_kind"].tolist() == [expected[pair][1] for pair in pairs]
        np.testing.assert_allclose(row["edge_distance"], [expected[pair][0] for pair in pairs], rtol=1e-6, atol=1e-7)
        found += len(pairs)
    assert found > 0


def test_truth_edges_count_positions_in_the_row_too():
    events = random_events(np.random.default_rng(6), 20, 30, "2020")
    whole, _ = postprocess_events(events, TrackingParticlePolicy())
    types = (ElementType.PS1, ElementType.PS2, ElementType.BREM)  # never get a truth particle
    part, _ = postprocess_events(events, TrackingParticlePolicy(dropped_types=types))
    for i in range(len(events)):
        before, after = whole.slice(i, i + 1), part.slice(i, i + 1)
        staying = set(after["element_index"].tolist())
        for name in ("candidateedge", "edge"):
            pairs = zip(before[f"{name}_source"].tolist(), before[f"{name}_target"].tolist(), strict=True)
            source, target = (after["element_index"][after[f"{name}_{end}"]].tolist() for end in ("source", "target"))
            assert list(zip(source, target, strict=True)) == [pair for pair in pairs if staying.issuperset(pair)]


def linked(i, j, d):
    """One event of four elements far apart with these PF links."""
    columns = {
        "element_type": [1, 2, 4, 5],
        "element_eta": [0.0, 1.0, 2.0, 3.0],
        "element_phi": np.zeros(4),
        "element_pt": np.ones(4),
        "element_energy": np.ones(4),
        **{f"element_distance_{name}": values for name, values in (("i", i), ("j", j), ("d", d))},
        **{name: np.zeros(0) for name in CaloParticlePolicy.required_columns},
    }
    collections = {NTUPLE.collection_of[name] for name in columns}
    sizes = {"element": 4, "element_distance": len(i)}
    return Events(
        {name: np.asarray(values) for name, values in columns.items()}, {name: np.array([0, sizes.get(name, 0)]) for name in collections}, 1
    )  # fmt: skip


def test_of_repeated_links_the_last_counts_and_self_links_and_dropped_elements_do_not():
    events = linked([2, 3, 0, 0, 3, 1], [0, 2, 2, 0, 2, 3], [0.1, 0.2, -0.3, 0.4, 0.5, 0.6])
    dataset, _ = postprocess_events(events, CaloParticlePolicy(edges=("links",)))  # which drops PS1, element 1
    assert dataset["element_index"].tolist() == [0, 2, 3]
    assert list(zip(dataset["edge_source"], dataset["edge_target"], dataset["edge_kind"], strict=True)) == [(0, 1, 1), (1, 2, 1)]
    assert dataset["edge_distance"].tolist() == pytest.approx([-0.3, 0.5])


def test_a_link_distance_that_is_not_finite_is_an_error_unless_replaced():
    events, policy = linked([0], [2], [np.nan]), CaloParticlePolicy(edges=("links",))
    with pytest.raises(NtupleError, match=r"event 0: element_distance_d: 1 non-finite values \(first at entry 0\)"):
        postprocess_events(events, policy)
    assert postprocess_events(events, policy, nonfinite="zero")[0]["edge_distance"].tolist() == [0.0]
    with pytest.raises(NtupleError, match=r"element_distance_j\[0\] = 4 points outside the event's elements"):
        postprocess_events(linked([0], [4], [0.1]), policy)


def test_events_without_elements_or_links_have_no_edges():
    events = random_events(np.random.default_rng(7), 4).slice(0, 0)
    for policy in (CaloParticlePolicy(edges=("links", "radius", "knn")), TrackingParticlePolicy(edges=("knn",))):
        dataset, _ = postprocess_events(events, policy)
        assert dataset.collection_offsets("edge").tolist() == [0]
    dataset, _ = postprocess_events(linked([], [], []), CaloParticlePolicy(edges=("links", "radius", "knn"), edge_neighbors=0))
    assert dataset.collection_offsets("edge").tolist() == [0, 0]
