import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mlpf.events import event_index, offsets_from_counts
from mlpf.kinematics import delta_r
from mlpf.metrics.matching import closest_first, hungarian, nearby_pairs


def directions(rng, counts):
    n = sum(counts)
    return rng.uniform(-1, 1, n), rng.uniform(-np.pi, np.pi, n), offsets_from_counts(np.array(counts))


def all_pairs(eta_a, phi_a, offsets_a, eta_b, phi_b, offsets_b, max_dr):
    """Every pair of one event, by a readable double loop."""
    event_a, event_b = event_index(offsets_a), event_index(offsets_b)
    return {
        (i, j): delta_r(eta_a[i], phi_a[i], eta_b[j], phi_b[j])
        for i, j in itertools.product(range(len(eta_a)), range(len(eta_b)))
        if event_a[i] == event_b[j] and delta_r(eta_a[i], phi_a[i], eta_b[j], phi_b[j]) < max_dr
    }


@pytest.mark.parametrize(("counts_a", "counts_b"), [((20, 0, 7), (15, 3, 30)), ((0,), (4,)), ((), ())])
def test_nearby_pairs_are_those_of_a_double_loop(counts_a, counts_b):
    rng = np.random.default_rng(0)
    a, b = directions(rng, counts_a), directions(rng, counts_b)
    i, j, dr = nearby_pairs(*a, *b, 0.8)
    expected = all_pairs(*a, *b, 0.8)
    assert dict(zip(zip(i.tolist(), j.tolist(), strict=True), dr, strict=True)) == pytest.approx(expected)


def test_nearby_pairs_see_across_pi():
    one = offsets_from_counts(np.array([1]))
    i, _, dr = nearby_pairs(np.zeros(1), np.array([3.1]), one, np.zeros(1), np.array([-3.1]), one, 0.1)
    assert len(i) == 1
    assert dr[0] == pytest.approx(2 * np.pi - 6.2)


def best_by_permutations(cost):
    """Most allowed pairs, then least cost, over all partial assignments; ``cost`` is infinite where not allowed."""
    num_a, num_b = cost.shape
    best = (0, 0.0)
    for chosen in itertools.permutations([*range(num_b), *[-1] * num_a], num_a):
        pairs = [(i, j) for i, j in enumerate(chosen) if j >= 0]
        total = sum(cost[pair] for pair in pairs)
        if np.isfinite(total):
            best = min(best, (-len(pairs), total))
    return best


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_hungarian_equals_the_best_of_all_permutations(num_a, num_b, seed):
    rng = np.random.default_rng(seed)
    cost = np.where(rng.random((num_a, num_b)) < 0.5, rng.random((num_a, num_b)), np.inf)
    a, b = np.nonzero(np.isfinite(cost))
    partner = hungarian((a, b, cost[a, b]), num_a, num_b)
    matched = np.flatnonzero(partner >= 0)
    number, total = best_by_permutations(cost)
    assert len(matched) == -number
    assert len(set(partner[matched])) == len(matched)
    assert cost[matched, partner[matched]].sum() == pytest.approx(total)


@pytest.mark.parametrize("step", [0.1, 1.0, 0.0])
@pytest.mark.parametrize("density", [0.1, 1.0])
def test_equal_costs_and_sums_that_round_do_not_lead_the_search_in_circles(step, density):
    rng = np.random.default_rng(0)
    for _ in range(100):
        num_a, num_b = rng.integers(0, 40, 2)
        cost = step * rng.integers(0, 30, (num_a, num_b)) + 7 * step * rng.integers(0, 3, (num_a, num_b))
        a, b = np.nonzero(rng.random((num_a, num_b)) < density)
        partner = hungarian((a, b, cost[a, b]), num_a, num_b)
        matrix = np.full((num_a, num_b), 1e4)
        matrix[a, b] = cost[a, b]
        rows, columns = linear_sum_assignment(matrix)
        expected = matrix[rows, columns][matrix[rows, columns] < 1e4]
        matched = np.flatnonzero(partner >= 0)
        assert len(set(partner[matched])) == len(matched) == len(expected)
        assert matrix[matched, partner[matched]].sum() == pytest.approx(expected.sum())


def test_hungarian_gives_up_the_closest_pair_for_the_sake_of_all():
    # 0-0 is the cheapest pair, but then 1 would have nobody
    partner = hungarian((np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.1, 1.0, 2.0])), 2, 2)
    assert partner.tolist() == [1, 0]


