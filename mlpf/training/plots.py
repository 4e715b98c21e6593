"""Figures of the validations, in TensorBoard and in the run folder."""

import csv
import time
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlpf import schema
from mlpf.dataset.batch import Batch
from mlpf.io.files import atomic_file
from mlpf.metrics import binning
from mlpf.metrics.systems import MEASURED, MODEL, TARGETS, TITLES
from mlpf.plotting.style import style
from mlpf.plotting.summary import Summary, draw_confusion, draw_efficiency
from mlpf.plotting.training import draw_class_response, draw_learning_curves
from mlpf.training.counts import RESPONSE_EDGES, ValidationCounts, count_batch
from mlpf.training.distributed import gathered, on_first, rank
from mlpf.training.module import ParticleFlowModule

MAX_SHARE = 0.02  # of the time of a training, for the figures before the last ones
FIRST_SECONDS = 5.0  # what figures are taken to cost before some are drawn


class TrainingPlots(Callback):
    """Confusion matrix, response, efficiency and fake rate, and learning curves: at the last validation, and at earlier ones as far as `MAX_SHARE` allows.

    `ParticleFlowModule.validation_step` has to return the ``output`` of the model. Only the first process draws, what all of them have counted.

    Args:
        folder: where the figures go, as PNG and SVG; the latest replace the earlier ones.
        table: the CSV file with the losses of all validations.
    """

    def __init__(self, folder: Path, table: Path) -> None:
        self.folder = folder
        self.table = table
        self._counts: ValidationCounts | None = None
        self._counting = False
        self._start = time.perf_counter()
        self._spent = 0.0  # seconds for figures, so far
        self._latest = FIRST_SECONDS  # seconds for the figures of the latest drawn validation

    def on_validation_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Decide whether this one is drawn."""
        assert isinstance(module, ParticleFlowModule)
        is_last = trainer.global_step >= module.schedule.num_steps
        affordable = self._spent + self._latest < MAX_SHARE * (time.perf_counter() - self._start)
        self._counting = on_first(lambda: is_last or affordable)
        self._counts, self._latest = None, self._latest if not self._counting else 0.0

    def on_validation_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Batch, *_: Any) -> None:  # noqa: ARG002  # Lightning's signature
        """Count."""
        if self._counting:
            start = time.perf_counter()
            counts = count_batch(outputs["output"], batch)
            self._counts = counts if self._counts is None else self._counts + counts
            self._latest += time.perf_counter() - start

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Draw, in the first process."""
        if not self._counting:
            return
        start = time.perf_counter()
        first, *others = [counts for counts in gathered(self._counts) if counts is not None]
        if rank() == 0:
            self._draw(sum(others, first), trainer)
        self._latest += time.perf_counter() - start
        self._spent += self._latest

    def _draw(self, counts: ValidationCounts, trainer: lightning.Trainer) -> None:
        summary = summary_of(counts)
        with style():
            figures = {
                "confusion": draw_confusion(summary),
                "efficiency_pt": draw_efficiency(summary, "elements", "pt"),
                "response": draw_class_response(RESPONSE_EDGES, counts.response, counts.response_quantiles(), schema.CLASS_NAMES),
                "learning_curves": draw_learning_curves(read_columns(self.table)),
            }
            for name, figure in figures.items():
                if figure is not None:
                    self._keep(name, figure, trainer)

    def _keep(self, name: str, figure: Figure, trainer: lightning.Trainer) -> None:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(f"figures/{name}", np.asarray(canvas.buffer_rgba())[..., :3], trainer.global_step, dataformats="HWC")
        with atomic_file(self.folder / f"{name}.png") as temporary:
            canvas.print_png(temporary)
        figure.set_layout_engine("none")  # keep the layout just made
        with atomic_file(self.folder / f"{name}.svg") as temporary:
            figure.savefig(temporary, transparent=True, metadata={"Date": None})


def summary_of(counts: ValidationCounts) -> Summary:
    """The counts in the form of the metrics of an evaluation, as far as the figures of elements need it."""
    of_true = counts.elements.confusion.sum(axis=1)
    entry = {
        "num_events": counts.num_events,
        "systems": {MODEL: TITLES[MODEL]},
        "bins": {"particle_pt": binning.PARTICLE_PT.tolist(), "particle_eta": binning.PARTICLE_ETA.tolist()},
        "elements": {MODEL: counts.elements.to_json()},
        "multiplicity": {TARGETS: {name: {"number": {"value": int(of_true[schema.CLASS_IDS.index(category)])}} for name, category in MEASURED.items()}},
    }
    return Summary(entry, dataset="validation")


def read_columns(table: Path) -> dict[str, list[float]]:
    """Columns of a CSV file of numbers."""
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}
