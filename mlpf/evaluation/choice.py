"""Which events of a dataset are evaluated, read in blocks of similar size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mlpf.errors import DatasetError, MlpfError
from mlpf.evaluation.predictor import ALL, Predictor
from mlpf.events import Events, concatenate
from mlpf.io.shards import ShardedDataset
from mlpf.samples.split import SPLITS, in_split

BLOCK_ELEMENTS = 50_000  # that are evaluated together: 25 MB of a dataset's columns, 100 events of 500 elements


class Part(NamedTuple):
    """The share of a dataset that one of several jobs evaluates: row groups ``number - 1``, ``number - 1 + total`` ...

    Attributes:
        number: 1 to ``total``.
        total: how many jobs there are.
    """

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read ``I/N``.

        Raises:
            MlpfError: it is something else.
        """
        first, slash, second = text.partition("/")
        if not (slash and first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
            raise MlpfError(f"part '{text}': must be I/N, with I from 1 to N; for example --part 1/4")
        return cls(int(first), int(second))


class Choice:
    """Events that fall to the chosen split of every model.

    Args:
        models: by name.
        split: train, validation, test or all; by default each model's own.

    Attributes:
        num_read: events seen so far.

    Raises:
        MlpfError: an unknown split.
    """

    def __init__(self, models: Mapping[str, Predictor], split: str | None) -> None:
        if split not in (None, *SPLITS, ALL):
            raise MlpfError(f"split '{split}': unknown; choose one of {', '.join((*SPLITS, ALL))}")
        self._configs = {name: model.split for name, model in models.items()}
        self._splits = {name: split or model.default_split for name, model in models.items()}
        self._num_of = dict.fromkeys(models, 0)
        self.num_read = 0

    def __call__(self, events: Events) -> Events:
        """Those of ``events`` that are chosen."""
        kept = np.ones(len(events), dtype=bool)
        for name, split in self._splits.items():
            own = in_split(events["run"], events["lumi"], events["event"], None if split == ALL else split, self._configs[name])
            self._num_of[name] += int(own.sum())
            kept &= own
        self.num_read += len(events)
        return events if kept.all() else events.select(kept)

    def __str__(self) -> str:
        """The split, or what it is for each model where that differs."""
        splits = set(self._splits.values())
        return splits.pop() if len(splits) == 1 else ", ".join(f"{split} of {name}" for name, split in self._splits.items())

    def no_events(self, dataset: ShardedDataset) -> DatasetError:
        """The error of a dataset in which nothing was chosen."""
        if len(self._splits) == 1 or not any(self._num_of.values()):
            return DatasetError(f"{dataset.path}: none of {self.num_read} events falls to the split '{self}'; pass --split all or use more events")
        counts = ", ".join(f"{self._num_of[name]} to {split} of {name}" for name, split in self._splits.items())
        return DatasetError(
            f"{dataset.path}: none of {self.num_read} events falls to the split of every model ({counts}): they were trained with different splits; "
            "evaluate them one by one, or pass --split all"
        )


def read_blocks(
    dataset: ShardedDataset, columns: Sequence[str], choice: Choice, part: Part | None, max_events: int | None, on_events: Callable[[int], object]
) -> Iterator[Events]:
    """Chosen events in order, about `BLOCK_ELEMENTS` elements at a time, never none.

    Args:
        dataset: where they are.
        columns: what to read of them.
        choice: which are chosen.
        part: read its row groups only.
        max_events: stop after so many chosen ones.
        on_events: called with the number of events read.

    Raises:
        MlpfError: the dataset has fewer row groups than there are parts.
    """
    waiting: list[Events] = []
    num_yielded = num_waiting = 0
    for shard, group in _groups(dataset, part):
        events = dataset.read_groups(shard, [group], columns)
        chosen = choice(events)
        if max_events is not None:
            chosen = chosen.slice(0, min(len(chosen), max_events - num_yielded - num_waiting))
        on_events(len(events))
        if len(chosen):
            waiting.append(chosen)
            num_waiting += len(chosen)
        is_last = num_yielded + num_waiting == max_events
        if waiting and (is_last or sum(events.size("element") for events in waiting) >= BLOCK_ELEMENTS):
            yield concatenate(waiting)
            num_yielded, num_waiting, waiting = num_yielded + num_waiting, 0, []
        if is_last:
            return
    if waiting:
        yield concatenate(waiting)


def _groups(dataset: ShardedDataset, part: Part | None) -> list[tuple[int, int]]:
    """Shards and row groups in them."""
    groups = [(shard, group) for shard in range(len(dataset.shards)) for group in range(len(dataset.group_offsets(shard)) - 1)]
    if part is None:
        return groups
    if part.total > len(groups):
        raise MlpfError(f"{dataset.path}: part {part} is too fine, it has {len(groups)} row groups; use at most as many parts")
    return groups[part.number - 1 :: part.total]
