import math

import pytest
import torch
from torch import nn

from mlpf import schema
from mlpf.dataset.batch import Batch, Targets
from mlpf.loss.critic import Critic, CriticConfig, scale_gradient
from mlpf.loss.particle_flow import LossConfig, ParticleFlowLoss, TermWeights
from mlpf.nn.heads import ModelOutput

B, N = 8, 20


def event_batch(seed=0, events=B, size=N):
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(events, size, schema.NUM_FEATURES, generator=g)
    features[..., schema.FEATURE_INDEX["type"]] = torch.randint(1, 6, (events, size), generator=g).float()
    features[..., schema.FEATURE_INDEX["pt"]] = torch.rand(events, size, generator=g) * 10.0
    classes = torch.randint(0, 8, (events, size), generator=g)
    particle = classes > 0
    momentum = 0.1 * torch.randn(events, size, 5, generator=g)
    direction = slice(schema.FEATURE_INDEX["eta"], schema.FEATURE_INDEX["cos_phi"] + 1)
    momentum[..., 1:4] += features[..., direction]
    charge, jet = torch.ones_like(classes), torch.zeros_like(classes)
    targets = Targets(classes, momentum * particle.unsqueeze(2), particle, torch.zeros(events, size), charge, jet, torch.ones(events, size))
    mask = torch.ones(events, size)
    return Batch(features, mask, mask, targets, torch.ones(events, 3, dtype=torch.int64))


def output_like_the_truth(batch, pt_bias=0.0, certainty=5.0):
    """Decisions of a model that is right, its log(pt ratio) off by ``pt_bias``."""
    particle = (batch.targets.class_position > 0).float()
    binary = certainty * torch.stack([1.0 - particle, particle], dim=2)
    pid = certainty * nn.functional.one_hot(batch.targets.class_position, schema.NUM_CLASSES)
    momentum = batch.targets.momentum.clone()
    momentum[..., 0] += pt_bias
    return ModelOutput(
        *(values.requires_grad_() for values in (binary, pid.float(), momentum, torch.zeros(*particle.shape, 1), torch.zeros(*particle.shape, 3)))
    )


def critic(seed=0, strength=1.0):
    torch.manual_seed(seed)
    return Critic(CriticConfig(width=16), strength)


def test_equal_events_cannot_be_told_apart():
    batch = event_batch()
    verdict = critic()(output_like_the_truth(batch), batch)
    assert verdict.accuracy.tolist() == [0.5] * B
    assert (verdict.loss >= math.log(2.0) - 1e-6).all()  # equal logits t give (softplus(t) + softplus(-t)) / 2, least at t = 0


def trained(pt_bias, steps=80):
    model = critic()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(steps):
        batch = event_batch(step)
        loss = model(output_like_the_truth(batch, pt_bias), batch).loss.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def test_it_learns_to_tell_a_bias_and_that_more_by_more_bias():
    batch = event_batch(1000, events=100)
    accuracy, loss = {}, {}
    for bias in (0.0, 0.05, 0.5):
        verdict = trained(bias)(output_like_the_truth(batch, bias), batch)
        accuracy[bias], loss[bias] = verdict.accuracy.mean().item(), verdict.loss.mean().item()
    assert accuracy[0.0] == 0.5
    assert loss[0.0] == pytest.approx(math.log(2.0), abs=0.01)
    assert accuracy[0.5] > 0.95
    assert loss[0.5] < loss[0.05] < loss[0.0]


def test_a_model_that_heeds_a_trained_critic_loses_its_bias():
    adversary, bias = trained(0.5).eval(), torch.tensor(0.5, requires_grad=True)
    optimizer = torch.optim.Adam([bias], lr=0.02)
    for step in range(20):
        batch = event_batch(step)
        output = output_like_the_truth(batch)
        shifted = output._replace(momentum=torch.cat([output.momentum[..., :1] + bias, output.momentum[..., 1:]], dim=2))
        optimizer.zero_grad()
        adversary(shifted, batch).loss.mean().backward()
        optimizer.step()
    assert bias.item() < 0.3


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_the_model_feels_the_reversed_gradient_times_the_strength_and_the_critic_its_own(strength):
    batch, adversary = event_batch(2), critic(strength=strength).double().eval()
    batch = batch._replace(features=batch.features.double(), targets=batch.targets._replace(momentum=batch.targets.momentum.double()))
    output = ModelOutput(*(values.detach().double().requires_grad_() for values in output_like_the_truth(batch, 0.3)))
    adversary(output, batch).loss.mean().mul(strength).backward()  # as in the total

    def loss(momentum):
        return adversary(output._replace(momentum=momentum), batch).loss.mean().item()

    step = torch.zeros_like(output.momentum)
    for place in ((0, 1, 0), (3, 5, 2), (7, 19, 4)):
        step.zero_()[place] = 1e-5
        slope = (loss(output.momentum + step) - loss(output.momentum - step)) / 2e-5
        assert output.momentum.grad[place].item() == pytest.approx(-strength * slope, rel=1e-4, abs=1e-12)
    bias = adversary.event[2].bias
    assert bias.grad.item() == pytest.approx(slope_of_bias(adversary, output, batch), rel=1e-4)


