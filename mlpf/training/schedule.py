"""When a training steps, validates and ends, and how its learning rate goes."""

import math
from typing import NamedTuple

from mlpf.errors import ConfigError
from mlpf.training.config import TrainingConfig

FINAL_LEARNING_RATE = 0.01  # of the peak, at the end of the cosine


class Schedule(NamedTuple):
    """Steps of the optimiser, the same in all processes.

    Attributes:
        accumulate: batches per step in each process.
        steps_per_epoch: whole steps; batches that do not fill one are left out of an epoch, others in each.
        num_steps: of the whole training.
        steps_per_validation: from one validation to the next; there is always one after the last step.
        warmup: steps in which the learning rate rises.
    """

    accumulate: int
    steps_per_epoch: int
    num_steps: int
    steps_per_validation: int
    warmup: int

    @property
    def num_epochs(self) -> int:
        """Epochs that the training begins."""
        return -(-self.num_steps // self.steps_per_epoch)

    def validates_after(self, step: int) -> bool:
        """A validation follows after so many steps."""
        return step % self.steps_per_validation == 0 or step >= self.num_steps

    def learning_rate(self, step: int) -> float:
        """Learning rate over its peak at a step counted from 0."""
        return learning_rate_factor(step, self.warmup, self.num_steps)


def make_schedule(config: TrainingConfig, num_batches: int) -> Schedule:
    """The schedule of a training.

    Args:
        config: the ``training`` section.
        num_batches: batches of an epoch in each process.

    Raises:
        ConfigError: an epoch has fewer batches than a step.
    """
    if num_batches < config.accumulate:
        raise ConfigError(
            f"training.accumulate={config.accumulate}: an epoch has only {num_batches} batches in each process; "
            "choose fewer, or a smaller training.max_elements"
        )
    steps_per_epoch = num_batches // config.accumulate
    num_steps = min(config.epochs * steps_per_epoch, config.max_steps or math.inf)
    warmup = max(1, round(config.warmup_fraction * num_steps))
    return Schedule(config.accumulate, steps_per_epoch, int(num_steps), config.validation_steps or steps_per_epoch, warmup)


def learning_rate_factor(step: int, warmup: int, num_steps: int) -> float:
    """Learning rate over its peak at a step counted from 0: a linear rise, then a cosine (arXiv:1608.03983)."""
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, num_steps - warmup))
    return FINAL_LEARNING_RATE + (1.0 - FINAL_LEARNING_RATE) * 0.5 * (1.0 + math.cos(math.pi * done))
