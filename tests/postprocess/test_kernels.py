import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.events import offsets_from_counts
from mlpf.postprocess.association import Links, descending
from mlpf.postprocess.kernels import compress, elements_of, group, inherit, is_new, near_pairs, pairs_of_members, read_links, select, unique_links

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
def test_unique_links_are_those_of_a_dictionary(rows, last):
    expected = {}
    for particle, element, value in rows:
        if last:
            expected[particle, element] = value
        else:
            expected.setdefault((particle, element), value)
    found = zip(*unique_links(*links_of(rows), 6, 6, last), strict=True)
    assert list(found) == [(*pair, value) for pair, value in expected.items()]


@settings(deadline=None)
@given(rows=LINKS, pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), max_size=10))
def test_inherit_lists_the_links_of_every_child_for_its_parent(rows, pairs):
    child, parent = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    found = inherit(child, parent, *links_of(rows), 8)
    expected = [(p, element, weight) for c, p in pairs for particle, element, weight in rows if particle == c]
    assert list(zip(*found, strict=True)) == expected


@settings(deadline=None)
@given(rows=LINKS, others=LINKS, is_sorted=st.booleans())
def test_links_are_new_if_no_pair_is_the_same(rows, others, is_sorted):
    pairs = list(dict.fromkeys((particle, element) for particle, element, _ in rows))
    particle, element = np.array(sorted(pairs) if is_sorted else pairs, dtype=np.int64).reshape(-1, 2).T
    other_particle, other_element, _ = links_of(others)
    other_particle[::5] = -1
    found = is_new(other_particle, other_element, *elements_of(particle.copy(), element.copy(), 6, 6))
    assert found.tolist() == [p >= 0 and (p, e) not in pairs for p, e in zip(other_particle, other_element, strict=True)]


@settings(deadline=None)
@given(rows=LINKS, particles=st.sets(st.integers(0, 5)), elements=st.sets(st.integers(0, 5)))
def test_select_finds_the_links_between_what_is_wanted(rows, particles, elements):
    particle, element, _ = links_of(rows)
    found = select(particle, element, np.isin(np.arange(6), list(particles)), np.isin(np.arange(6), list(elements)))
    assert found.tolist() == [i for i, row in enumerate(rows) if row[0] in particles and row[1] in elements]


@settings(deadline=None)
@given(counts=st.lists(st.tuples(*[st.integers(0, 6)] * 3), max_size=5), seed=st.integers(0, 99))
def test_read_links_counts_through_the_chunk_and_leaves_out_what_is_not_wanted(counts, seed):
    rng = np.random.default_rng(seed)
    num_links, num_first, num_second = np.array(counts, dtype=np.int64).reshape(-1, 3).T
    num_links = np.where((num_first == 0) | (num_second == 0), 0, num_links)
    first, second = (rng.integers(0, np.repeat(limit, num_links)) for limit in (num_first, num_second))
    weight, wanted = rng.random(len(first)), rng.random(num_second.sum()) < 0.7
    offsets = [offsets_from_counts(values) for values in (num_links, num_first, num_second)]
    found = list(zip(*read_links(first, second, weight, *offsets, wanted), strict=True))
    event = np.repeat(np.arange(len(counts)), num_links)
    expected = [(offsets[1][e] + f, offsets[2][e] + s, w) for e, f, s, w in zip(event, first, second, weight, strict=True) if wanted[offsets[2][e] + s]]
    assert found == expected


@settings(deadline=None)
@given(rows=LINKS, seed=st.integers(0, 99))
def test_compress_keeps_what_the_mask_says(rows, seed):
    links, kept = links_of(rows), np.random.default_rng(seed).random(len(rows)) < 0.5
    for found, values in zip(compress(*links, kept), links, strict=True):
        np.testing.assert_array_equal(found, values[kept])


@settings(deadline=None)
@given(values=st.lists(st.integers(-3, 3), max_size=200))
def test_descending_order_is_stable(values):
    values = np.array(values, dtype=np.float32)
    np.testing.assert_array_equal(descending(values), np.argsort(-values, kind="stable"))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 1000), radius=st.floats(0, 2), sizes=st.sampled_from([8, 40]))
def test_near_pairs_are_those_of_a_double_loop(seed, radius, sizes):
    rng = np.random.default_rng(seed)
    offsets_a, offsets_b = (offsets_from_counts(rng.integers(0, sizes, 3)) for _ in "ab")
    event_a, event_b = (np.repeat(np.arange(3), np.diff(offsets)) for offsets in (offsets_a, offsets_b))
    (eta_a, phi_a), (eta_b, phi_b) = (rng.uniform(-1, 1, (2, offsets[-1])) * [[1], [4]] for offsets in (offsets_a, offsets_b))
    eta_b = eta_b[np.lexsort((eta_b, event_b))]
    found = list(zip(*near_pairs(eta_a, phi_a, offsets_a, eta_b, phi_b, offsets_b, radius), strict=True))
    chord = np.hypot(eta_a[:, None] - eta_b, abs(np.exp(1j * phi_a)[:, None] - np.exp(1j * phi_b)))
    near = (chord <= radius) & (event_a[:, None] == event_b)
    assert found == list(zip(*np.nonzero(near), strict=True))


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=30))
def test_pairs_of_members_are_those_of_a_double_loop(rows):
    owner, member = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    found = zip(*pairs_of_members(owner.copy(), member.copy()), strict=True)
    expected = [(rows[i][1], rows[j][1]) for i in range(len(rows)) for j in range(i + 1, len(rows)) if rows[i][0] == rows[j][0]]
    assert sorted(found) == sorted(expected)
