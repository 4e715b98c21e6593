"""The training step: loss, optimiser, learning rate, logged numbers."""

import math

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from mlpf.dataset.batch import Batch
from mlpf.errors import ModelError
from mlpf.loss.terms import mean_over
from mlpf.nn.base import Model
from mlpf.nn.heads import ModelOutput
from mlpf.training.config import TrainingConfig

FINAL_LEARNING_RATE = 0.01  # of the peak, at the end of the cosine


class ParticleFlowModule(lightning.LightningModule):
    """A model, its loss and its optimiser.

    Args:
        model: see `Model`.
        loss: ``forward(output, batch) -> named terms`` with their sum, ``total``.
        config: the ``training`` section.
        num_steps: optimiser steps of the whole training.
    """

    def __init__(self, model: Model, loss: nn.Module, config: TrainingConfig, num_steps: int) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.config = config
        self.num_steps = num_steps

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Total loss of a batch.

        Raises:
            ModelError: the loss is not finite; the weights are still those of the last good step.
        """
        terms = self._terms(self.model.predict(batch), batch, f"batch {batch_index}")
        self._log(terms, "train", batch)
        return terms["total"]

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Log the terms, and how often the decisions are right.

        Raises:
            ModelError: the loss is not finite, so that no best epoch could be told.
        """
        output = self.model.predict(batch)
        terms = self._terms(output, batch, f"validation batch {batch_index}")
        real = batch.mask > 0.5
        particle = batch.targets.class_position > 0
        right = (output.binary[..., 1] > output.binary[..., 0]) == particle
        terms["binary_accuracy"] = mean_over(right.float(), real)
        terms["pid_accuracy"] = mean_over((output.pid.argmax(-1) == batch.targets.class_position).float(), real & particle)
        self._log(terms, "validation", batch)

    def configure_gradient_clipping(self, *_: object, **__: object) -> None:
        """Scale the gradient down to ``gradient_clip``.

        Raises:
            ModelError: the gradient is not finite; the weights are still those of the last good step.
        """
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        if not torch.isfinite(norm):
            raise ModelError(f"epoch {self.current_epoch + 1}, step {self.global_step}: gradient norm {norm.item():g}; lower training.learning_rate")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW (arXiv:1711.05101); the learning rate rises linearly, then falls along a cosine (arXiv:1608.03983)."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay)
        warmup = max(1, round(self.config.warmup_fraction * self.num_steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, warmup, self.num_steps))
        return OptimizerLRSchedulerConfig(optimizer=optimizer, lr_scheduler={"scheduler": schedule, "interval": "step"})

    def _terms(self, output: ModelOutput, batch: Batch, where: str) -> dict[str, Tensor]:
        terms = self.loss(output, batch)
        if not torch.isfinite(terms["total"]):
            bad = ", ".join(f"{name} = {term.item():g}" for name, term in terms.items() if not torch.isfinite(term))
            raise ModelError(f"epoch {self.current_epoch + 1}, {where}: loss {bad}; lower training.learning_rate or look at the targets")
        return terms

    def _log(self, terms: dict[str, Tensor], stage: str, batch: Batch) -> None:
        self.log_dict({f"{stage}/{name}": term.detach() for name, term in terms.items()}, on_step=False, on_epoch=True, batch_size=len(batch.mask))


def learning_rate_factor(step: int, warmup: int, num_steps: int) -> float:
    """Learning rate over its peak at an optimiser step counted from 0."""
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, num_steps - warmup))
    return FINAL_LEARNING_RATE + (1.0 - FINAL_LEARNING_RATE) * 0.5 * (1.0 + math.cos(math.pi * done))
