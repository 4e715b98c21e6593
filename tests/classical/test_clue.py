"""CLUE against a reading of its definition that compares all pairs, against symmetries, and against the CLUEstering package where that is installed."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.classical.clue import ClueParameters, Clusters, clue
from mlpf.classical.clue_kernels import KERNELS
from mlpf.errors import MlpfError

DENSITY_AT = {"flat": lambda _: 0.5, "gaussian": lambda u: math.exp(-2.0 * u * u), "exponential": lambda u: math.exp(-2.0 * u)}


def brute_force(x, y, weight, parameters):
    """Density, distance, nearest higher, seeds and clusters of one event (azimuths at most a turn too far), read off the definition point by point."""
    points = range(len(x))
    if parameters.periodic:
        y = [phi - 2 * math.pi if phi >= math.pi else phi + 2 * math.pi if phi < -math.pi else phi for phi in y]

    def squared(i, j):
        dy = abs(y[i] - y[j])
        dy = min(dy, 2 * math.pi - dy) if parameters.periodic else dy
        return (x[i] - x[j]) * (x[i] - x[j]) + dy * dy

    dc2, reach2 = parameters.dc**2, (parameters.outlier_factor * parameters.dc) ** 2
    neighbours = [[j for j in points if j != i and squared(i, j) < dc2] for i in points]
    shape = DENSITY_AT[parameters.kernel]
    rho = [math.fsum([weight[i], *(shape(math.sqrt(squared(i, j)) / parameters.dc) * weight[j] for j in neighbours[i])]) for i in points]
    higher = [[j for j in points if (rho[j], j) > (rho[i], i) and squared(i, j) <= reach2] for i in points]
    nearest = [min(higher[i], key=lambda j, i=i: (squared(i, j), -rho[j], -j), default=-1) for i in points]
    delta2 = [squared(i, nearest[i]) if nearest[i] >= 0 else math.inf for i in points]
    is_seed = [rho[i] >= parameters.rho_c and delta2[i] > dc2 for i in points]
    is_outlier = [rho[i] < parameters.rho_c and delta2[i] > reach2 for i in points]
    number = dict(zip((i for i in points if is_seed[i]), points, strict=False))

    def label(i):
        while i not in number:
            if is_outlier[i]:
                return -1
            i = nearest[i]
        return number[i]

    return Clusters(*(np.array(values) for values in (rho, np.sqrt(delta2), nearest, is_seed, [label(i) for i in points])))


def assert_as_defined(x, y, weight, parameters):
    found, expected = clue(x, y, weight, np.array([0, len(x)]), parameters), brute_force(x.tolist(), y.tolist(), weight.tolist(), parameters)
    np.testing.assert_allclose(found.rho, expected.rho, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.delta, expected.delta, rtol=1e-12, atol=1e-12)
    for name in ("nearest_higher", "is_seed", "cluster"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name).astype(getattr(found, name).dtype), err_msg=name)


def assert_same(found, expected):
    for name, a, b in zip(Clusters._fields, found, expected, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def scattered(seed, number, spread=1.0):
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-3, 3, (8, 2))[rng.integers(0, 8, number)]
    x, y = (centre + rng.normal(0, 0.2 * spread, (number, 2))).T
    return x, y, rng.lognormal(0, 1, number)


@settings(deadline=None, max_examples=300)
@given(
    points=st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.sampled_from([0.0, 0.125, 0.5, 1.0, 3.0])), max_size=25),
    dc=st.sampled_from([0.3, 0.5, 1.0, 1.25, 20.0]),
    rho_c=st.sampled_from([0.0, 0.125, 1.0, 2.5]),
    outlier_factor=st.sampled_from([1.0, 2.0, 2.5, 7.0]),
    periodic=st.booleans(),
)
def test_points_on_a_lattice_full_of_ties_are_clustered_as_defined(points, dc, rho_c, outlier_factor, periodic):
    x, y, weight = np.array(points, dtype=np.float64).reshape(-1, 3).T
    parameters = ClueParameters(dc=dc, rho_c=rho_c, outlier_factor=outlier_factor, periodic=periodic)
    assert_as_defined(0.5 * x, 0.5 * y, weight, parameters)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000), number=st.integers(0, 60), kernel=st.sampled_from(KERNELS), dc=st.floats(0.01, 2.0), periodic=st.booleans())
def test_scattered_points_are_clustered_as_defined(seed, number, kernel, dc, periodic):
    x, y, weight = scattered(seed, number)
    assert_as_defined(x, y, weight, ClueParameters(dc=dc, rho_c=1.5, kernel=kernel, periodic=periodic))


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("dc", [1e-12, 1e-3, 0.1, 1.0, 3.0, 1e6])
@pytest.mark.parametrize(
    "x",
    [[], [0.3], [0.3] * 40, [0.0, 1e140, -1e140, 0.05], [1e12 * i for i in range(20)], [0.01 * i for i in range(40)]],
    ids=["none", "one", "same", "far", "wide", "line"],
)
def test_degenerate_sets_are_clustered_as_defined(x, dc, periodic):
    x, y, weight = np.array(x), np.resize([np.pi, -np.pi, 0.0, 3.1, -3.1], len(x)), np.resize([1.0, 0.5, 1.0], len(x))
    assert_as_defined(x, y, weight, ClueParameters(dc=dc, rho_c=1.0, periodic=periodic))


def test_a_row_of_points_by_hand():
    """Weights 1 2 1 at 0 1 2, a light point at 3.5, and one alone at 9, with dc 1.5: the densities are 2, 3, 2, .1, .1."""
    x = np.array([0.0, 1.0, 2.0, 3.5, 9.0])
    found = clue(x, np.zeros(5), np.array([1.0, 2.0, 1.0, 0.1, 0.1]), np.array([0, 5]), ClueParameters(dc=1.5, rho_c=1.0))
    assert found.rho == pytest.approx([2.0, 3.0, 2.0, 0.1, 0.1], rel=1e-12)
    assert found.delta.tolist() == [1.0, np.inf, 1.0, 1.5, np.inf]
    assert found.nearest_higher.tolist() == [1, -1, 1, 2, -1]
    assert found.is_seed.tolist() == [False, True, False, False, False]
    assert found.cluster.tolist() == [0, 0, 0, 0, -1]


def test_followers_of_an_outlier_belong_to_no_cluster():
    found = clue(np.array([0.0, 1.2]), np.zeros(2), np.array([0.1, 0.2]), np.array([0, 2]), ClueParameters(dc=1.0, rho_c=1.0))
    assert found.nearest_higher.tolist() == [1, -1]
    assert found.cluster.tolist() == [-1, -1]


@pytest.mark.parametrize("others", [0, 5, 5000])
def test_three_weights_of_a_tenth_reach_a_threshold_of_two_tenths(others):
    """.1 + (.1 + .1) / 2, in doubles and in any unit; heavier points elsewhere make the unit coarser."""
    x = np.concatenate([[0.0, 0.0, 0.0], 10.0 + np.arange(others)])
    weight = np.concatenate([[0.1, 0.1, 0.1], np.full(others, 1000.0)])
    found = clue(x, np.zeros(len(x)), weight, np.array([0, len(x)]), ClueParameters(dc=0.5, rho_c=0.2))
    assert found.is_seed[:3].tolist() == [False, False, True]
    assert found.rho[:3] == pytest.approx([0.2] * 3, rel=1e-9)


@pytest.mark.parametrize("angle", [1.0, np.pi, -20.0])
def test_turning_all_points_in_phi_changes_no_cluster(angle):
    x, phi, weight = scattered(3, 400)
    parameters = ClueParameters(dc=0.2, rho_c=4.0, periodic=True)
    before, after = (clue(x, angles, weight, np.array([0, 400]), parameters) for angles in (phi, phi + angle))
    assert before.cluster.max() > 3
    np.testing.assert_allclose(after.delta, before.delta, rtol=1e-9)
    assert_same(after._replace(delta=None), before._replace(delta=None))


def test_the_order_of_points_does_not_matter():
    x, y, weight = scattered(5, 500)
    order = np.random.default_rng(1).permutation(500)
    parameters = ClueParameters(dc=0.2, rho_c=4.0)
    before, after = clue(x, y, weight, np.array([0, 500]), parameters), clue(x[order], y[order], weight[order], np.array([0, 500]), parameters)
    np.testing.assert_array_equal(after.rho, before.rho[order])  # to the last bit
    np.testing.assert_array_equal(np.where(after.nearest_higher >= 0, order[after.nearest_higher], -1), before.nearest_higher[order])
    seeds_before, seeds_after = np.flatnonzero(before.is_seed), order[np.flatnonzero(after.is_seed)]
    np.testing.assert_array_equal(np.append(seeds_after, -1)[after.cluster], np.append(seeds_before, -1)[before.cluster[order]])


@pytest.mark.parametrize("periodic", [False, True])
def test_an_event_does_not_see_the_others_of_its_batch(periodic):
    offsets = np.array([0, 0, 150, 150, 151, 600, 600])
    x, y, weight = scattered(7, 600)
    weight[:150] *= 1e6
    parameters = ClueParameters(dc=0.25, rho_c=4.0, periodic=periodic)
    together = clue(x, y, weight, offsets, parameters)
    num_seeds = 0
    for first, last in itertools.pairwise(offsets):
        alone = clue(x[first:last], y[first:last], weight[first:last], np.array([0, last - first]), parameters)
        nearest = np.where(alone.nearest_higher >= 0, alone.nearest_higher + first, -1)
        cluster = np.where(alone.cluster >= 0, alone.cluster + num_seeds, -1)
        assert_same(Clusters(*(values[first:last] for values in together)), alone._replace(nearest_higher=nearest, cluster=cluster))
        num_seeds += int(alone.is_seed.sum())


@pytest.mark.parametrize("kernel", KERNELS)
def test_threads_change_nothing(kernel):
    x, y, weight = scattered(9, 20_000, spread=5.0)
    offsets = np.array([0, 3, 12_000, 20_000])
    parameters = ClueParameters(dc=0.05, rho_c=4.0, kernel=kernel, periodic=True)
    assert_same(clue(x, y, weight, offsets, parameters, threads=3), clue(x, y, weight, offsets, parameters))
    assert len(clue(x[:0], y[:0], weight[:0], np.array([0]), parameters, threads=3).rho) == 0


def test_one_point_far_away_costs_nothing():
    """A dense grid over such a spread would have 1e60 tiles, or one."""
    x, y, weight = scattered(11, 50_000, spread=20.0)
    parameters = ClueParameters(dc=0.05, rho_c=4.0)
    near = clue(x, y, weight, np.array([0, 50_000]), parameters)
    with_far = clue(np.append(x, 1e60), np.append(y, -1e60), np.append(weight, 0.0), np.array([0, 50_001]), parameters)
    np.testing.assert_allclose(with_far.rho[:-1], near.rho, rtol=1e-9)
    assert_same(Clusters(*(values[:-1] for values in with_far))._replace(rho=near.rho), near)
    assert with_far.cluster[-1] == -1


def test_a_value_that_is_not_finite_is_named():
    good = np.zeros(4)
    for bad in (np.nan, np.inf, -1e200):
        with pytest.raises(MlpfError, match=r"CLUE: weight: 1 values that are not finite \(first at point 2: .*\); leave such points out"):
            clue(good, good, np.array([1.0, 1.0, bad, 1.0]), np.array([0, 4]), ClueParameters(dc=1.0, rho_c=1.0))


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_those_of_cluestering(seed):
    """Version 1.4.0 (C++, single precision), the last that builds without packages from outside PyPI."""
    package = pytest.importorskip("CLUEstering")
    if not hasattr(package, "clusterer") or not hasattr(package.clusterer(1.0, 1.0, 2.0), "clust_prop"):
        pytest.skip("CLUEstering 1.4.0 is needed")
    x, y, weight = (values.astype(np.float32).astype(np.float64) for values in scattered(seed, 2000))
    other = package.clusterer(0.1, 10.0, 2.0)
    other.read_data(np.array([x, y, weight]))
    other.run_clue()
    x, y = other.clust_data.coords  # standardised
    found = clue(x, y, weight, np.array([0, len(x)]), ClueParameters(dc=0.1, rho_c=10.0))
    assert found.is_seed.sum() > 5
    np.testing.assert_array_equal(found.is_seed, np.asarray(other.clust_prop.is_seed) == 1)
    np.testing.assert_array_equal(found.cluster, np.asarray(other.clust_prop.cluster_ids))
