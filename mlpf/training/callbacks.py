"""What happens at the end of an epoch: the best weights are written, the epoch is reported."""

import csv
import time
from collections.abc import Callable
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback
from rich.progress import Progress, TaskID

from mlpf.dataset.batch import Batch
from mlpf.nn.model import Model
from mlpf.nn.saved import ModelInfo, save_model

MONITOR = "validation/total"


class BestModel(Callback):
    """Writes the model into the run folder whenever the validation loss falls.

    Attributes:
        best: description of what was written last, none before the first epoch ends.
    """

    def __init__(self, folder: Path, model: Model, describe: Callable[[int, float], ModelInfo]) -> None:
        self.folder = folder
        self.model = model
        self.describe = describe
        self.best: ModelInfo | None = None

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002  # Lightning's signature
        """See the class."""
        loss = trainer.callback_metrics[MONITOR].item()
        if self.best is None or loss < self.best.validation_loss:
            self.best = self.describe(trainer.current_epoch + 1, loss)
            save_model(self.folder, self.model, self.best)


class EpochReport(Callback):
    """Advances a progress bar, measures training events per second (without validation), reports each epoch in one line and in one row of a CSV file."""

    def __init__(self, table: Path, report: Callable[[str], None], bar: Progress | None) -> None:
        self.table = table
        self.report = report
        self.bar = bar
        self.task: TaskID | None = None
        self.start = 0.0
        self.num_events = 0
        self.rate = 0.0

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Open the bar."""
        if self.bar is not None:
            self.task = self.bar.add_task("training", total=trainer.estimated_stepping_batches)

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self.start = time.perf_counter()
        self.num_events = 0

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: object, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Count the events, move the bar."""
        self.num_events += len(batch.mask)
        self.rate = self.num_events / (time.perf_counter() - self.start)
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, advance=1, description=f"epoch {trainer.current_epoch + 1}, {self.rate:.3g} events/s")

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Report the epoch."""
        module.log("events_per_second", self.rate)
        metrics = {"epoch": trainer.current_epoch + 1, **{name: value.item() for name, value in sorted(trainer.callback_metrics.items())}}
        with self.table.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, metrics)
            if stream.tell() == 0:
                writer.writeheader()
            writer.writerow(metrics)
        self.report(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: loss {metrics['train/total']:.4f}, validation {metrics[MONITOR]:.4f}, "
            f"binary accuracy {metrics['validation/binary_accuracy']:.4f}, pid accuracy {metrics['validation/pid_accuracy']:.4f}, {self.rate:.3g} events/s"
        )
