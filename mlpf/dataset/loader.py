"""Batches for training, straight from the shards: shuffled, of events of similar size, resumable, with processes that read ahead."""

import hashlib
import json
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import torch
from torch.utils.data import DataLoader

from mlpf.dataset.batch import Batch
from mlpf.dataset.plan import Plan, Pool
from mlpf.dataset.pool import ElementWeighting, PackedBatches, PoolReader
from mlpf.dataset.sample import Sample
from mlpf.errors import DatasetError, MlpfError
from mlpf.io.shards import fingerprint

POOL_ELEMENTS = 500_000  # 270 bytes each: 135 MB for each process that reads ahead, and as much again for the pool in use
MIN_BATCHES_PER_POOL = 16  # of a full budget each
SHARED_MEMORY = Path("/dev/shm")  # where Linux keeps what processes share


class Loader:
    """Batches of the events of some datasets; every pass is an epoch, see `Plan`.

    Batches do not depend on the number of workers. `state_dict` says how far the current epoch has been delivered, whatever was read ahead, and holds for all
    ranks; Lightning stores and restores it in its checkpoints. The pass after `load_state_dict` delivers what was left, any other begins an epoch.

    Args:
        samples: what to read, from `select_split`.
        max_elements: budget of a batch, padding included.
        shuffle: another order in every epoch; otherwise always by size inside of pools.
        seed: of the shuffling.
        proportions: of the datasets, see `Plan`.
        pool_elements: elements that are shuffled and sorted together, at least `MIN_BATCHES_PER_POOL` budgets; memory is in proportion.
        num_workers: processes that read ahead.
        element_weights: weights of elements.
        edges: give the edges of the datasets, too.
        rank, world: this process and how many there are; by default those of `torch.distributed` if it runs, so make the loader after it has started.

    Attributes:
        epoch: which pass, counted from 0.
        num_delivered: batches of it that were delivered.

    Raises:
        DatasetError: see `Plan`; in a pass: a damaged dataset, or one without targets, or without edges where they are asked for.
    """

    batch_sampler = None  # whatever has a `sampler`, Lightning asks for this, too

    def __init__(
        self,
        samples: Sequence[Sample],
        max_elements: int,
        shuffle: bool = True,
        seed: int = 0,
        proportions: Sequence[float] | None = None,
        pool_elements: int = POOL_ELEMENTS,
        num_workers: int = 0,
        element_weights: ElementWeighting | None = None,
        edges: bool = False,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = rank if rank is not None else torch.distributed.get_rank() if distributed else 0
        world = world if world is not None else torch.distributed.get_world_size() if distributed else 1
        pool_elements = max(pool_elements, MIN_BATCHES_PER_POOL * max_elements)
        self.plan = Plan(samples, max_elements, pool_elements, shuffle, seed, proportions, world)
        self.epoch = 0
        self.num_delivered = 0
        self._resumed = False
        self._digest = _digest(samples, max_elements, pool_elements, shuffle, seed, proportions, world)
        self._reader = PoolReader([sample.dataset for sample in samples], element_weights, edges)
        self._num_workers = num_workers
        self._length = self.plan.num_batches(self.rank)

    def __len__(self) -> int:
        """Batches of an epoch, the same in all."""
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        """An epoch, or the rest of it after `load_state_dict`."""
        # A generator: Lightning asks for iterators that it never uses, which must not count as a pass.
        complete = self.num_delivered >= len(self)
        if complete or (self.num_delivered and not self._resumed):
            self.epoch, self.num_delivered = self.epoch + 1, 0
        self._resumed = False
        # Workers end with the pass: those that live on would only be stopped by the garbage collector, long after the training is over.
        pools = DataLoader(
            self._reader,
            batch_size=None,
            sampler=_remaining(self.plan.pools(self.epoch, self.rank), self.num_delivered),
            num_workers=self._num_workers,
            collate_fn=_into_shared_memory if self._num_workers else _unchanged,
            worker_init_fn=_begin_worker,
            prefetch_factor=1 if self._num_workers else None,
            generator=torch.Generator(),  # otherwise it draws from that of the training, which must not depend on how often it was resumed
        )
        for packed in _naming_deaths(pools):
            if isinstance(packed, MlpfError):
                raise packed
            for batch in packed.batches():
                self.num_delivered += 1
                yield batch

    @property
    def sampler(self) -> Self:
        """Itself: Lightning looks here for `set_epoch`, which it calls before every epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be the given epoch; if that is the one of the state just loaded, its rest."""
        if epoch != self.epoch or not self._resumed:
            self.epoch, self.num_delivered, self._resumed = epoch, 0, False

    def state_dict(self) -> dict[str, Any]:
        """Where in which epoch the loader is, and what of."""
        return {"epoch": self.epoch, "num_delivered": self.num_delivered, "digest": self._digest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken: the next pass delivers the batches that were left then.

        Raises:
            DatasetError: the state is one of other data, or of data that are shared out otherwise.
        """
        if state.get("digest") != self._digest:
            raise DatasetError(
                f"the saved position in the training data ({state.get('digest')}) is one of other data ({self._digest}); resume with the same datasets, "
                "proportions, split, seed, max_elements, pool_elements and number of processes, or start a new training from the weights"
            )
        self.epoch, self.num_delivered, self._resumed = int(state["epoch"]), int(state["num_delivered"]), True


def _remaining(pools: Sequence[Pool], num_delivered: int) -> list[Pool]:
    """The pools without the batches that were delivered already."""
    remaining = []
    for pool in pools:
        skipped = min(num_delivered, len(pool))
        num_delivered -= skipped
        if skipped < len(pool):
            remaining.append(pool.after(skipped) if skipped else pool)
    return remaining


def _digest(samples: Sequence[Sample], *settings: Any) -> str:
    """16 hex digits over all that the batches depend on."""
    events = [
        [fingerprint(sample.dataset), *(hashlib.sha256(place.tobytes()).hexdigest() for place in (sample.index.shard, sample.index.row))] for sample in samples
    ]
    return hashlib.sha256(json.dumps([events, settings]).encode()).hexdigest()[:16]


def _naming_deaths(pools: Iterable[PackedBatches | MlpfError]) -> Iterator[PackedBatches | MlpfError]:
    """What the processes read; if one of them dies, an error that says so."""
    try:
        yield from pools
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        remedy = "for lack of memory? use fewer training.num_workers or smaller training.pool_elements"
        raise MlpfError(f"a process that read training data ahead died ({' '.join(str(error).split())}), {remedy}") from error


def _unchanged(item: Any) -> Any:
    return item


def _into_shared_memory(item: Any) -> PackedBatches | MlpfError:
    """What a worker sends, in memory that its parent sees. Left to PyTorch's thread that sends it, a lack of that would make the parent wait for ever."""
    if isinstance(item, MlpfError):
        return item
    tensors = item.tensors()
    try:
        for tensor in tensors:
            tensor.share_memory_()
    except RuntimeError as error:
        for path in SHARED_MEMORY.glob(f"torch_{os.getpid()}_*"):
            path.unlink(missing_ok=True)  # PyTorch leaves what it could not fill
        size = sum(tensor.nbytes for tensor in tensors) / 1e6
        return MlpfError(
            f"{SHARED_MEMORY}: no space for {size:.0f} MB of batches that were read ahead ({' '.join(str(error).split())}); make it larger "
            "(docker run --shm-size=8g), or use fewer training.num_workers or smaller training.pool_elements"
        )
    return item


def _begin_worker(_worker: int) -> None:
    """A worker is one process among several: it leaves the other cores to them, and it ends when the training does.

    Ctrl-C and the signals of a batch system reach all processes of a job; the training, which finishes its step first, still needs what its workers read.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
