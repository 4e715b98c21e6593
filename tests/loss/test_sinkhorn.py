import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from mlpf.config import parse_section
from mlpf.errors import ConfigError
from mlpf.loss.particle_flow import LossConfig
from mlpf.loss.sets import ParticleSet
from mlpf.loss.sinkhorn import SinkhornConfig, sinkhorn_emd

PRECISE = {"epsilon": 5e-4, "iterations": 100}  # near the limit of no blur


def particles(pt, eta, phi):
    pt, eta, phi = (torch.as_tensor(np.atleast_2d(np.asarray(values, dtype=np.float64))) for values in (pt, eta, phi))
    return ParticleSet(pt, eta, phi.sin(), phi.cos())


def random_particles(seed, size, spread=1.0):
    rng = np.random.default_rng(seed)
    return particles(rng.exponential(1.0, size), *rng.normal(0.0, spread, (2, size)))


def distances(x, y):
    """``(n, m)`` chords of the first event, by loops."""
    return np.array(
        [[np.linalg.norm([u[0, i] - v[0, j] for u, v in zip(x[1:], y[1:], strict=True)]) for j in range(y.pt.shape[1])] for i in range(x.pt.shape[1])]
    )


def exact(x, y, radius):
    """The definition as a linear program, in which all of the smaller sum is moved."""
    a, b = x.pt[0].numpy(), y.pt[0].numpy()
    cost = np.minimum(distances(x, y) / radius, 2.0)
    n, m = cost.shape
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    result = linprog(cost.ravel(), A_ub=np.vstack([rows, columns]), b_ub=np.r_[a, b], A_eq=np.ones((1, n * m)), b_eq=[min(a.sum(), b.sum())], method="highs")
    assert result.status == 0
    return result.fun + abs(a.sum() - b.sum())


def distance(x, y, **config):
    return sinkhorn_emd(x, y, SinkhornConfig(**config))


SETS = {
    "random": lambda: (random_particles(0, 12), random_particles(1, 12)),
    "unequal sums": lambda: (random_particles(2, 12), particles(3.0 * random_particles(3, 12).pt, *np.random.default_rng(3).normal(size=(2, 12)))),
    "zeros": lambda: (particles([1.0, 0.0, 3.0, 0.0], [0, 1, 2, 3], 0.1 * np.arange(4)), particles([0.0, 2.0, 1.0, 0.0], [0.1, 1.2, 2.1, 3], np.zeros(4))),
    "duplicates": lambda: (particles([1.0, 1.0, 2.0], [0.5, 0.5, 0.5], [1, 1, 1]), particles([3.0, 0.5, 0.5], [0.6, 0.7, 0.7], [1.1, 1.2, 1.2])),
    "single": lambda: (particles([2.0], [0.3], [3.1]), particles([1.5], [0.2], [-3.1])),
    "empty prediction": lambda: (particles(np.zeros(5), np.zeros(5), np.zeros(5)), random_particles(4, 5)),
    "nothing near": lambda: (particles([1.0, 2.0], [-2, -2.5], [0, 0]), particles([2.0, 1.5], [2, 2.5], [3, 2])),
}


@pytest.mark.parametrize("radius", [0.4, 1.0, 5.0])
@pytest.mark.parametrize("name", SETS)
def test_without_blur_it_is_the_exact_optimum_to_one_percent(name, radius):
    x, y = SETS[name]()
    assert distance(x, y, radius=radius, **PRECISE).item() == pytest.approx(exact(x, y, radius), rel=1e-2)


