import copy

import numpy as np
import pydantic
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mlpf.nn.attention import AttentionConfig, AttentionModel
from mlpf.nn.partition import partition
from mlpf.nn.window import Locality, WindowConfig, WindowLayer, WindowModel
from mlpf.testing import random_features

CONFIG = WindowConfig(width=16, num_heads=2, window_size=8)


def random_windows(num_elements=30, seed=0):
    rng = np.random.default_rng(seed)
    real = torch.from_numpy(rng.random((2, num_elements)) < 0.8)
    window = partition(torch.from_numpy(rng.permutation(2 * num_elements).reshape(2, num_elements).astype(np.float64)), real, CONFIG.window_size)
    return torch.from_numpy(rng.normal(size=(2, num_elements, 3)).astype(np.float32)), real, window


def dense(layer, locality, state, position, real, window):
    """The layer by attention of all to all, where only those of the same window have a weight."""
    group = window.slot // CONFIG.window_size
    allowed = (group.unsqueeze(1) == group.unsqueeze(2)) & real.unsqueeze(1)
    distance2 = torch.cdist(position, position).square().unsqueeze(1)
    radius = locality.log_radius.exp().view(-1, 1, 1)
    bias = torch.where(allowed.unsqueeze(1), -0.5 * distance2 / radius**2, -torch.inf)
    normed = layer.attention_norm(state)
    block = layer.attention
    query, key, value = (part(normed).view(*state.shape[:2], block.num_heads, -1).transpose(1, 2) for part in (block.query, block.key, block.value))
    heard = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias).transpose(1, 2).flatten(2)
    mean = torch.stack([event[is_real].mean(dim=0, keepdim=True) for event, is_real in zip(normed, real, strict=True)])
    state = state + block.output(heard) + layer.summary(mean)
    return state + layer.dense(layer.dense_norm(state))


def test_a_layer_is_dense_attention_with_all_but_the_window_masked():
    torch.manual_seed(0)
    position, real, window = random_windows()
    layer, locality = WindowLayer(CONFIG), Locality(CONFIG.num_heads)
    state = torch.randn(2, 30, CONFIG.width)
    share = (real / real.sum(dim=1, keepdim=True)).unsqueeze(1)
    found = layer(state, share, window, locality(position, window))
    torch.testing.assert_close(found[real], dense(layer, locality, state, position, real, window)[real], atol=2e-5, rtol=1e-4)


def test_heads_start_with_radii_from_a_few_crystals_to_a_jet():
    radius = Locality(4).log_radius.exp()
    torch.testing.assert_close(radius, torch.tensor([0.05, 0.1357, 0.3684, 1.0]), atol=1e-3, rtol=0)


def test_far_elements_of_a_window_are_not_heard():
    """At 1.5 from each other the head of radius 0.05 gives no weight at all, that of radius 1 does."""
    window = partition(torch.arange(2.0)[None], torch.ones(1, 2, dtype=torch.bool), 2)
    bias = Locality(2)(torch.tensor([[[0.0, 0.0, 1.0], [1.5, 0.0, 1.0]]]), window)
    torch.testing.assert_close(bias[0, :, 0, 1], torch.tensor([-450.0, -1.125]))
    assert torch.equal(bias.diagonal(dim1=2, dim2=3), torch.zeros(1, 2, 2))


def test_operations_are_linear_in_the_number_of_elements():
    assert operations(WindowModel(WindowConfig()), 10_000) / operations(WindowModel(WindowConfig()), 1000) < 10.2
    assert operations(AttentionModel(AttentionConfig()), 10_000) / operations(AttentionModel(AttentionConfig()), 1000) > 40  # so this test would notice


