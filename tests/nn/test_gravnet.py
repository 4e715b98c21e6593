import numpy as np
import torch

from mlpf.nn.gravnet import GravNetLayer, Neighbors, aggregate, find_neighbors

B, N, D, K = 3, 40, 4, 6


def random_space(seed=0):
    rng = np.random.default_rng(seed)
    space = rng.normal(size=(B, N, D)).astype(np.float32)
    real = rng.random((B, N)) < 0.8
    real[2] = False
    real[2, :3] = True  # fewer than k
    return space, real


def test_neighbors_equal_a_brute_force_search():
    space, real = random_space()
    found = find_neighbors(torch.from_numpy(space), torch.from_numpy(real), K)
    for b in range(B):
        for i in range(N):
            distance2 = ((space[b].astype(np.float64) - space[b, i]) ** 2).sum(axis=1)
            distance2[~real[b]] = np.inf
            nearest = np.argsort(distance2)[: min(K, real[b].sum()) if real[b, i] else 0]
            exists = found.exists[b, i].numpy()
            assert exists.sum() == len(nearest)
            assert set(found.index[b, i].numpy()[exists]) == set(nearest)
            cutoff = np.exp(-10 * distance2[nearest[-1]]) if len(nearest) == K else 0.0
            expected = np.exp(-10 * distance2[found.index[b, i].numpy()[exists]]) - cutoff
            np.testing.assert_allclose(found.weight[b, i].numpy()[exists], expected, atol=1e-5)
            assert not found.weight[b, i].numpy()[~exists].any()


def test_small_distances_survive_a_large_offset():
    """|x|^2 + |y|^2 - 2xy at 1000 would round differences of 0.01 away."""
    space = torch.zeros(1, 20, 3)
    space[0, :, 0] = 1000.0 + 0.0078125 * torch.arange(20)
    found = find_neighbors(space, torch.ones(1, 20, dtype=torch.bool), 3)
    assert {tuple(sorted(row)) for row in found.index[0, 1:-1].tolist()} == {(i - 1, i, i + 1) for i in range(1, 19)}


def test_aggregation_is_mean_and_maximum_over_existing_neighbors_only():
    rng = np.random.default_rng(1)
    message = rng.normal(size=(1, N, 5)).astype(np.float32) - 3.0  # mostly negative: a maximum with zeros mixed in would show
    index = rng.integers(0, N, (1, N, K))
    weight = rng.random((1, N, K)).astype(np.float32)
    exists = rng.random((1, N, K)) < 0.5
    exists[0, 0] = False
    neighbors = Neighbors(*(torch.from_numpy(values) for values in (index, weight * exists, exists)))
    mean, maximum = (values[0].numpy() for values in aggregate(torch.from_numpy(message), neighbors))
    for i in range(N):
        received = [weight[0, i, k] * message[0, index[0, i, k]] for k in range(K) if exists[0, i, k]]
        np.testing.assert_allclose(mean[i], np.mean(received, axis=0) if received else np.zeros(5), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(maximum[i], np.max(received, axis=0) if received else np.zeros(5), rtol=1e-5, atol=1e-6)


def test_the_output_is_continuous_where_a_neighbor_is_exchanged_for_another():
    """Two elements cross the distance of the k-th neighbor: with weights that do not end at 0 the maximum and mean would jump."""
    torch.manual_seed(0)
    layer = GravNetLayer(8, 3, 8, num_neighbors=3)
    state = torch.randn(1, 4, 8)
    real = torch.ones(1, 4, dtype=torch.bool)
    outputs = []
    for shift in (-1e-4, 1e-4):
        position = torch.tensor([[[0.0, 0, 0], [0.1, 0, 0], [0.0, 0.3 + shift, 0], [0.0, 0, 0.3]]])
        with torch.no_grad():
            outputs.append(layer(state, position, real)[0, 0])
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-3, rtol=0)


def test_gradients_reach_the_learned_space_and_the_messages():
    layer = GravNetLayer(8, 4, 8, num_neighbors=4)
    layer(torch.randn(2, 10, 8), torch.randn(2, 10, 3), torch.ones(2, 10, dtype=torch.bool)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_space_starts_as_eta_sin_phi_cos_phi():
    layer = GravNetLayer(8, 4, 8, num_neighbors=3)
    state, position = torch.randn(1, 10, 8), torch.randn(1, 10, 3)
    space = layer.state_to_space(state) + layer.position_to_space(position)
    torch.testing.assert_close(space, torch.cat([position, torch.zeros(1, 10, 1)], dim=-1))
