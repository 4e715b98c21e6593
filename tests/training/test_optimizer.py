import pytest
import torch
from torch import nn

from mlpf.training.config import TrainingConfig
from mlpf.training.optimizer import AverageWeights, make_optimizer, parameter_groups


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(3, 4)
        self.dense = nn.Linear(4, 2)
        self.norm = nn.LayerNorm(2)
        self.register_buffer("scale", torch.tensor([2.0]))


class Step:
    def __init__(self, number):
        self.global_step = number


def test_only_matrices_decay():
    network = Network()
    network.dense.bias.requires_grad = False
    decaying, others = parameter_groups(network, 0.1)
    assert decaying == {"params": [network.dense.weight], "weight_decay": 0.1}
    assert [id(p) for p in others["params"]] == [id(p) for p in (network.embedding.weight, network.norm.weight, network.norm.bias)]
    assert others["weight_decay"] == 0.0


def test_decay_shrinks_a_matrix_without_a_gradient_by_rate_times_decay():
    network = Network()
    before = network.dense.weight.detach().clone()
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(network, TrainingConfig(learning_rate=0.5, weight_decay=0.1)).step()
    torch.testing.assert_close(network.dense.weight, before * (1 - 0.5 * 0.1))


def test_the_average_is_the_recursive_one_with_a_decay_that_warms_up():
    network = Network()
    average = AverageWeights(network, decay=0.5)
    average.on_fit_start(None, None)
    expected = network.dense.weight.detach().double()
    for step in range(1, 21):
        with torch.no_grad():
            network.dense.weight.add_(0.1 * step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.dense.weight.detach().double()
        for _ in range(2):  # batches of a step that accumulates
            average.on_train_batch_end(Step(step))
    torch.testing.assert_close(average.average[1].double(), expected, rtol=1e-6, atol=1e-6)


def test_a_validation_sees_the_average_and_leaves_the_weights_and_the_scaling():
    network = Network()
    average = AverageWeights(network, decay=0.5)
    average.on_fit_start(None, None)
    started = network.dense.weight.detach().clone()
    with torch.no_grad():
        network.dense.weight.add_(1.0)
        network.scale.add_(1.0)
    moved = network.dense.weight.detach().clone()
    average.on_validation_start()
    assert torch.equal(network.dense.weight, started)
    assert network.scale.item() == 3.0
    average.on_validation_end()
    assert torch.equal(network.dense.weight, moved)
    assert torch.equal(average.average[1], started)


def test_an_average_goes_on_from_its_state():
    network = Network()
    first, second = AverageWeights(network, 0.9), AverageWeights(network, 0.9)
    first.on_fit_start(None, None)
    with torch.no_grad():
        network.dense.weight.add_(1.0)
    first.on_train_batch_end(Step(3))
    second.load_state_dict(first.state_dict())
    second.on_fit_start(None, None)
    for callback in (first, second):
        callback.on_train_batch_end(Step(3))  # has been counted
        callback.on_train_batch_end(Step(4))
    assert all(torch.equal(a, b) for a, b in zip(first.average, second.average, strict=True))


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_impossible_decays_are_refused(decay):
    with pytest.raises(ValueError, match="average_decay"):
        TrainingConfig(average_decay=decay)
