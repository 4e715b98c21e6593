import numpy as np
import pytest

from mlpf.samples.convergence import MIN_EVENTS, slowest_features
from mlpf.samples.scaling import FeatureScaling, ScalingConfig
from mlpf.samples.statistics import FeatureStatistics
from mlpf.schema import ElementType


def measured(random_dataset, num_events, mean_elements=60.0, seed=0):
    statistics = FeatureStatistics()
    statistics.add_events(random_dataset(num_events=num_events, mean_elements=mean_elements, seed=seed))
    return statistics


def test_parts_are_nested_and_end_with_all_events(random_dataset):
    statistics = measured(random_dataset, 300)
    for feature in slowest_features(statistics, ScalingConfig(), 3):
        assert feature.num_events[-1] == 300
        assert (np.diff(feature.num_events) > 0).all()
        assert feature.num_events[0] >= MIN_EVENTS
        assert (feature.mean[-1], feature.std[-1], feature.mean_error[-1], feature.std_error[-1]) == (0, 0, 0, 0)


def test_the_feature_that_changed_most_comes_first_and_each_only_once(random_dataset):
    features = slowest_features(measured(random_dataset, 300), ScalingConfig(), 100)
    changes = [feature.last_change for feature in features]
    assert changes == sorted(changes, reverse=True)
    names = [feature.feature for feature in features]
    assert len(set(names)) == len(names)
    assert set(names) == {"pt", "eta", "sin_phi", "cos_phi", "energy", "charge"}  # all that random events have


def test_changes_are_of_what_the_scaling_uses(random_dataset):
    statistics = measured(random_dataset, 300)
    for method, column in (("log", (3, 4)), ("normal", (1, 2))):
        config = ScalingConfig(features={"pt": FeatureScaling(method=method)})
        (pt,) = (feature for feature in slowest_features(statistics, config, 100) if feature.feature == "pt")
        half, whole = statistics.summary(1), statistics.summary(0)
        mean, std = (summary_column(whole, column[i], pt.element_type) for i in (0, 1))
        assert pt.mean[-2] == pytest.approx((summary_column(half, column[0], pt.element_type) - mean) / std)
        assert pt.std[-2] == pytest.approx(summary_column(half, column[1], pt.element_type) / std - 1)


def summary_column(summary, moment, kind):
    return summary[moment][kind, 0]  # pt is the first of the scaled features


def test_the_expected_change_is_about_the_one_found(random_dataset):
    """Pulls of many samples have width one."""
    pulls = []
    for seed in range(40):
        features = slowest_features(measured(random_dataset, 200, mean_elements=40.0, seed=seed), ScalingConfig(), 100)
        pulls += [
            feature.mean[-2] / feature.mean_error[-2] for feature in features if feature.feature == "sin_phi" and feature.element_type == ElementType.TRACK
        ]
    assert len(pulls) > 10
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.4)


@pytest.mark.parametrize("number", [0, 1, 15])
def test_too_few_elements_give_no_answer(random_dataset, number):
    assert slowest_features(measured(random_dataset, number), ScalingConfig(), 4) == []
