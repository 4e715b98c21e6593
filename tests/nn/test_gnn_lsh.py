import numpy as np
import pytest
import torch

from mlpf.errors import ConfigError
from mlpf.nn.gnn_lsh import GNNLSHConfig, GNNLSHLayer, GNNLSHModel, exchange
from mlpf.nn.hashing import hash_into_bins
from mlpf.nn.model import model_config
from mlpf.testing import assert_permutation_equivariant, random_features

N, H, P = 50, 3, 5


def random_event(seed=0, num_elements=N):
    generator = torch.Generator().manual_seed(seed)
    space = torch.randn(1, num_elements, 4, generator=generator, dtype=torch.float64)
    message = torch.randn(1, num_elements, H, P, generator=generator, dtype=torch.float64)
    real = torch.rand(1, num_elements, generator=generator) < 0.8
    return space, message, real


def test_messages_are_those_of_a_readable_loop():
    space, message, real = random_event()
    bins = hash_into_bins(space[..., 0], real, 12, 0.25)
    found = exchange(space, message, bins)[0]
    own_bin, weight = bins.partition.slot[0] // 12, bins.partition.scatter(bins.weight.unsqueeze(-1))[0, :, 0]
    for i in torch.nonzero(real[0]).flatten():
        expected = np.zeros((H, P))
        for j in torch.nonzero(real[0]).flatten():
            if own_bin[j] == own_bin[i]:
                distance2 = float((space[0, i] - space[0, j]).square().sum())
                for head in range(H):
                    expected[head] += float(weight[i] * weight[j]) * np.exp(-(4**head) * distance2) * message[0, j, head].numpy()
        np.testing.assert_allclose(found[i], expected, atol=1e-12)


def test_the_first_head_reaches_half_a_unit_of_delta_r_and_every_other_half_of_that():
    layer = GNNLSHLayer(GNNLSHConfig(width=8, num_heads=3, message_dim=3))
    position = torch.tensor([[[0.0, 0.0, 1.0], [0.5, 0.0, 1.0]]])
    space = layer.state_to_space(torch.randn(1, 2, 8)) + layer.position_to_space(position)
    bins = hash_into_bins(space[..., 0], torch.ones(1, 2, dtype=torch.bool), 2, 0.25)
    received = exchange(space, torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 3, 1), bins)
    torch.testing.assert_close(received[0, 0, :, 0], torch.exp(-torch.tensor([1.0, 4.0, 16.0])))


def test_gradients_are_those_of_finite_differences():
    """In one bin, where weights are constant."""
    space, message, real = random_event(num_elements=7)
    bins = hash_into_bins(space[..., 0], real, 7, 0.25)
    assert torch.autograd.gradcheck(lambda s, m: exchange(s, m, bins)[real], (space.requires_grad_(), message.requires_grad_()))


def test_gradients_reach_every_parameter():
    layer = GNNLSHLayer(GNNLSHConfig(width=8, bin_size=8))
    layer(torch.randn(2, 30, 8), torch.randn(2, 30, 3), torch.ones(2, 30, dtype=torch.bool)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_output_is_continuous_where_elements_exchange_their_bins():
    """The largest step shrinks in proportion to that of the moving element, although some step is across a bound."""
    torch.manual_seed(0)
    layer = GNNLSHLayer(GNNLSHConfig(width=8, bin_size=8, num_rounds=1, message_dim=8)).double()
    layer.directions.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    state, position = torch.randn(1, 40, 8, dtype=torch.float64), torch.randn(1, 40, 3, dtype=torch.float64)

    def largest_step(step):
        path = torch.arange(-0.5, 0.5, step, dtype=torch.float64)
        moved = position.repeat(len(path), 1, 1)
        moved[:, 0, 0] = path
        real = torch.ones(len(path), 40, dtype=torch.bool)
        own_bin = hash_into_bins(moved[..., 0], real, 8, 0.25).partition.slot[:, 0] // 8
        assert len(own_bin.unique()) > 1
        with torch.no_grad():
            return layer(state.expand(len(path), -1, -1), moved, real).diff(dim=0).abs().max()

    assert largest_step(1e-4) < 0.2 * largest_step(1e-3)


def far_from_its_start(**changes):
    torch.manual_seed(1)
    model = GNNLSHModel(GNNLSHConfig(**{"width": 32, "num_layers": 2, "bin_size": 64, **changes}))
    model.preprocess.fit(torch.from_numpy(random_features(500, seed=9)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model.eval()


def test_the_order_of_elements_does_not_matter_in_a_large_event():
    assert_permutation_equivariant(far_from_its_start(), 3000, tolerance=2e-5)


def test_under_autocast_outputs_stay_near_those_in_single_precision():
    model, features = far_from_its_start(), torch.from_numpy(random_features(600))[None]
    with torch.no_grad():
        expected = model(features, torch.ones(1, 600))
        with torch.autocast("cpu", torch.bfloat16):
            found = model(features, torch.ones(1, 600))
    for name, a, b in zip(expected._fields, found, expected, strict=True):
        assert (a.float() - b).abs().mean() < 0.02 * b.abs().mean() + 1e-3, name


def test_a_longer_event_costs_in_proportion():
    """Pairs that are compared: 128 per element, in any event."""
    pairs = [hash_into_bins(torch.randn(1, n), torch.ones(1, n, dtype=torch.bool), 128, 0.25).weight.numel() * 128 for n in (1000, 2000, 20_000)]
    assert pairs == [8 * 128**2, 16 * 128**2, 157 * 128**2]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"num_heads": 3}, "message_dim must be a multiple of num_heads .found 64 and 3"),
        ({"num_rounds": 5}, "num_rounds must be at most space_dim.*found 5 and 4"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(section, message):
    with pytest.raises(ConfigError, match=message):
        model_config({"model": {"name": "gnn_lsh", **section}})
