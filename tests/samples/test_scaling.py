import numpy as np
import pytest

from mlpf.config import parse_section
from mlpf.errors import ConfigError
from mlpf.features import SCALED_FEATURES
from mlpf.random_elements import random_elements
from mlpf.samples.scaling import FeatureScaling, ScalingConfig, limited_fraction, make_scaling
from mlpf.samples.statistics import FeatureStatistics
from mlpf.schema import FEATURE_INDEX, ElementType

COLUMNS = [FEATURE_INDEX[name] for name in SCALED_FEATURES]
TRACK, ECAL, GSF = int(ElementType.TRACK), int(ElementType.ECAL), int(ElementType.GSF)
PT, ETA, CHARGE, PX = (SCALED_FEATURES.index(name) for name in ("pt", "eta", "charge", "px"))


def section(**values):
    return parse_section({"scaling": values}, "scaling", ScalingConfig, "file.yaml")


@pytest.fixture(scope="module")
def features():
    x = random_elements(np.random.default_rng(0), 4000)
    return x[np.isin(x[:, 0], (TRACK, ECAL))]


@pytest.fixture(scope="module")
def statistics(features):
    measured = FeatureStatistics()
    measured.add(features)
    return measured


def test_each_method_is_its_formula(features, statistics):
    scaling = make_scaling(statistics, section(features={"pt": {"method": "log"}, "eta": {"method": "none"}, "charge": {"method": "linear", "a": 2, "b": -3}}))
    types, x = features[:, 0].astype(int), features[:, COLUMNS]
    z = scaling.apply(x, types)
    for kind in (TRACK, ECAL):
        own = x[types == kind].astype(np.float64)
        log_pt, log_px = np.log(1 + own[:, PT]), np.sign(own[:, PX]) * np.log(1 + abs(own[:, PX]))
        np.testing.assert_allclose(z[types == kind, PT], (log_pt - log_pt.mean()) / log_pt.std(), atol=2e-6)
        np.testing.assert_allclose(z[types == kind, PX], (log_px - log_px.mean()) / log_px.std(), atol=2e-6)
        np.testing.assert_array_equal(z[types == kind, ETA], x[types == kind, ETA])
        np.testing.assert_allclose(z[types == kind, CHARGE], 2 * own[:, CHARGE] - 3, atol=1e-6)


def test_limits_hold_per_feature(features, statistics):
    scaling = make_scaling(statistics, section(low=-1, features={"pt": {"high": 0.5}, "eta": {"low": -2, "high": 2}}))
    z = scaling.apply(features[:, COLUMNS], features[:, 0].astype(int))
    assert (z[:, PT].min(), z[:, PT].max()) == (-1, 0.5)
    assert (z[:, ETA].min() < -1, z[:, ETA].max() < 2) == (True, True)


def test_a_type_without_elements_is_scaled_as_all_elements_together(features, statistics):
    scaling = make_scaling(statistics, ScalingConfig())
    eta = features[:, COLUMNS[ETA]].astype(np.float64)
    assert scaling.shift[GSF, ETA] == pytest.approx(eta.mean(), abs=1e-7)
    assert scaling.width[GSF, ETA] == pytest.approx(eta.std())


def test_constant_features_have_width_one():
    measured = FeatureStatistics()
    measured.add(np.tile(random_elements(np.random.default_rng(1), 1), (9, 1)))
    for config in (ScalingConfig(), ScalingConfig(width="quantiles")):
        np.testing.assert_array_equal(make_scaling(measured, config).width, 1.0)


def test_the_rounding_of_a_constant_is_no_width():
    measured = FeatureStatistics()
    for number in (1000, 77, 5):
        part = np.tile(random_elements(np.random.default_rng(1), 1), (number, 1))
        part[:, [0, FEATURE_INDEX["eta"]]] = TRACK, 3.3
        other = FeatureStatistics()
        other.add(part)
        measured.merge(other)
    measured.moments[ETA, 0, TRACK, 1] += 1e-12  # what another order of sums may leave
    np.testing.assert_array_equal(make_scaling(measured, ScalingConfig()).width, 1.0)


def test_without_statistics_nothing_is_shifted_or_divided():
    scaling = make_scaling(FeatureStatistics(), ScalingConfig())
    assert not scaling.shift.any()
    assert (scaling.width == 1.0).all()


def test_quantiles_take_the_place_of_mean_and_std_and_leave_outliers_alone(features):
    outliers = features.copy()
    outliers[::100, FEATURE_INDEX["eta"]] = 10.0
    measured = FeatureStatistics()
    measured.add(outliers)
    scaling = make_scaling(measured, section(width="quantiles", features={"pt": {"method": "log"}}))
    own = outliers[outliers[:, 0] == TRACK].astype(np.float64)
    for name, t in (("eta", lambda x: x), ("pt", np.log1p)):
        low, median, high = t(np.quantile(own[:, FEATURE_INDEX[name]], [0.15866, 0.5, 0.84134]))
        column = SCALED_FEATURES.index(name)
        assert scaling.shift[TRACK, column] == pytest.approx(median, abs=0.03)
        assert scaling.width[TRACK, column] == pytest.approx((high - low) / 2, rel=0.03)


def test_features_whose_values_are_mostly_one_keep_mean_and_std(features):
    rare = features.copy()
    rare[:, FEATURE_INDEX["charge"]] = np.arange(len(rare)) % 10 == 0
    measured = FeatureStatistics()
    measured.add(rare)
    by_quantiles, by_moments = (make_scaling(measured, ScalingConfig(width=width)) for width in ("quantiles", "std"))
    np.testing.assert_array_equal(by_quantiles.width[:, CHARGE], by_moments.width[:, CHARGE])
    np.testing.assert_array_equal(by_quantiles.shift[:, CHARGE], by_moments.shift[:, CHARGE])


def test_the_share_of_limited_values_is_counted(features, statistics):
    scaling = make_scaling(statistics, ScalingConfig(low=-1.5, high=1.5))
    types, x = features[:, 0].astype(int), features[:, COLUMNS]
    z = make_scaling(statistics, ScalingConfig(low=-1e6, high=1e6)).apply(x, types)
    for kind in (TRACK, ECAL):
        expected = (np.abs(z[types == kind]) > 1.5).mean(axis=0)
        np.testing.assert_allclose(limited_fraction(statistics, scaling)[kind, [PT, ETA]], expected[[PT, ETA]], atol=0.02)
    assert not limited_fraction(statistics, scaling)[GSF].any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"features": {"ptt": {}}}, "unknown feature 'ptt'; did you mean 'pt'"),
        ({"features": {"phi_ecal": {}}}, "'phi_ecal' is not scaled"),
        ({"features": {"type": {}}}, "'type' is not scaled"),
        ({"features": {"pt": {"method": "linear", "a": 0}}}, "a must not be 0"),
        ({"features": {"pt": {"a": 2}}}, "a and b belong to the method linear"),
        ({"features": {"pt": {"method": "sqrt"}}}, "found 'sqrt'"),
        ({"features": {"pt": {"methods": "log"}}}, "unknown key 'features.pt.methods'"),
        ({"low": 3, "high": 3}, "low must be below high"),
        ({"features": {"pt": {"low": 11}}}, "pt: low must be below high"),
        ({"high": float("inf")}, "finite"),
    ],
)
def test_parameters_that_make_no_sense_are_errors_that_name_the_place(values, message):
    with pytest.raises(ConfigError, match=message):
        section(**values)


def test_a_method_for_all_features_leaves_those_with_their_own():
    config = section(method="none", features={"pt": {"method": "log"}})
    assert (config.method_of("pt"), config.method_of("energy")) == ("log", "none")
    assert ScalingConfig(features={"eta": FeatureScaling(low=-1)}).method_of("eta") == "normal"
