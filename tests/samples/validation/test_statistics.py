import numpy as np
import pytest
import scipy.stats

from mlpf.events import event_index
from mlpf.samples.validation.config import Binning
from mlpf.samples.validation.statistics import CountScatter, HistogramScatter, Side, chi2_test, ks_test
from mlpf.samples.validation.sums import CountSums, HistogramSums, bin_numbers

PT = Binning(low=0.001, high=1000.0, num_bins=200, logarithmic=True)
NUM_EVENTS, NUM_FIRST, TRIALS = 300, 60, 500


def counts_test(event, kind, part, min_events=1, weight=None, num_kinds=3):
    sums = CountSums.empty(2, num_kinds)
    sums.add(part, event, kind, np.ones(len(part)) if weight is None else weight)
    a, b = (Side(sums.counts[p], sums.events[p]) for p in (0, 1))
    return chi2_test(a, b, CountScatter.of(sums), min_events)


def distribution_test(offsets, values, part, weight=None):
    sums = HistogramSums.empty(2, 1, PT)
    sums.add(part, offsets, np.zeros(len(values), dtype=int), bin_numbers(values, PT)[0], np.ones(len(part)) if weight is None else weight)
    a, b = (Side(sums.histogram[p], sums.events[p]) for p in (0, 1))
    return ks_test(a, b, HistogramScatter.of(sums))


def parts(num_first=NUM_FIRST, num_events=NUM_EVENTS):
    return (np.arange(num_events) >= num_first).astype(int)


def trials(clustered, shift=0.0):
    """p-values of both tests here, and of those that take entries for independent, over random events."""
    ours, naive = [], []
    part = parts()
    for seed in range(TRIALS):
        toys = clustered(NUM_EVENTS, seed, shift, NUM_FIRST)
        event, of_entry = event_index(toys.offsets), part[event_index(toys.offsets)]
        ours.append((counts_test(event, toys.kind, part).p, distribution_test(toys.offsets, toys.pt, part).p[0]))
        if seed < 50:
            table = np.array([np.bincount(toys.kind[of_entry == p], minlength=3) for p in (0, 1)])
            of_kinds = scipy.stats.chi2_contingency(table, correction=False).pvalue
            naive.append((of_kinds, scipy.stats.ks_2samp(toys.pt[of_entry == 0], toys.pt[of_entry == 1], method="asymp").pvalue))
    return np.array(ours), np.array(naive)


def test_with_one_entry_per_event_chi2_is_pearsons():
    rng = np.random.default_rng(0)
    kind = rng.choice(3, 1000, p=[0.1, 0.3, 0.6])
    part = parts(300, 1000)
    kind[:6] = 0  # a difference worth a number
    expected = scipy.stats.chi2_contingency([np.bincount(kind[part == p]) for p in (0, 1)], correction=False)
    found = counts_test(np.arange(1000), kind, part)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert found.dof == expected.dof == 2
    assert 0.001 < expected.pvalue < 0.5
    assert found.p == pytest.approx(expected.pvalue, rel=0.05)  # Beta and chi2 agree for many events


def test_with_one_entry_per_event_the_other_is_kolmogorovs_and_smirnovs():
    values = np.random.default_rng(1).lognormal(0.0, 1.0, 3000)
    values[:1000] *= 1.15
    bins = bin_numbers(values, PT)[0]
    expected = scipy.stats.ks_2samp(bins[:1000], bins[1000:], method="asymp")
    found = distribution_test(np.arange(3001), values, parts(1000, 3000))
    assert found.statistic[0] == pytest.approx(expected.statistic, rel=1e-12)
    assert 0.005 < expected.pvalue < 0.5
    assert found.p[0] == pytest.approx(expected.pvalue, rel=0.1)  # scipy corrects for few events


def test_few_events_follow_the_distribution_over_all_ways_to_share_them_out():
    rng = np.random.default_rng(2)
    kind = np.sort(rng.choice(3, 400))
    part = parts(10, 40)
    found = counts_test(np.repeat(np.arange(40), 10), rng.permutation(kind), part)
    sample = rng.permutation(kind).reshape(40, 10)
    statistics = [counts_test(np.repeat(np.arange(40), 10), sample[rng.permutation(40)].ravel(), part) for _ in range(2000)]
    below = np.mean([s.p < 0.05 for s in statistics])
    assert found.dof == 2
    assert below == pytest.approx(0.05, abs=0.015)  # 3 sigma of 2000
    assert np.mean([scipy.stats.chi2.sf(s.statistic, 2) < 0.01 for s in statistics]) < np.mean([s.p < 0.01 for s in statistics])  # chi2's tail is too long


def test_p_values_of_clustered_events_are_right_where_those_of_entries_are_absurd(clustered):
    ours, naive = trials(clustered)
    chi2, ks = (ours < 0.05).mean(axis=0)
    assert chi2 == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / TRIALS) ** 0.5)
    assert ks < 0.05 + 3 * (0.05 * 0.95 / TRIALS) ** 0.5  # conservative
    assert scipy.stats.kstest(ours[:, 0], "uniform").pvalue > 0.001
    assert ((naive < 0.05).mean(axis=0) > 0.4).all()


def test_real_differences_are_found(clustered):
    """A shift of log pt by 0.3 and of a share by as much, where the scale of an event scatters by 0.5 and that of an entry by 1; 60 events against 240."""
    ours, _ = trials(clustered, 0.3)
    chi2, ks = (ours < 0.05).mean(axis=0)
    assert chi2 > 0.95
    assert ks > 0.7  # 0.78: the price of a p-value that is right for any correlation; a test made for this shift finds 97 %


