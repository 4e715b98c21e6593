import itertools

import numpy as np
import pytest
import torch

from mlpf.nn.hashing import MIN_SOFTNESS, hash_into_bins
from mlpf.nn.preprocess import FeaturePreprocessor
from mlpf.testing import random_features

SOFTNESS = 0.3


def weights_of(key, size, real=None):
    real = torch.ones(len(key), dtype=torch.bool) if real is None else real
    bins = hash_into_bins(key[None], real[None], size, SOFTNESS)
    return bins.partition.scatter(bins.weight.unsqueeze(-1))[0, :, 0], bins.partition.slot[0] // size


def weights_written_out(key, size):
    """A loop over the bins of a sorted event."""
    n, order = len(key), np.argsort(key)
    num_bins = -(-n // size)
    bounds = [-(-g * n // num_bins) for g in range(num_bins + 1)]
    weights = np.empty(n)
    for first, last in itertools.pairwise(bounds):
        own = key[order[first:last]]
        gaps = np.full(last - first, np.inf)
        if first > 0:
            gaps = np.minimum(gaps, own - 0.5 * (key[order[first - 1]] + own[0]))
        if last < n:
            gaps = np.minimum(gaps, 0.5 * (own[-1] + key[order[last]]) - own)
        weights[order[first:last]] = np.minimum(1.0, gaps / (SOFTNESS * (own[-1] - own[0]) + MIN_SOFTNESS))
    return weights


@pytest.mark.parametrize("num_elements", [1, 7, 8, 9, 100, 1003])
def test_weights_are_those_of_a_readable_loop(num_elements):
    key = np.random.default_rng(num_elements).normal(size=num_elements)
    weight, _ = weights_of(torch.from_numpy(key), 8)
    np.testing.assert_allclose(weight, weights_written_out(key, 8), atol=1e-12)


def test_padded_rows_neither_count_nor_have_weights():
    key, real = torch.randn(90), torch.rand(90) < 0.6
    weight, own_bin = weights_of(torch.where(real, key, 1e30), 16, real)
    alone, alone_bin = weights_of(key[real], 16)
    torch.testing.assert_close(weight[real], alone)
    assert torch.equal(own_bin[real], alone_bin)
    bins = hash_into_bins(key[None], real[None], 16, SOFTNESS)
    assert not bins.weight[~bins.partition.exists].any()


def test_one_bin_has_no_bounds():
    weight, own_bin = weights_of(torch.randn(20), 20)
    assert (weight == 1.0).all()
    assert not own_bin.any()


def test_elements_of_one_key_that_a_bound_would_part_have_no_weight():
    key = torch.cat([torch.zeros(50), torch.ones(1)])
    weight, _ = weights_of(key, 17)  # bounds after 17 and 34, all among equals
    assert not weight[:-1].any()


def largest_step(step, weighted):
    """Of the sums over bins of an event, while one element passes through several bins in steps of its key."""
    generator = torch.Generator().manual_seed(0)
    path = torch.arange(0.3, 0.7, step, dtype=torch.float64)
    key, value = torch.rand(2, 64, generator=generator, dtype=torch.float64)
    key = torch.cat([path.unsqueeze(1), key[1:].expand(len(path), -1)], dim=1)
    part, weight = hash_into_bins(key, torch.ones_like(key, dtype=torch.bool), 8, SOFTNESS)
    weight = weight if weighted else part.exists.double()
    terms = weight * part.gather(value.expand(len(path), -1).unsqueeze(-1)).squeeze(-1)
    sums = part.scatter((weight * terms.sum(dim=2, keepdim=True)).unsqueeze(-1)).squeeze(-1)
    assert len((part.slot[:, 0] // 8).unique()) >= 3
    return sums.diff(dim=0).abs().max()


def test_sums_over_bins_change_continuously_while_an_element_passes_through_them():
    assert largest_step(1e-5, weighted=True) < 0.2 * largest_step(1e-4, weighted=True) < 0.05
    assert largest_step(1e-5, weighted=False) > 0.5  # they jump by the value of an element


def elements(num_elements, seed=0):
    """Where an event's elements are: eta, sin phi, cos phi."""
    features = torch.from_numpy(random_features(num_elements, seed))[None]
    return FeaturePreprocessor(4)(features, torch.ones(1, num_elements, dtype=torch.bool)).position[0].detach()


def public_hash(states, max_num_bins=200, bin_size=100, seed=0):
    """What jpata/particleflow computes (gnnlsh.py, 2025-26): argmax over random rotations and their negatives, of as many rotations as there are bins.

    Rotations beyond that number are set to -1e4 before the negatives are appended, which turns them into +1e4: the first of those wins, whatever the state.
    """
    rng = np.random.default_rng(seed)
    rotated = states @ rng.normal(size=(states.shape[1], max_num_bins // 2))
    num_rotations = len(states) // bin_size // 2
    rotated[:, num_rotations:] = -1e4
    return np.concatenate([rotated, -rotated], axis=1).argmax(axis=1)


@pytest.mark.parametrize(("num_elements", "spreads"), [(300, False), (4000, False), (19_999, False), (20_000, True)])
def test_the_public_hash_is_one_number_for_all_elements_of_an_event_below_20000(num_elements, spreads):
    states = np.random.default_rng(1).normal(size=(num_elements, 32))
    num_hashes = len(np.unique(public_hash(states)))
    assert num_hashes > 50 if spreads else num_hashes == 1


@pytest.mark.parametrize("num_elements", [300, 4000, 19_999])
def test_our_hash_fills_all_bins_alike(num_elements):
    num_bins = -(-num_elements // 128)
    _, own_bin = weights_of(elements(num_elements) @ torch.tensor([0.6, 0.5, -0.62]), 128)
    share = np.bincount(own_bin.numpy()) / num_elements
    entropy = -(share * np.log(share)).sum()
    assert len(share) == num_bins
    assert entropy > 0.999 * np.log(num_bins)


def test_near_elements_share_a_bin_far_more_often_than_others_and_nearly_always_in_some_round():
    num_elements, size = 4000, 128
    position = elements(num_elements)
    directions = torch.nn.init.orthogonal_(torch.empty(6, 3), generator=torch.Generator().manual_seed(0))
    nearest = torch.cdist(position, position).topk(9, largest=False).indices[:, 1:]  # 8 neighbours
    shared, best = [], torch.zeros(nearest.shape)
    for direction in directions:
        weight, own_bin = weights_of(position @ direction, size)
        same = own_bin[nearest] == own_bin[:, None]
        shared.append(same.float().mean().item())
        best = torch.maximum(best, same * weight[nearest] * weight[:, None])
    assert min(shared) > 10 * size / num_elements  # 0.032 for two elements at random
    assert (best > 0.1).float().mean() > 0.9
