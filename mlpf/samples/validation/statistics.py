"""Two tests of whether parts of a dataset are samples of one distribution, with events as the independent draws.

Elements of an event hang together (jets, pileup, multiplicity), so tests that take each for itself find differences wherever they look. Here the errors follow
from the events: under the hypothesis any event may be in any part, so their scatter is that of all events of the dataset. With one entry per event the tests
are Pearson's chi2 test of homogeneity and the two-sample Kolmogorov-Smirnov test.
"""

from dataclasses import dataclass

import numpy as np
import scipy.special
import scipy.stats

from mlpf.samples.validation.sums import CountSums, HistogramSums, coarse, effective

NO_SCATTER = 1e-9  # relative; below, something is constant but for rounding: shares that sum to 1, a bin that holds everything


@dataclass(frozen=True)
class Side:
    """One of the two sets of events that are compared.

    Attributes:
        content: entries per category ``(K,)`` or per stratum and bin ``(S, T)``.
        events: events, ``()``, or those with entries in each stratum ``(S,)``.
    """

    content: np.ndarray
    events: np.ndarray

    def without(self, other: "Side") -> "Side":
        """All but the events of the other."""
        return Side(self.content - other.content, self.events - other.events)


@dataclass(frozen=True)
class CountScatter:
    """How the entries per category differ from event to event, in E events.

    Attributes:
        mean: ``(K,)`` entries per event.
        covariance: ``(K, K)`` of the entries of an event.
        contributing: ``(K + 1,)`` events with entries in each category, then all, as `effective` ones.
        num_events: E.
    """

    mean: np.ndarray
    covariance: np.ndarray
    contributing: np.ndarray
    num_events: float

    @classmethod
    def of(cls, sums: CountSums) -> "CountScatter":
        """Of all events."""
        num_events = float(sums.events.sum())
        mean = sums.counts.sum(axis=0) / num_events
        return cls(mean, sums.products / num_events - np.outer(mean, mean), effective(sums.weights), num_events)


@dataclass(frozen=True)
class Chi2:
    """Result for the mean number of entries per event in every category.

    Attributes:
        statistic: d^T V^+ d for the difference d of the means.
        dof: rank of V, the covariance of d; 0: nothing varies, nothing was tested.
        p: probability of a larger statistic.
        merged: ``(K,) bool`` categories with too few events for themselves, taken together.
        dropped: ``(K,) bool`` categories with too few events even together.
    """

    statistic: float
    dof: int
    p: float
    merged: np.ndarray
    dropped: np.ndarray


def chi2_test(a: Side, b: Side, scatter: CountScatter, min_events: int) -> Chi2:
    """Compare mean numbers of entries per event.

    W = d^T V^+ d with V = C (1 / E_a + 1 / E_b) and C the covariance of an event's entries, estimated from all E events. W / E is a share of the whole scatter,
    which for normal sums follows Beta(k / 2, (E - 1 - k) / 2) with k the rank: Hotelling's T^2 in another form, chi2 of k degrees of freedom for large E.

    Args:
        a, b: the sides.
        scatter: of all events of the dataset.
        min_events: so many have to contribute to a category on either side. What counts is the number expected: if many are and none is there, that is a
            difference.
    """
    smaller = min(float(a.events), float(b.events))
    enough, merged, dropped = _usable(scatter.contributing / scatter.num_events, smaller, min_events)
    combine = np.concatenate([np.eye(len(enough))[enough], merged[None, :][: int(merged.any())]])  # (K', K): categories, and the sum of the rare ones
    difference = combine @ (a.content / a.events - b.content / b.events)
    statistic, dof = _quadratic_form(difference, combine @ scatter.covariance @ combine.T, combine @ scatter.mean)
    statistic /= 1 / float(a.events) + 1 / float(b.events)
    left = scatter.num_events - 1 - dof
    if left <= 0:  # the categories tell every event from the others
        return Chi2(0.0, 0, 1.0, np.zeros_like(merged), enough | merged | dropped)
    p = scipy.stats.beta.sf(statistic / scatter.num_events, dof / 2, left / 2) if dof else 1.0
    return Chi2(statistic, dof, float(p), merged, dropped)


