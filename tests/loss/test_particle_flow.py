import math

import numpy as np
import pytest
import torch

from mlpf import schema
from mlpf.config import parse_section
from mlpf.dataset.batch import Batch, Targets
from mlpf.errors import ConfigError
from mlpf.loss.particle_flow import EVENT_TERMS, MOMENTUM_TERMS, BinaryConfig, LossConfig, MomentumConfig, ParticleFlowLoss, PidConfig, TermWeights
from mlpf.nn.heads import ModelOutput

B, N = 2, 12
TERMS = tuple(name for name in TermWeights.model_fields if name not in (*EVENT_TERMS, "critic"))  # of single elements
EVENT_ID = torch.ones(B, 3, dtype=torch.int64)


def example(seed=0, padded=0):
    """Random outputs and targets; the last ``padded`` rows are padding full of nonsense."""
    g = torch.Generator().manual_seed(seed)
    rows = N + padded
    output = ModelOutput(*(torch.randn(B, rows, width, generator=g) for width in (2, 9, 5, 1, 3)))
    classes = torch.randint(0, 8, (B, rows), generator=g)
    charge, jet = (torch.randint(0, 3, (B, rows), generator=g) for _ in range(2))
    targets = Targets(classes, torch.randn(B, rows, 5, generator=g), classes > 1, torch.rand(B, rows, generator=g), charge, jet, torch.ones(B, rows))
    mask = torch.ones(B, rows)
    mask[:, N:] = 0.0
    return output, Batch(torch.zeros(B, rows, 55), mask, mask, targets, EVENT_ID)


def test_the_total_is_the_weighted_sum_of_all_terms():
    weights = {name: 0.5 + i for i, name in enumerate(TERMS)}
    terms = ParticleFlowLoss(LossConfig(weights=TermWeights(**weights)))(*example())
    assert set(terms) == {*TERMS, "total"}
    assert terms["total"].item() == pytest.approx(sum(weights[name] * terms[name].item() for name in TERMS), rel=1e-6)
    assert all(terms[name] > 0.01 for name in TERMS)


@pytest.mark.parametrize("name", TERMS)
def test_each_term_alone_enters_the_total_and_trains_only_its_output(name):
    output, batch = example()
    output = ModelOutput(*(values.requires_grad_() for values in output))
    only = {other: float(other == name) for other in TERMS}
    terms = ParticleFlowLoss(LossConfig(weights=TermWeights(**only)))(output, batch)
    assert terms["total"].item() == pytest.approx(terms[name].item())
    terms["total"].backward()
    head = name if name in output._fields else "momentum"
    touched = {field for field, values in output._asdict().items() if values.grad is not None and values.grad.any()}
    assert touched == {head}
    if head == "momentum":
        components = output.momentum.grad.abs().sum(dim=(0, 1)).nonzero().flatten().tolist()
        assert [schema.MOMENTUM_COMPONENTS[i].removesuffix("_ratio") for i in components] == [name]


def test_padding_changes_no_term():
    output, batch = example(padded=5)
    short = ModelOutput(*(values[:, :N] for values in output))
    short_batch = Batch(batch.features[:, :N], batch.mask[:, :N], batch.weight[:, :N], Targets(*(values[:, :N] for values in batch.targets)), EVENT_ID)
    padded, unpadded = (ParticleFlowLoss(LossConfig())(*args) for args in ((output, batch), (short, short_batch)))
    for name, value in unpadded.items():
        assert padded[name].item() == pytest.approx(value.item()), name


def with_pt(batch, pt):
    features = batch.features.clone()
    features[..., schema.FEATURE_INDEX["pt"]] = torch.as_tensor(pt, dtype=torch.float32)
    return batch._replace(features=features)


def test_an_element_of_four_times_the_pt_counts_like_two_at_power_one_half():
    output, batch = example()
    both = ModelOutput(*(values[:1, :2] for values in output))
    one, other = (ModelOutput(*(values[:1, i : i + 1] for values in output)) for i in (0, 1))
    targets = [Targets(*(values[:1, columns] for values in batch.targets)) for columns in (slice(0, 2), slice(0, 1), slice(1, 2))]
    pairs, first, second = (
        with_pt(Batch(torch.zeros(1, n, 55), torch.ones(1, n), torch.ones(1, n), t, EVENT_ID[:1]), 4.0) for n, t in zip((2, 1, 1), targets, strict=True)
    )
    loss = ParticleFlowLoss(LossConfig(pt_weight_power=0.5))
    expected = (2 * loss(one, first)["binary"].item() + loss(other, second)["binary"].item()) / 3
    assert loss(both, with_pt(pairs, [[4.0, 1.0]]))["binary"].item() == pytest.approx(expected, rel=1e-6)


