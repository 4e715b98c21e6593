"""A training from dataset to run folder.

The folder: `parameters.yaml` (all values, defaults included), `scaling.json` (statistics of the features), `element_weights.json` (if elements have any),
`model.pt` and `model.json` (the best epoch, see `mlpf.nn.saved`), `metrics.csv` (one row per epoch), `tensorboard/` and `checkpoints/` (best and last, with
optimiser and place in the data). It is called ``NAME.partial`` until the last epoch is done.
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

from mlpf.dataset.loader import Loader
from mlpf.errors import ConfigError
from mlpf.io.files import write_text
from mlpf.io.shards import fingerprint
from mlpf.loss.particle_flow import ParticleFlowLoss
from mlpf.nn.model import Model, build_model, num_parameters
from mlpf.nn.saved import ModelInfo
from mlpf.samples.scaling import make_scaling
from mlpf.training.callbacks import MONITOR, BestModel, EpochReport
from mlpf.training.config import RunParameters
from mlpf.training.data import feature_scaling, make_loaders, open_data, weigh_elements
from mlpf.training.folder import PARAMETERS, check_output, run_folder
from mlpf.training.module import ParticleFlowModule

METRICS = "metrics.csv"
SCALING = "scaling.json"
ELEMENT_WEIGHTS = "element_weights.json"


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
        parameters: model, loss, training and scaling.
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
    data = open_data(config, report)
    scaling = feature_scaling(data, config, parameters.scaling)
    element_weights = weigh_elements(data, config, report)
    loaders = make_loaders(data, config, element_weights, report)
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    model = build_model(parameters.model)
    model.preprocess.set_scaling(make_scaling(scaling.statistics, scaling.scaling))
    report(f"model {parameters.model.name}: {num_parameters(model)} parameters")

    def describe(epoch: int, loss: float) -> ModelInfo:
        return ModelInfo(
            model=parameters.model.model_dump(),
            dataset=str(data),
            dataset_fingerprint=fingerprint(*data.datasets),
            split=config.split,
            seed=config.seed,
            epoch=epoch,
            validation_loss=loss,
        )

    start = time.perf_counter()
    with run_folder(folder, report) as unfinished:
        write_text(unfinished / PARAMETERS, yaml.safe_dump(parameters.resolved(), sort_keys=False))
        scaling.write(unfinished / SCALING)
        if element_weights is not None:
            write_text(unfinished / ELEMENT_WEIGHTS, element_weights.to_json())
        best = BestModel(unfinished, model, describe)
        _fit(model, parameters, loaders, [best, EpochReport(unfinished / METRICS, report, bar)], unfinished)
    assert best.best is not None, "training ended without an epoch"
    return TrainingResult(Path(output), best.best, time.perf_counter() - start)


def _fit(model: Model, parameters: RunParameters, loaders: tuple[Loader, Loader], callbacks: list[lightning.Callback], folder: Path) -> None:
    config = parameters.training
    train_loader, validation_loader = loaders
    module = ParticleFlowModule(model, ParticleFlowLoss(parameters.loss), config, config.epochs * len(train_loader))
    checkpoints = ModelCheckpoint(folder / "checkpoints", "best", monitor=MONITOR, save_last=True, enable_version_counter=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
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