def test_more_iterations_come_nearer_to_the_limit_and_less_blur_to_the_optimum():
    x, y = random_particles(5, 40, 0.5), random_particles(6, 40, 0.5)
    limit = distance(x, y, iterations=400).item()
    errors = [abs(distance(x, y, iterations=count).item() - limit) for count in (2, 8, 32)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.03 * limit
    optimum = exact(x, y, 0.4)
    errors = [abs(distance(x, y, epsilon=epsilon, iterations=100).item() - optimum) for epsilon in (0.1, 0.03, 0.01)]
    assert errors[0] > 2.0 * errors[1] > 4.0 * errors[2]


def test_one_particle_that_moves_costs_its_pt_times_the_distance_over_the_radius():
    there = particles([[10.0]] * 3, [[0.0]] * 3, [[3.1]] * 3)
    moved = particles([[10.0]] * 3, [[0.1], [0.0], [0.0]], [[3.1], [3.1 - 2.0 * np.pi + 0.1], [0.0]])
    assert distance(there, moved, **PRECISE).numpy() == pytest.approx([10.0 * 0.1 / 0.4, 10.0 * 2.0 * np.sin(0.05) / 0.4, 20.0], rel=5e-3)


def test_at_the_same_places_only_differences_of_pt_count():
    x = random_particles(7, 10, 3.0)
    y = x._replace(pt=x.pt * torch.linspace(0.5, 1.5, 10))
    apart = x._replace(eta=4.0 * torch.arange(10.0).double().unsqueeze(0)), y._replace(eta=4.0 * torch.arange(10.0).double().unsqueeze(0))
    assert distance(*apart, **PRECISE).item() == pytest.approx((x.pt - y.pt).abs().sum().item(), rel=1e-2)
    together = (v._replace(eta=torch.zeros_like(v.eta), sin_phi=torch.zeros_like(v.eta), cos_phi=torch.ones_like(v.eta)) for v in (x, y))
    assert distance(*together, **PRECISE).item() == pytest.approx(abs(x.pt.sum() - y.pt.sum()).item(), rel=2e-2, abs=1e-3)


@pytest.mark.parametrize("epsilon", [0.2, 0.05])
def test_equal_sets_have_distance_and_gradient_zero_and_others_a_positive_distance(epsilon):
    x = random_particles(8, 50)
    leaves = ParticleSet(*(values.clone().requires_grad_() for values in x))
    value = distance(leaves, x, epsilon=epsilon)
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-9)
    for values in leaves:
        assert values.grad.abs().max() < 1e-9
    for seed in range(20):
        assert distance(x, random_particles(seed + 10, 50), epsilon=epsilon).item() > 0.0


def test_it_is_symmetric():
    x, y = random_particles(9, 30), random_particles(10, 30)
    assert distance(x, y).item() == pytest.approx(distance(y, x).item(), rel=1e-9)


def test_turning_mirroring_and_reordering_the_event_change_nothing():
    x, y = random_particles(11, 30), random_particles(12, 30)

    def turned(particles):
        cos_phi, sin_phi = particles.cos_phi, particles.sin_phi
        return particles._replace(sin_phi=np.sin(2.5) * cos_phi + np.cos(2.5) * sin_phi, cos_phi=np.cos(2.5) * cos_phi - np.sin(2.5) * sin_phi)

    order = torch.randperm(30).unsqueeze(0)
    plain = distance(x, y).item()
    assert distance(turned(x), turned(y)).item() == pytest.approx(plain, rel=1e-9)
    assert distance(x._replace(eta=-x.eta), y._replace(eta=-y.eta)).item() == pytest.approx(plain, rel=1e-9)
    assert distance(x.select(order), y.select(order)).item() == pytest.approx(plain, rel=1e-9)


def test_two_ways_are_never_shorter_than_one():
    sets = [random_particles(seed, 8, 0.4) for seed in range(20, 24)]
    length = {(i, j): distance(sets[i], sets[j], **PRECISE).item() for i, j in itertools.product(range(4), repeat=2)}
    for i, j, k in itertools.permutations(range(4), 3):
        assert length[i, k] <= 1.01 * (length[i, j] + length[j, k])


def test_events_do_not_mix_and_padding_changes_nothing():
    events = [(random_particles(seed, 20), random_particles(seed + 1, 20)) for seed in (30, 32, 34)]
    alone = [distance(*event).item() for event in events]
    padding = (0.0, 0.0, 0.0, 1.0)
    sides = [[torch.cat(values) for values in zip(*side, strict=True)] for side in zip(*events, strict=True)]
    batched = [ParticleSet(*(torch.nn.functional.pad(values, (0, 7), value=pad) for values, pad in zip(side, padding, strict=True))) for side in sides]
    assert distance(*batched).tolist() == pytest.approx(alone, rel=1e-9)


