"""What a training leaves in numbers: a row for every step and for every validation, curves for the loggers, a line for the reader."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from rich.progress import Progress, TaskID
from torch import Tensor

from mlpf.dataset.batch import Batch
from mlpf.training.best import MONITOR
from mlpf.training.distributed import rank, summed, world
from mlpf.training.module import ParticleFlowModule
from mlpf.training.schedule import Schedule
from mlpf.training.table import append_rows

STEPS_AT_ONCE = 50  # that are written together; the losses stay on the device until then


class StepRecord(Callback):
    """A row of a CSV file for every step, and a point of the loggers' curves for `STEPS_AT_ONCE` of them: losses as means over the events of all processes.

    Args:
        table: the CSV file.
    """

    def __init__(self, table: Path) -> None:
        self.table = table
        self._names: list[str] = []
        self._batches: list[Tensor] = []  # of the step under way
        self._steps: list[Tensor] = []  # that are not written yet
        self._numbers: list[dict[str, int | float]] = []  # of the same steps
        self._sums = np.zeros(0)  # since they were taken last

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, *_: Any) -> None:
        """Keep the losses of a batch."""
        assert isinstance(module, ParticleFlowModule)
        self._names = module.term_names
        self._batches.append(outputs["terms"])
        if len(self._batches) < module.schedule.accumulate:
            return
        self._steps.append(torch.stack(self._batches).sum(dim=0))
        self._batches.clear()
        step = trainer.global_step
        rate = module.config.learning_rate * module.schedule.learning_rate(step - 1)  # the optimiser already has that of the next step
        self._numbers.append({"step": step, "epoch": trainer.current_epoch + 1, "gradient_norm": module.gradient_norm, "learning_rate": rate})
        if len(self._steps) >= STEPS_AT_ONCE:
            self.flush(trainer)

    def flush(self, trainer: lightning.Trainer) -> None:
        """Write what was kept; all processes together."""
        if not self._steps:
            return
        sums = summed(torch.stack(self._steps)).double().cpu().numpy()
        numbers, self._steps, self._numbers = self._numbers, [], []
        self._sums = sums.sum(axis=0) + (self._sums if len(self._sums) else 0.0)
        if rank() == 0:
            append_rows(self.table, [{**row, "events": int(step[0]), **self._means(step)} for row, step in zip(numbers, sums, strict=True)])
            latest = {name: numbers[-1][name] for name in ("learning_rate", "gradient_norm")}
            losses = {f"train/{name}": value for name, value in self._means(sums.sum(axis=0)).items()}
            log_numbers(trainer, {**losses, **latest})

    def take_means(self) -> dict[str, float]:
        """Mean losses since the last call."""
        means, self._sums = self._means(self._sums), np.zeros(0)
        return means

    def on_save_checkpoint(self, trainer: lightning.Trainer, module: lightning.LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Write the rows and points of all steps that the checkpoint holds, and give it the sums."""
        self.flush(trainer)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.flush()
        checkpoint["step_record"] = {"names": self._names, "sums": self._sums.tolist()}

    def on_load_checkpoint(self, trainer: lightning.Trainer, module: lightning.LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Go on summing."""
        state = checkpoint["step_record"]
        self._names, self._sums = state["names"], np.array(state["sums"])

    def _means(self, sums: np.ndarray) -> dict[str, float]:
        return {name: float(value) for name, value in zip(self._names, sums[1:] / sums[0], strict=True)}


class ValidationRecord(Callback):
    """A row of a CSV file, points of the curves and a line of report for every validation; a progress bar.

    Args:
        table: the CSV file.
        steps: whose means become the training losses of a row.
        schedule: of the training.
        report: gets a line.
        bar: shows how far the training is; events per second are those of all processes, without validations.
    """

    def __init__(self, table: Path, steps: StepRecord, schedule: Schedule, report: Callable[[str], None], bar: Progress | None) -> None:
        self.table = table
        self.steps = steps
        self.schedule = schedule
        self.report = report
        self.bar = bar
        self.task: TaskID | None = None
        self._since = math.nan
        self._num_events = 0
        self._rate = math.nan

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002  # Lightning's signature
        """Open the bar, start the clock."""
        if self.bar is not None:
            self.task = self.bar.add_task("training", total=self.schedule.num_steps, completed=trainer.global_step)
        self._start_clock()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Batch, *_: Any) -> None:  # noqa: ARG002
        """Count the events, move the bar."""
        self._num_events += len(batch.mask) * world()
        self._rate = self._num_events / (time.perf_counter() - self._since)
        if self.bar is not None and self.task is not None and not self.bar.disable:
            text = f"epoch {trainer.current_epoch + 1}, loss {outputs['loss'].item() * self.schedule.accumulate:.4g}, {self._rate:.3g} events/s"
            self.bar.update(self.task, completed=trainer.global_step, description=text)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Write and report."""
        self.steps.flush(trainer)
        losses = {f"train/{name}": value for name, value in self.steps.take_means().items()}
        measured = {"events_per_second": self._rate, **gpu_memory()}
        metrics = {name: value.item() for name, value in sorted(trainer.callback_metrics.items())}
        place = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        if rank() == 0:
            append_rows(self.table, [{**place, **losses, **metrics, **measured}])
            log_numbers(trainer, measured)
            self._say(place, losses, metrics)
        self._start_clock()

    def _say(self, place: Mapping[str, int], losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        step = "" if self.schedule.steps_per_validation == self.schedule.steps_per_epoch else f", step {place['step']}/{self.schedule.num_steps}"
        self.report(
            f"epoch {place['epoch']}/{self.schedule.num_epochs}{step}: loss {losses['train/total']:.4f}, validation {metrics[MONITOR]:.4f}, "
            f"binary accuracy {metrics['validation/binary_accuracy']:.4f}, pid accuracy {metrics['validation/pid_accuracy']:.4f}, {self._rate:.3g} events/s"
        )

    def _start_clock(self) -> None:
        self._since, self._num_events = time.perf_counter(), 0


def gpu_memory() -> dict[str, float]:
    """Largest memory [GB] that tensors took on this process's GPU since the last call, if it has one."""
    if not torch.cuda.is_initialized():
        return {}
    peak = torch.cuda.max_memory_allocated() / 1e9
    torch.cuda.reset_peak_memory_stats()
    return {"gpu_memory_gb": peak}


def log_numbers(trainer: lightning.Trainer, numbers: Mapping[str, float]) -> None:
    """Points of all loggers' curves at the present step."""
    for logger in trainer.loggers:
        logger.log_metrics(dict(numbers), trainer.global_step)
