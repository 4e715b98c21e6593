import numpy as np
import pytest
import torch

from mlpf import schema
from mlpf.nn.heads import MASS_AT_START, MAX_ABS_LOG_RATIO, Heads
from mlpf.nn.preprocess import FeaturePreprocessor
from mlpf.schema import FEATURE_INDEX, ElementType
from mlpf.testing import random_features

CHANGE_OF_MASS = np.log1p(np.exp(-MASS_AT_START))  # log(E / |p|) before any training
CANDIDATE_TYPES = [kind for kind in ElementType if kind not in schema.NO_CANDIDATE_TYPES]


def outputs(kinds, scale=1.0, change=lambda _: None, autocast=None):
    """Features and outputs of heads whose momentum head has weights of size ``scale``."""
    torch.manual_seed(0)
    features = torch.from_numpy(random_features(len(kinds)))[None]
    features[0, :, 0] = torch.tensor([float(kind) for kind in kinds])
    features[0, :, 1].clamp_(min=0.1)
    features[0, :, FEATURE_INDEX["energy"]] = features[0, :, 1] * features[0, :, 2].cosh()
    change(features)
    real = torch.ones(1, len(kinds), dtype=torch.bool)
    heads = Heads(16)
    torch.nn.init.normal_(heads.momentum.output.weight, std=scale)
    with torch.no_grad(), torch.autocast("cpu", dtype=autocast or torch.bfloat16, enabled=autocast is not None):
        return features, heads(torch.randn(1, len(kinds), 16), FeaturePreprocessor(4)(features, real), real)


def column(features, name):
    return features[..., FEATURE_INDEX[name]]


def momenta(features, output):
    """Predicted pt, |p| and energy in float64, as the consumer decodes them."""
    momentum = output.momentum.double()
    pt = momentum[..., 0].exp() * column(features, "pt")
    return pt, pt * momentum[..., 1].cosh(), momentum[..., 4].exp() * column(features, "energy")


def test_superclusters_and_dropped_types_never_yield_a_particle():
    _, output = outputs(list(ElementType))
    margin = output.binary[0, :, 1] - output.binary[0, :, 0]
    for kind in ElementType:
        certain = margin[kind] == -2e4
        assert bool(certain) == (kind in schema.NO_CANDIDATE_TYPES)


def test_the_class_no_particle_never_wins():
    _, output = outputs([ElementType.TRACK] * 50)
    assert (output.pid.argmax(-1) > 0).all()


@pytest.mark.parametrize("kind", CANDIDATE_TYPES)
def test_momenta_start_as_the_elements_own(kind):
    calibrated = 1.3 if kind == ElementType.ECAL else 1.0

    def calibrate(features):
        features[..., FEATURE_INDEX["corr_energy"]] = 1.3 * column(features, "energy")

    features, output = outputs([kind] * 20, scale=0.0, change=calibrate)
    pt, p, energy = momenta(features, output)
    torch.testing.assert_close(pt, calibrated * column(features, "pt").double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(output.momentum[..., 1:4], features[..., 2:5])
    torch.testing.assert_close(energy.log() - p.log(), torch.full_like(p, CHANGE_OF_MASS), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("corrected", [-1.0, 0.0, float("nan")])
def test_an_ecal_cluster_without_calibration_starts_from_its_raw_energy(corrected):
    features, output = outputs([ElementType.ECAL] * 5, scale=0.0, change=lambda x: x[..., FEATURE_INDEX["corr_energy"]].fill_(corrected))
    torch.testing.assert_close(momenta(features, output)[0], column(features, "pt").double())


def test_the_energy_is_never_below_the_momentum_wherever_the_head_goes():
    features, output = outputs([ElementType.HCAL, ElementType.ECAL] * 500, scale=3.0)
    _, p, energy = momenta(features, output)
    within = output.momentum[..., [0, 4]].abs().amax(-1) < MAX_ABS_LOG_RATIO
    assert within.float().mean() > 0.5
    assert (energy / p)[within].min() > 1.0 - 1e-5
    assert (energy / p)[within].max() > 2.0


def test_tracks_keep_their_direction_and_others_move():
    features, output = outputs([ElementType.TRACK, ElementType.GSF, ElementType.HCAL] * 10)
    moved = (output.momentum[..., 1:4] - features[..., 2:5]).abs().amax(-1)[0]
    assert not moved[::3].any()
    assert (moved[1::3] > 0).all()
    assert (moved[2::3] > 0).all()


@pytest.mark.parametrize(("error", "unit"), [(0.02, 0.02), (3.0, 1.0), (0.0, 1.0), (float("nan"), 1.0)])
def test_the_network_moves_a_track_in_units_of_its_uncertainty(error, unit):
    def log_pt(kind, **errors):
        def change(features):
            features[..., FEATURE_INDEX["corr_energy"]] = 0.0
            for name, relative in errors.items():
                features[..., FEATURE_INDEX[name]] = relative * column(features, "pt")

        return outputs([kind] * 20, scale=0.3, change=change)[1].momentum[..., 0]

    plain = log_pt(ElementType.HCAL, pterror=error)  # the same state, so the same network output
    assert plain.abs().mean() > 0.1
    torch.testing.assert_close(log_pt(ElementType.TRACK, pterror=error), unit * plain)


def test_ratios_and_pseudorapidities_are_limited():
    _, output = outputs([ElementType.ECAL] * 200, scale=100.0)
    assert output.momentum[..., [0, 4]].abs().max() == MAX_ABS_LOG_RATIO
    assert output.momentum[..., 1].abs().max() == 10.0


@pytest.mark.parametrize("kind", CANDIDATE_TYPES)
@pytest.mark.parametrize("name", ["pt", "energy", "corr_energy", "eta", "charge"])
@pytest.mark.parametrize("value", [0.0, -1.0, 1e-45, 1e30, float("inf"), float("nan")])
def test_outputs_are_finite_whatever_the_element_holds(kind, name, value):
    _, output = outputs([kind] * 3, change=lambda x: x[..., FEATURE_INDEX[name]].fill_(value))
    assert all(torch.isfinite(values).all() for values in output)


def test_gradients_are_finite_where_the_element_has_neither_pt_nor_energy():
    features = torch.zeros(1, 4, schema.NUM_FEATURES)
    features[..., 0] = torch.tensor([float(kind) for kind in (ElementType.TRACK, ElementType.ECAL, ElementType.SC, ElementType.HO)])
    real, state = torch.ones(1, 4, dtype=torch.bool), torch.randn(1, 4, 16, requires_grad=True)
    heads = Heads(16)
    torch.nn.init.normal_(heads.momentum.output.weight)
    sum(values.square().sum() for values in heads(state, FeaturePreprocessor(4)(features, real), real)).backward()
    assert torch.isfinite(state.grad).all()


def test_half_precision_networks_add_to_float32_knowledge():
    kinds = [ElementType.ECAL, ElementType.HCAL, ElementType.GSF] * 20
    _, exact = outputs(kinds, scale=0.1)
    _, half = outputs(kinds, scale=0.1, autocast=torch.bfloat16)
    assert {values.dtype for values in half} == {torch.float32}
    assert (half.momentum - exact.momentum).abs().max() < 5e-3  # eta alone, rounded to bfloat16, would be off by 0.016
    _, start = outputs(kinds, scale=0.0)
    torch.testing.assert_close(outputs(kinds, scale=0.0, autocast=torch.bfloat16)[1].momentum, start.momentum, rtol=0, atol=0)
