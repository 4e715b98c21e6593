"""Whether there were enough events: moments of random parts of them, each twice the one before, against those of all."""

from typing import NamedTuple

import numpy as np

from mlpf.features import SCALED_FEATURES
from mlpf.samples.scaling import MIN_STD, ScalingConfig
from mlpf.samples.statistics import NUM_PIECES, FeatureStatistics

MIN_ELEMENTS = 1000  # of a type; with fewer, moments are as rough as 1 / sqrt(N) says
MIN_EVENTS = 10  # of a part


class Convergence(NamedTuple):
    """Of one feature of the elements of one type, as its scaling uses it (the logarithm, where that is the method); K parts of the events, each in the next.

    Attributes:
        element_type: position in `ElementType`.
        feature: name.
        logarithmic: whether moments are of the logarithm.
        num_events: ``(K,)`` rising; the last part is all.
        mean: ``(K,)`` mean of the part minus that of all, in standard deviations.
        std: ``(K,)`` standard deviation of the part over that of all, minus 1.
        mean_error, std_error: ``(K,)`` how large both are to be expected, from how much parts without a common event differ.
    """

    element_type: int
    feature: str
    logarithmic: bool
    num_events: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    mean_error: np.ndarray
    std_error: np.ndarray

    @property
    def last_change(self) -> float:
        """Larger change of mean and standard deviation between a random half of the events and all, in standard deviations."""
        return float(max(abs(self.mean[-2]), abs(self.std[-2])))


def slowest_features(statistics: FeatureStatistics, config: ScalingConfig, number: int) -> list[Convergence]:
    """The features that changed most between half of the events and all, the worst first, each for the type where it did so most.

    Types with less than `MIN_ELEMENTS`, constant features and parts of less than `MIN_EVENTS` are left out.
    """
    parts = [k for k in range(NUM_PIECES) if statistics.num_events[k] and statistics.num_events[k:].sum() >= MIN_EVENTS][::-1]
    summaries = [statistics.summary(k) for k in parts]
    moments = np.array([[(s.mean, s.std), (s.log_mean, s.log_std)] for s in summaries])  # (K, 2 methods, 2 moments, T + 1, F)
    num_events = np.array([statistics.num_events[k:].sum() for k in parts])
    found: list[Convergence] = []
    for kind in np.flatnonzero(statistics.counts.sum(axis=0) >= MIN_ELEMENTS):
        seen = np.array([summary.num_elements[kind] > 0 for summary in summaries])
        for i, name in enumerate(SCALED_FEATURES):
            logarithmic = config.method_of(name) == "log"
            mean, std = moments[seen, int(logarithmic), :, kind, i].T
            if std[-1] > MIN_STD and seen.sum() > 1:
                changes = (mean - mean[-1]) / std[-1], std / std[-1] - 1
                errors = (_expected(change, num_events[seen]) for change in changes)
                found.append(Convergence(int(kind), name, logarithmic, num_events[seen], *changes, *errors))
    found.sort(key=lambda feature: feature.last_change)
    worst = {feature.feature: feature for feature in found}
    return sorted(worst.values(), key=lambda feature: -feature.last_change)[:number]


def _expected(change: np.ndarray, num_events: np.ndarray) -> np.ndarray:
    """Standard deviation of ``change (K,)``, of nested parts against all, if events are independent of each other (elements of one event are not).

    The variance of a part of n of N events against all is s^2 (1 / n - 1 / N); that of a part against the next one, of n' events, s^2 (1 / n - 1 / n'), and
    these differences are independent of each other: their average gives s^2.
    """
    scale = np.mean(np.diff(change) ** 2 / -np.diff(1 / num_events))
    return np.sqrt(scale * (1 / num_events - 1 / num_events[-1]))
