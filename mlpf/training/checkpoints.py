"""Checkpoints that a training goes on from exactly as if it had never stopped, whenever it was killed."""

import io
import shutil
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import Callback, Checkpoint

from mlpf.errors import ModelError
from mlpf.io.files import atomic_file, flush_to_disk
from mlpf.training.best import BestModel
from mlpf.training.config import TrainingConfig
from mlpf.training.distributed import any_process, gathered, rank
from mlpf.training.schedule import Schedule
from mlpf.training.stopping import StopSignals

LAST = "last.ckpt"
BEST = "best.ckpt"


class AtomicCheckpoints(CheckpointIO):
    """How Lightning writes and reads checkpoints here: under its name there is always a whole one, and nothing but tensors and plain values is unpickled."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ARG002  # Lightning's signature
        """Write beside the former one, then take its name."""
        buffer = io.BytesIO()  # of a full disk PyTorch would only say that it is at an unexpected position
        torch.save(checkpoint, buffer)
        with atomic_file(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())
            flush_to_disk(temporary)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Read to the CPU."""
        return read_checkpoint(path)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete the file."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of Lightning, on the CPU.

    Raises:
        ModelError: it is missing, damaged, or something else.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises on foreign bytes shares no base class
        raise ModelError(f"{path}: cannot be read as a checkpoint: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(checkpoint, dict) or "global_step" not in checkpoint:
        raise ModelError(f"{path}: is no checkpoint of a training")
    return checkpoint


class Checkpoints(Checkpoint):
    """Writes ``last.ckpt`` after every validation, and between them after so many steps or minutes; ``best.ckpt`` is the one after the best validation.

    Only after whole steps of the optimiser, since gradients are not kept; and not where a validation follows at once, which would be left out. A signal to stop
    ends the training after the step or the validation under way, with its checkpoint.

    Args:
        folder: for the checkpoints.
        config: the ``training`` section.
        schedule: of the training.
        best: knows the best validation.
        stop: knows whether to stop.
    """

    def __init__(self, folder: Path, config: TrainingConfig, schedule: Schedule, best: BestModel, stop: StopSignals) -> None:
        self.folder = folder
        self.config = config
        self.schedule = schedule
        self.best = best
        self.stop = stop
        self._written_step = 0
        self._written_time = time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Count from here, listen to signals."""
        self.stop.listen()
        self._written_step, self._written_time = trainer.global_step, time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Write if it is time to."""
        whole_step = (batch_idx + 1) % self.schedule.accumulate == 0
        if whole_step and not self.schedule.validates_after(trainer.global_step) and self._is_due(trainer):
            self._write(trainer)
            self._end_if_asked(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Write in any case."""
        self._write(trainer)
        if self.best.is_latest and rank() == 0:
            with atomic_file(self.folder / BEST) as temporary:
                shutil.copyfile(self.folder / LAST, temporary)
        if trainer.global_step < self.schedule.num_steps:
            self._end_if_asked(trainer)

    def _is_due(self, trainer: lightning.Trainer) -> bool:
        steps, minutes = self.config.checkpoint_steps, self.config.checkpoint_minutes
        late = minutes is not None and time.monotonic() - self._written_time >= 60.0 * minutes
        wanted = any_process(late or self.stop.received is not None, trainer.strategy.root_device)
        return wanted or (steps is not None and trainer.global_step - self._written_step >= steps)

    def _end_if_asked(self, trainer: lightning.Trainer) -> None:
        if any_process(self.stop.received is not None, trainer.strategy.root_device):
            self.stop.end()

    def _write(self, trainer: lightning.Trainer) -> None:
        trainer.save_checkpoint(self.folder / LAST)
        self._written_step, self._written_time = trainer.global_step, time.monotonic()


class RandomState(Callback):
    """Random numbers: other ones in every process, the same after a checkpoint is read as after it was written, the same in every validation.

    Args:
        seed: of the training.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._state: dict[str, torch.Tensor] | None = None  # to take up when the training starts
        self._training_state: dict[str, torch.Tensor] = {}  # while there is a validation

    def on_train_start(self, *_: object) -> None:
        """Seed, or go on."""
        if self._state is None:
            torch.manual_seed(self.seed + rank())
        else:
            set_random_state(self._state)

    def on_validation_start(self, *_: object) -> None:
        """Losses that draw random numbers are compared with equal ones."""
        self._training_state = random_state()
        torch.manual_seed(self.seed)

    def on_validation_end(self, *_: object) -> None:
        """As if there had been no validation."""
        set_random_state(self._training_state)

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"processes": gathered(random_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Of a checkpoint."""
        self._state = state_dict["processes"][rank()]


def random_state() -> dict[str, torch.Tensor]:
    """State of the generators of the CPU and of this process's GPU; nothing in a training draws from others."""
    return {"cpu": torch.get_rng_state()} | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else {})


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """What `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])
