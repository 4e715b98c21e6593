"""Lightning's trainer as a training needs it, and what the machine must have for that."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy

from mlpf.errors import ConfigError
from mlpf.training.checkpoints import AtomicCheckpoints
from mlpf.training.config import TrainingConfig
from mlpf.training.distributed import processes_on_node, world
from mlpf.training.schedule import Schedule

LIGHTNING_PRECISION: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
HARMLESS = (
    ".*LeafSpec.*",  # Lightning 2.6 with torch 2.13
    ".*lr_scheduler.step.*before.*optimizer.step.*",  # float16 leaves out its first steps until it has found its scale
)


def check_device(config: TrainingConfig) -> None:
    """Refuse what the machine cannot do, before anything is read.

    Raises:
        ConfigError: no GPU where one is needed, a number format that it does not have, or no compiler.
    """
    if config.device == "gpu" and not torch.accelerator.is_available():
        raise ConfigError("training.device=gpu: PyTorch sees no GPU; choose cpu or auto")
    on_cuda = config.device != "cpu" and torch.cuda.is_available()
    if config.precision == "float16" and not on_cuda:
        raise ConfigError("training.precision=float16: needs an NVIDIA or AMD GPU, since it scales gradients there; choose bfloat16 or float32")
    if config.precision == "bfloat16" and on_cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(f"training.precision=bfloat16: {torch.cuda.get_device_name()} has none; choose float16 or float32")
    if config.compile:
        _check_compiler("cuda" if on_cuda else "cpu")


def _check_compiler(device: str) -> None:
    try:
        torch.compile(torch.sin)(torch.zeros(2, device=device))
    except Exception as error:  # a compiler can fail in any way
        message = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"training.compile: torch.compile does not work here ({message}); install a C++ compiler (on GPUs, Triton), or leave it out"
        ) from error


def make_trainer(config: TrainingConfig, schedule: Schedule, callbacks: Sequence[Callback], loggers: Sequence[Logger]) -> lightning.Trainer:
    """A trainer that steps, validates and ends as the schedule says, in all processes that torchrun started."""
    many = world() > 1
    return lightning.Trainer(
        accelerator=config.device,
        devices=processes_on_node(),
        num_nodes=world() // processes_on_node(),
        # buffers are the same everywhere; processes may have different numbers of validation batches, and would wait for each other to copy them
        strategy=DDPStrategy(forward_sync_buffers=False) if many else "auto",
        plugins=[AtomicCheckpoints(), TorchElasticEnvironment() if many else LightningEnvironment()],
        precision=LIGHTNING_PRECISION[config.precision],
        max_epochs=schedule.num_epochs,
        accumulate_grad_batches=schedule.accumulate,
        limit_train_batches=schedule.steps_per_epoch * schedule.accumulate,
        val_check_interval=schedule.steps_per_validation * schedule.accumulate,
        check_val_every_n_epoch=None,
        callbacks=list(callbacks),
        logger=list(loggers),
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Inside this block Lightning does not tell the reader about itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in HARMLESS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
