"""Samples without files: indices of random events."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlpf.events import Events
from mlpf.io.files import sha256
from mlpf.io.shards import Shard, write_manifest, write_parquet
from mlpf.samples.index import EventIndex
from mlpf.samples.mixing.config import SourceConfig
from mlpf.samples.mixing.plan import Pool


def random_index(num_events: int, seed: int = 0, scale: float = 50.0) -> EventIndex:
    """Events with different numbers, in shards of 100, whose variables are exponential around ``scale``."""
    rng = np.random.default_rng(seed)
    number = np.arange(num_events)
    elements = rng.poisson(20, num_events).astype(np.int32)
    return EventIndex(
        run=np.ones(num_events, dtype=np.int64),
        lumi=number // 10,
        event=rng.permutation(num_events).astype(np.int64),
        source=np.zeros(num_events, dtype=np.int32),
        shard=(number // 100).astype(np.int32),
        row=number % 100,
        group=(number % 100 // 16).astype(np.int32),
        mark=rng.integers(1, 2**63, num_events).astype(np.uint64),
        num_elements=elements,
        num_consumer_elements=elements // 2,
        leading_jet_pt=rng.exponential(scale, num_events).astype(np.float32),
        leading_jet_eta=rng.normal(0, 2, num_events).astype(np.float32),
        ht=rng.exponential(4 * scale, num_events).astype(np.float32),
    )


@pytest.fixture(scope="session")
def make_index() -> Callable[..., EventIndex]:
    """See `random_index`."""
    return random_index


@pytest.fixture(scope="session")
def make_pools() -> Callable[..., list[Pool]]:
    """Makes a pool of one dataset for every source of a configuration."""

    def make(sources: tuple[SourceConfig, ...], sizes: list[int], seed: int = 0) -> list[Pool]:
        pools = []
        for i, (source, size) in enumerate(zip(sources, sizes, strict=True)):
            pools.append(Pool(source, random_index(size, seed * 100 + i, 30.0 * (i + 1)), np.full(size, i, dtype=np.int32)))
        return pools

    return make


@pytest.fixture
def write_shards(tmp_path: Path, random_dataset: Callable[..., Events]) -> Callable[..., Path]:
    """Writes a dataset of random events in several shards: name, events of each shard -> folder."""

    def write(name: str, sizes: tuple[int, ...] = (40, 25), seed: int = 0, mean_elements: float = 30.0, policy: str = "caloparticle") -> Path:
        events = random_dataset(sum(sizes), mean_elements, seed)
        shards, start = [], 0
        for number, size in enumerate(sizes):
            path = tmp_path / name / f"shard_{number:05d}.parquet"
            num_events, num_elements = write_parquet(path, [events.slice(start, start + size)])
            shards.append(Shard(path.name, num_events, num_elements, sha256(path)))
            start += size
        write_manifest(tmp_path / name, shards, {"policy": policy})
        return tmp_path / name

    return write
