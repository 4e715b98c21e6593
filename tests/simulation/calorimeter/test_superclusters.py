import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.simulation.calorimeter.superclusters import find_superclusters, in_mustache, window_phi

NOWHERE = np.zeros(0)


def found(ecal, hcal=(), electrons=()):
    """Supercluster members; ecal and hcal rows are (energy at eta 0, eta, phi)."""
    rows = np.array([*ecal, *hcal], dtype=float).reshape(-1, 3)
    electron = np.array(electrons, dtype=float).reshape(-1, 2)
    number = len(ecal)
    result = find_superclusters(np.arange(number), np.arange(number, len(rows)), rows[:, 0], rows[:, 1], rows[:, 2], electron[:, 0], electron[:, 1])
    return [sorted(result.cluster[a:b].tolist()) for a, b in zip(result.offsets[:-1], result.offsets[1:], strict=True)]


def test_clusters_along_phi_join_the_most_energetic_one_across_pi():
    assert found([(3.0, 0.005, -3.1), (30.0, 0.0, 3.1), (3.0, 0.1, 3.1), (2.0, 0.0, 2.2)]) == [[0, 1]]


def test_soft_or_hadronic_ones_are_left_out_unless_an_electron_points_at_them():
    assert found([(5.0, 0.0, 0.0)]) == []
    assert found([(30.0, 0.0, 0.0)], hcal=[(20.0, 0.05, 0.05)]) == []
    assert found([(30.0, 0.0, 0.0)], hcal=[(10.0, 0.05, 0.05), (90.0, 0.5, 0.0)]) == [[0]]
    assert found([(5.0, 0.0, 0.0)], electrons=[(0.01, 0.02)]) == [[0]]
    assert found([(5.0, 0.0, 0.0), (2.0, 0.0, 0.12)], electrons=[(0.0, 0.13)]) == [[0, 1]]  # the electron's own cluster is the softer one
    assert found([(0.8, 0.0, 0.0)], electrons=[(0.01, 0.02)]) == []  # below the seed threshold


def test_every_cluster_is_in_one_supercluster_at_most():
    rng = np.random.default_rng(1)
    clusters = np.stack([rng.uniform(5, 50, 200), rng.uniform(-1, 1, 200), rng.uniform(-3, 3, 200)], axis=1)
    members = [cluster for supercluster in found(clusters) for cluster in supercluster]
    assert len(members) == len(set(members)) > 100


@pytest.mark.parametrize(("et", "eta", "expected"), [(0.5, 0.0, 0.6), (1.0, 0.5, 0.4460), (5.0, 0.5, 0.1567), (100.0, 0.5, 0.14), (2.0, -2.2, 0.2945)])
def test_soft_clusters_may_be_further_away_in_azimuth(et, eta, expected):
    """Arithmetic: 0.0280506 + 0.946048 / (1 + exp((log10(et) + 0.101172) / 0.432767)) in the barrel, between 0.14 and 0.6, and so on."""
    assert window_phi(et, eta) == pytest.approx(expected, abs=2e-4)


@given(st.floats(-2.9, 2.9), st.floats(0.2, 100.0), st.floats(-0.2, 0.2), st.floats(-0.7, 0.7))
def test_the_mustache_is_symmetric_in_eta_and_phi(seed_eta, energy, d_eta, d_phi):
    inside = in_mustache(seed_eta, 0.0, energy, seed_eta + d_eta, d_phi)
    assert in_mustache(seed_eta, 3.0, energy, seed_eta + d_eta, 3.0 - d_phi) == inside
    if seed_eta != 0.0 and abs(seed_eta + d_eta) < 2.95:
        assert in_mustache(-seed_eta, 0.0, energy, -seed_eta - d_eta, d_phi) == inside


def test_the_mustache_opens_outwards():
    """Photons that an electron radiated before it was bent away reach the ECAL further forward than it does, the more so the larger the angle."""
    for eta in (0.8, 1.3):
        reach = [max(d for d in np.linspace(0.0, 0.1, 500) if in_mustache(eta, 0.0, 1.0, eta + d, phi)) for phi in (0.0, 0.2, 0.4)]
        assert reach[0] < reach[1] < reach[2]
        assert in_mustache(eta, 0.0, 1.0, eta, 0.0)
        assert not in_mustache(eta, 0.0, 1.0, eta - 0.03, 0.4)


def test_without_clusters_there_is_nothing():
    assert found([]) == []