def test_pt_means_nothing_at_power_zero_and_absurd_pt_is_bounded():
    output, batch = example()
    absurd = with_pt(batch, [[float("nan"), float("inf"), -5.0, 1e30] + [1.0] * (N - 4)] * B)
    plain, ignored = (ParticleFlowLoss(LossConfig())(output, b)["total"].item() for b in (batch, absurd))
    assert ignored == pytest.approx(plain, rel=1e-6)
    assert torch.isfinite(ParticleFlowLoss(LossConfig(pt_weight_power=2.0))(output, absurd)["total"])


def test_class_weights_act_on_the_pid_term_only():
    plain = ParticleFlowLoss(LossConfig())(*example())
    weighted = ParticleFlowLoss(LossConfig(pid=PidConfig(class_weights=dict.fromkeys(schema.CLASS_NAMES, 2.0))))(*example())
    for name in TERMS:
        assert weighted[name].item() == pytest.approx(plain[name].item() * (2.0 if name == "pid" else 1.0)), name


def test_a_batch_without_particles_has_only_the_binary_term():
    output, batch = example()
    targets = batch.targets._replace(class_position=torch.zeros(B, N, dtype=torch.int64), has_momentum=torch.zeros(B, N, dtype=torch.bool))
    terms = ParticleFlowLoss(LossConfig())(output, batch._replace(targets=targets))
    assert {name for name, value in terms.items() if value > 0} == {"binary", "total"}


