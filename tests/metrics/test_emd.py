import numpy as np
import ot
import pytest
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance

from mlpf import schema
from mlpf.events import Events, concatenate, offsets_from_counts
from mlpf.metrics import binning
from mlpf.metrics.emd import ONE_IN, RADIUS, EmdSums, compared_events, event_emd
from mlpf.metrics.systems import Particles
from mlpf.metrics.uncertainty import mean
from mlpf.samples.split import SPLITS, SplitConfig, split_index


def particles(rng, n, width=0.5):
    """pt, eta, phi around the azimuth at which it jumps."""
    return rng.exponential(3.0, n), rng.normal(0.0, width, n), np.pi + rng.normal(0.0, width, n)


def ground_cost(a, b):
    delta_phi = np.arctan2(np.sin(a[2][:, None] - b[2]), np.cos(a[2][:, None] - b[2]))
    return np.minimum(np.sqrt((a[1][:, None] - b[1]) ** 2 + delta_phi**2) / RADIUS, 2.0)


def emd_by_linear_programming(a, b):
    """The definition, word for word."""
    num_a, num_b = len(a[0]), len(b[0])
    of_a, of_b = np.kron(np.eye(num_a), np.ones(num_b)), np.kron(np.ones(num_a), np.eye(num_b))
    all_moved = min(a[0].sum(), b[0].sum())
    found = linprog(ground_cost(a, b).ravel(), np.vstack([of_a, of_b]), np.concatenate([a[0], b[0]]), np.ones((1, num_a * num_b)), [all_moved])
    return found.fun + abs(a[0].sum() - b[0].sum())


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_minimum_that_a_linear_program_finds(seed):
    rng = np.random.default_rng(seed)
    a, b = particles(rng, rng.integers(1, 9)), particles(rng, rng.integers(1, 9), rng.choice([0.05, 0.5, 2.0]))
    assert event_emd(*a, *b) == pytest.approx(emd_by_linear_programming(a, b), rel=1e-7)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_that_minimum_where_particles_share_places_and_distances_are_just_the_limit(seed):
    rng = np.random.default_rng(seed)

    def on_a_grid(n):
        places = rng.choice([0.0, 0.2, 0.4, 0.8], n), rng.choice([-np.pi, np.pi, np.pi - 0.2, 0.2 - np.pi, 7 * np.pi], n)
        return rng.choice([0.5, 1.0, 2.0], n) * rng.choice([1.0, 1e-4, 1e4]), *places

    a, b = on_a_grid(rng.integers(1, 9)), on_a_grid(rng.integers(1, 9))
    assert event_emd(*a, *b) == pytest.approx(emd_by_linear_programming(a, b), rel=1e-7, abs=1e-9)


def test_it_is_that_of_all_pairs_of_hundreds_of_particles():
    rng = np.random.default_rng(1)
    a, b = particles(rng, 300, 1.5), particles(rng, 250, 1.5)
    missing = a[0].sum() - b[0].sum()
    assert missing > 0
    total = a[0].sum()
    cost = np.hstack([ground_cost(a, b), np.ones((300, 1))])
    expected = ot.emd2(a[0] / total, np.append(b[0], missing) / total, cost, numItermax=1_000_000) * total
    assert event_emd(*a, *b) == pytest.approx(expected, rel=1e-9)


def one(pt, eta, phi):
    return np.array([pt]), np.array([eta]), np.array([phi])


@pytest.mark.parametrize(
    ("eta", "phi", "expected"),
    [
        (0.0, 0.0, 0.0),
        (0.2, 0.0, 5.0),  # 10 GeV by 0.2 / 0.4
        (0.3, 0.4, 12.5),
        (0.799, 0.0, 19.975),
        (0.81, 0.0, 20.0),  # removed and made anew
        (4.0, 2.0, 20.0),
    ],
)
def test_a_particle_elsewhere_costs_the_way_but_no_more_than_to_lose_and_to_make_it(eta, phi, expected):
    assert event_emd(*one(10.0, 0.5, 0.3), *one(10.0, 0.5 + eta, 0.3 + phi)) == pytest.approx(expected)


