"""A training from dataset to run folder.

The folder: `parameters.yaml` (all values, defaults included), `model.pt` and `model.json` (the best epoch, see `mlpf.nn.saved`), `metrics.csv` (one row per
epoch), `tensorboard/` and `checkpoints/` (best and last, with optimiser). It is called ``NAME.partial`` until the last epoch is done.
"""

import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from rich.progress import Progress

from mlpf.dataset.graph_dataset import GraphDataset, fingerprint
from mlpf.dataset.loader import make_loader
from mlpf.errors import ConfigError, DatasetError
from mlpf.io.files import write_text
from mlpf.io.shards import ShardedDataset
from mlpf.loss.particle_flow import ParticleFlowLoss
from mlpf.nn.model import Model, build_model, num_parameters
from mlpf.nn.saved import ModelInfo
from mlpf.training.callbacks import MONITOR, BestModel, EpochReport
from mlpf.training.config import RunParameters, TrainingConfig
from mlpf.training.folder import PARAMETERS, check_output, run_folder
from mlpf.training.module import ParticleFlowModule

METRICS = "metrics.csv"


class TrainingResult(NamedTuple):
    """How a training went.

    Attributes:
        folder: the run.
        info: of the best epoch, as in `model.json`.
        seconds: wall time of the training.
    """

    folder: Path
    info: ModelInfo
    seconds: float


def train(
    parameters: RunParameters,
    output: str | Path,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda _: None,
    bar: Progress | None = None,
) -> TrainingResult:
    """Train a model on ``parameters.training.dataset``.

    Args:
        parameters: model, loss and training.
        output: run folder to make.
        overwrite: replace an earlier run of that name, once the new one is complete.
        report: receives one line per thing worth saying.
        bar: shows how far the training is.

    Raises:
        DatasetError: damaged dataset, or a split without targets.
        ModelError: loss or gradient became infinite or NaN.
        ConfigError: the device is not to be had.
        MlpfError: ``output`` exists.

    Whatever ends the training early, the best epoch so far stays in ``<output>.partial``.
    """
    folder = Path(output).resolve()
    config = parameters.training
    check_output(folder, overwrite)
    if config.device == "gpu" and not torch.accelerator.is_available():
        raise ConfigError("training.device=gpu: PyTorch sees no GPU; choose cpu or auto")
    dataset = _open_dataset(config)
    training, validation = (_read_split(dataset, split, config) for split in ("train", "validation"))
    num_test = len(dataset) - len(training) - len(validation)
    report(f"{dataset.path}: {len(training)} events for training, {len(validation)} for validation, {num_test} for tests")
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    model = build_model(parameters.model)
    model.preprocess.fit(training.features)
    report(f"model {parameters.model.name}: {num_parameters(model)} parameters")

    def describe(epoch: int, loss: float) -> ModelInfo:
        return ModelInfo(
            model=parameters.model.model_dump(),
            dataset=str(dataset.path),
            dataset_fingerprint=fingerprint(dataset),
            split=config.split,
            seed=config.seed,
            epoch=epoch,
            validation_loss=loss,
        )

    start = time.perf_counter()
    with run_folder(folder, report) as unfinished:
        write_text(unfinished / PARAMETERS, yaml.safe_dump(parameters.resolved(), sort_keys=False))
        best = BestModel(unfinished, model, describe)
        _fit(model, parameters, training, validation, [best, EpochReport(unfinished / METRICS, report, bar)], unfinished)
    assert best.best is not None, "training ended without an epoch"
    return TrainingResult(Path(output), best.best, time.perf_counter() - start)


def _fit(model: Model, parameters: RunParameters, training: GraphDataset, validation: GraphDataset, callbacks: list[lightning.Callback], folder: Path) -> None:
    config = parameters.training
    train_loader = make_loader(training, config.max_elements, shuffle=True, seed=config.seed, num_workers=config.num_workers)
    validation_loader = make_loader(validation, config.max_elements, shuffle=False, num_workers=config.num_workers)
    module = ParticleFlowModule(model, ParticleFlowLoss(parameters.loss), config, config.epochs * len(train_loader))
    checkpoints = ModelCheckpoint(folder / "checkpoints", "best", monitor=MONITOR, save_last=True, enable_version_counter=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")  # batches are made in memory, faster than they are used
        warnings.filterwarnings("ignore", ".*LeafSpec.*")  # Lightning 2.6 with torch 2.13
        trainer = lightning.Trainer(
            accelerator=config.device,
            devices=1,
            max_epochs=config.epochs,
            callbacks=[*callbacks, checkpoints],
            logger=TensorBoardLogger(folder, name="", version="tensorboard"),
            log_every_n_steps=min(50, len(train_loader)),
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, train_loader, validation_loader)


def _open_dataset(config: TrainingConfig) -> ShardedDataset:
    if config.dataset is None:
        raise DatasetError("no dataset to train on; pass --data DATASET or set training.dataset")
    return ShardedDataset(config.dataset)


def _read_split(dataset: ShardedDataset, split: str, config: TrainingConfig) -> GraphDataset:
    events = GraphDataset(dataset, split, config.split)
    if not (events.targets.class_position > 0).any():
        raise DatasetError(
            f"{dataset.path}: {len(events)} of {len(dataset)} events fall to {split}, none with a target; "
            f"use more events, of an ntuple with truth, or raise training.split.{split}"
        )
    return events
