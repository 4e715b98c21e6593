import json

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from mlpf.dataset.loader import Loader
from mlpf.dataset.sample import select_split
from mlpf.errors import ConfigError, DatasetError
from mlpf.io.shards import ShardedDataset
from mlpf.nn.saved import load_weights
from mlpf.samples.element_weights import ElementWeights
from mlpf.samples.scaling_file import read_scaling_file
from mlpf.samples.split import SplitConfig
from mlpf.testing import random_dataset
from mlpf.training.config import TrainingConfig, run_parameters
from mlpf.training.data import make_loaders, open_data, weigh_elements
from mlpf.training.run import train


def lightning_warnings(test):
    """Lightning 2.6 with torch 2.13; and it wants the callback that wrote a checkpoint to be there when it is read."""
    for message in (".*LeafSpec.*", ".*callbacks used to create the checkpoint.*"):
        test = pytest.mark.filterwarnings(f"ignore:{message}")(test)
    return test


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return [random_dataset(folder / "first", num_events=120, mean_elements=20.0), random_dataset(folder / "second", num_events=60, mean_elements=8.0, seed=1)]


@pytest.fixture(scope="module")
def samples(folders):
    return [select_split(ShardedDataset(folder), "train", SplitConfig()) for folder in folders]


class Recorder(lightning.LightningModule):
    """A model of one weight that writes down what it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def training_step(self, batch, _batch_index):
        self.seen.append((self.trainer.current_epoch, batch.features.numpy().tobytes()))
        return (self.weight - batch.mask.sum()).square().sum()

    def validation_step(self, batch, _batch_index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-6)


class StopAfterError(Exception):
    pass


class StopAfter(Callback):
    """Ends the process's life, so to speak, after some batches."""

    def __init__(self, count):
        self.count = count

    def on_train_batch_start(self, trainer, module, batch, batch_idx):  # noqa: ARG002
        if trainer.global_step == self.count:
            raise StopAfterError


def fit(samples, folder, *callbacks, checkpoint=None, num_workers=0, **settings):
    """Train for three epochs; what was seen, and the weight."""
    loader = Loader(samples, max_elements=100, seed=1, pool_elements=600, num_workers=num_workers)
    validation = Loader(samples, max_elements=100, shuffle=False)
    module = Recorder()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=[*callbacks],
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        default_root_dir=folder,
        **settings,
    )
    try:
        trainer.fit(module, loader, validation, ckpt_path=checkpoint, weights_only=False)
    except StopAfterError:
        return module.seen, None
    return module.seen, module.weight.item()


@lightning_warnings
@pytest.mark.parametrize("num_workers", [0, 2])
def test_lightning_resumes_in_the_middle_of_an_epoch_with_the_batches_of_the_uninterrupted_run(samples, tmp_path, num_workers):
    length = len(Loader(samples, max_elements=100, seed=1, pool_elements=600))
    whole, weight = fit(samples, tmp_path)
    assert len(whole) == 3 * length
    for cut in (2, length - 1, length, length + 3):
        every_step = ModelCheckpoint(tmp_path / str(cut), "step", every_n_train_steps=1, enable_version_counter=False)
        before, _ = fit(samples, tmp_path, StopAfter(cut), every_step, num_workers=num_workers)
        after, resumed_weight = fit(samples, tmp_path, checkpoint=tmp_path / str(cut) / "step.ckpt", num_workers=num_workers)
        assert before == whole[:cut]
        assert after == whole[cut:]
        assert resumed_weight == weight


@lightning_warnings
@pytest.mark.parametrize(("settings", "batches_per_step"), [({"accumulate_grad_batches": 2}, 2), ({"val_check_interval": 3}, 1)])
def test_lightning_resumes_also_where_steps_have_several_batches_and_epochs_several_validations(samples, tmp_path, settings, batches_per_step):
    whole, weight = fit(samples, tmp_path, **settings)
    steps_per_epoch = -(-len(Loader(samples, max_elements=100, seed=1, pool_elements=600)) // batches_per_step)
    for cut in (3, steps_per_epoch - 1, steps_per_epoch + 2):
        every_step = ModelCheckpoint(tmp_path / str(cut), "step", every_n_train_steps=1, enable_version_counter=False)
        before, _ = fit(samples, tmp_path, StopAfter(cut), every_step, **settings)
        after, resumed_weight = fit(samples, tmp_path, checkpoint=tmp_path / str(cut) / "step.ckpt", **settings)
        assert before + after == whole
        assert resumed_weight == weight


@lightning_warnings
def test_lightning_resumes_at_the_end_of_an_epoch(samples, tmp_path):
    length = len(Loader(samples, max_elements=100, seed=1, pool_elements=600))
    whole, weight = fit(samples, tmp_path)
    for number, when in enumerate(({"save_on_train_epoch_end": True}, {"save_on_train_epoch_end": False})):
        each_epoch = ModelCheckpoint(tmp_path / str(number), "end", every_n_epochs=1, enable_version_counter=False, **when)
        fit(samples, tmp_path, StopAfter(2 * length), each_epoch)
        after, resumed_weight = fit(samples, tmp_path, checkpoint=tmp_path / str(number) / "end.ckpt")
        assert after == whole[2 * length :]
        assert resumed_weight == weight


@lightning_warnings
def test_lightning_refuses_the_checkpoint_of_other_data(samples, tmp_path):
    every_step = ModelCheckpoint(tmp_path, "step", every_n_train_steps=1, enable_version_counter=False)
    fit(samples, tmp_path, StopAfter(2), every_step)
    with pytest.raises(DatasetError, match="is one of other data"):
        fit(samples[:1], tmp_path, checkpoint=tmp_path / "step.ckpt")


def test_several_datasets_are_reported_one_by_one(folders):
    lines = []
    data = open_data(TrainingConfig(dataset=[str(folder) for folder in folders]), lines.append)
    assert [line.partition(":")[0] for line in lines] == [str(folder) for folder in folders]
    for folder, line, training, validation in zip(folders, lines, data.training, data.validation, strict=True):
        counts = (len(training), len(validation), len(ShardedDataset(folder)) - len(training) - len(validation))
        assert line == f"{folder}: {counts[0]} events for training, {counts[1]} for validation, {counts[2]} for tests"


def test_proportions_are_those_of_the_training_only(folders):
    config = TrainingConfig(dataset={str(folders[0]): 0.5, str(folders[1]): 0.5}, max_elements=200)
    lines = []
    data = open_data(config, lambda _: None)
    training, validation = make_loaders(data, config, None, lines.append)
    fewest = min(len(sample) for sample in data.training)
    assert lines == [f"an epoch: {fewest} of first, {fewest} of second"]
    assert abs(sum(len(batch.mask) for batch in training) - 2 * fewest) <= 16  # whole row groups
    assert sum(len(batch.mask) for batch in validation) == sum(len(sample) for sample in data.validation)


def test_weights_of_elements_reach_the_batches_of_training_and_validation(folders):
    config = TrainingConfig(dataset=str(folders[0]), element_weights={"class_power": 1.0})
    data = open_data(config, lambda _: None)
    lines = []
    weights = weigh_elements(data, config, lines.append)
    assert lines[0].startswith("weights of elements: none ")
    table = torch.from_numpy(weights.table[:, 0])
    for loader in make_loaders(data, config, weights, lines.append):
        for batch in loader:
            assert torch.equal(batch.weight, table[batch.targets.class_position] * batch.mask)


def test_a_run_keeps_scaling_and_weights_and_a_scaling_file_makes_the_same_run(folders, tmp_path):
    tiny = {"model": {"name": "gravnet", "width": 8, "num_layers": 1, "num_neighbors": 4}}
    training = {"dataset": str(folders[0]), "epochs": 1, "device": "cpu", "element_weights": {}}
    first = train(run_parameters({**tiny, "training": training}), tmp_path / "first")
    weights = ElementWeights.from_json((tmp_path / "first" / "element_weights.json").read_text())
    assert weights.counts.sum() > 0
    kept = read_scaling_file(tmp_path / "first" / "scaling.json")
    num_training = len(select_split(ShardedDataset(folders[0]), "train", SplitConfig()))
    assert kept.statistics.num_events.sum() == num_training
    again = train(run_parameters({**tiny, "training": {**training, "scaling": str(tmp_path / "first" / "scaling.json")}}), tmp_path / "again")
    assert again.info.validation_loss == first.info.validation_loss
    assert json.loads((tmp_path / "again" / "scaling.json").read_text())["types"] == json.loads((tmp_path / "first" / "scaling.json").read_text())["types"]


def test_the_scaling_section_reaches_the_model(folders, tmp_path):
    tiny = {
        "model": {"name": "gravnet", "width": 8, "num_layers": 1, "num_neighbors": 4},
        "training": {"dataset": str(folders[0]), "epochs": 1, "device": "cpu"},
    }
    train(run_parameters({**tiny, "scaling": {"method": "none", "high": 3.0}}), tmp_path / "run")
    state, _ = load_weights(tmp_path / "run")
    assert (state["preprocess.high"] == 3.0).all()
    np.testing.assert_array_equal(state["preprocess.width"], 1.0)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([], "names no dataset"),
        ({}, "names no dataset"),
        (["a", "a"], "names a dataset twice"),
        ({"a": 1.0, "b": 0.0}, "every proportion must be above 0"),
        ({"a": 1.0, "b": float("inf")}, "above 0 and finite"),
    ],
)
def test_impossible_lists_of_datasets_are_refused(dataset, message):
    with pytest.raises(ConfigError, match=f"training: dataset.*{message}"):
        run_parameters({"training": {"dataset": dataset}})