def _usable(contributing: np.ndarray, num_events: float, min_events: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(K,)`` masks of the categories that stand alone, that are taken together, and that are left out; empty ones are in none.

    Args:
        contributing: ``(K + 1,)`` effective events with entries in each category, then all, as a share of all events.
        num_events: events of the smaller side.
        min_events: see `chi2_test`.
    """
    contributing, most = contributing[:-1], contributing[-1]
    enough = contributing * num_events >= min_events
    rare = (contributing > 0) & ~enough
    together = min(contributing[rare].sum(), most) * num_events >= min_events
    return enough, rare & together, rare & (not together)


def _quadratic_form(difference: np.ndarray, covariance: np.ndarray, mean: np.ndarray) -> tuple[float, int]:
    """d^T V^+ d and the rank of V, whatever the scales of its components."""
    variance = np.diag(covariance)
    varies = variance > NO_SCATTER * mean**2
    scale = np.sqrt(variance[varies])
    eigenvalues, vectors = np.linalg.eigh(covariance[np.ix_(varies, varies)] / np.outer(scale, scale))
    kept = eigenvalues > NO_SCATTER
    components = (vectors.T @ (difference[varies] / scale))[kept]
    return float(np.sum(components**2 / eigenvalues[kept])), int(kept.sum())


@dataclass(frozen=True)
class HistogramScatter:
    """How the entries of one event differ from the share of all entries that a bin holds, as mean squares over the events with entries.

    Attributes:
        cumulative: ``(S, T)`` entries up to a bin: mean of (c(t) - F(t) n)^2.
        coarse: ``(S, C)`` entries in a coarse bin.
    """

    cumulative: np.ndarray
    coarse: np.ndarray

    @classmethod
    def of(cls, sums: HistogramSums) -> "HistogramScatter":
        """Of all events."""
        content, events = sums.histogram.sum(axis=0), sums.events.sum(axis=0)

        def mean_square(share: np.ndarray, squares: np.ndarray, products: np.ndarray) -> np.ndarray:
            total = squares - 2 * share * products + share**2 * sums.total_squares[:, None]
            return np.maximum(_ratio(total, events[:, None]), 0.0)  # rounding

        of_cumulative = mean_square(shares(content.cumsum(axis=-1)), sums.squares, sums.products)
        return cls(of_cumulative, mean_square(shares(coarse(content).cumsum(axis=-1), coarse(content)), sums.coarse_squares, sums.coarse_products))


def shares(cumulative: np.ndarray, content: np.ndarray | None = None) -> np.ndarray:
    """Contents ``(S, T)``, by default the cumulative ones themselves, as shares of all entries of their stratum; NaN where there are none."""
    return _ratio(cumulative if content is None else content, cumulative[..., -1:])


def variance_per_scatter(side: Side) -> np.ndarray:
    """``(S,)``: a share is a sum over E events divided by N entries, so its variance is the events' mean square times E / N^2."""
    return _ratio(side.events, side.content.sum(axis=-1) ** 2)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.broadcast(numerator, denominator).shape, np.nan), where=denominator != 0)


@dataclass(frozen=True)
class Differences:
    """Results for the distributions in all S strata of a histogram; NaN where a side has no entries.

    Attributes:
        statistic: ``(S,)`` D, the largest difference of the cumulative distributions of entries.
        p: ``(S,)`` probability of a larger one; NaN where nothing varies.
        difference: ``(S, T)`` cumulative distribution of a minus that of b.
        sigma: ``(S, T)`` its standard deviation if both are samples of one distribution.
    """

    statistic: np.ndarray
    p: np.ndarray
    difference: np.ndarray
    sigma: np.ndarray


def ks_test(a: Side, b: Side, scatter: HistogramScatter) -> Differences:
    """Compare the distributions of entries over the bins.

    The share F_a(t) of a's entries up to t is off F(t), that of all, by the mean of residuals: sum_e r_e(t) / N_a with r_e = c_e(t) - F(t) n_e. Its variance
    is E_a mean(r^2) / N_a^2. The p-value is Kolmogorov's at D / (2 max sigma). For one entry per event, max sigma is (1 / E_a + 1 / E_b)^(1/2) / 2, and this is
    the classical test. Entries of one event that lie together make F_a - F_b smoother than the Brownian bridge of that test: the p-value is then too large
    rather than too small (entries that kept a distance would do the opposite). For random parts of simulated ttbar and QCD events, 0 to 5.5 % lie below 0.05.
    """
    difference = shares(a.content.cumsum(axis=-1)) - shares(b.content.cumsum(axis=-1))
    sigma = np.sqrt(scatter.cumulative * (variance_per_scatter(a) + variance_per_scatter(b))[:, None])
    statistic, largest = np.abs(difference).max(axis=-1), sigma.max(axis=-1)
    p = scipy.special.kolmogorov(_ratio(statistic, np.where(largest > NO_SCATTER, 2 * largest, 0.0)))
    return Differences(statistic, p, difference, sigma)
