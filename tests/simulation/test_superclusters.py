import numpy as np

from mlpf.simulation.superclusters import find_superclusters

NOWHERE = np.zeros(0)


def found(ecal, hcal=(), electrons=()):
    """Supercluster members; ecal and hcal rows are (energy at eta 0, eta, phi)."""
    rows = np.array([*ecal, *hcal], dtype=float).reshape(-1, 3)
    electron = np.array(electrons, dtype=float).reshape(-1, 2)
    number = len(ecal)
    result = find_superclusters(np.arange(number), np.arange(number, len(rows)), rows[:, 0], rows[:, 1], rows[:, 2], electron[:, 0], electron[:, 1])
    return [sorted(result.cluster[a:b].tolist()) for a, b in zip(result.offsets[:-1], result.offsets[1:], strict=True)]


def test_clusters_along_phi_join_the_most_energetic_one_across_pi():
    assert found([(3.0, 0.01, -3.1), (30.0, 0.0, 3.1), (3.0, 0.1, 3.1), (2.0, 0.0, 2.8)]) == [[0, 1]]


def test_soft_or_hadronic_ones_are_left_out_unless_an_electron_points_at_them():
    assert found([(5.0, 0.0, 0.0)]) == []
    assert found([(30.0, 0.0, 0.0)], hcal=[(20.0, 0.05, 0.05)]) == []
    assert found([(30.0, 0.0, 0.0)], hcal=[(10.0, 0.05, 0.05), (90.0, 0.5, 0.0)]) == [[0]]
    assert found([(5.0, 0.0, 0.0)], electrons=[(0.01, 0.02)]) == [[0]]
    assert found([(0.8, 0.0, 0.0)], electrons=[(0.01, 0.02)]) == []  # below the seed threshold


def test_every_cluster_is_in_one_supercluster_at_most():
    rng = np.random.default_rng(1)
    clusters = np.stack([rng.uniform(5, 50, 200), rng.uniform(-1, 1, 200), rng.uniform(-3, 3, 200)], axis=1)
    members = [cluster for supercluster in found(clusters) for cluster in supercluster]
    assert len(members) == len(set(members)) > 100


def test_without_clusters_there_is_nothing():
    assert found([]) == []