def slope_of_bias(adversary, output, batch):
    values, bias = [], adversary.event[2].bias
    for sign in (1, -2):
        with torch.no_grad():
            bias += sign * 1e-5
        values.append(adversary(output, batch).loss.mean().item())
    return (values[0] - values[1]) / 2e-5


def test_decisions_have_the_gradient_of_their_probabilities():
    batch, adversary = event_batch(3), critic().eval()
    output = output_like_the_truth(batch, certainty=0.5)
    adversary(output, batch).loss.mean().backward()
    assert output.binary.grad.abs().max() > 0.0
    assert output.pid.grad.abs().max() > 0.0
    assert not output.binary.grad.sum(dim=2).abs().max() > 1e-6  # of a softmax
    same = adversary(output_like_the_truth(batch, certainty=50.0), batch)
    assert torch.allclose(same.loss, adversary(output, batch).loss, atol=1e-6)


def test_order_padding_and_other_events_change_nothing():
    batch, adversary = event_batch(4), critic().eval()
    output = output_like_the_truth(batch, 0.4)
    plain = adversary(output, batch).loss
    order = torch.randperm(N)

    def rows(values, index):
        return values[:, index] if values.dim() > 1 and values.shape[1] == N else values

    def moved(output, batch, index):
        targets = Targets(*(rows(values, index) for values in batch.targets))
        return ModelOutput(*(rows(values, index) for values in output)), batch._replace(
            features=batch.features[:, index], mask=batch.mask[:, index], weight=batch.weight[:, index], targets=targets
        )

    assert torch.allclose(adversary(*moved(output, batch, order)).loss, plain, atol=1e-6)
    doubled = torch.cat([torch.arange(N), torch.arange(N)])
    padded_output, padded = moved(output, batch, doubled)
    mask = padded.mask.clone()
    mask[:, N:] = 0.0
    padded.features[:, N:] = float("nan")
    assert torch.allclose(adversary(padded_output, padded._replace(mask=mask)).loss, plain, atol=1e-6)
    first = Batch(batch.features[:1], batch.mask[:1], batch.weight[:1], Targets(*(values[:1] for values in batch.targets)), batch.event_id[:1])
    assert torch.allclose(adversary(ModelOutput(*(values[:1] for values in output)), first).loss, plain[:1], atol=1e-6)


def test_nonsense_empty_events_and_autocast_are_finite():
    adversary = critic()
    for size in (0, 1, N):
        batch = event_batch(5, size=size)
        batch.features[..., ::3] = float("inf")
        batch.features[..., 1::3] = float("nan")
        output = ModelOutput(*((1e4 * values).detach().requires_grad_() for values in output_like_the_truth(batch)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            verdict = adversary(output, batch)
        assert verdict.loss.dtype == torch.float32
        verdict.loss.sum().backward()
        assert torch.isfinite(verdict.loss).all()
        assert all(values.grad is None or torch.isfinite(values.grad).all() for values in (*output, *adversary.parameters()))


def test_the_slope_of_the_critic_is_bounded():
    adversary, batch = trained(0.5).eval(), event_batch(6)
    for layer in (*adversary.element, *adversary.event):
        if isinstance(layer, nn.Linear):
            assert torch.linalg.matrix_norm(layer.weight, ord=2).item() == pytest.approx(1.0, abs=0.05)
    output = output_like_the_truth(batch)
    adversary(output, batch).loss.sum().backward()
    assert output.momentum.grad.abs().max() < 10.0 / N  # 1 / RESIDUAL_UNIT, of one element in N


def test_switched_off_there_are_no_weights_and_no_random_numbers():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    loss = ParticleFlowLoss(LossConfig())
    batch = event_batch(7)
    terms = loss(output_like_the_truth(batch), batch)
    assert torch.equal(torch.get_rng_state(), before)
    assert not list(loss.parameters())
    assert not {name for name in terms if "critic" in name}


def test_switched_on_it_adds_its_gradient_but_not_its_value_to_the_total_without_random_numbers():
    batch = event_batch(8)
    output = output_like_the_truth(batch, 0.3)
    plain = ParticleFlowLoss(LossConfig())(output, batch)
    loss = ParticleFlowLoss(LossConfig(weights=TermWeights(critic=0.25))).eval()
    before = torch.get_rng_state()
    terms = loss(output, batch)
    assert torch.equal(torch.get_rng_state(), before)
    assert terms["total"].item() == pytest.approx(plain["total"].item())
    assert terms["critic"].item() > 0.0
    assert 0.0 <= terms["critic_accuracy"].item() <= 1.0
    weights = list(loss.critic.parameters())
    for found, expected in zip(torch.autograd.grad(terms["total"], weights), critic_gradient(output, batch, loss.critic), strict=True):
        torch.testing.assert_close(found, expected)


def critic_gradient(output, batch, adversary):
    """Of the critic's own loss, whatever its strength."""
    return [adversary.strength * gradient for gradient in torch.autograd.grad(adversary(output, batch).loss.mean(), list(adversary.parameters()))]


def test_scaling_a_gradient_leaves_the_values():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = scale_gradient(x, -0.5)
    assert torch.equal(y, x)
    (3.0 * y).sum().backward()
    assert x.grad.tolist() == [-1.5, -1.5]
