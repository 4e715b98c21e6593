import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.events import offsets_from_counts
from mlpf.postprocess.association import Links, inherit
from mlpf.postprocess.kernels import group, pairs_of_members, pairs_within, unique_pairs

LINKS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), max_size=40)


def links_of(rows):
    particle, element, weight = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Links(particle.copy(), element.copy(), weight.astype(np.float64))


@settings(deadline=None)
@given(key=st.lists(st.integers(0, 9), max_size=50))
def test_group_is_a_stable_sort(key):
    key = np.array(key, dtype=np.int64)
    offsets, order = group(key, 10)
    np.testing.assert_array_equal(order, np.argsort(key, kind="stable"))
    np.testing.assert_array_equal(np.diff(offsets), np.bincount(key, minlength=10))


@settings(deadline=None)
@given(rows=LINKS, last=st.booleans())
def test_unique_pairs_are_those_of_a_dictionary(rows, last):
    links = links_of(rows)
    kept, weight = unique_pairs(*links, 6, last)
    expected = {}
    for particle, element, value in rows:
        if last:
            expected[particle, element] = value
        else:
            expected.setdefault((particle, element), value)
    found = list(zip(links.particle[kept], links.element[kept], weight[kept], strict=True))
    assert found == [(*pair, value) for pair, value in expected.items()]


@settings(deadline=None)
@given(rows=LINKS, pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), max_size=10))
def test_inherit_lists_the_links_of_every_child_for_its_parent(rows, pairs):
    child, parent = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    found = inherit(child, parent, links_of(rows))
    expected = [(p, element, weight) for c, p in pairs for particle, element, weight in rows if particle == c]
    assert list(zip(*found, strict=True)) == expected


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), radius=st.floats(0, 1), chord=st.booleans())
def test_pairs_within_are_those_of_a_double_loop(seed, radius, chord):
    rng = np.random.default_rng(seed)
    offsets = offsets_from_counts(rng.integers(0, 8, 3))
    event_b = np.repeat(np.arange(3), np.diff(offsets))
    eta_b, phi_b = rng.uniform(-1, 1, len(event_b)), rng.uniform(-4, 4, len(event_b))
    eta_b = eta_b[np.lexsort((eta_b, event_b))]
    event_a, eta_a, phi_a = rng.integers(0, 3, 15), rng.uniform(-1, 1, 15), rng.uniform(-4, 4, 15)
    found = list(zip(*pairs_within(eta_a, phi_a, event_a, eta_b, phi_b, offsets, radius, chord), strict=True))
    expected = []
    for i in range(15):
        for j in range(len(event_b)):
            a, b = np.exp(1j * phi_a[i]), np.exp(1j * phi_b[j])
            distance = np.hypot(eta_a[i] - eta_b[j], abs(a - b) if chord else np.angle(a / b))
            if event_a[i] == event_b[j] and distance <= radius:
                expected.append((i, j, distance))
    assert [pair[:2] for pair in found] == [pair[:2] for pair in expected]
    np.testing.assert_allclose([pair[2] for pair in found], [pair[2] for pair in expected], atol=1e-12)


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=30))
def test_pairs_of_members_are_those_of_a_double_loop(rows):
    owner, member = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    found = zip(*pairs_of_members(owner.copy(), member.copy()), strict=True)
    expected = [(rows[i][1], rows[j][1]) for i in range(len(rows)) for j in range(i + 1, len(rows)) if rows[i][0] == rows[j][0]]
    assert sorted(found) == sorted(expected)
