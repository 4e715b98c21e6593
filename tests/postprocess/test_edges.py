import numpy as np
import pytest

from mlpf.postprocess.policy import CaloParticlePolicy, TrackingParticlePolicy
from mlpf.postprocess.rows import postprocess_events
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


def test_the_policy_caloparticle_makes_no_edges():
    dataset, _ = postprocess_events(random_events(np.random.default_rng(4), 3), CaloParticlePolicy())
    assert not any("edge" in name for name in dataset.columns)
