import numpy as np
import pytest
import torch

from mlpf import schema
from mlpf.dataset.batch import Batch, Targets
from mlpf.loss.sets import predicted_set, target_set
from mlpf.nn.heads import CERTAIN_LOGIT, ModelOutput

PT = schema.FEATURE_INDEX["pt"]
N = 7


def example():
    """One event: particle, none, particle on an element without pt (twice), particle with a NaN pt below it, two padded rows full of NaN."""
    g = torch.Generator().manual_seed(0)
    output = ModelOutput(*(torch.randn(1, N, width, generator=g) for width in (2, 9, 5, 1, 3)))
    features = torch.full((1, N, schema.NUM_FEATURES), float("nan"))
    features[0, :5, PT] = torch.tensor([2.0, 3.0, 0.0, -1.0, float("nan")])
    class_position = torch.tensor([[1, 0, 2, 2, 1, 0, 0]])
    has_momentum = torch.tensor([[True, False, False, False, False, False, False]])
    momentum = torch.randn(1, N, 5, generator=g) * has_momentum.unsqueeze(-1)
    charge = jet = torch.zeros(1, N, dtype=torch.int64)
    mask = torch.tensor([[1.0] * 5 + [0.0] * 2])
    targets = Targets(class_position, momentum, has_momentum, torch.zeros(1, N), charge, jet, torch.ones(1, N))
    return output, Batch(features, mask, mask, targets, torch.ones(1, 3, dtype=torch.int64))


def test_predicted_pt_is_the_expected_one():
    output, batch = example()
    binary, momentum = output.binary[0].double().numpy(), output.momentum[0].double().numpy()
    probability = np.exp(binary[:, 1]) / np.exp(binary).sum(axis=1)
    expected = probability[:2] * np.exp(momentum[:2, 0]) * [2.0, 3.0]
    found = predicted_set(output, batch)
    assert found.pt[0, :2].tolist() == pytest.approx(expected, rel=1e-5)
    assert not found.pt[0, 2:].any()
    torch.testing.assert_close(found.eta[0, :2], output.momentum[0, :2, 1])


def test_decided_pt_is_that_of_the_candidates_with_the_gradient_of_the_expected_one():
    output, batch = example()
    output.binary[0, :2] = torch.tensor([[-0.5, 0.5], [0.2, 0.1]])
    leaf = output.binary.clone().requires_grad_()
    decided = predicted_set(output._replace(binary=leaf), batch, decided=True).pt
    assert decided[0, :2].tolist() == pytest.approx([2.0 * np.exp(output.momentum[0, 0, 0].item()), 0.0])
    expected = predicted_set(output._replace(binary=leaf), batch).pt
    slopes = [torch.autograd.grad(pt.sum(), leaf)[0] for pt in (decided, expected)]
    torch.testing.assert_close(*slopes)
    assert slopes[0][0, :2].all()


def test_the_pt_of_tracks_counts_and_learns_nothing():
    output, batch = example()
    momentum = output.momentum.clone().requires_grad_()
    kinds = (schema.ElementType.TRACK, schema.ElementType.HCAL, schema.ElementType.GSF)
    batch.features[0, :3, PT] = 2.0
    batch.features[0, :3, schema.FEATURE_INDEX["type"]] = torch.tensor([float(kind) for kind in kinds])
    batch = batch._replace(targets=batch.targets._replace(has_momentum=batch.mask > 0))
    found = predicted_set(output._replace(momentum=momentum), batch)
    assert (found.pt[0, :3] > 0.0).all()
    (found.pt.sum() + found.eta.sum()).backward()
    assert (momentum.grad[0, :3, 0] != 0.0).tolist() == [False, True, False]
    assert (momentum.grad[0, :3, 1] == 1.0).all()


def test_true_pt_is_the_ratio_times_that_of_the_element():
    _, batch = example()
    found = target_set(batch)
    assert found.pt[0].tolist() == pytest.approx([2.0 * np.exp(batch.targets.momentum[0, 0, 0].item()), *[0.0] * (N - 1)])


def test_directions_have_unit_length_and_that_of_the_momentum():
    output, batch = example()
    found = predicted_set(output, batch)
    torch.testing.assert_close(torch.hypot(found.sin_phi, found.cos_phi), torch.ones(1, N))
    torch.testing.assert_close(torch.atan2(found.sin_phi, found.cos_phi)[0, :2], torch.atan2(output.momentum[0, :2, 2], output.momentum[0, :2, 3]))


def test_an_element_that_is_certainly_none_has_no_pt():
    output, batch = example()
    output.binary[0, 0] = torch.tensor([CERTAIN_LOGIT, -CERTAIN_LOGIT])
    assert predicted_set(output, batch).pt[0, 0] == 0.0


def test_values_and_gradients_are_finite_whatever_padding_holds():
    output, batch = example()
    output = ModelOutput(*(values.requires_grad_() for values in output))
    sum(values.square().sum() for values in predicted_set(output, batch)).backward()
    for leaf in (output.binary, output.momentum):
        assert torch.isfinite(leaf.grad).all()
        assert leaf.grad[0, :2].any()
        assert not leaf.grad[0, 2:].any()


def test_selected_elements_are_those_of_the_index():
    found = predicted_set(*example())
    assert found.select(torch.tensor([[1, 0]])).pt.tolist() == [found.pt[0, [1, 0]].tolist()]
