import pytest

from mlpf.errors import MlpfError
from mlpf.plotting.scaling import NUM_FEATURES, draw_convergence
from mlpf.samples.convergence import slowest_features
from mlpf.samples.scaling import ScalingConfig
from mlpf.samples.statistics import FeatureStatistics


@pytest.fixture
def features(random_dataset):
    statistics = FeatureStatistics()
    statistics.add_events(random_dataset(num_events=200))
    return slowest_features(statistics, ScalingConfig(), NUM_FEATURES)


def test_every_feature_has_its_name_and_both_moments(features, tmp_path):
    draw_convergence(features, tmp_path / "convergence.svg")
    text = (tmp_path / "convergence.svg").read_text()
    for feature in features:
        assert f" {feature.feature}<" in text.replace("log ", " ")
    assert "std of part / std" in text
    assert "mean of part" in text


@pytest.mark.parametrize("number", [1, NUM_FEATURES])
def test_any_number_of_features_is_drawn(features, tmp_path, number):
    draw_convergence(features[:number], tmp_path / "convergence.png")
    assert (tmp_path / "convergence.png").stat().st_size > 5000


def test_an_unknown_format_is_refused(features, tmp_path):
    with pytest.raises(MlpfError, match="unknown format"):
        draw_convergence(features, tmp_path / "convergence.txt")
    assert not list(tmp_path.iterdir())
