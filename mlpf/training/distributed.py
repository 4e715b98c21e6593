"""Several processes that train one model together, started by torchrun on one node or several: who they are, what only the first of them does."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, distributed

from mlpf.errors import ConfigError, MlpfError

T = TypeVar("T")


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Connect the processes that torchrun started, for the time of the block; a single process is left as it is.

    Args:
        device: ``training.device``; with GPUs each process gets one.

    Raises:
        ConfigError: fewer GPUs than processes on this node.
    """
    if not distributed.is_torchelastic_launched() or distributed.is_initialized():
        yield
        return
    if device != "cpu" and torch.cuda.is_available():
        local_rank, local_world = int(os.environ["LOCAL_RANK"]), processes_on_node()
        if local_world > torch.cuda.device_count():
            raise ConfigError(f"torchrun started {local_world} processes, PyTorch sees {torch.cuda.device_count()} GPUs on this node; start one for each")
        torch.cuda.set_device(local_rank)
        distributed.init_process_group("nccl", device_id=torch.device("cuda", local_rank))
    else:
        distributed.init_process_group("gloo")
    yield
    distributed.destroy_process_group()  # not after an error: it may wait for processes that do not answer any more


def rank() -> int:
    """Number of this process, 0 for the first."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def processes_on_node() -> int:
    """Number of processes that train together on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if distributed.is_initialized() or distributed.is_torchelastic_launched() else 1


def launched_first() -> bool:
    """The process is the first of those that torchrun started, or the only one; known also before and after `process_group`."""
    return not distributed.is_torchelastic_launched() or os.environ["RANK"] == "0"


def on_first(function: Callable[[], T]) -> T:
    """What the function returns in the first process, in all of them; an `MlpfError` that it raises, in all of them."""
    if world() == 1:
        return function()
    result: list[T | MlpfError | None] = [None]
    if rank() == 0:
        try:
            result[0] = function()
        except MlpfError as error:
            result[0] = error
    distributed.broadcast_object_list(result)
    if isinstance(result[0], MlpfError):
        raise result[0]
    return result[0]  # type: ignore[return-value]


def gathered(value: T) -> list[T]:
    """The values of all processes, in their order."""
    if world() == 1:
        return [value]
    values: list[T | None] = [None] * world()
    distributed.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def summed(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, which is written into it."""
    if world() > 1:
        distributed.all_reduce(values)
    return values


def any_process(flag: bool, device: torch.device) -> bool:
    """The flag is set in one process or more."""
    return bool(summed(torch.tensor(float(flag), device=device)) > 0) if world() > 1 else flag
