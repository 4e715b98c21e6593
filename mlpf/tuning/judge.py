"""What a training tells the study at each validation."""

import math
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from mlpf.errors import ConfigError, nearest


class Judge(Callback):
    """Reports the metric to an Optuna trial, and ends the training by ``optuna.TrialPruned`` where the pruner says so.

    Args:
        trial: Optuna's.
        metric: name of a logged number.
        direction: minimize or maximize.

    Attributes:
        best: the metric's best value so far, none without a finite one.
    """

    def __init__(self, trial: Any, metric: str, direction: str) -> None:
        self.trial = trial
        self.metric = metric
        self.pick = min if direction == "minimize" else max
        self.best: float | None = None
        self.num_validations = 0

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002  # Lightning's signature
        """See the class.

        Raises:
            ConfigError: nothing of the metric's name is logged.
        """
        logged = trainer.callback_metrics
        if self.metric not in logged:
            raise ConfigError(f"tune.metric: '{self.metric}' is not logged{nearest(self.metric, logged)} (known: {', '.join(sorted(logged))})")
        value = logged[self.metric].item()
        if math.isfinite(value):
            self.best = value if self.best is None else self.pick(self.best, value)
        self.num_validations += 1
        self.trial.report(value, self.num_validations)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned
