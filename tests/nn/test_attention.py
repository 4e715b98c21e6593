import torch

from mlpf.nn.attention import AttentionConfig, AttentionLayer, AttentionModel, FullAttention
from mlpf.nn.transformer import IGNORED_LOGIT, SelfAttention
from mlpf.testing import random_features


def test_attention_equals_that_of_pytorch():
    torch.manual_seed(0)
    found, oracle = SelfAttention(16, 4), torch.nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(torch.cat([found.query.weight, found.key.weight, found.value.weight]))
        oracle.in_proj_bias.copy_(torch.cat([found.query.bias, found.key.bias, found.value.bias]))
        oracle.out_proj.weight.copy_(found.output.weight)
        oracle.out_proj.bias.copy_(found.output.bias)
    state, real = torch.randn(3, 10, 16), torch.rand(3, 10) < 0.7
    real[:, 0] = True
    bias = torch.where(real, 0.0, IGNORED_LOGIT)[:, None, None, :]
    expected, _ = oracle(state, state, state, key_padding_mask=~real)
    torch.testing.assert_close(found(state, bias), expected)
    full = FullAttention(16, 4)
    full.load_state_dict(found.state_dict())
    torch.testing.assert_close(full(state, bias), expected)


def test_what_is_ignored_has_a_weight_of_exactly_zero():
    layer = AttentionLayer(AttentionConfig(width=16, num_heads=2)).eval()
    state = torch.randn(1, 6, 16)
    bias = torch.tensor([0.0, 0, 0, 0, IGNORED_LOGIT, IGNORED_LOGIT]).view(1, 1, 1, 6)
    changed = state.clone()
    changed[:, 4:] = 50.0
    torch.testing.assert_close(layer(changed, bias)[:, :4], layer(state, bias)[:, :4], rtol=0, atol=0)


def test_memory_is_linear_in_the_number_of_elements():
    """The weights of 4 heads for 20 000 elements would take 6.4 GB; nothing of N x N may appear."""
    seen = []

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            seen.extend(value.untyped_storage().nbytes() for value in torch.utils._pytree.tree_leaves(result) if isinstance(value, torch.Tensor))
            return result

    model = AttentionModel(AttentionConfig(width=16, num_layers=1, num_heads=4)).eval()
    with torch.no_grad(), Spy():
        model(torch.from_numpy(random_features(2000))[None], torch.ones(1, 2000))
    assert max(seen) < 2000 * 400 * 4