def test_a_particle_weight_makes_particles_count_more_in_the_binary_term_only():
    output, batch = example()
    plain, weighted = (ParticleFlowLoss(LossConfig(binary=BinaryConfig(particle_weight=w)))(output, batch) for w in (1.0, 3.0))
    particle = batch.targets.class_position > 0
    p = output.binary.double().softmax(-1)[..., 1]
    expected = torch.where(particle, -3.0 * p.log(), -(1.0 - p).log()).mean()
    assert weighted["binary"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(weighted[name] == plain[name] for name in TERMS if name != "binary")


def test_the_momentum_terms_can_be_quantiles():
    output, batch = example()
    terms = ParticleFlowLoss(LossConfig(momentum=MomentumConfig(regression="quantile", quantile=0.8)))(output, batch)
    residual = (batch.targets.momentum - output.momentum).double().numpy()[batch.targets.has_momentum.numpy()]
    expected = np.where(residual > 0, 0.8 * residual, -0.2 * residual).mean(axis=0)
    assert [terms[name].item() for name in MOMENTUM_TERMS] == pytest.approx(expected, rel=1e-5)


def event_batch(num_events=3, rows=20, padded=4, seed=0):
    """As `example`, with events that have jets, pt of their elements, and NaN in the padding."""
    g = torch.Generator().manual_seed(seed)
    output = ModelOutput(*(torch.randn(num_events, rows, width, generator=g) for width in (2, 9, 5, 1, 3)))
    features = torch.full((num_events, rows, schema.NUM_FEATURES), float("nan"))
    features[:, : rows - padded] = torch.rand(num_events, rows - padded, schema.NUM_FEATURES, generator=g) * 30.0
    mask = torch.isfinite(features[..., 0]).float()
    classes = torch.randint(0, 3, (num_events, rows), generator=g) * mask.long()
    particle = classes > 0
    momentum = torch.where(particle.unsqueeze(-1), torch.randn(num_events, rows, 5, generator=g), 0.0)
    jet = torch.randint(0, 4, (num_events, rows), generator=g) * particle
    targets = Targets(classes, momentum, particle, mask * 0.5, torch.ones_like(classes), jet, torch.ones_like(mask))
    return output, Batch(features, mask, mask, targets, torch.ones(num_events, 3, dtype=torch.int64))


def test_with_pulls_a_track_counts_in_its_own_uncertainty_and_other_elements_as_before():
    output, batch = event_batch()
    kinds, pt, error = (schema.FEATURE_INDEX[name] for name in ("type", "pt", "pterror"))
    features = batch.features.clone()
    features[..., kinds] = torch.where(torch.arange(features.shape[1]) % 2 == 0, float(schema.ElementType.TRACK), float(schema.ElementType.HCAL))
    features[..., pt], features[..., error] = 10.0, 0.2
    batch = batch._replace(features=torch.where(batch.mask.unsqueeze(-1) > 0, features, torch.nan))
    config = LossConfig(momentum={"pulls": True, "huber_delta": 0.1})
    found = ParticleFlowLoss(config)(output, batch)["log_pt"].item()
    residual = (output.momentum[..., 0] - batch.targets.momentum[..., 0]).double().numpy()
    residual = np.where(features[..., kinds].numpy() == schema.ElementType.TRACK, residual / 0.02 * 0.1, residual)
    huber = np.where(abs(residual) < 0.1, residual**2 / 2, 0.1 * (abs(residual) - 0.05))
    assert found == pytest.approx(huber[batch.targets.has_momentum.numpy()].mean(), rel=1e-5)
    plain = ParticleFlowLoss(LossConfig(momentum={"huber_delta": 0.1}))(output, batch)
    pulled = ParticleFlowLoss(config)(output, batch)
    assert all(plain[name] == pulled[name] for name in ("eta", "sin_phi", "cos_phi", "log_energy"))


@pytest.mark.parametrize(("truth", "perfect"), [("targets", 1.0), ("generated", 1.3)])
def test_the_truth_of_jets_is_that_of_targets_or_of_the_generator(truth, perfect):
    output, batch = event_batch()
    batch = batch._replace(targets=batch.targets._replace(jet_scale=torch.full_like(batch.mask, 1.3)))
    loss = ParticleFlowLoss(LossConfig(weights=TermWeights(jets=1.0), jets={"truth": truth, "min_pt": 0.0}))
    sure = torch.stack([-20.0 * torch.ones_like(batch.mask), torch.where(batch.targets.has_momentum, 20.0, -60.0)], dim=-1)
    for scale in (1.0, 1.3):
        momentum = batch.targets.momentum.clone()
        momentum[..., 0] += math.log(scale)
        found = loss(output._replace(binary=sure, momentum=momentum), batch)["jets"].item()
        assert (found < 1e-5) == (scale == perfect)


@pytest.mark.parametrize("name", ["jets", "met"])
def test_a_term_of_events_is_computed_only_where_it_counts(name):
    output, batch = event_batch()
    plain = ParticleFlowLoss(LossConfig())(output, batch)
    assert name not in plain
    terms = ParticleFlowLoss(LossConfig(weights=TermWeights(**{name: 2.0})))(output, batch)
    assert set(terms) == {*TERMS, name, "total"}
    assert terms[name] > 0.01
    assert terms["total"].item() == pytest.approx(plain["total"].item() + 2.0 * terms[name].item(), rel=1e-5)


@pytest.mark.parametrize(("name", "num_components"), [("jets", 4), ("met", 3)])  # all but the energy; all but eta and the energy
def test_a_term_of_events_trains_existence_and_momentum_of_particles_whatever_padding_holds(name, num_components):
    output, batch = event_batch()
    output = ModelOutput(*(values.requires_grad_() for values in output))
    only = dict.fromkeys(TERMS, 0.0) | {name: 1.0}
    ParticleFlowLoss(LossConfig(weights=TermWeights(**only)))(output, batch)["total"].backward()
    for leaf, components in ((output.binary, 2), (output.momentum, num_components)):
        assert torch.isfinite(leaf.grad).all()
        assert not leaf.grad[batch.mask == 0].any()
        assert leaf.grad.abs().sum(dim=(0, 1)).count_nonzero() == components
    assert not any(leaf.grad is not None and leaf.grad.any() for leaf in (output.pid, output.charge, output.pileup))


@pytest.mark.parametrize("name", ["jets", "met"])
def test_terms_of_events_are_means_with_the_weights_of_events(name):
    output, batch = event_batch()
    loss = ParticleFlowLoss(LossConfig(weights=TermWeights(**{name: 1.0})))
    alone = [loss(*pick(output, batch, [i]))[name].item() for i in range(3)]
    weights = torch.tensor([[2.0], [1.0], [0.5]])
    found = loss(output, batch._replace(weight=weights * batch.mask))[name].item()
    assert found == pytest.approx(np.average(alone, weights=weights[:, 0]), rel=1e-5)


def pick(output, batch, events):
    targets = Targets(*(values[events] for values in batch.targets))
    cut = Batch(batch.features[events], batch.mask[events], batch.weight[events], targets, batch.event_id[events])
    return ModelOutput(*(values[events] for values in output)), cut


@pytest.mark.parametrize("num_elements", [0, 1])
def test_events_without_elements_or_particles_have_finite_losses(num_elements):
    output, batch = event_batch(rows=num_elements, padded=0)
    nothing = Targets(*(torch.zeros_like(values) for values in batch.targets))
    weights = TermWeights(**dict.fromkeys(("jets", "met"), 1.0))
    terms = ParticleFlowLoss(LossConfig(weights=weights))(output, batch._replace(targets=nothing))
    assert all(torch.isfinite(value) for value in terms.values())


def test_under_autocast_the_loss_is_that_of_float32():
    output, batch = event_batch()
    loss = ParticleFlowLoss(LossConfig(weights=TermWeights(jets=1.0, met=1.0)))
    expected = loss(ModelOutput(*(values.bfloat16().float() for values in output)), batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(ModelOutput(*(values.bfloat16() for values in output)), batch)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert {name: value.item() for name, value in found.items()} == {name: value.item() for name, value in expected.items()}


def test_mistakes_in_the_section_are_explained():
    with pytest.raises(ConfigError, match=r"loss: unknown key 'weights.log_pts'; did you mean 'log_pt'\?"):
        parse_section({"loss": {"weights": {"log_pts": 1.0}}}, "loss", LossConfig)
    with pytest.raises(ConfigError, match=r"unknown class 'photons'; did you mean 'photon'\?"):
        parse_section({"loss": {"pid": {"class_weights": {"photons": 1.0}}}}, "loss", LossConfig)
    with pytest.raises(ConfigError, match=r"weights\.pid"):
        parse_section({"loss": {"weights": {"pid": -1.0}}}, "loss", LossConfig)


def weighted(batch, weight):
    return batch._replace(weight=torch.as_tensor(weight, dtype=torch.float32).expand(batch.mask.shape) * batch.mask)


def take(output, batch, rows):
    """Events (or, along the second axis, elements) ``rows`` of outputs and batch, as leaves of a new gradient."""
    targets = Targets(*(values[rows] for values in batch.targets))
    cut = Batch(batch.features[rows], batch.mask[rows], batch.weight[rows], targets, batch.event_id[: len(batch.mask[rows])])
    return ModelOutput(*(values[rows].detach().clone().requires_grad_() for values in output)), cut


def losses_and_gradients(output, batch):
    config = LossConfig(binary=BinaryConfig(focal_gamma=1.5), pt_weight_power=0.5, pid=PidConfig(class_weights={"photon": 3.0}))
    terms = ParticleFlowLoss(config)(output, batch)
    return {name: value.item() for name, value in terms.items()}, torch.autograd.grad(terms["total"], output)


def test_an_event_of_weight_two_counts_like_two_of_it_in_every_term_and_gradient():
    output, batch = example(padded=3)
    twice = losses_and_gradients(*take(output, batch, [0, 0, 1]))
    double = losses_and_gradients(*take(output, weighted(batch, [[2.0], [1.0]]), [0, 1]))
    assert double[0] == pytest.approx(twice[0], rel=1e-5)
    for found, expected in zip(double[1], twice[1], strict=True):
        torch.testing.assert_close(found, torch.stack([expected[0] + expected[1], expected[2]]))


@pytest.mark.parametrize("scale", [7.0, 1e-9, 1e9])
def test_the_scale_of_all_weights_means_nothing(scale):
    output, batch = example()
    plain, scaled = (losses_and_gradients(*take(output, weighted(batch, weight), [0, 1])) for weight in (1.0, scale))
    assert scaled[0] == pytest.approx(plain[0], rel=1e-5)
    for found, expected in zip(scaled[1], plain[1], strict=True):
        torch.testing.assert_close(found, expected)


def test_elements_of_weight_zero_are_as_if_they_were_not_there():
    output, batch = example()
    weight = torch.ones(B, N)
    weight[:, [2, 5, 11]] = 0.0
    kept = (slice(None), [i for i in range(N) if i not in (2, 5, 11)])
    silent = losses_and_gradients(*take(output, weighted(batch, weight), (slice(None),)))
    without = losses_and_gradients(*take(output, batch, kept))
    assert silent[0] == pytest.approx(without[0], rel=1e-5)
    for found, expected in zip(silent[1], without[1], strict=True):
        torch.testing.assert_close(found[kept], expected)
        assert not found[:, [2, 5, 11]].any()


@pytest.mark.parametrize("name", TERMS)
def test_every_term_heeds_the_weights(name):
    output, batch = example()
    plain, changed = (ParticleFlowLoss(LossConfig())(output, weighted(batch, weight))[name] for weight in (1.0, [[3.0], [1.0]]))
    assert abs(changed.item() / plain.item() - 1.0) > 1e-3


def test_a_batch_of_weight_zero_has_no_loss_and_no_gradient():
    output, batch = example()
    terms, gradients = losses_and_gradients(*take(output, weighted(batch, 0.0), [0, 1]))
    assert set(terms.values()) == {0.0}
    assert not any(gradient.any() for gradient in gradients)
