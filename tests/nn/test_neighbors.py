import numpy as np
import pytest
import torch

from mlpf.nn import neighbors
from mlpf.nn.gravnet import find_neighbors
from mlpf.nn.neighbors import find_nearest

B, N, D, K = 4, 60, 4, 6


def random_space(seed=0):
    rng = np.random.default_rng(seed)
    space = rng.normal(size=(B, N, D)).astype(np.float32)
    real = rng.random((B, N)) < 0.7
    real[2] = False
    real[3] = False
    real[2, :3] = True  # fewer than k; the last event has none
    return torch.from_numpy(space), torch.from_numpy(real)


def in_blocks(monkeypatch):
    """As on a GPU: all pairs, seven rows at a time."""
    monkeypatch.setattr(neighbors, "MAX_BLOCK_PAIRS", 7 * B * N)
    monkeypatch.setattr(neighbors, "_can_use_trees", lambda _: False)


def in_a_graph(monkeypatch):
    """As in an exported or compiled graph: all pairs at once."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


def neighbor_sets(nearest):
    return [{int(j) for j in index[exists]} for index, exists in zip(nearest.index.flatten(0, 1), nearest.exists.flatten(0, 1), strict=True)]


def brute_force(space, real):
    sets = []
    for points, is_real in zip(space.numpy().astype(np.float64), real.numpy(), strict=True):
        for i in range(N):
            distance2 = np.where(is_real, ((points - points[i]) ** 2).sum(axis=1), np.inf)
            sets.append(set(np.argsort(distance2)[: min(K, is_real.sum())].tolist()) if is_real[i] else set())
    return sets


@pytest.mark.parametrize("way", [None, in_blocks, in_a_graph], ids=["trees", "blocks", "graph"])
def test_every_way_finds_what_a_brute_force_search_finds(way, monkeypatch):
    space, real = random_space()
    if way is not None:
        monkeypatch.setattr(neighbors, "_in_trees", None)  # not to be called
        way(monkeypatch)
    assert neighbor_sets(find_nearest(space, real, K)) == brute_force(space, real)


@pytest.mark.parametrize("way", [in_blocks, in_a_graph])
def test_weights_and_gradients_are_the_same_whichever_way_neighbors_are_found(way, monkeypatch):
    values, real = random_space(1)
    weight = torch.randn(B, N, N, generator=torch.Generator().manual_seed(0))

    def outputs_and_gradient():
        space = values.clone().requires_grad_()
        found = find_neighbors(space, real, K)
        dense = torch.zeros(B, N, N).scatter_add(2, found.index, found.weight)  # by row of the neighbour: their order does not matter
        (dense * weight).sum().backward()
        return dense.detach(), space.grad

    trees = outputs_and_gradient()
    way(monkeypatch)
    for a, b in zip(trees, outputs_and_gradient(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_element_without_finite_coordinates_has_no_neighbors_and_is_none(value):
    """The search goes on for the others, and the state of that element will show in the loss."""
    space, real = random_space()
    lost = int(real[0].nonzero()[4])
    space[0, lost, 1] = value
    found = find_neighbors(space, real, K)
    assert not found.exists[0, lost].any()
    assert not (found.index[0][found.exists[0]] == lost).any()
    assert torch.isfinite(found.weight[1:]).all()


@pytest.mark.parametrize("num_real", [0, 1, K - 1, K])
def test_small_events_of_padded_batches_have_as_many_neighbors_as_there_are(num_real):
    real = torch.arange(K) < num_real
    nearest = find_nearest(torch.randn(1, K, D), real[None], K)
    assert nearest.exists.sum(dim=2).tolist() == [[num_real] * num_real + [0] * (K - num_real)]


def test_elements_at_one_place_are_neighbors_of_distance_zero():
    found = find_neighbors(torch.zeros(1, 3000, 4), torch.ones(1, 3000, dtype=torch.bool), 16)
    assert found.exists.all()
    assert not found.weight.any()  # V(0) - V(0)
