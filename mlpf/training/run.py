"""A training from dataset to run folder.

The folder: `parameters.yaml` (all values, defaults included), `datasets.json`, `environment.json` (code, machine, versions), `scaling.json` (statistics of the
features), `element_weights.json` (if elements have any), `initialization.json` (what came from another model), `model.safetensors` and `model.json` (the best
validation, see `mlpf.nn.saved`), `metrics.csv` (one row per validation), `steps.csv` (one per step), `plots/`, `tensorboard/` and `checkpoints/` (best
and last, with optimiser and place in the data). It is called ``NAME.partial`` until the training is complete.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import lightning
import torch
from rich.progress import Progress

from mlpf.config import load_parameters
from mlpf.errors import DatasetError
from mlpf.io.files import naming_full_disk
from mlpf.loss.particle_flow import ParticleFlowLoss
from mlpf.nn.model import build_model, num_parameters
from mlpf.nn.saved import ModelInfo
from mlpf.samples.element_weights import ElementWeights
from mlpf.samples.scaling import make_scaling
from mlpf.samples.scaling_file import ScalingFile, read_scaling_file
from mlpf.training.best import BestModel
from mlpf.training.checkpoints import LAST, Checkpoints, RandomState, read_checkpoint
from mlpf.training.config import RunParameters, run_parameters
from mlpf.training.data import TrainingData, feature_scaling, make_loaders, open_data, weigh_elements
from mlpf.training.distributed import on_first, process_group, rank
from mlpf.training.folder import (
    CHECKPOINTS,
    ELEMENT_WEIGHTS,
    INITIALIZATION,
    METRICS,
    PARAMETERS,
    PLOTS,
    SCALING,
    STEPS,
    check_output,
    cut_back,
    find_interrupted,
    run_folder,
    unfinished,
)
from mlpf.training.initialize import initialize_from
from mlpf.training.module import ParticleFlowModule
from mlpf.training.optimizer import AverageWeights
from mlpf.training.prepared import Prepared, write_description
from mlpf.training.record import StepRecord, ValidationRecord
from mlpf.training.schedule import make_schedule
from mlpf.training.stopping import StopSignals
from mlpf.training.tracking import make_loggers
from mlpf.training.trainer import check_device, make_trainer, quiet_lightning

Report = Callable[[str], None]


class TrainingResult(NamedTuple):
    """How a training went.

    Attributes:
        folder: the run.
        info: of the best validation, as in `model.json`.
        seconds: wall time of the training, since it was resumed.
    """

    folder: Path
    info: ModelInfo
    seconds: float


def _silent(_: str) -> None: ...


def train(
    parameters: RunParameters,
    output: str | Path,
    overwrite: bool = False,
    report: Report = _silent,
    bar: Progress | None = None,
    init_from: Path | None = None,
    callbacks: Sequence[lightning.Callback] = (),
) -> TrainingResult:
    """Train a model on ``parameters.training.dataset``; in all processes together, where torchrun started several.

    Args:
        parameters: model, loss, training and scaling.
        output: run folder to make.
        overwrite: replace an earlier run of that name, once the new one is complete.
        report: receives one line per thing worth saying.
        bar: shows how far the training is.
        init_from: run folder of a trained model to start from, with its weights and its scaling of the features.
        callbacks: of Lightning, beside those of every training.

    Raises:
        DatasetError: damaged dataset, or a split without targets.
        ModelError: loss or gradient became infinite or NaN; or nothing of ``init_from`` fits.
        ConfigError: the device is not to be had, or cannot do what is asked.
        MlpfError: ``output`` exists.

    Whatever ends the training early, ``<output>.partial`` keeps what was learnt, and `resume` goes on.
    """
    folder, config = Path(output).resolve(), parameters.training
    check_device(config)
    with process_group(config.device):
        report, bar = (report, bar) if rank() == 0 else (_silent, None)
        on_first(lambda: check_output(folder, overwrite))
        data = open_data(config, report)
        scaling, element_weights = on_first(lambda: (_scaling(data, parameters, init_from), weigh_elements(data, config, report)))
        torch.manual_seed(config.seed)
        model = build_model(parameters.model)
        if scaling is not None:
            model.preprocess.set_scaling(make_scaling(scaling.statistics, scaling.scaling))
        report(f"model {parameters.model.name}: {num_parameters(model)} parameters")
        initialization = None
        if init_from is not None:
            initialization = initialize_from(model, init_from)
            report(str(initialization))
        prepared = Prepared(parameters, data, model, element_weights, None if initialization is None else initialization.source)
        with run_folder(folder, report) as place:
            if rank() == 0:
                write_description(place, prepared, scaling, initialization)
            return _fit(prepared, place, None, report, bar, callbacks)._replace(folder=Path(output))


def resume(
    folder: str | Path,
    report: Report = _silent,
    bar: Progress | None = None,
    callbacks: Sequence[lightning.Callback] = (),
    dataset: list[str] | dict[str, float] | None = None,
) -> TrainingResult:
    """Go on with an interrupted run from its last checkpoint: every number becomes what it would have become without the interruption.

    Args:
        folder: the run, called as it was to be, or as it is (``<output>.partial``).
        report: receives one line per thing worth saying.
        bar: shows how far the training is.
        callbacks: those that `train` was given.
        dataset: where the datasets are now, if they have moved, as in ``training.dataset``.

    Raises:
        MlpfError: there is no such run, or it is complete.
        DatasetError: the datasets are not there, or are others.
        ModelError: the checkpoint is damaged; or as `train`.
        ConfigError: another number of processes than before.
    """
    final = find_interrupted(Path(folder).resolve())
    place = unfinished(final)
    parameters = run_parameters(load_parameters(place / PARAMETERS), place / PARAMETERS)
    if dataset is not None:
        parameters = parameters._replace(training=parameters.training.model_copy(update={"dataset": dataset}))
    check_device(parameters.training)
    with process_group(parameters.training.device):
        report, bar = (report, bar) if rank() == 0 else (_silent, None)
        on_first(lambda: _checkpoint_step(place))  # an error before anything else is read
        try:
            data = open_data(parameters.training, report)
        except DatasetError as error:
            raise DatasetError(f"{error}; if the data have moved, say where they are with --data") from error
        weights, initialization = place / ELEMENT_WEIGHTS, place / INITIALIZATION
        element_weights = ElementWeights.from_json(weights.read_text(), str(weights)) if weights.is_file() else None
        source = json.loads(initialization.read_text())["source"] if initialization.is_file() else None
        with run_folder(final, report, resumed=True):
            step = on_first(lambda: _checkpoint_step(place))  # only now: another process may have gone on with it
            report(f"{place}: goes on after step {step}")
            on_first(lambda: cut_back(place, step))
            prepared = Prepared(parameters, data, build_model(parameters.model), element_weights, source)
            return _fit(prepared, place, step, report, bar, callbacks)._replace(folder=final)


def _checkpoint_step(folder: Path) -> int:
    """Steps of the optimiser that the last checkpoint of an interrupted run holds."""
    return int(read_checkpoint(folder / CHECKPOINTS / LAST)["global_step"])


def _scaling(data: TrainingData, parameters: RunParameters, init_from: Path | None) -> ScalingFile | None:
    """How features are scaled; as they were for the model to start from, if it says so."""
    if init_from is None:
        return feature_scaling(data, parameters.training, parameters.scaling)
    path = init_from / SCALING
    return read_scaling_file(path) if path.is_file() else None


def _fit(
    prepared: Prepared, folder: Path, resumed_step: int | None, report: Report, bar: Progress | None, others: Sequence[lightning.Callback]
) -> TrainingResult:
    """Train until the schedule ends, from the beginning or from the last checkpoint."""
    parameters, model = prepared.parameters, prepared.model
    config = parameters.training
    start = time.perf_counter()
    training, validation = make_loaders(prepared.data, config, prepared.element_weights, report, model.needs_edges)
    schedule = make_schedule(config, len(training))
    best, steps = BestModel(folder, model, prepared.model_info), StepRecord(folder / STEPS)
    callbacks = [best, steps, ValidationRecord(folder / METRICS, steps, schedule, report, bar), *others]
    if config.figures:
        from mlpf.training.plots import TrainingPlots  # matplotlib takes seconds to load

        callbacks.append(TrainingPlots(folder / PLOTS, folder / METRICS))
    if config.average_decay is not None:
        callbacks.append(AverageWeights(model, config.average_decay))  # after those that look at the validated weights
    stop = StopSignals()
    callbacks += [RandomState(config.seed), Checkpoints(folder / CHECKPOINTS, config, schedule, best, stop)]
    if config.compile:
        model.compile(dynamic=True)
    module = ParticleFlowModule(model, ParticleFlowLoss(parameters.loss), config, schedule)
    with naming_full_disk(folder), quiet_lightning(), stop:
        trainer = make_trainer(config, schedule, callbacks, make_loggers(folder, config, parameters, resumed_step))
        trainer.fit(module, training, validation, ckpt_path=None if resumed_step is None else folder / CHECKPOINTS / LAST)
    assert best.info is not None, "training ended without a validation"
    return TrainingResult(folder, best.info, time.perf_counter() - start)
