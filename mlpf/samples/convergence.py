"""Whether there were enough events: moments of random parts of them, each twice the one before, against those of all."""

from typing import NamedTuple

import numpy as np

from mlpf import schema
from mlpf.features import SCALED_FEATURES
from mlpf.samples.histogram import bin_values
from mlpf.samples.scaling import MIN_STD, ScalingConfig, signed_log
from mlpf.samples.statistics import NUM_PIECES, FeatureStatistics

MIN_ELEMENTS = 1000  # of a type; with fewer, statistics of width 1 / sqrt(N) tell nothing new


class Convergence(NamedTuple):
    """Of one feature of the elements of one type, as its scaling uses it (the logarithm, where that is the method); K parts of the events, each in the next.

    Attributes:
        element_type: position in `ElementType`.
        feature: name.
        logarithmic: whether moments are of the logarithm.
        num_events: ``(K,)`` rising; the last part is all.
        mean: ``(K,)`` mean of the part minus that of all, in standard deviations.
        std: ``(K,)`` standard deviation of the part over that of all, minus 1.
        mean_error, std_error: ``(K,)`` expected size of both, were elements independent of each other.
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
        return max(abs(self.mean[-2]), abs(self.std[-2])) if len(self.mean) > 1 else np.inf


def slowest_features(statistics: FeatureStatistics, config: ScalingConfig, number: int) -> list[Convergence]:
    """The features that changed most between half of the events and all, the worst first; of types with `MIN_ELEMENTS`, without constant ones."""
    parts = [k for k in range(NUM_PIECES) if statistics.num_events[k:].sum() and (k == 0 or statistics.num_events[k - 1])][::-1]
    summaries = [statistics.summary(k) for k in parts]
    num_events = np.array([statistics.num_events[k:].sum() for k in parts])
    num_elements = np.array([summary.num_elements for summary in summaries])
    found = []
    for kind in np.flatnonzero(num_elements[-1, : schema.NUM_ELEMENT_TYPES] >= MIN_ELEMENTS):
        for i, name in enumerate(SCALED_FEATURES):
            logarithmic = config.method_of(name) == "log"
            values = np.array([(s.log_mean, s.log_std) if logarithmic else (s.mean, s.std) for s in summaries])[:, :, kind, i]
            mean, std = values[-1]
            if not std > MIN_STD:
                continue
            seen = num_elements[:, kind] > 0
            error = np.sqrt(1 / num_elements[seen, kind] - 1 / num_elements[-1, kind])  # of a part against the whole it belongs to
            spread = np.sqrt(max(_kurtosis(statistics, int(kind), i, logarithmic, mean, std) - 1, 0.0)) / 2
            deviation = (values[seen, 0] - mean) / std, values[seen, 1] / std - 1
            found.append(Convergence(int(kind), name, logarithmic, num_events[seen], *deviation, error, error * spread))
    return sorted(found, key=lambda feature: -feature.last_change)[:number]


def _kurtosis(statistics: FeatureStatistics, kind: int, feature: int, logarithmic: bool, mean: float, std: float) -> float:
    """Fourth moment in standard deviations, from the histogram; 3 for a normal distribution."""
    low, high = statistics.extremes[feature, kind].astype(float)
    x = bin_values(np.array(low), np.array(high))
    z = ((signed_log(x) if logarithmic else x) - mean) / std
    counts = statistics.histogram[feature, kind]
    return float(counts @ z**4 / counts.sum())
