import pytest
import torch
from torch import nn

from mlpf.loss.critic import Critic, CriticConfig
from mlpf.nn.model import MODELS, build_model, model_config
from mlpf.training.config import TrainingConfig
from mlpf.training.optimizer import AverageWeights, inner_matrices, make_optimizer, parameter_groups


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


MUON = TrainingConfig(optimizer="muon", learning_rate=0.01, weight_decay=0.0)


@pytest.mark.parametrize("name", MODELS)
def test_muon_takes_all_dense_layers_but_the_first_and_the_last_ones(name):
    width = 48
    model = build_model(model_config({"model": {"name": name, "width": width}}))
    inside = {id(matrix) for matrix in inner_matrices(model)}
    dense = {name: layer.weight for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    outside = {name for name, weight in dense.items() if id(weight) not in inside}
    assert outside == {"encode.hidden", *(f"heads.{head}.output" for head in ("binary", "pid", "momentum", "pileup", "charge"))}
    groups = make_optimizer(model, MUON).param_groups
    assert sorted(id(p) for group in groups for p in group["params"]) == sorted(id(p) for p in model.parameters())
    assert {id(p): group["lr"] for group in groups for p in group["params"]}[id(dense["encode.output"])] == 0.01
    assert {id(p): group["lr"] for group in groups for p in group["params"]}[id(dense["encode.hidden"])] == pytest.approx(0.002)


def test_muon_leaves_weights_that_are_computed_and_networks_without_matrices_to_adamw():
    for module in (Critic(CriticConfig(), 1.0), nn.LayerNorm(3)):
        groups = make_optimizer(module, MUON).param_groups
        assert sorted(id(p) for group in groups for p in group["params"]) == sorted(id(p) for p in module.parameters())


def test_a_step_of_muon_has_equal_singular_values_along_the_gradients_and_the_size_of_one_of_adamw():
    network = nn.Sequential(nn.Linear(24, 40, bias=False), nn.LayerNorm(40))
    weight, generator = network[0].weight, torch.Generator().manual_seed(0)
    before = weight.detach().clone()
    weight.grad = torch.randn(40, 24, generator=generator) * torch.logspace(0, -1, 24)
    network[1].weight.grad = torch.full((40,), -3.0)
    network[1].bias.grad = torch.zeros(40)
    make_optimizer(network, MUON).step()
    left, _, right = torch.linalg.svd(weight.grad, full_matrices=False)
    moved = left.T @ (before - weight.detach()) @ right.T / 0.01
    singular = moved.diagonal()
    assert singular.min() > 0.0
    assert singular.max() / singular.min() < 2.0  # those of the gradient span a factor of ten
    assert (moved - singular.diag()).abs().max() < 0.05 * singular.mean()
    assert moved.norm() / (40 * 24) ** 0.5 == pytest.approx(0.2, rel=0.2)  # arXiv:2502.16982: the root mean square of AdamW's steps
    torch.testing.assert_close(network[1].weight.detach(), torch.full((40,), 1.0 + 0.2 * 0.01))


def test_muon_goes_on_from_its_state_with_a_learning_rate_that_a_schedule_moves():
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(6, 8, generator=generator) for _ in range(6)]

    def steps(network, optimizer, schedule, some):
        for gradient in some:
            network.weight.grad, network.bias.grad = gradient.clone(), gradient[:, 0].clone()
            optimizer.step()
            schedule.step()

    def start(network):
        optimizer = make_optimizer(network, MUON)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 / (1 + step))

    first = nn.Linear(8, 6)
    second = nn.Linear(8, 6)
    second.load_state_dict(first.state_dict())
    whole, whole_schedule = start(first)
    steps(first, whole, whole_schedule, gradients)
    optimizer, schedule = start(second)
    steps(second, optimizer, schedule, gradients[:3])
    resumed, resumed_schedule = start(second)
    resumed.load_state_dict(optimizer.state_dict())
    resumed_schedule.load_state_dict(schedule.state_dict())
    steps(second, resumed, resumed_schedule, gradients[3:])
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)
    assert [group["lr"] for group in resumed.param_groups] == pytest.approx([0.01 / 7, 0.002 / 7, 0.002 / 7][: len(resumed.param_groups)])


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
