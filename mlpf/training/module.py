"""The training step: loss, gradient, numbers to record."""

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
from mlpf.training.distributed import gathered, summed
from mlpf.training.optimizer import make_optimizer
from mlpf.training.schedule import Schedule

SHOWN_EVENTS = 3  # of a batch in an error
LEAST_LOSS_SCALE = 1.0  # below which a float16 gradient is not too large for its format, but wrong


class ParticleFlowModule(lightning.LightningModule):
    """A model, its loss and its optimiser.

    A loss or gradient that is not finite ends the training before the step that it would spoil, in all processes, with the events that it comes from.

    Args:
        model: see `Model`.
        loss: ``forward(output, batch) -> named terms`` with their sum, ``total``; its parameters, if it has any, learn as well.
        config: the ``training`` section.
        schedule: steps of the training.

    Attributes:
        gradient_norm: of the model's gradient at the last step, before it was clipped.
        term_names: terms of the loss.
    """

    def __init__(self, model: Model, loss: nn.Module, config: TrainingConfig, schedule: Schedule) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.config = config
        self.schedule = schedule
        self.gradient_norm = math.nan
        self.term_names: list[str] = []
        self._since_step: list[tuple[int, dict[str, Tensor], Tensor]] = []  # batch, terms and events of each
        self._validated: list[Tensor] = []  # `weighted_terms` of each batch
        self._validated_names: list[str] = []
        self._bad_validation: list[str] = []

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser of ``training.optimizer``; the learning rate follows the schedule."""
        optimizer = make_optimizer(self, self.config)
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, self.schedule.learning_rate)
        return OptimizerLRSchedulerConfig(optimizer=optimizer, lr_scheduler={"scheduler": rate, "interval": "step"})

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """``loss`` to learn from, and ``terms`` for the record, see `weighted_terms`."""
        terms = self.loss(self.model.predict(batch), batch)
        self.term_names = list(terms)
        self._since_step.append((batch_index, {name: term.detach() for name, term in terms.items()}, batch.event_id))
        # The gradient of a loss that is not finite may be finite: made NaN, it reaches all processes with the gradient.
        total = terms["total"] * torch.where(torch.isfinite(terms["total"]), 1.0, torch.nan)
        return {"loss": total, "terms": weighted_terms(terms, batch)}

    def configure_gradient_clipping(self, *_: object, **__: object) -> None:
        """Scale the gradient down to ``gradient_clip``.

        Raises:
            ModelError: a loss or the gradient is not finite; the weights are still those of the last good step.
        """
        parts = [parameters for part in (self.model, self.loss) if (parameters := list(part.parameters()))]
        norms = [nn.utils.clip_grad_norm_(parameters, self.config.gradient_clip) for parameters in parts]
        self.gradient_norm = norms[0].item()
        if not all(math.isfinite(norm.item()) for norm in norms):
            self._explain(self.gradient_norm)
        self._since_step.clear()

    def on_train_start(self) -> None:
        """End at once if all steps were done before the training was resumed."""
        self.trainer.should_stop = self.trainer.global_step >= self.schedule.num_steps

    def on_train_batch_end(self, *_: object) -> None:
        """Validate and end after the last step."""
        self.trainer.should_stop = self.trainer.should_stop or self.trainer.global_step >= self.schedule.num_steps

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, ModelOutput]:
        """Collect the terms, and how often the decisions are right; always in float32, as models are used. Callbacks get the ``output``."""
        with torch.autocast(batch.features.device.type, enabled=False):
            output = self.model.predict(batch)
            terms = self.loss(output, batch)
        if not torch.isfinite(terms["total"]):
            self._bad_validation.append(f"validation batch {batch_index} {describe_events(batch.event_id)}: {describe_loss(terms)}")
        real = batch.mask > 0.5
        particle = batch.targets.class_position > 0
        right = (output.binary[..., 1] > output.binary[..., 0]) == particle
        terms["binary_accuracy"] = mean_over(right.float(), real)
        terms["pid_accuracy"] = mean_over((output.pid.argmax(-1) == batch.targets.class_position).float(), real & particle)
        self._validated.append(weighted_terms(terms, batch))
        self._validated_names = list(terms)
        return {"output": output}

    def on_validation_epoch_end(self) -> None:
        """Log the means over all events of all processes.

        Raises:
            ModelError: a loss is not finite, so that no best epoch could be told.
        """
        bad = [message for messages in gathered(self._bad_validation) for message in messages]
        if bad:
            raise ModelError(f"epoch {self.current_epoch + 1}, {bad[0]}; lower training.learning_rate or look at the targets")
        num_events, *sums = summed(torch.stack(self._validated).sum(dim=0)).unbind()
        self._validated.clear()
        means = {f"validation/{name}": value / num_events for name, value in zip(self._validated_names, sums, strict=True)}
        self.log_dict(means, sync_dist=True)  # they are equal already, which Lightning cannot know

    def _explain(self, norm: float) -> None:
        """Say what is not finite; a gradient of float16 that was too large for its format is only left out, while its scale is halved, see `GradScaler`."""
        losses = [
            f"batch {index} {describe_events(events)}: {describe_loss(terms)}"
            for index, terms, events in self._since_step
            if not torch.isfinite(terms["total"])
        ]
        bad = [message for messages in gathered(losses) for message in messages]
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if not bad and scaler is not None and scaler.get_scale() > LEAST_LOSS_SCALE:
            return
        if not bad:
            events = torch.cat([event_id for events in gathered([event_id.cpu() for *_, event_id in self._since_step]) for event_id in events])
            bad = [f"batch {self._since_step[-1][0]} {describe_events(events)}: gradient norm {norm:g}"]
        raise ModelError(f"epoch {self.current_epoch + 1}, {bad[0]}; lower training.learning_rate or look at the targets")


def weighted_terms(terms: dict[str, Tensor], batch: Batch) -> Tensor:
    """``(1 + T,)`` number of events, then the terms times it, so that sums of these give means over events."""
    num_events = len(batch.mask)
    return torch.stack([torch.full_like(terms["total"], num_events), *(term * num_events for term in terms.values())]).detach()


def describe_events(event_id: Tensor) -> str:
    """The first events of ``(B, 3)`` run, luminosity block, event number, in words and brackets."""
    shown = [f"run {run}, lumi {lumi}, event {event}" for run, lumi, event in event_id[:SHOWN_EVENTS].tolist()]
    more = [f"... {len(event_id) - SHOWN_EVENTS} more"] if len(event_id) > SHOWN_EVENTS else []
    return f"({'; '.join(shown + more)})"


def describe_loss(terms: dict[str, Tensor]) -> str:
    """The terms that are not finite."""
    return "loss " + ", ".join(f"{name} = {term.item():g}" for name, term in terms.items() if not torch.isfinite(term))