def test_of_the_softest_only_the_sums_of_pt_are_compared():
    x, y = random_particles(40, 30), random_particles(41, 30)
    hardest = torch.maximum(x.pt, y.pt).argsort(dim=1, descending=True)
    few, rest = hardest[:, :10], hardest[:, 10:]
    expected = distance(x.select(few), y.select(few)) + (x.select(rest).pt.sum() - y.select(rest).pt.sum()).abs()
    assert distance(x, y, max_particles=10).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("field", ParticleSet._fields)
def test_the_gradient_is_that_of_the_converged_distance(field):
    y, config = random_particles(51, 7, 0.3), SinkhornConfig(epsilon=0.1, iterations=150, max_particles=5)
    x = random_particles(50, 7, 0.3)

    def of(values):
        return sinkhorn_emd(x._replace(**{field: values}), y, config)

    assert torch.autograd.gradcheck(of, getattr(x, field).clone().requires_grad_(), atol=1e-5)


def test_without_blur_the_gradient_is_that_of_the_linear_program():
    x, y = random_particles(52, 6, 0.2), random_particles(53, 6, 0.2)
    leaves = ParticleSet(*(values.clone().requires_grad_() for values in x))
    distance(leaves, y, **PRECISE).backward()
    for field in ("pt", "eta"):
        step = torch.zeros(1, 6, dtype=torch.float64)
        for i in range(6):
            step.zero_()[0, i] = 1e-4
            up, down = (exact(x._replace(**{field: getattr(x, field) + sign * step}), y, 0.4) for sign in (1, -1))
            assert getattr(leaves, field).grad[0, i].item() == pytest.approx((up - down) / 2e-4, abs=0.02)


def test_going_down_the_gradient_finds_the_target():
    y = random_particles(60, 6, 0.2)
    start = random_particles(61, 6, 0.2)
    pt, eta, phi = (values.clone().requires_grad_() for values in (start.pt, start.eta, torch.atan2(start.sin_phi, start.cos_phi)))
    optimizer = torch.optim.Adam([pt, eta, phi], lr=0.05)
    first = distance(start, y).item()
    for _ in range(150):
        value = distance(ParticleSet(pt.clamp(min=0.0), eta, phi.sin(), phi.cos()), y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert value.item() < 0.05 * first


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_single_precision_agrees_with_double_also_under_autocast(dtype):
    x, y = random_particles(70, 150), random_particles(71, 150)
    x, y = (ParticleSet(*(values.to(dtype).double() for values in v)) for v in (x, y))
    single = [ParticleSet(*(values.to(dtype).requires_grad_() for values in v)) for v in (x, y)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = distance(*single)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(distance(x, y).item(), rel=1e-4)
    value.backward()
    assert all(torch.isfinite(values.grad).all() for values in single[0])


@pytest.mark.parametrize("epsilon", [0.5, 0.05, 1e-3])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_empty_tiny_and_absurd_sets_are_finite_with_finite_gradients(size, epsilon):
    one = torch.ones(1, size)
    kinds = [0.0 * one, one, 1e-30 * one, 1e6 * one, torch.arange(float(size)).unsqueeze(0)]
    for x_pt, y_pt in itertools.product(kinds, repeat=2):
        x, y = (ParticleSet(pt.clone(), torch.zeros(1, size), 0.0 * one, one.clone()) for pt in (x_pt, y_pt))
        x = ParticleSet(*(values.requires_grad_() for values in x))
        value = distance(x, y, epsilon=epsilon)
        value.sum().backward()
        assert torch.isfinite(value).all()
        assert all(torch.isfinite(values.grad).all() for values in x)
        if (x_pt == 0.0).all() and (y_pt == 0.0).all():
            assert value.item() == 0.0


def test_mistakes_in_the_section_are_explained():
    with pytest.raises(ConfigError, match=r"unknown key 'sinkhorn.epsilom'; did you mean 'epsilon'\?"):
        parse_section({"loss": {"sinkhorn": {"epsilom": 0.1}}}, "loss", LossConfig)
    with pytest.raises(ConfigError, match=r"sinkhorn\.radius"):
        parse_section({"loss": {"sinkhorn": {"radius": 0.0}}}, "loss", LossConfig)
