import numpy as np
import pytest
import torch

from mlpf import schema
from mlpf.export.exporter import export_model
from mlpf.features import FEATURE_LIMITS, MAX_ABS_ETA, MAX_ABS_VALUE, SCALED_FEATURES
from mlpf.nn.model import GravNetConfig, build_model
from mlpf.nn.preprocess import FeaturePreprocessor
from mlpf.producer import Producer
from mlpf.samples.scaling import FeatureScaling, ScalingConfig, make_scaling
from mlpf.samples.statistics import FeatureStatistics
from mlpf.schema import FEATURE_INDEX, ElementType
from mlpf.testing import random_features

PT, ETA, TYPE = FEATURE_INDEX["pt"], FEATURE_INDEX["eta"], FEATURE_INDEX["type"]


def preprocess(features, fitted_on=None):
    module = FeaturePreprocessor(embedding_dim=4)
    if fitted_on is not None:
        module.fit(torch.from_numpy(fitted_on))
    x = torch.as_tensor(features)[None]
    with torch.no_grad():
        return module(x, torch.ones(1, x.shape[1], dtype=torch.bool))


def test_fitted_inputs_have_mean_zero_and_width_one_in_every_type():
    features = random_features(4000)
    inputs = preprocess(features, fitted_on=features).inputs[0].numpy()
    for kind in np.unique(features[:, TYPE]):
        scaled = inputs[features[:, TYPE] == kind][:, :52]  # 55 without the type and two angles
        varying = (scaled.std(axis=0) > 0) & (np.abs(scaled).max(axis=0) < ScalingConfig().high)  # the tail of pterror is cut
        assert varying.sum() > 40
        np.testing.assert_allclose(scaled[:, varying].mean(axis=0), 0.0, atol=1e-2)
        np.testing.assert_allclose(scaled[:, varying].std(axis=0), 1.0, atol=2e-2)


def test_scaling_equals_the_formula_written_out_in_numpy():
    features = random_features(500)
    of_type = features[:, TYPE] == ElementType.ECAL
    log_pt = np.log1p(features[of_type, PT].astype(np.float64))  # pt is positive
    expected = (log_pt - log_pt.mean()) / log_pt.std()
    np.testing.assert_allclose(preprocess(features, fitted_on=features).inputs[0, of_type, PT - 1], expected, atol=1e-5)


def test_heavy_tails_are_odd_functions_of_the_feature():
    features = random_features(50)
    flipped = features.copy()
    flipped[:, FEATURE_INDEX["px"]] *= -1
    column = FEATURE_INDEX["px"] - 3  # after the type and two angles
    np.testing.assert_array_equal(preprocess(flipped).inputs[0, :, column], -preprocess(features).inputs[0, :, column])


def test_constant_features_and_unseen_types_do_not_divide_by_zero():
    features = np.tile(random_features(1), (20, 1))
    other = random_features(30)
    for x in (features, other):
        assert torch.isfinite(preprocess(x, fitted_on=features).inputs).all()
    assert preprocess(features, fitted_on=features).inputs[0, :, :52].abs().max() < 1e-6  # logarithms of statistics and model differ in the last bit


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_count_as_zero(value):
    features = random_features(3)
    features[1, :] = value
    clean = preprocess(features).clean[0]
    assert not clean[1].any()
    np.testing.assert_array_equal(clean[[0, 2]], features[[0, 2]])


def test_absurd_values_are_limited():
    features = random_features(2)
    features[0, [PT, ETA, FEATURE_INDEX["sin_phi"], TYPE]] = 1e30
    result = preprocess(features, fitted_on=random_features(100))
    assert result.clean[0, 0, [PT, ETA, FEATURE_INDEX["sin_phi"]]].tolist() == [MAX_ABS_VALUE, MAX_ABS_ETA, 1.0]
    assert result.element_type[0, 0] == schema.NUM_ELEMENT_TYPES - 1
    assert result.inputs[0, 0, :52].abs().max() <= ScalingConfig().high


def test_padded_rows_are_zero_even_where_they_hold_nan():
    features = torch.full((1, 4, 55), torch.nan)
    clean = FeaturePreprocessor(4).clean(features, torch.zeros(1, 4, dtype=torch.bool))
    assert not clean.any()


