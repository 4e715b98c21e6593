"""Events as the consumer passes them to a model: simulated ones that every export is checked on, and those of a user's file."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from mlpf.errors import MlpfError
from mlpf.producer.producer import consumer_input
from mlpf.producer.sources import open_source

CONTRACT_EVENTS = Path(__file__).with_name("contract_events.npz")
CHUNK_BYTES = 20_000_000  # a few events are wanted, so little is read at once


def contract_events() -> list[np.ndarray]:
    """``(N, 55) float32`` raw features of simulated events, N ascending from one to about 5000: guns, ttbar, ttbar with pileup.

    `scripts/make_contract_events.py` made the file.
    """
    with np.load(CONTRACT_EVENTS) as file:
        features, offsets = file["features"].T, file["offsets"]
    return [np.ascontiguousarray(features[start:stop]) for start, stop in pairwise(offsets)]


def write_events(path: Path, events: Sequence[np.ndarray]) -> None:
    """Write what `contract_events` reads. Columns lie one after the other, as they compress best, and lose nothing."""
    offsets = np.cumsum([0, *map(len, events)])
    np.savez_compressed(path, features=np.ascontiguousarray(np.concatenate(events).T), offsets=offsets)


def read_events(path: str | Path, max_events: int = 10) -> list[np.ndarray]:
    """``(N, 55) float32`` raw features of the first events of a file that have elements, N ascending.

    Args:
        path: a file that `mlpf.io.inputs.open_input` reads, or the folder of a dataset.
        max_events: how many.

    Raises:
        MlpfError: it cannot be read, or no event of it has an element that the consumer selects.
    """
    events: list[np.ndarray] = []
    with open_source(Path(path)) as source:
        for chunk in source.chunks(CHUNK_BYTES):
            selected = consumer_input(chunk)
            events += [selected.features[start:stop] for start, stop in pairwise(selected.offsets) if stop > start]
            if len(events) >= max_events:
                break
    if not events:
        raise MlpfError(f"{path}: no event with elements that the consumer selects; choose another file for --events")
    return sorted(events[:max_events], key=len)


def joined(events: Sequence[np.ndarray], num_elements: int) -> np.ndarray:
    """One event of the elements of several, the largest first, cut at ``num_elements``; shorter where there are not so many."""
    return np.concatenate(events[::-1])[:num_elements]