def operations(model, num_elements):
    """Multiplications and additions of all matrix products, counted without doing them."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model.to("meta")(torch.empty(1, num_elements, 55), torch.empty(1, num_elements))
    return counter.get_total_flops()


def test_a_window_of_the_whole_event_sees_all_of_it_and_several_small_ones_reach_far():
    """A change of one element moves the output of every other: by its windows, the overlap of curves, and the summary."""
    torch.manual_seed(0)
    features = torch.from_numpy(random_features(200))[None]
    moved = features.clone()
    moved[0, 0, 1] *= 3.0
    for size in (256, 16):
        model = WindowModel(WindowConfig(width=16, num_layers=3, window_size=size)).eval()
        with torch.no_grad():
            change = (model(features, torch.ones(1, 200)).pileup - model(moved, torch.ones(1, 200)).pileup).abs()
        assert (change > 0).float().mean() > 0.9


def test_twins_on_two_sides_of_a_bound_depend_neither_on_padding_nor_on_other_events():
    """Elements equal in all features have equal keys; the order of rows parts them, in any batch."""
    torch.manual_seed(0)
    model = WindowModel(WindowConfig(width=16, num_layers=3, window_size=16)).eval()
    twins = torch.from_numpy(random_features(11).repeat(9, axis=0))[None]
    padded, order = torch.full((2, 300, 55), torch.nan), torch.randperm(99)
    padded[0, :99], padded[1] = twins[0], torch.from_numpy(random_features(300))
    mask = (torch.arange(300) < torch.tensor([[99], [300]])).float()
    with torch.no_grad():
        alone, permuted, batched = model(twins, torch.ones(1, 99)), model(twins[:, order], torch.ones(1, 99)), model(padded, mask)
    for a, b, c in zip(alone, batched, permuted, strict=True):
        torch.testing.assert_close(a[0], b[0, :99], atol=1e-5, rtol=0)
        torch.testing.assert_close(a.sort(dim=1).values, c.sort(dim=1).values, atol=1e-5, rtol=0)  # the same, of other twins
    assert alone.pileup[0].view(11, 9).std(dim=1).max() > 1e-3  # or no bound parts them here


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    model = WindowModel(WindowConfig(width=16, num_layers=3, window_size=16))
    output = model(torch.from_numpy(random_features(100))[None], torch.ones(1, 100))
    sum(values.square().sum() for values in output[:1] + output[3:]).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert all(name.startswith(("heads.pid", "heads.momentum")) for name in without)


def test_bfloat16_gives_finite_outputs_near_float32():
    torch.manual_seed(0)
    model = WindowModel(WindowConfig(width=32, num_layers=3)).eval()
    features = torch.from_numpy(random_features(300))[None]
    model.preprocess.fit(features[0])
    with torch.no_grad():
        expected = model(features, torch.ones(1, 300))
        with torch.autocast("cpu", torch.bfloat16):
            found = model(features, torch.ones(1, 300))
            keys = model.keys(model.preprocess(features, torch.ones(1, 300, dtype=torch.bool)))
    assert keys.dtype == torch.float64
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.float(), b, atol=0.05, rtol=0.05)


def test_half_precision_has_no_nan_in_windows_without_elements():
    position, _, window = random_windows()
    window = window._replace(exists=torch.zeros_like(window.exists))
    assert Locality(4)(position, window).half().softmax(dim=-1).isfinite().all()


def test_training_twice_from_a_copy_is_the_same():
    torch.manual_seed(0)
    model = WindowModel(WindowConfig(width=16, num_layers=2))
    features, mask = torch.from_numpy(random_features(50))[None], torch.ones(1, 50)
    gradients = []
    for twin in (model, copy.deepcopy(model)):
        twin(features, mask).pileup.sum().backward()
        gradients.append(twin.encode.hidden.weight.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("config", [WindowConfig, AttentionConfig])
def test_heads_that_do_not_divide_the_width_are_refused(config):
    with pytest.raises(pydantic.ValidationError, match="num_heads 3 does not divide width 64"):
        config(width=64, num_heads=3)


def test_a_radius_that_learning_has_driven_to_nothing_gives_finite_logits():
    locality = Locality(2)
    locality.log_radius.data.fill_(-60.0)
    window = partition(torch.rand(1, 70), torch.ones(1, 70, dtype=torch.bool), 64)
    assert torch.isfinite(locality(torch.rand(1, 70, 3), window)).all()