def test_the_way_across_pi_is_short():
    assert event_emd(*one(1.0, 0.0, 3.1), *one(1.0, 0.0, -3.1)) == pytest.approx((2 * np.pi - 6.2) / 0.4)


def test_a_wrong_pt_costs_the_difference_and_a_missing_particle_its_pt():
    assert event_emd(*one(10.0, 0.0, 0.0), *one(7.0, 0.0, 0.0)) == pytest.approx(3.0)
    a, nothing = (np.array([10.0, 4.0]), np.array([0.0, 2.0]), np.zeros(2)), (np.zeros(0),) * 3
    assert event_emd(*a, *one(10.0, 0.0, 0.0)) == pytest.approx(4.0)
    assert event_emd(*a, *nothing) == event_emd(*nothing, *a) == 14.0
    assert event_emd(*nothing, *nothing) == 0.0


def test_along_a_line_it_is_the_difference_of_the_distribution_functions():
    rng = np.random.default_rng(2)
    a, b = ((rng.exponential(1.0, n), rng.uniform(0, 0.7, n), np.full(n, 1.0)) for n in (40, 30))
    b[0][:] *= a[0].sum() / b[0].sum()
    expected = a[0].sum() * wasserstein_distance(a[1], b[1], a[0], b[0]) / RADIUS  # within 0.7 nothing is far enough to be removed
    assert event_emd(*a, *b) == pytest.approx(expected, rel=1e-6)


def test_it_is_a_metric():
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b, c = (particles(rng, n, 0.8) for n in rng.integers(1, 40, 3))
        assert event_emd(*a, *a) == pytest.approx(0.0, abs=1e-9)
        assert event_emd(*a, *b) == pytest.approx(event_emd(*b, *a), rel=1e-9)
        assert event_emd(*a, *c) <= event_emd(*a, *b) + event_emd(*b, *c) + 1e-9


def test_turning_mirroring_reordering_and_splitting_change_nothing():
    rng = np.random.default_rng(4)
    a, b = particles(rng, 30), particles(rng, 20)
    expected = event_emd(*a, *b)
    order = rng.permutation(30)
    assert event_emd(*(x[order] for x in a), *b) == pytest.approx(expected, rel=1e-9)
    for turned in (2.0, 7.0):
        assert event_emd(a[0], a[1], a[2] + turned, b[0], b[1], b[2] + turned - 2 * np.pi) == pytest.approx(expected, rel=1e-9)
    assert event_emd(a[0], -a[1], -a[2], b[0], -b[1], -b[2]) == pytest.approx(expected, rel=1e-9)
    halves = (np.repeat(a[0] / 2, 2), np.repeat(a[1], 2), np.repeat(a[2], 2))
    assert event_emd(*halves, *b) == pytest.approx(expected, rel=1e-9)
    assert event_emd(3 * a[0], *a[1:], 3 * b[0], *b[1:]) == pytest.approx(3 * expected, rel=1e-9)


def test_particles_without_pt_count_nothing_and_an_absurd_pt_costs_itself():
    rng = np.random.default_rng(5)
    a, b = particles(rng, 10), particles(rng, 10)
    more = [np.append(x, y) for x, y in zip(b, (0.0, 0.1, 0.1), strict=True)]
    assert event_emd(*a, *more) == pytest.approx(event_emd(*a, *b), rel=1e-12)
    absurd = [np.append(x, y) for x, y in zip(b, (3e38, 0.1, 0.1), strict=True)]
    assert event_emd(*(x.astype(np.float32) for x in a), *(x.astype(np.float32) for x in absurd)) == pytest.approx(3e38)


def toy_events(rng, num_events, first=0):
    """A dataset's events with generator particles, and the same smeared."""
    counts = rng.poisson(12, num_events)
    counts[:: num_events // 3] = 0
    n, offsets = int(counts.sum()), offsets_from_counts(counts)
    pt, eta, phi = particles(rng, n, 1.0)
    identity = {"event": first + np.arange(num_events), "run": np.ones(num_events), "lumi": np.ones(num_events)}
    columns = {**identity, "particle_pt": pt, "particle_eta": eta, "particle_phi": phi}
    zeros = np.zeros(n)
    smeared = Particles(pt * rng.lognormal(0, 0.2, n), eta + rng.normal(0, 0.05, n), phi, pt, zeros, zeros, zeros, offsets)
    return Events(columns, {"particle": offsets}, num_events, layout=schema.DATASET), smeared


def test_one_event_in_ten_is_compared_whatever_the_chunk_and_the_split():
    events, _ = toy_events(np.random.default_rng(6), 5000)
    chosen = compared_events(events)
    assert len(chosen) == pytest.approx((events.counts("particle") > 0).sum() / ONE_IN, rel=0.1)
    parts = [start + compared_events(events.slice(start, start + 1000)) for start in range(0, 5000, 1000)]
    assert np.array_equal(np.concatenate(parts), chosen)
    split = split_index(events["run"], events["lumi"], events["event"], SplitConfig(train=0.5, validation=0.25, test=0.25))
    for number in range(len(SPLITS)):
        assert np.mean(split[chosen] == number) == pytest.approx(np.mean(split == number), abs=0.05)
    assert (events.counts("particle")[chosen] > 0).all()


def test_the_sums_give_the_mean_of_the_compared_events_in_any_chunks():
    rng = np.random.default_rng(7)
    chunks = [toy_events(rng, 200, first) for first in (0, 200)]
    whole = EmdSums()
    for events, found in chunks:
        vertices = binning.bin_index(np.resize([0, 30], len(events)), binning.VERTICES)
        part = EmdSums()
        part.update(events, found, vertices, compared_events(events))
        for name, sums in whole.parts.items():
            sums += part.parts[name]
    events = concatenate([events for events, _ in chunks])
    columns = [np.concatenate([getattr(found, name) for _, found in chunks]) for name in ("pt", "eta", "phi")]
    offsets = events.collection_offsets("particle")
    values, shares, many = [], [], []
    for i in compared_events(events):
        own = slice(*offsets[i : i + 2])
        truth = [events[f"particle_{name}"][own] for name in ("pt", "eta", "phi")]
        values.append(event_emd(*truth, *(column[own] for column in columns)))
        shares.append(values[-1] / truth[0].sum())
        many.append(i % 2 == 1)
    result = whole.to_json(with_vertices=True)
    for found, expected in ((result["all"], values), (result["normalised"], shares), (result["vertices"][2], np.array(values)[many])):
        assert {key: pytest.approx(value, rel=1e-4) for key, value in mean(np.array(expected)).to_json().items()} == found
    assert result["vertices"][3]["n"] == 0
    assert set(whole.to_json(with_vertices=False)) == {"all", "normalised"}


def test_events_without_generated_pt_have_no_distance(random_dataset):
    assert len(compared_events(random_dataset(20))) == 0
    events, _ = toy_events(np.random.default_rng(8), 50)
    without = events.with_columns({"particle_pt": np.where(np.arange(events.size("particle")) < events.offsets["particle"][25], 0.0, 1.0)})
    assert compared_events(without).min() >= 25 > compared_events(events).min()
    assert EmdSums().to_json(False)["all"] == {"value": None, "low": None, "high": None, "n": 0}


def test_an_absurd_pt_leaves_the_mean_finite():
    events, found = toy_events(np.random.default_rng(9), 100)
    chosen = compared_events(events)
    pt = found.pt.copy()
    pt[found.offsets[chosen[0]]] = 3e38
    sums = EmdSums()
    sums.update(events, found._replace(pt=pt), np.zeros(len(events), dtype=np.int64), chosen)
    assert sums.to_json(False)["all"]["value"] == pytest.approx(1e6 / len(chosen), rel=0.01)
