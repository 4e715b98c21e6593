"""The optimiser, and the average of the weights that it makes."""

import re
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mlpf.training.config import TrainingConfig

ADAMW_SHARE = 0.2  # of the learning rate, where Muon has it whole
OUTER = re.compile(r"(^|\.)(encode\.hidden|heads\.\w+\.output)$")  # layers that read features or make outputs


def make_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """The optimiser of all parameters that learn, as ``training.optimizer`` says."""
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameter_groups(module, config.weight_decay), lr=config.learning_rate)
    return MuonAndAdamW(module, config)


class MuonAndAdamW(torch.optim.Optimizer):
    """Muon (arXiv:2502.16982) of the matrices inside a network, AdamW (arXiv:1711.05101) of all else.

    Muon makes the singular values of a matrix's step equal, so that rare directions learn as fast as common ones; its steps are scaled to the size of
    AdamW's. All else (embeddings, norms, biases, the first and the last dense layers, see `inner_matrices`) learns by AdamW, with a fifth of the learning rate.

    Args:
        module: whose parameters.
        config: learning rate and weight decay.
    """

    def __init__(self, module: nn.Module, config: TrainingConfig) -> None:
        matrices = inner_matrices(module)
        inside = {id(matrix) for matrix in matrices}
        rest = [
            group | {"params": others}
            for group in parameter_groups(module, config.weight_decay)
            if (others := [parameter for parameter in group["params"] if id(parameter) not in inside])
        ]
        adjust = "match_rms_adamw"
        self._parts: dict[str, torch.optim.Optimizer] = {}
        if matrices:
            self._parts["muon"] = torch.optim.Muon(matrices, lr=config.learning_rate, weight_decay=config.weight_decay, adjust_lr_fn=adjust)
        if rest:
            self._parts["adamw"] = torch.optim.AdamW(rest, lr=ADAMW_SHARE * config.learning_rate)
        super().__init__(self._groups(), {})
        self.param_groups = self._groups()  # the parts' own, whose learning rates a schedule changes

    def _groups(self) -> list[dict[str, Any]]:
        return [group for part in self._parts.values() for group in part.param_groups]

    def step(self, closure: Any = None) -> Any:
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts.values():
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Of both, by name."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])
        self.param_groups = self._groups()


def inner_matrices(module: nn.Module) -> list[nn.Parameter]:
    """Weights of a network's dense layers, but for those that read the features (`encode`) and that make the outputs (`Heads`).

    Weights that are computed from other parameters, such as normalised ones, are none of its parameters and so not among them.
    """
    inner = (layer for name, layer in module.named_modules() if isinstance(layer, nn.Linear) and not OUTER.search(name))
    weights = (dict(layer.named_parameters(recurse=False)).get("weight") for layer in inner)
    return [weight for weight in weights if weight is not None and weight.requires_grad]


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
