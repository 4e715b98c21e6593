import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance

from mlpf.loss.sets import ParticleSet
from mlpf.loss.sliced_wasserstein import SlicedWassersteinConfig, fibonacci_directions, sliced_wasserstein

MANY = 256  # directions, for comparisons with what holds for all of them together


def particles(pt, eta, phi):
    pt, eta, phi = (torch.as_tensor(np.atleast_2d(np.asarray(values, dtype=np.float64))) for values in (pt, eta, phi))
    return ParticleSet(pt, eta, phi.sin(), phi.cos())


def random_particles(seed, size):
    rng = np.random.default_rng(seed)
    return particles(rng.exponential(1.0, size) * (rng.random(size) > 0.2), rng.normal(0.0, 1.5, size), rng.uniform(-np.pi, np.pi, size))


def places(particles):
    return np.stack([values[0].numpy() for values in particles[1:]], axis=1)


def distance(x, y, **config):
    return sliced_wasserstein(x, y, SlicedWassersteinConfig(**config))


def test_it_is_the_mean_of_one_dimensional_distances_by_scipy():
    x, y = random_particles(0, 30), random_particles(1, 25)
    directions = fibonacci_directions(16).numpy()
    alone = [wasserstein_distance(places(x) @ u, places(y) @ u, x.pt[0].numpy(), y.pt[0].numpy()) for u in directions]
    total, true_total = x.pt.sum().item(), y.pt.sum().item()
    expected = min(total, true_total) * 2.0 * np.mean(alone) / 0.4 + abs(total - true_total)
    assert distance(x, y).item() == pytest.approx(expected)


def test_it_is_never_above_the_optimal_transport_of_the_shapes():
    for seed in range(5):
        x, y = random_particles(seed, 12), random_particles(seed + 10, 12)
        a, b = (v.pt[0].numpy() / v.pt.sum().item() for v in (x, y))
        cost = np.linalg.norm(places(x)[:, None] - places(y)[None], axis=2)
        marginals = np.vstack([np.kron(np.eye(12), np.ones(12)), np.kron(np.ones(12), np.eye(12))])
        optimum = linprog(cost.ravel(), A_eq=marginals, b_eq=np.r_[a, b], method="highs").fun
        shape_distance = distance(x._replace(pt=x.pt / x.pt.sum()), y._replace(pt=y.pt / y.pt.sum()), radius=1.0, directions=MANY).item()
        assert 0.3 * optimum < shape_distance < 1.01 * optimum


@pytest.mark.parametrize("moved", [(0.2, 0.0), (0.0, 0.2), (0.1, -0.3), (2.0, 2.0)])
def test_one_particle_that_moves_costs_its_pt_times_the_chord_over_the_radius(moved):
    x, y = particles([10.0], [0.5], [3.0]), particles([10.0], [0.5 + moved[0]], [3.0 + moved[1]])
    chord = np.linalg.norm(places(x) - places(y))
    assert distance(x, y, directions=MANY).item() == pytest.approx(10.0 * chord / 0.4, rel=5e-3)
    assert distance(x, y).item() == pytest.approx(10.0 * chord / 0.4, rel=0.1)


def test_a_displacement_has_the_same_mean_projection_from_everywhere():
    displacement = np.random.default_rng(0).normal(size=(1000, 3))
    displacement /= np.linalg.norm(displacement, axis=1, keepdims=True)
    for count, tolerance in ((16, 0.1), (64, 0.03), (256, 0.01)):
        directions = fibonacci_directions(count)
        assert torch.allclose(directions.norm(dim=1), torch.ones(count, dtype=torch.float64))
        assert np.abs(displacement @ directions.numpy().T).mean(axis=1) == pytest.approx(0.5, rel=tolerance)


def test_at_the_same_places_only_the_sums_of_pt_differ():
    x = random_particles(2, 40)
    assert distance(x, x._replace(pt=1.5 * x.pt)).item() == pytest.approx(0.5 * x.pt.sum().item())
    assert distance(x, x).item() == pytest.approx(0.0, abs=1e-9)


def test_against_an_empty_event_all_pt_is_missing():
    x = random_particles(3, 10)
    assert distance(x, x._replace(pt=torch.zeros_like(x.pt))).item() == pytest.approx(x.pt.sum().item())
    assert distance(x._replace(pt=torch.zeros_like(x.pt)), x).item() == pytest.approx(x.pt.sum().item())


def test_it_is_symmetric_and_order_padding_and_other_events_change_nothing():
    x, y = random_particles(4, 30), random_particles(5, 30)
    plain = distance(x, y).item()
    order = torch.randperm(30).unsqueeze(0)
    assert distance(y, x).item() == pytest.approx(plain)
    assert distance(x.select(order), y).item() == pytest.approx(plain)
    x, y = (ParticleSet(*(torch.nn.functional.pad(values, (0, 5)) for values in v)) for v in (x, y))
    both = [ParticleSet(*(torch.cat(pair) for pair in zip(first, second, strict=True))) for first, second in ((x, y), (y, x))]
    assert distance(*both).tolist() == pytest.approx([plain, plain])


@pytest.mark.parametrize("field", ParticleSet._fields)
def test_the_gradient_equals_finite_differences(field):
    x, y = random_particles(6, 9), random_particles(7, 9)

    def of(values):
        return sliced_wasserstein(x._replace(**{field: values}), y, SlicedWassersteinConfig())

    values = getattr(x, field).clone()
    assert torch.autograd.gradcheck(of, values.where(x.pt > 0.0, values + 0.1).requires_grad_())


def test_a_random_shift_is_undone_by_its_gradient():
    y = random_particles(8, 50)
    eta = (y.eta + 0.5).requires_grad_()
    distance(y._replace(eta=eta), y).backward()
    assert eta.grad.sum() > 0.5 * (y.pt.sum() / 0.4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_single_precision_agrees_with_double_also_under_autocast(dtype):
    sets = [ParticleSet(*(values.to(dtype) for values in random_particles(seed, 2000))) for seed in (9, 10)]
    exact = distance(*(ParticleSet(*(values.double() for values in v)) for v in sets)).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = distance(*sets)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("size", [0, 1, 4])
def test_empty_and_tiny_events_are_finite_with_finite_gradients(size):
    for pt, true_pt in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1e-30, 1.0), (1e6, 1e-3)):
        x, y = (ParticleSet(*(torch.full((2, size), value) for value in (total, 0.0, 0.0, 1.0))) for total in (pt, true_pt))
        x = ParticleSet(*(values.requires_grad_() for values in x))
        value = distance(x, y)
        value.sum().backward()
        assert value.tolist() == pytest.approx([abs(pt - true_pt) * size] * 2)
        assert all(torch.isfinite(values.grad).all() for values in x)
