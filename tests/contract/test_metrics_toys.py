"""Whether 68 % intervals hold the truth in 68 % of many toys of known truth, on the way that numbers take through the sums of a stream."""

import math

import numpy as np
import pytest
from metrics_oracle import clopper_pearson
from scipy.stats import binom, lognorm, norm
from toy_particles import Event, Particle, build, classes, own

from mlpf.metrics import binning
from mlpf.metrics.roc import Separation, auc
from mlpf.metrics.summary import Metrics
from mlpf.metrics.sums import FractionSums, MeanSums, SpreadSums

NUM_TOYS = 500  # a coverage of 68 % is then known to 2.1 %
CLASSES = classes()


def coverage(estimates, truth):
    """Share of the intervals that hold the truth."""
    return np.mean([estimate["low"] <= truth <= estimate["high"] for estimate in estimates])


def summed(sums, values, num_toys=NUM_TOYS, num_parts=1):
    """One entry per toy: ``values`` ``(num_toys, n)`` go into sums of one category per toy, in parts that are merged."""
    parts = []
    for part in np.array_split(np.arange(values.shape[1]), num_parts):
        parts.append(sums())
        parts[-1].add(values[:, part].ravel(), {}, np.repeat(np.arange(num_toys), len(part)))
    for part in parts[1:]:
        parts[0] += part
    return parts[0].to_json(())


def spread_sums():
    return SpreadSums(NUM_TOYS, {}, binning.FINE_RESPONSE)


SHAPES = {"lognormal": lognorm(0.2), "normal": norm(1, 0.1)}


@pytest.mark.parametrize("n", [10, 40, 300])
@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_of_medians_and_widths_hold_the_truth_in_two_thirds_of_toys(n, shape):
    """Of 4000 toys: medians 66 % (10 entries) to 71 %, IQR 71 % (10 and 300 entries) to 77 % (20 to 40), somewhat too wide."""
    p25, median, p75 = SHAPES[shape].ppf((0.25, 0.5, 0.75))
    said = [toy["all"] for toy in summed(spread_sums, SHAPES[shape].rvs((NUM_TOYS, n), random_state=n))]
    assert 0.62 < coverage([toy["median"] for toy in said], median) < 0.75
    assert 0.65 < coverage([toy["iqr"] for toy in said], p75 - p25) < 0.80
    assert 0.65 < coverage([toy["iqr_over_median"] for toy in said], (p75 - p25) / median) < 0.80


@pytest.mark.parametrize("num_parts", [1, 5])
def test_pulls_are_of_unit_width_also_of_merged_parts(num_parts):
    values = lognorm(0.2).rvs((NUM_TOYS, 200), random_state=1)
    medians = [toy["all"]["median"] for toy in summed(spread_sums, values, num_parts=num_parts)]
    assert [m["value"] for m in medians] == pytest.approx(np.median(values, axis=1), rel=1e-3)
    pulls = [(m["value"] - 1) / (m["high"] - m["low"]) * 2 for m in medians]
    assert abs(np.mean(pulls)) < 0.15
    assert 0.9 < np.std(pulls) < 1.15


def binomial_coverage(n, p):
    """How often Clopper-Pearson intervals hold p, summed over all outcomes: 68 % at least."""
    return sum(binom.pmf(k, n, p) for k, (low, high) in enumerate(clopper_pearson(k, n) for k in range(n + 1)) if low <= p <= high)


@pytest.mark.parametrize(("n", "p"), [(10, 0.9), (50, 0.5), (400, 0.02)])
def test_intervals_of_fractions_hold_the_truth_as_often_as_the_binomial_distribution_says(n, p):
    passed = np.random.default_rng(n).random((NUM_TOYS, n)) < p
    said = [toy["all"] for toy in summed(lambda: FractionSums(NUM_TOYS, {}), passed)]
    assert binomial_coverage(n, p) > 0.68
    assert coverage(said, p) == pytest.approx(binomial_coverage(n, p), abs=0.05)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_intervals_of_means_hold_the_truth_in_two_thirds_of_toys(scale):
    """With a distribution as skew as energy mover's distances are."""
    values = np.random.default_rng(2).gamma(2.0, scale / 2, (NUM_TOYS, 50))
    said = [toy["all"] for toy in summed(lambda: MeanSums(NUM_TOYS, {}), values)]
    assert [toy["value"] for toy in said] == pytest.approx(values.mean(axis=1), abs=1e-6)
    assert 0.62 < coverage(said, scale) < 0.73


def grid_of_particles(rng, per_bin):
    """One event per class: particles in the middle of each bin in eta, round the azimuth, with a response of known distribution; a fifth are lost."""
    etas, phis = binning.PARTICLE_ETA[:-1] + 0.25, np.linspace(-3.1, 3.0, per_bin)
    events = []
    for category in CLASSES.values():
        particles = [Particle(category, 3.0, eta, phi) for eta in etas for phi in phis]
        events.append(Event(own(*particles, model=lambda p: p.moved(rng.lognormal(0, 0.2)) if rng.random() < 0.8 else None)))
    return events


def test_numbers_of_whole_datasets_cover_the_truth():
    """Each class and bin in eta of three datasets is a toy: 420 of them."""
    rng = np.random.default_rng(4)
    efficiencies, medians, widths = [], [], []
    for _ in range(3):
        metrics = Metrics(["model"])
        metrics.update(*build(grid_of_particles(rng, 36)))
        particles = metrics.results()["particles"]["model"]
        for name in CLASSES:
            efficiencies += particles["efficiency"][name]["eta"]
            medians += particles["residuals"][name]["pt_response"]["eta"]["median"]
            widths += particles["residuals"][name]["pt_response"]["eta"]["iqr"]
    assert len(efficiencies) == len(medians) == 420
    assert coverage(efficiencies, 0.8) == pytest.approx(binomial_coverage(36, 0.8), abs=0.05)
    assert 0.62 < coverage(medians, 1.0) < 0.75
    assert 0.65 < coverage(widths, np.diff(lognorm(0.2).ppf((0.25, 0.75))).item()) < 0.80


@pytest.mark.parametrize(("num_signal", "num_background", "separation"), [(60, 90, 1.2), (15, 400, 2.0), (300, 300, 0.0)])
def test_intervals_of_areas_under_curves_hold_the_truth_in_two_thirds_of_toys(num_signal, num_background, separation):
    """Normal scores: the area is the normal distribution function at separation / sqrt(2)."""
    rng, edges = np.random.default_rng(5), np.linspace(-8, 8, 2001)
    truth, said = norm.cdf(separation / math.sqrt(2)), []
    for _ in range(NUM_TOYS):
        counts = np.stack([np.histogram(scores, edges)[0] for scores in (rng.normal(size=num_background), rng.normal(separation, size=num_signal))])
        said.append(auc(Separation.of(counts, counts)).to_json())
    assert abs(np.mean([toy["value"] for toy in said]) - truth) < 0.005
    assert 0.62 < coverage(said, truth) < 0.78
