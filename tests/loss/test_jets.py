import math

import numpy as np
import pytest
import torch

from mlpf.jets import cluster_jets
from mlpf.loss.jets import PT_OFFSET, JetConfig, jet_response
from mlpf.loss.sets import ParticleSet

CONFIG = JetConfig(min_pt=10.0, huber_delta=0.3, radius=0.4)


def particles(pt, eta, phi):
    pt, eta, phi = (torch.as_tensor(np.asarray(values, dtype=np.float64)) for values in (pt, eta, phi))
    return ParticleSet(pt, eta, phi.sin(), phi.cos())


def random_event(seed, num_elements=60):
    """A predicted and a true event, both ``(1, N)``, and the anti-kt jets of the latter; a third of the elements are no particle."""
    rng = np.random.default_rng(seed)
    axes = np.stack([rng.uniform(-2, 2, 4), rng.uniform(-np.pi, np.pi, 4)])
    eta, phi = axes[:, rng.integers(0, 4, num_elements)] + rng.normal(0.0, 0.2, (2, num_elements))
    pt = rng.lognormal(1.5, 1.0, num_elements) * (rng.random(num_elements) > 0.33)
    jets = cluster_jets(pt, eta, phi, pt * np.cosh(eta), np.array([0, num_elements]))
    predicted = particles(rng.lognormal(0.5, 1.0, (1, num_elements)), [eta + rng.normal(0, 0.02, num_elements)], [phi + rng.normal(0, 0.02, num_elements)])
    return predicted, particles([pt], [eta], [phi]), torch.from_numpy(jets.constituent_jet[None].astype(np.int64) + 1)


def angles(particles, i):
    return particles.eta[0, i].item(), math.atan2(particles.sin_phi[0, i].item(), particles.cos_phi[0, i].item())


def vector_sum(particles, members):
    """px, py, pz by a loop."""
    total = np.zeros(3)
    for i in members:
        (eta, phi), pt = angles(particles, i), particles.pt[0, i].item()
        total += pt * np.array([math.cos(phi), math.sin(phi), math.sinh(eta)])
    return total


def slow_response(predicted, target, jet, config):
    """The definition, by loops over one event."""
    num_elements = target.pt.shape[1]
    members = {j: [i for i in range(num_elements) if jet[0, i] == j and target.pt[0, i] > 0] for j in range(1, int(jet.max()) + 1)}
    axis = {j: vector_sum(target, m) for j, m in members.items()}
    axis = {j: p for j, p in axis.items() if math.hypot(p[0], p[1]) > config.min_pt}
    for i in range(num_elements):
        if target.pt[0, i] > 0:
            continue
        eta, phi = angles(predicted, i)
        distance = {j: math.hypot(eta - math.asinh(p[2] / math.hypot(p[0], p[1])), 2.0 * math.sin((phi - math.atan2(p[1], p[0])) / 2)) for j, p in axis.items()}
        best = min(distance, key=distance.get)
        if distance[best] < config.radius:
            members[best].append(i)
    losses = []
    for j, p in axis.items():
        found = vector_sum(predicted, members[j])
        pt, true_pt = math.hypot(found[0], found[1]), math.hypot(p[0], p[1])
        eta, phi = math.asinh(p[2] / true_pt), math.atan2(p[1], p[0])
        delta_eta = (found[2] / pt - math.sinh(eta)) / math.cosh(eta) * pt / (pt + PT_OFFSET)
        delta_phi = math.sin(math.atan2(found[1], found[0]) - phi) * pt / (pt + PT_OFFSET)
        errors = [abs(error) for error in (math.log((pt + PT_OFFSET) / (true_pt + PT_OFFSET)), delta_eta, delta_phi)]
        losses.append(sum(r * r / 2 if r < config.huber_delta else config.huber_delta * (r - config.huber_delta / 2) for r in errors))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(8))
def test_it_equals_the_definition_by_loops(seed):
    event = random_event(seed)
    assert jet_response(*event, CONFIG).item() == pytest.approx(slow_response(*event, CONFIG), rel=1e-6)


def test_true_jets_are_those_of_anti_kt():
    _, target, jet = random_event(0)
    pt, eta, phi = target.pt[0].numpy(), target.eta[0].numpy(), torch.atan2(target.sin_phi, target.cos_phi)[0].numpy()
    jets = cluster_jets(pt, eta, phi, pt * np.cosh(eta), np.array([0, len(pt)]))
    assert [np.hypot(*vector_sum(target, np.flatnonzero(jet[0].numpy() == j + 1))[:2]) for j in range(len(jets.pt))] == pytest.approx(jets.pt, rel=1e-5)


def test_a_perfect_prediction_costs_nothing_and_twice_the_momentum_the_logarithm_of_two():
    _, target, jet = random_event(1)
    assert jet_response(target, target, jet, CONFIG).item() == pytest.approx(0.0, abs=1e-12)
    energetic = target._replace(pt=1e4 * target.pt)
    doubled = jet_response(energetic._replace(pt=2.0 * energetic.pt), energetic, jet, JetConfig(huber_delta=1e-3))
    assert doubled.item() == pytest.approx(1e-3 * (math.log(2.0) - 5e-4), rel=1e-3)


