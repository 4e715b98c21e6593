from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mlpf.events import Events, event_index, offsets_from_counts
from mlpf.io.files import sha256
from mlpf.io.shards import Shard, write_manifest, write_parquet


@dataclass
class Toys:
    """Events whose entries hang together: their number, their scale and their kinds vary from event to event far more than by chance."""

    offsets: np.ndarray
    pt: np.ndarray
    kind: np.ndarray

    def permuted(self, order: np.ndarray) -> "Toys":
        offsets = offsets_from_counts(np.diff(self.offsets)[order])
        entries = np.repeat(self.offsets[order], np.diff(offsets)) + np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
        return Toys(offsets, self.pt[entries], self.kind[entries])


@pytest.fixture
def clustered() -> Callable[..., Toys]:
    """Makes clustered events of a seed, those behind ``first_shifted`` with a larger pt and more entries of the last kind."""

    def make(num_events: int, seed: int, shift: float = 0.0, first_shifted: int = 0) -> Toys:
        rng = np.random.default_rng(seed)
        offsets = offsets_from_counts(rng.poisson(20 * rng.lognormal(0.0, 0.5, num_events)))
        event = event_index(offsets)
        scale = rng.normal(0.0, 0.5, num_events) + np.where(np.arange(num_events) < first_shifted, 0.0, shift)
        pt = np.exp(scale[event] + rng.normal(0.0, 1.0, len(event)))
        share = rng.dirichlet((2.0, 2.0, 1.0), num_events) + np.array([0.0, 0.0, shift]) * (np.arange(num_events) >= first_shifted)[:, None]
        edges = np.cumsum(share / share.sum(axis=1, keepdims=True), axis=1)
        return Toys(offsets, pt, np.minimum((rng.random(len(event))[:, None] > edges[event]).sum(axis=1), 2))

    return make


@pytest.fixture
def write_shards(tmp_path) -> Callable[..., Path]:
    """Writes events into shards of given numbers of events; ``sources`` go to the manifest."""

    def write(events: Events, sizes: Sequence[int], sources: Sequence[dict[str, str]] = (), name: str = "dataset") -> Path:
        shards, edges = [], offsets_from_counts(np.array(sizes))
        for number, (first, last) in enumerate(pairwise(edges)):
            path = tmp_path / name / f"shard_{number}.parquet"
            counts = write_parquet(path, [events.slice(first, last)])
            shards.append(Shard(path.name, *counts, sha256(path)))
        write_manifest(tmp_path / name, shards, {"sources": list(sources)} if sources else {})
        return tmp_path / name

    return write
