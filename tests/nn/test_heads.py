import torch

from mlpf import schema
from mlpf.nn.heads import MAX_ABS_LOG_RATIO, Heads
from mlpf.nn.preprocess import FeaturePreprocessor
from mlpf.schema import ElementType
from mlpf.testing import random_features


def outputs(kinds, scale=1.0):
    torch.manual_seed(0)
    features = torch.from_numpy(random_features(len(kinds)))[None]
    features[0, :, 0] = torch.tensor([float(kind) for kind in kinds])
    real = torch.ones(1, len(kinds), dtype=torch.bool)
    heads = Heads(16)
    torch.nn.init.normal_(heads.momentum.output.weight, std=scale)
    with torch.no_grad():
        return features, heads(torch.randn(1, len(kinds), 16), FeaturePreprocessor(4)(features, real), real)


def test_superclusters_and_dropped_types_never_yield_a_particle():
    _, output = outputs(list(ElementType))
    margin = output.binary[0, :, 1] - output.binary[0, :, 0]
    for kind in ElementType:
        certain = margin[kind] == -2e4
        assert bool(certain) == (kind in schema.NO_CANDIDATE_TYPES)


def test_the_class_no_particle_never_wins():
    _, output = outputs([ElementType.TRACK] * 50)
    assert (output.pid.argmax(-1) > 0).all()


def test_directions_are_the_elements_own_plus_a_residual_and_ratios_are_limited():
    features, output = outputs([ElementType.ECAL] * 20, scale=100.0)
    _, unmoved = outputs([ElementType.ECAL] * 20, scale=0.0)
    torch.testing.assert_close(unmoved.momentum[..., 1:4], features[..., 2:5])
    assert not unmoved.momentum[..., [0, 4]].any()
    assert output.momentum[..., [0, 4]].abs().max() == MAX_ABS_LOG_RATIO
    assert (output.momentum[..., 1:4] - features[..., 2:5]).abs().max() > MAX_ABS_LOG_RATIO