def closest_first_by_loop(pairs, num_a):
    partner, left = np.full(num_a, -1), dict(pairs)
    while left:
        i, j = min(left, key=left.get)
        partner[i] = j
        left = {(k, m): d for (k, m), d in left.items() if k != i and m != j}
    return partner


@pytest.mark.parametrize("seed", range(5))
def test_closest_first_is_unique_and_equals_a_readable_loop(seed):
    rng = np.random.default_rng(seed)
    a, b = directions(rng, (12, 9)), directions(rng, (10, 14))
    partner, distance = closest_first(nearby_pairs(*a, *b, 0.7), 21, 24)
    expected = all_pairs(*a, *b, 0.7)
    assert partner.tolist() == closest_first_by_loop(expected, 21).tolist()
    matched = np.flatnonzero(partner >= 0)
    assert len(set(partner[matched])) == len(matched) > 5
    assert distance[matched] == pytest.approx([expected[i, partner[i]] for i in matched])
    assert np.isinf(distance[partner < 0]).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_tighter_cut_keeps_a_subset_of_the_matches(seed):
    rng = np.random.default_rng(seed)
    a, b = directions(rng, (30,)), directions(rng, (30,))
    wide, distance = closest_first(nearby_pairs(*a, *b, 0.6), 30, 30)
    tight, _ = closest_first(nearby_pairs(*a, *b, 0.3), 30, 30)
    assert np.array_equal(np.where(distance < 0.3, wide, -1), tight)


@pytest.mark.parametrize(("num_a", "num_b"), [(60, 60), (80, 40), (40, 80)])
@pytest.mark.parametrize("max_dr", [0.1, 0.25, 0.6])
def test_hungarian_of_crowded_events_costs_what_a_dense_solver_finds(num_a, num_b, max_dr):
    rng = np.random.default_rng(num_a + num_b)
    a, b = directions(rng, (num_a, 0, num_a)), directions(rng, (num_b, 0, num_b))
    i, j, dr = nearby_pairs(*a, *b, max_dr)
    cost = np.hypot(dr, rng.normal(size=len(dr)))
    partner = hungarian((i, j, cost), len(a[0]), len(b[0]))
    forbidden = 1e4  # dearer than all allowed pairs together
    matrix = np.full((len(a[0]), len(b[0])), forbidden)
    matrix[i, j] = cost
    rows, columns = linear_sum_assignment(matrix)
    allowed = matrix[rows, columns] < forbidden
    matched = np.flatnonzero(partner >= 0)
    assert len(matched) == np.count_nonzero(allowed)
    assert len(set(partner[matched])) == len(matched)
    assert matrix[matched, partner[matched]].sum() == pytest.approx(matrix[rows, columns][allowed].sum(), rel=1e-12)


def test_matches_of_an_event_do_not_depend_on_the_events_around_it():
    rng = np.random.default_rng(8)
    a, b = directions(rng, (30, 40, 5)), directions(rng, (35, 30, 9))
    whole = hungarian(nearby_pairs(*a, *b, 0.4), len(a[0]), len(b[0]))
    for event in range(3):
        (first_a, last_a), (first_b, last_b) = a[2][event : event + 2], b[2][event : event + 2]
        own_a = a[0][first_a:last_a], a[1][first_a:last_a], np.array([0, last_a - first_a])
        own_b = b[0][first_b:last_b], b[1][first_b:last_b], np.array([0, last_b - first_b])
        alone = hungarian(nearby_pairs(*own_a, *own_b, 0.4), last_a - first_a, last_b - first_b)
        assert np.array_equal(np.where(alone >= 0, alone + first_b, -1), whole[first_a:last_a])


def test_ten_thousand_neutral_candidates_are_matched_in_seconds():
    rng = np.random.default_rng(3)
    a, b = (rng.uniform(-5, 5, 10_000), rng.uniform(-np.pi, np.pi, 10_000), np.array([0, 10_000])), directions(rng, (10_000,))
    b = (5 * b[0], *b[1:])
    i, j, dr = nearby_pairs(*a, *b, 0.15)
    hungarian((i[:5], j[:5], dr[:5]), 10_000, 10_000)  # compile
    start = time.process_time()
    partner = hungarian((i, j, dr), 10_000, 10_000)
    assert time.process_time() - start < 30  # 1 on an idle machine; a dense matrix would hold 800 MB
    matched = np.flatnonzero(partner >= 0)
    assert len(set(partner[matched])) == len(matched) > 9_500
