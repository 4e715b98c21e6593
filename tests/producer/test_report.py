import numpy as np
import pytest

from mlpf.producer.report import Counts, Latency


def test_quantiles_are_those_of_all_times_to_one_percent():
    rng = np.random.default_rng(1)
    seconds = rng.lognormal(-4, 1, 5000)
    latency = Latency()
    latency.add(seconds[:1000])
    other = Latency()
    other.add(seconds[1000:])
    both = latency + other
    assert len(both) == 5000
    for fraction in (0.05, 0.5, 0.95):
        assert both.quantile(fraction) == pytest.approx(np.quantile(seconds, fraction), rel=0.012)


def test_a_call_of_many_events_counts_for_each_of_them():
    latency = Latency()
    latency.add(np.array([0.001, 0.1]), np.array([99, 1]))
    assert len(latency) == 100
    assert latency.quantile(0.5) == pytest.approx(0.001, rel=0.01)
    assert latency.quantile(0.995) == pytest.approx(0.1, rel=0.01)


def test_times_beyond_the_bins_are_counted_in_the_last_ones():
    latency = Latency()
    latency.add(np.array([0.0, 1e-9, 1e9]))
    assert len(latency) == 3
    assert latency.quantile(0.3) == pytest.approx(1e-6, rel=0.01)
    assert latency.quantile(1.0) > 900


def test_no_times_have_no_quantile():
    latency = Latency()
    latency.add(np.zeros(0), np.zeros(0, dtype=np.int64))
    assert np.isnan(latency.quantile(0.5))


def test_counts_add_up():
    assert Counts(1, 2, 3, 4, 5, 6, 7) + Counts(num_events=10) == Counts(11, 2, 3, 4, 5, 6, 7)
