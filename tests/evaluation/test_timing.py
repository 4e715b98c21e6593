import numpy as np
import pytest

from mlpf.evaluation.timing import ELEMENTS, Stopwatch, Timing


def of_bin(timing, num_elements):
    """Median of the bin that holds events of so many elements."""
    result = timing.to_json()["milliseconds_per_event"]
    assert result["elements"] == ELEMENTS.tolist()
    return result["median"][np.searchsorted(ELEMENTS, num_elements, side="right") - 1]


def test_the_time_of_a_batch_is_shared_in_proportion_to_elements():
    timing = Timing("cpu", 1, "abacus")
    timing.add(np.array([250, 750, 3000]), 4.0)
    for num_elements, milliseconds in ((250, 250.0), (750, 750.0), (3000, 3000.0)):
        assert of_bin(timing, num_elements)["value"] == pytest.approx(milliseconds, rel=0.02)
    result = timing.to_json()
    assert (result["seconds"], result["events_per_second"], result["elements_per_second"]) == (4.0, 0.75, 1000.0)


def test_the_median_is_that_of_the_values_to_a_percent():
    rng = np.random.default_rng(1)
    seconds = rng.lognormal(-3.0, 0.5, 401)
    timing = Timing("cpu", 1, "abacus")
    for value in seconds:
        timing.add(np.array([500]), value)
    median = of_bin(timing, 500)
    assert median["value"] == pytest.approx(1e3 * np.median(seconds), rel=0.015)
    assert median["n"] == 401
    ordered = 1e3 * np.sort(seconds)
    assert (median["low"], median["high"]) == (pytest.approx(ordered[190], rel=0.03), pytest.approx(ordered[210], rel=0.03))  # 200 -+ sqrt(401) / 2


def test_the_interval_of_the_median_covers_68_percent_of_toys():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(300):
        timing = Timing("cpu", 1, "abacus")
        for value in rng.exponential(0.01, 30):
            timing.add(np.array([500]), value)
        median = of_bin(timing, 500)
        hits += median["low"] <= 10.0 * np.log(2) <= median["high"]
    assert hits / 300 == pytest.approx(0.68, abs=0.08)


def test_events_of_one_batch_are_one_measurement():
    alone, together = Timing("cpu", 1, "abacus"), Timing("cpu", 1, "abacus")
    for value in np.linspace(0.01, 0.02, 16):
        alone.add(np.array([500]), value)
        together.add(np.full(9, 500), 9 * value)
    assert of_bin(together, 500)["n"] == 144
    for name in ("value", "low", "high"):
        assert of_bin(together, 500)[name] == pytest.approx(of_bin(alone, 500)[name], rel=0.02)


def test_few_batches_have_no_interval_and_no_batches_no_median():
    timing = Timing("cpu", 1, "abacus")
    for _ in range(4):
        timing.add(np.array([120, 130]), 0.1)
    assert of_bin(timing, 120) | {"value": 0} == {"value": 0, "low": None, "high": None, "n": 8}
    assert of_bin(timing, 9000) == {"value": None, "low": None, "high": None, "n": 0}
    assert Timing("cpu", 1, "abacus").to_json()["events_per_second"] is None


def test_sizes_and_times_beyond_the_bins_are_in_the_outermost():
    timing = Timing("cpu", 1, "abacus")
    timing.add(np.array([10_000_000]), 1e6)
    timing.add(np.array([1]), 1e-12)
    assert of_bin(timing, 49_999)["value"] == pytest.approx(1e6, rel=0.03)
    assert of_bin(timing, 1)["value"] == pytest.approx(1e-3, rel=0.03)


def test_the_warm_up_counts_only_as_long_as_there_is_nothing_else():
    stopwatch = Stopwatch("cpu", 1, "abacus")
    stopwatch.add(np.array([500]), 60.0)
    assert stopwatch.take().to_json()["seconds"] == 60.0
    stopwatch.add(np.array([500]), 0.1)
    assert stopwatch.take().to_json()["seconds"] == 0.1
    other = Stopwatch("cpu", 1, "abacus")
    for seconds in (60.0, 0.1, 0.2):
        other.add(np.array([500]), seconds)
    both = other.take()
    assert both.to_json()["seconds"] == pytest.approx(0.3)
    assert of_bin(both, 500)["n"] == 2


def test_parts_add_up_and_come_back_from_a_file(tmp_path):
    rng = np.random.default_rng(3)
    whole, parts = Timing("cpu", 2, "abacus"), [Timing("cpu", 2, "abacus") for _ in range(3)]
    for k in range(60):
        counts, seconds = rng.integers(1, 9000, rng.integers(1, 5)), rng.exponential()
        for timing in (whole, parts[k % 3]):
            timing.add(counts, seconds, warm_up=k < 3)
    found = parts[0] + parts[1] + parts[2]
    expected = whole.to_json()
    assert {name: pytest.approx(value) if name.endswith("second") or name == "seconds" else value for name, value in found.to_json().items()} == expected
    np.savez(tmp_path / "timing.npz", **found.arrays())
    with np.load(tmp_path / "timing.npz", allow_pickle=False) as arrays:
        assert Timing.from_arrays(dict(arrays)).to_json() == found.to_json()


def test_parts_of_different_machines_name_both():
    total = Timing("cpu", 1, "abacus") + Timing("cuda", 4, "sundial") + Timing("cpu", 2, "abacus")
    result = total.to_json()
    assert (result["device"], result["threads"], result["processor"]) == ("cpu, cuda", 4, "abacus, sundial")
