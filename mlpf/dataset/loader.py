"""Graphs -> padded batches of events of similar size, under a budget of elements."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Batch as GraphBatch
from torch_geometric.data import Data
from torch_geometric.utils import to_dense_batch

from mlpf.dataset.batch import Batch, Targets
from mlpf.dataset.graph_dataset import GraphDataset

SIZE_SPREAD = 1.25  # largest over smallest event of a batch; at most 20 % of a batch is padding


class SizeBatchSampler(Sampler[list[int]]):
    """Batches of events whose sizes differ by at most `SIZE_SPREAD`, with at most ``max_elements`` elements after padding.

    Events sorted by size fall into pools of similar size; each epoch shuffles inside the pools, and then the batches. The number of batches is the same in
    every epoch. An event larger than the budget is a batch of its own.

    Args:
        num_elements: ``(B,)`` elements per event.
        max_elements: budget per batch.
        shuffle: otherwise by size, always the same.
        seed: of the shuffling; epoch e (counted from 0, one per pass) of a seed is always the same.
    """

    def __init__(self, num_elements: np.ndarray, max_elements: int, shuffle: bool = True, seed: int = 0) -> None:
        self.pools = _pools(num_elements, max_elements)
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return sum(-(-len(pool) // size) for pool, size in self.pools)

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: a loader with workers asks for an iterator that it never uses, which must not count as a pass.
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        batches = []
        for pool, size in self.pools:
            events = rng.permutation(pool) if self.shuffle else pool
            batches += [events[first : first + size].tolist() for first in range(0, len(events), size)]
        order = rng.permutation(len(batches)) if self.shuffle else range(len(batches))
        yield from (batches[i] for i in order)


def _pools(num_elements: np.ndarray, max_elements: int) -> list[tuple[np.ndarray, int]]:
    """Events of similar size and how many of them make a batch."""
    order = np.argsort(num_elements, kind="stable")
    sizes = np.maximum(num_elements[order], 1)
    pools = []
    first = 0
    while first < len(sizes):
        last = int(np.searchsorted(sizes, sizes[first] * SIZE_SPREAD, side="right"))
        pools.append((order[first:last], max(1, int(max_elements // sizes[last - 1]))))
        first = last
    return pools


def collate(graphs: Sequence[Data]) -> Batch:
    """Graphs of B events -> `Batch`, padded to the largest."""
    graph = GraphBatch.from_data_list(list(graphs))
    features, real = to_dense_batch(graph.x, graph.batch, batch_size=len(graphs))
    targets = Targets(*(to_dense_batch(graph[f"y_{name}"], graph.batch, batch_size=len(graphs))[0] for name in Targets._fields))
    return Batch(features, real.float(), real.float(), targets)


def make_loader(dataset: GraphDataset, max_elements: int, shuffle: bool, seed: int = 0, num_workers: int = 0) -> DataLoader:
    """A loader of `Batch` over all events of a dataset."""
    sampler = SizeBatchSampler(dataset.num_elements, max_elements, shuffle, seed)
    return DataLoader(dataset, batch_sampler=sampler, collate_fn=collate, num_workers=num_workers, persistent_workers=num_workers > 0)
