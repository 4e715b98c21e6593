import json

import pytest
import torch
from torch import nn

from mlpf.errors import ConfigError, ModelError
from mlpf.loss.particle_flow import ParticleFlowLoss
from mlpf.nn.model import build_model
from mlpf.nn.saved import load_model
from mlpf.samples.scaling import make_scaling
from mlpf.samples.scaling_file import read_scaling_file
from mlpf.testing import random_dataset
from mlpf.training import trainer as trainer_module
from mlpf.training.config import TrainingConfig, run_parameters
from mlpf.training.data import make_loaders, open_data
from mlpf.training.module import ParticleFlowModule, describe_events
from mlpf.training.run import train
from mlpf.training.schedule import Schedule
from mlpf.training.trainer import check_device

TINY = {
    "model": {"name": "gravnet", "width": 16, "num_layers": 1, "num_neighbors": 4},
    "training": {"epochs": 2, "max_elements": 400, "learning_rate": 0.01, "device": "cpu", "seed": 1, "figures": False},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return random_dataset(tmp_path_factory.mktemp("data"), num_events=60, mean_elements=30.0)


def parameters(data, **training):
    return run_parameters({**TINY, "training": {**TINY["training"], "dataset": str(data), **training}})


def last_loss(result):
    header, *rows = (result.folder / "metrics.csv").read_text().splitlines()
    return float(dict(zip(header.split(","), rows[-1].split(","), strict=True))["train/total"])


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    return train(parameters(data), tmp_path_factory.mktemp("runs") / "plain")


def test_bfloat16_learns_nearly_as_float32_and_leaves_float32_weights(data, plain, tmp_path):
    half = train(parameters(data, precision="bfloat16"), tmp_path / "half")
    assert last_loss(half) != last_loss(plain)
    assert last_loss(half) == pytest.approx(last_loss(plain), rel=0.05)
    assert {tensor.dtype for name, tensor in load_model(half.folder)[0].named_parameters()} == {torch.float32}


@pytest.mark.parametrize("device", ["cpu", "auto"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_float16_needs_a_gpu(data, tmp_path, device):
    with pytest.raises(ConfigError, match=r"training\.precision=float16: needs an NVIDIA or AMD GPU.*choose bfloat16 or float32"):
        train(parameters(data, precision="float16", device=device), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_machine_without_a_compiler_is_told_before_the_training(monkeypatch):
    def no_compiler(_):
        raise RuntimeError("No working C++ compiler\nfound")

    monkeypatch.setattr(trainer_module.torch, "compile", no_compiler)
    with pytest.raises(ConfigError, match=r"training\.compile: torch\.compile does not work here \(No working C\+\+ compiler found\); install"):
        check_device(TrainingConfig(compile=True, device="cpu"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch 2.13's own
def test_a_compiled_model_learns_the_same_and_is_saved_under_the_same_names(data, plain, tmp_path):
    compiled = train(parameters(data, compile=True), tmp_path / "compiled")
    assert last_loss(compiled) == pytest.approx(last_loss(plain), rel=1e-3)
    assert list(load_model(compiled.folder)[0].state_dict()) == list(load_model(plain.folder)[0].state_dict())


def test_batches_that_accumulate_give_the_mean_of_their_gradients(data, tmp_path):
    """The gradient of a first step of two batches is as long as that of the mean of their losses, computed by hand."""
    both = parameters(data, accumulate=2)
    result = train(both, tmp_path / "run")
    header, first, *_ = (result.folder / "steps.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    torch.manual_seed(1)
    model = build_model(both.model)
    scaling = read_scaling_file(result.folder / "scaling.json")
    model.preprocess.set_scaling(make_scaling(scaling.statistics, scaling.scaling))
    loader, _ = make_loaders(open_data(both.training, lambda _: None), both.training, None, lambda _: None)
    batches = [batch for batch, _ in zip(loader, range(2), strict=False)]
    losses = [ParticleFlowLoss(both.loss)(model.predict(batch), batch)["total"] for batch in batches]
    (0.5 * (losses[0] + losses[1])).backward()
    norm = torch.stack([parameter.grad.norm() for parameter in model.parameters()]).norm().item()
    assert float(row["gradient_norm"]) == pytest.approx(norm, rel=1e-4)
    counts = [len(batch.mask) for batch in batches]
    assert int(row["events"]) == sum(counts)
    assert float(row["total"]) == pytest.approx(sum(n * loss.item() for n, loss in zip(counts, losses, strict=True)) / sum(counts), rel=1e-5)


def test_more_batches_per_step_than_an_epoch_has_are_refused(data, tmp_path):
    with pytest.raises(ConfigError, match=r"training\.accumulate=50: an epoch has only \d+ batches in each process; choose fewer"):
        train(parameters(data, accumulate=50), tmp_path / "run")


def test_steps_and_not_epochs_can_say_how_long_and_how_often(data, tmp_path):
    lines = []
    result = train(parameters(data, epochs=100, max_steps=11, validation_steps=4), tmp_path / "run", report=lines.append)
    _, *rows = (result.folder / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows] == ["4", "8", "11"]
    assert len((result.folder / "steps.csv").read_text().splitlines()) == 12
    assert [line.partition(":")[0].rpartition(", ")[2] for line in lines if line.startswith("epoch")] == ["step 4/11", "step 8/11", "step 11/11"]
    rates = [float(line.split(",")[3]) for line in (result.folder / "steps.csv").read_text().splitlines()[1:]]
    assert max(rates) == rates[0] == pytest.approx(0.01)  # a tenth of 11 steps is one
    assert rates[-1] < 0.05 * rates[0]


def test_fine_tuning_starts_from_the_weights_and_the_scaling_of_another_run(data, plain, tmp_path):
    lines = []
    frozen = parameters(data, learning_rate=1e-12, epochs=1)
    tuned = train(frozen, tmp_path / "tuned", init_from=plain.folder, report=lines.append)
    assert any(line.startswith("initialised from plain, epoch 2") for line in lines)
    before, after = (load_model(folder)[0].state_dict() for folder in (plain.folder, tuned.folder))
    assert all(torch.allclose(before[name], after[name]) for name in before)
    assert tuned.info.validation_loss == pytest.approx(plain.info.validation_loss, rel=1e-5)
    assert tuned.info.initialized_from == json.loads((tuned.folder / "initialization.json").read_text())["source"]
    assert (tuned.folder / "scaling.json").read_text() == (plain.folder / "scaling.json").read_text()


class Scaler:
    def __init__(self, scale):
        self.scale = scale

    def get_scale(self):
        return self.scale


def module_after_a_batch(scale, loss, gradient):
    module = ParticleFlowModule(nn.Linear(1, 1, bias=False), nn.Module(), TrainingConfig(), Schedule(1, 1, 1, 1, 1))
    plugin = type("Plugin", (), {"scaler": Scaler(scale)} if scale else {})()
    module.trainer = type("Trainer", (), {"precision_plugin": plugin, "current_epoch": 2})()
    module.model.weight.grad = torch.tensor([[gradient]])
    module._since_step = [(16, {"log_pt": torch.tensor(loss), "total": torch.tensor(loss)}, torch.tensor([[1, 2, 345]]))]
    return module


@pytest.mark.parametrize(
    ("scale", "loss", "gradient", "message"),
    [
        (None, 0.5, float("inf"), r"epoch 3, batch 16 \(run 1, lumi 2, event 345\): gradient norm inf; lower training.learning_rate or look at the targets"),
        (0.5, 0.5, float("nan"), "gradient norm nan"),
        (65536.0, float("nan"), float("nan"), r"epoch 3, batch 16 \(run 1, lumi 2, event 345\): loss log_pt = nan, total = nan; "),
    ],
)
def test_what_is_not_finite_is_named_with_its_events(scale, loss, gradient, message):
    with pytest.raises(ModelError, match=message):
        module_after_a_batch(scale, loss, gradient).configure_gradient_clipping()


def test_a_float16_gradient_that_overflows_at_a_large_scale_is_left_to_the_scaler():
    module = module_after_a_batch(65536.0, 0.5, float("inf"))
    module.configure_gradient_clipping()
    assert not module._since_step


def test_many_events_are_counted_not_listed():
    events = torch.tensor([[1, 2, number] for number in range(10)])
    assert describe_events(events) == "(run 1, lumi 2, event 0; run 1, lumi 2, event 1; run 1, lumi 2, event 2; ... 7 more)"
    assert describe_events(events[:1]) == "(run 1, lumi 2, event 0)"
