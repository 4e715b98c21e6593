"""The optimiser, and the average of the weights that it makes."""

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mlpf.training.config import TrainingConfig


def make_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW (arXiv:1711.05101) of all parameters that learn."""
    return torch.optim.AdamW(parameter_groups(module, config.weight_decay), lr=config.learning_rate)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices, whose weights decay, and the rest: biases, scales of norms and embeddings have no reason to be small."""
    embeddings = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decays = [parameter.ndim >= 2 and id(parameter) not in embeddings for parameter in learning]
    groups = [
        {"params": [parameter for parameter, matrix in zip(learning, decays, strict=True) if matrix], "weight_decay": weight_decay},
        {"params": [parameter for parameter, matrix in zip(learning, decays, strict=True) if not matrix], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class AverageWeights(Callback):
    """Keeps the exponential moving average of a model's weights, and lends it to the model for every validation.

    After step t the average moves by 1 - min(decay, (1 + t) / (10 + t)) of the way to the weights, so that it forgets the random start at once. (Lightning's
    own callback takes the average back before the callbacks that save the best model see it, and averages the scaling, too.)

    Args:
        model: whose weights.
        decay: per step.

    Attributes:
        average: in the order of the model's parameters; none before the training begins. During a validation these are the weights without averaging.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.average: list[Tensor] | None = None
        self._last_step = 0

    def on_fit_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002  # Lightning's signature
        """Begin with the weights, or with what a checkpoint held; on the model's device."""
        weights = list(self.model.parameters())
        start = self.average if self.average is not None else weights
        self.average = [value.detach().to(weight.device, copy=True) for value, weight in zip(start, weights, strict=True)]

    @torch.no_grad()
    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """Move the average after a step."""
        if trainer.global_step > self._last_step and self.average is not None:
            self._last_step = trainer.global_step
            decay = min(self.decay, (1.0 + self._last_step) / (10.0 + self._last_step))
            get_ema_multi_avg_fn(decay)(self.average, list(self.model.parameters()), self._last_step)

    def on_validation_start(self, *_: object) -> None:
        """Lend the average to the model."""
        self._swap()

    def on_validation_end(self, *_: object) -> None:
        """Take it back."""
        self._swap()

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"average": self.average, "last_step": self._last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Of a checkpoint."""
        self.average, self._last_step = state_dict["average"], state_dict["last_step"]

    @torch.no_grad()
    def _swap(self) -> None:
        assert self.average is not None
        for average, weight in zip(self.average, self.model.parameters(), strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)