def test_a_track_sits_where_it_meets_the_calorimeter_if_it_gets_there():
    features = random_features(3)
    features[:, TYPE] = [ElementType.TRACK, ElementType.TRACK, ElementType.ECAL]
    features[:, FEATURE_INDEX["eta_ecal"]] = [1.5, 0.0, 1.5]
    features[:, FEATURE_INDEX["phi_ecal"]] = [0.5, 0.0, 0.5]
    position = preprocess(features).position[0].numpy()
    np.testing.assert_allclose(position[0], [1.5, np.sin(0.5), np.cos(0.5)], atol=1e-6)
    np.testing.assert_array_equal(position[1:], features[1:, [2, 3, 4]])


# Every method, and limits other than the default, for some feature that varies.
EVERY_METHOD = ScalingConfig(
    low=-4,
    features={
        "pt": FeatureScaling(method="none", high=3),
        "eta": FeatureScaling(method="linear", a=0.2, b=0.1),
        "energy": FeatureScaling(method="normal"),
        "charge": FeatureScaling(method="log"),
    },
)


def scaling_of(features, config):
    statistics = FeatureStatistics()
    statistics.add(features)
    return make_scaling(statistics, config)


@pytest.mark.parametrize("config", [ScalingConfig(), EVERY_METHOD, ScalingConfig(method="none"), ScalingConfig(width="quantiles")])
def test_torch_scales_as_numpy_does(config):
    features = random_features(2000)
    scaling, module = scaling_of(features, config), FeaturePreprocessor(4)
    module.set_scaling(scaling)
    with torch.no_grad():
        result = module(torch.from_numpy(features)[None], torch.ones(1, 2000, dtype=torch.bool))
    clean = np.clip(features, -np.float32(FEATURE_LIMITS), np.float32(FEATURE_LIMITS))
    expected = scaling.apply(clean[:, [FEATURE_INDEX[name] for name in SCALED_FEATURES]], clean[:, TYPE].astype(int))
    np.testing.assert_allclose(result.inputs[0, :, : len(SCALED_FEATURES)], expected, rtol=1e-6, atol=1e-6)


def test_the_default_scaling_is_what_torch_finds_in_the_elements_at_once():
    """Mean and standard deviation per type of the values in single precision, as models were scaled before statistics could be merged."""
    features = torch.from_numpy(random_features(5000))
    module = FeaturePreprocessor(4)
    module.fit(features)
    values = module._transform(module.clean(features, torch.ones(5000, dtype=torch.bool))).double()
    for kind in features[:, TYPE].unique().long():
        own = values[features[:, TYPE] == kind]
        std = own.std(dim=0, correction=0)
        torch.testing.assert_close(module.shift[kind], own.mean(dim=0).float(), rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(module.width[kind], torch.where(std > 1e-6, std, 1.0).float(), rtol=1e-6, atol=1e-7)


def test_a_saved_model_carries_its_scaling_along():
    one, other = FeaturePreprocessor(4), FeaturePreprocessor(4)
    one.set_scaling(scaling_of(random_features(300), EVERY_METHOD))
    other.load_state_dict(one.state_dict())
    for name in ("logarithmic", "shift", "width", "low", "high"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert other.logarithmic[SCALED_FEATURES.index("charge")]


def test_an_exported_model_scales_by_every_method_as_torch_does(tmp_path):
    torch.manual_seed(0)
    model = build_model(GravNetConfig(width=8, num_layers=1, num_neighbors=4, propagate_dim=4)).eval()
    model.preprocess.set_scaling(scaling_of(random_features(500), EVERY_METHOD))
    features = random_features(33, seed=5)
    export_model(model, tmp_path / "model.onnx", events=[features])
    with torch.no_grad():
        expected = model(torch.from_numpy(features)[None], torch.ones(1, 33))
    for column, tensor in zip(Producer(tmp_path / "model.onnx").run(features), expected[:4], strict=True):
        np.testing.assert_allclose(column, tensor[0].numpy().reshape(column.shape), rtol=1e-4, atol=1e-5)
