"""Consecutive events of a plan -> one shard: what a worker does, and the note that says what a finished shard was made of."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import mlpf
from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.io.files import flush_to_disk, sha256, writing
from mlpf.io.notes import read_note, write_note
from mlpf.io.shards import Shard, ShardedDataset, fingerprint, write_parquet
from mlpf.samples.mixing.plan import Plan
from mlpf.samples.mixing.read import read_plan


@dataclass(frozen=True)
class Input:
    """A dataset to read from; travels to another process."""

    folder: Path
    fingerprint: str


@dataclass(frozen=True)
class ShardTask:
    """One shard to make; travels to another process.

    Attributes:
        plan: its events.
        inputs: all datasets, in the order that the plan counts them.
        columns: what is copied.
        shard: path of the shard.
        note: path of the note on it.
    """

    plan: Plan
    inputs: tuple[Input, ...]
    columns: tuple[str, ...]
    shard: Path
    note: Path

    def __str__(self) -> str:
        return str(self.shard)

    @property
    def key(self) -> str:
        """Digest of all that the content of the shard depends on."""
        digest = hashlib.sha256()
        for name, values in vars(self.plan).items():
            if values is not None:
                digest.update(f"{name} {values.dtype} {len(values)}".encode() + values.tobytes())
        digest.update(json.dumps([self.columns, [used.fingerprint for used in self.inputs], mlpf.__version__, schema.digest()]).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class ShardDone:
    """A shard that is there; ``found``: it was before."""

    shard: Shard
    found: bool = False


def make_shard(task: ShardTask) -> ShardDone:
    """Make a shard and its note, unless they are there."""
    key = task.key
    note = read_note(task.note, key, task.shard)
    if note is not None and sha256(task.shard) == note["shard"]["sha256"]:
        return ShardDone(Shard(**note["shard"]), found=True)
    _close_others(task)
    num_events, num_elements = write_parquet(task.shard, read_plan(task.plan, lambda number: _open_input(task.inputs[number]), task.columns))
    with writing(task.shard):
        flush_to_disk(task.shard)
    shard = Shard(task.shard.name, num_events, num_elements, sha256(task.shard))
    write_note(task.note, key, {"shard": vars(shard)})
    return ShardDone(shard)


_opened: dict[Input, ShardedDataset] = {}  # by this process: tasks that follow each other read the same shards, and what stands at their ends is long to parse


def _open_input(used: Input) -> ShardedDataset:
    """Open a dataset, which must be what it was when the plan was made."""
    if used not in _opened:
        dataset = ShardedDataset(used.folder)
        if fingerprint(dataset) != used.fingerprint:
            raise DatasetError(f"{used.folder}: changed while it was in use; start again when it is finished")
        _opened[used] = dataset
    return _opened[used]


def _close_others(task: ShardTask) -> None:
    """Close the shards that a task does not need."""
    for number, used in enumerate(task.inputs):
        if used in _opened:
            _opened[used].keep_open(set(task.plan.shard[task.plan.dataset == number].tolist()))


def close_inputs() -> None:
    """Close whatever this process has opened."""
    _opened.clear()