def test_turning_and_reordering_an_event_changes_nothing():
    predicted, target, jet = random_event(2)
    expected = jet_response(predicted, target, jet, CONFIG)
    order = torch.randperm(jet.shape[1], generator=torch.Generator().manual_seed(0))[None]
    assert jet_response(predicted.select(order), target.select(order), jet.gather(1, order), CONFIG).item() == pytest.approx(expected.item())
    for angle in (1.0, 3.0, -2.5):
        turned = [_turn(values, angle) for values in (predicted, target)]
        assert jet_response(*turned, jet, CONFIG).item() == pytest.approx(expected.item())


def _turn(particles, angle):
    sin, cos = math.sin(angle), math.cos(angle)
    return particles._replace(sin_phi=particles.sin_phi * cos + particles.cos_phi * sin, cos_phi=particles.cos_phi * cos - particles.sin_phi * sin)


@pytest.mark.parametrize(("phi", "spoils"), [(3.1, True), (-3.1, True), (2.5, False)])
def test_a_fake_spoils_the_jet_whose_cone_it_is_in_also_across_pi(phi, spoils):
    target = particles([[50.0, 0.0]], [[0.5, 0.0]], [[-3.1, 0.0]])
    predicted = particles([[50.0, 20.0]], [[0.5, 0.4]], [[-3.1, phi]])
    assert (jet_response(predicted, target, torch.tensor([[1, 0]]), CONFIG).item() > 0.01) == spoils


def test_a_particle_of_no_jet_is_no_fake_of_its_neighbour():
    target = particles([[50.0, 1.0]], [[0.0, 0.1]], [[0.0, 0.0]])
    predicted = target._replace(pt=torch.tensor([[50.0, 30.0]], dtype=torch.float64))
    assert jet_response(predicted, target, torch.tensor([[1, 0]]), CONFIG).item() == pytest.approx(0.0, abs=1e-12)


def test_soft_jets_take_no_part():
    target = particles([[9.9, 40.0]], [[0.0, 1.0]], [[0.0, 2.0]])
    predicted = target._replace(pt=torch.tensor([[1.0, 40.0]], dtype=torch.float64))
    assert jet_response(predicted, target, torch.tensor([[2, 1]]), CONFIG).item() == pytest.approx(0.0, abs=1e-12)


def test_events_stay_apart():
    events = [random_event(seed) for seed in (3, 4)]
    together = [ParticleSet(*(torch.cat(values) for values in zip(*sets, strict=True))) for sets in zip(*(event[:2] for event in events), strict=True)]
    found = jet_response(*together, torch.cat([event[2] for event in events]), CONFIG)
    assert found.tolist() == pytest.approx([jet_response(*event, CONFIG).item() for event in events])


@pytest.mark.parametrize("num_elements", [0, 1, 5])
def test_without_jets_there_is_no_loss_and_no_gradient(num_elements):
    nothing = particles(*(np.zeros((2, num_elements)) for _ in range(3)))
    pt = torch.full((2, num_elements), 30.0, dtype=torch.float64, requires_grad=True)
    loss = jet_response(nothing._replace(pt=pt), nothing, torch.zeros(2, num_elements, dtype=torch.int64), CONFIG)
    assert loss.tolist() == [0.0, 0.0]
    loss.sum().backward()
    assert not pt.grad.any()


def test_gradients_are_those_of_finite_differences():
    predicted, target, jet = random_event(5, num_elements=12)
    torch.autograd.gradcheck(lambda *values: jet_response(ParticleSet(*values), target, jet, CONFIG), [values.requires_grad_() for values in predicted])


def test_gradients_are_finite_where_a_jet_is_not_predicted_at_all():
    _, target, jet = random_event(6)
    leaves = [(values * scale).float().requires_grad_() for values, scale in zip(target, (0.0, 1.0, 1.0, 1.0), strict=True)]
    loss = jet_response(ParticleSet(*leaves), ParticleSet(*(values.float() for values in target)), jet, CONFIG)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)
    assert leaves[0].grad.abs().max() <= 3.0 * CONFIG.huber_delta / PT_OFFSET


@pytest.mark.parametrize(("delta_eta", "delta_phi"), [(0.01, 0.0), (0.0, -0.02)])
@pytest.mark.parametrize("eta", [-4.5, 0.0, 2.0])
def test_a_jet_off_its_axis_costs_half_the_square_of_the_distance(eta, delta_eta, delta_phi):
    target = particles([[1000.0, 500.0]], [[eta, eta]], [[3.1, -3.1]])
    moved = particles([[1000.0, 500.0]], [[eta + delta_eta, eta + delta_eta]], [[3.1 + delta_phi, -3.1 + delta_phi]])
    loss = jet_response(moved, target, torch.ones(1, 2, dtype=torch.int64), CONFIG).item()
    assert loss == pytest.approx((delta_eta**2 + delta_phi**2) / 2, rel=0.03)
