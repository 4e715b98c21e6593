"""The best weights so far, in the run folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from mlpf.nn.base import Model
from mlpf.nn.saved import ModelInfo, save_model
from mlpf.training.distributed import rank

MONITOR = "validation/total"

Describe = Callable[[int, int, float], ModelInfo]
"""Epoch, step and validation loss -> description of the model at that place."""


class BestModel(Callback):
    """Writes the model into the run folder whenever the validation loss falls.

    Attributes:
        info: description of what was written last, none before the first validation.
        is_latest: the latest validation is the best.
    """

    def __init__(self, folder: Path, model: Model, describe: Describe) -> None:
        self.folder = folder
        self.model = model
        self.describe = describe
        self.info: ModelInfo | None = None
        self.is_latest = False

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002  # Lightning's signature
        """See the class."""
        loss = trainer.callback_metrics[MONITOR].item()
        self.is_latest = self.info is None or loss < self.info.validation_loss
        if self.is_latest:
            self.info = self.describe(trainer.current_epoch + 1, trainer.global_step, loss)
            if rank() == 0:
                save_model(self.folder, self.model, self.info)

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"info": None if self.info is None else self.info.model_dump(mode="json")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Of a checkpoint."""
        info = state_dict["info"]
        self.info = None if info is None else ModelInfo.model_validate(info)