def test_writing_every_entry_twice_changes_nothing(clustered):
    toys, part = clustered(NUM_EVENTS, 3, 0.2, NUM_FIRST), parts()
    event = event_index(toys.offsets)
    once, twice = (counts_test(np.repeat(event, n), np.repeat(toys.kind, n), part) for n in (1, 2))
    assert twice.p == pytest.approx(once.p, rel=1e-9)
    once, twice = (distribution_test(toys.offsets * n, np.repeat(toys.pt, n), part) for n in (1, 2))
    assert twice.p == pytest.approx(once.p, rel=1e-9)


def test_scaling_all_weights_changes_nothing_and_scaling_some_does(clustered):
    toys, part, weight = clustered(NUM_EVENTS, 4), parts(), np.random.default_rng(0).lognormal(0.0, 0.5, NUM_EVENTS)
    event = event_index(toys.offsets)
    counts = [counts_test(event, toys.kind, part, weight=w).p for w in (weight, 7.0 * weight, None)]
    distributions = [distribution_test(toys.offsets, toys.pt, part, weight=w).p[0] for w in (weight, 7.0 * weight, None)]
    for p in (counts, distributions):
        assert p[0] == pytest.approx(p[1], rel=1e-9)
        assert p[0] != pytest.approx(p[2], rel=1e-3)


def test_sigma_is_the_scatter_of_many_random_parts(clustered):
    toys, part = clustered(NUM_EVENTS, 5), parts()
    rng = np.random.default_rng(0)
    results = [distribution_test(*(lambda t: (t.offsets, t.pt))(toys.permuted(rng.permutation(NUM_EVENTS))), part) for _ in range(400)]
    scatter = np.std([result.difference[0] for result in results], axis=0)
    sigma = np.mean([result.sigma[0] for result in results], axis=0)
    well_filled = sigma > 0.3 * sigma.max()
    np.testing.assert_allclose(scatter[well_filled], sigma[well_filled], rtol=0.15)  # 4 sigma of 400


def test_rare_categories_are_taken_together_or_left_out():
    kind = np.repeat([0, 1, 2, 3, 4], [500, 460, 20, 15, 5])
    kind = np.random.default_rng(0).permutation(kind)
    part = parts(500, 1000)
    result = counts_test(np.arange(1000), kind, part, min_events=15, num_kinds=6)  # half of them are expected on either side; 5 is empty
    assert result.merged.tolist() == [False, False, True, True, True, False]
    assert not result.dropped.any()
    assert result.dof == 2
    result = counts_test(np.arange(1000), kind, part, min_events=25, num_kinds=6)
    assert result.dropped.tolist() == [False, False, True, True, True, False]
    assert result.dof == 2  # the shares of what is left do not sum to 1


def test_a_category_that_is_missing_where_it_is_expected_is_a_difference():
    kind = np.repeat([0, 1, 2], [100, 450, 450])
    assert counts_test(np.arange(1000), kind, parts(900, 1000), min_events=5).p < 1e-3
    part = np.zeros(1000, dtype=int)
    part[100:300] = 1
    assert counts_test(np.arange(1000), kind, part, min_events=15).p < 1e-6


def test_what_is_constant_is_not_tested():
    result = counts_test(np.arange(100), np.ones(100, dtype=int), parts(50, 100))
    assert (result.statistic, result.dof, result.p) == (0.0, 0, 1.0)
    assert np.isnan(distribution_test(np.arange(101), np.ones(100), parts(50, 100)).p[0])
    assert np.isnan(distribution_test(np.zeros(101, dtype=int), np.zeros(0), parts(50, 100)).statistic[0])


def test_weights_count_as_no_more_events_than_fluctuate_as_much(clustered):
    """A few events with most of the weight are too few for a test, however many others there are."""
    weight = np.where(np.arange(NUM_EVENTS) % 30 == 0, 100.0, 1.0)
    toys, part = clustered(NUM_EVENTS, 6), parts(150)
    event = event_index(toys.offsets)
    assert counts_test(event, toys.kind, part, 25).dof == 3
    assert counts_test(event, toys.kind, part, 25, np.full(NUM_EVENTS, 100.0)).dof == 3
    result = counts_test(event, toys.kind, part, 25, weight)
    assert (result.dof, result.merged.any(), result.dropped.all()) == (0, False, True)


def test_p_values_of_weighted_events_are_right(clustered):
    """Weights that leave 250 of 1000 events; where they leave 60 of 3000, 8 % lay below 0.001 while events were only counted."""
    ours = []
    for seed in range(TRIALS):
        toys, weight = clustered(1000, seed), np.random.default_rng(seed).lognormal(0.0, 1.18, 1000)
        ours.append(
            (
                counts_test(event_index(toys.offsets), toys.kind, parts(300, 1000), 25, weight).p,
                distribution_test(toys.offsets, toys.pt, parts(300, 1000), weight).p[0],
            )
        )
    chi2, ks = (np.array(ours) < 0.05).mean(axis=0)
    assert chi2 == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / TRIALS) ** 0.5)
    assert ks < 0.05 + 3 * (0.05 * 0.95 / TRIALS) ** 0.5


@pytest.mark.parametrize("num_events", [2, 3, 4])
def test_categories_that_tell_every_event_from_the_others_are_not_tested(num_events):
    event, kind = np.repeat(np.arange(num_events), np.arange(num_events) + 1), np.concatenate([np.arange(n + 1) for n in range(num_events)])
    result = counts_test(event, kind, parts(1, num_events), min_events=0, num_kinds=4)
    assert (result.dof, result.p, result.dropped[:num_events].all()) == (0, 1.0, True)
