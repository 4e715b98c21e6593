import pytest
import torch

from mlpf import schema
from mlpf.dataset.batch import Batch, Targets
from mlpf.loss.particle_flow import EVENT_TERMS, MIN_TRUE_PT, LossConfig, ParticleFlowLoss, TermWeights
from mlpf.loss.sets import predicted_set, target_set
from mlpf.loss.sinkhorn import sinkhorn_emd
from mlpf.loss.sliced_wasserstein import sliced_wasserstein
from mlpf.nn.heads import ModelOutput

ALL = (*EVENT_TERMS, "critic")
DISTANCES = {"sinkhorn": sinkhorn_emd, "sliced_wasserstein": sliced_wasserstein}


def example(events=3, size=30, padded=0, pt=5.0):
    """Random outputs and targets near the elements, all of which belong to jet 1; the last ``padded`` rows are padding full of nonsense."""
    g = torch.Generator().manual_seed(0)
    rows = size + padded
    features = torch.randn(events, rows, schema.NUM_FEATURES, generator=g)
    features[..., schema.FEATURE_INDEX["pt"]] = pt * torch.rand(events, rows, generator=g)
    features[..., schema.FEATURE_INDEX["type"]] = 1.0
    classes = torch.randint(0, 8, (events, rows), generator=g)
    particle = classes > 0
    momentum, predicted = (0.3 * torch.randn(events, rows, 5, generator=g) for _ in range(2))
    charge, jet = torch.ones_like(classes), particle.long()
    targets = Targets(classes, momentum * particle.unsqueeze(2), particle, torch.zeros(events, rows), charge, jet, torch.ones(events, rows))
    mask = torch.ones(events, rows)
    mask[:, size:] = 0.0
    features[:, size:] = float("nan")
    others = (torch.randn(events, rows, width, generator=g) for width in (2, 9, 1, 3))
    binary, pid, pileup, charge = others
    output = ModelOutput(*(values.requires_grad_() for values in (binary, pid, predicted, pileup, charge)))
    return output, Batch(features, mask, mask, targets, torch.ones(events, 3, dtype=torch.int64))


def loss_of(name, output, batch, seed=0):
    torch.manual_seed(seed)  # of the critic
    only = {other: float(other == name) for other in TermWeights.model_fields}
    return ParticleFlowLoss(LossConfig(weights=TermWeights(**only))).eval()(output, batch)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_are_relative_to_the_true_sum_of_pt(name):
    for pt, smallest in ((5.0, 0.0), (0.01, MIN_TRUE_PT)):
        output, batch = example(pt=pt)
        predicted, target = predicted_set(output, batch), target_set(batch)
        config = getattr(LossConfig(), name)
        expected = DISTANCES[name](predicted, target, config) / target.pt.sum(dim=1).clamp(min=smallest)
        assert loss_of(name, output, batch)[name].item() == pytest.approx(expected.mean().item())


@pytest.mark.parametrize("name", ALL)
def test_a_term_of_events_alone_is_the_total_and_trains_decisions_and_momenta(name):
    output, batch = example(pt=30.0)
    terms = loss_of(name, output, batch)
    assert terms["total"].item() == pytest.approx(terms[name].item() if name != "critic" else 0.0)
    assert terms[name].item() > 0.0
    terms["total"].backward()
    for values in (output.binary, output.momentum):
        assert torch.isfinite(values.grad).all()
        assert values.grad.any()


@pytest.mark.parametrize("name", ALL)
def test_padding_changes_no_term_of_events(name):
    output, batch = example(padded=6, pt=30.0)
    short = Batch(batch.features[:, :30], batch.mask[:, :30], batch.weight[:, :30], Targets(*(values[:, :30] for values in batch.targets)), batch.event_id)
    unpadded = loss_of(name, ModelOutput(*(values[:, :30] for values in output)), short)
    assert loss_of(name, output, batch)[name].item() == pytest.approx(unpadded[name].item(), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_terms_of_events_are_means_with_the_weights_of_the_events(name):
    output, batch = example(pt=30.0)
    single = []
    for i in range(3):
        rows = slice(i, i + 1)
        alone = Batch(batch.features[rows], batch.mask[rows], batch.weight[rows], Targets(*(values[rows] for values in batch.targets)), batch.event_id[rows])
        single.append(loss_of(name, ModelOutput(*(values[rows] for values in output)), alone)[name].item())
    weighted = batch._replace(weight=batch.mask * torch.tensor([[1.0], [2.0], [5.0]]))
    assert loss_of(name, output, weighted)[name].item() == pytest.approx((single[0] + 2.0 * single[1] + 5.0 * single[2]) / 8.0, rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_events_without_elements_have_no_term_of_events(name):
    output, batch = example(size=0)
    terms = loss_of(name, output, batch)
    assert torch.isfinite(terms["total"])
    terms["total"].backward()
