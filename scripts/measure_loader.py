#!/usr/bin/env python
"""Measure the loader of training batches: `python scripts/measure_loader.py -p parameters/tiny.yaml DATASET...`, a minute per dataset.

Rates are medians of wall time over epochs, those of the loader and the training (forward, backward, step of the parameter file's model) taken in turns. Memory
is the resident set of this process, without pages that it shares with its workers. Shuffling is measured on the order of delivery, from batch to batch, and
compared with the same events in random order: `correlation` is that of the batches' means with those of the next batch, 0 for random order; `displacement` is
the mean distance of an event from its place in the dataset, in units of the number of events, 1/3 for random order. Positions stand for whatever a dataset may
be sorted by.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import torch

from mlpf.config import load_parameters
from mlpf.dataset.loader import POOL_ELEMENTS, Loader
from mlpf.dataset.padding import fill_features, place_elements
from mlpf.dataset.plan import Plan
from mlpf.dataset.pool import COLUMNS
from mlpf.dataset.sample import Sample, select_split
from mlpf.features import consumer_elements, element_features
from mlpf.io.shards import ShardedDataset
from mlpf.loss.particle_flow import ParticleFlowLoss
from mlpf.nn.model import build_model
from mlpf.training.config import RunParameters, run_parameters

REPEATS = 3
TRAINING_BATCHES = 10  # enough for a rate
MILLION = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("-p", "--parameters", type=Path)
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    parameters = run_parameters(load_parameters(arguments.parameters))
    for path in arguments.datasets:
        sample = select_split(ShardedDataset(path))
        print(f"{path}: {len(sample)} events, {sample.num_elements.mean():.0f} elements each")
        measure_assembly(sample)
        measure_rates(sample, parameters, arguments.workers)
        measure_memory(sample, parameters.training.max_elements)
        for pool_elements in (1, POOL_ELEMENTS // 4, POOL_ELEMENTS, 4 * POOL_ELEMENTS):
            measure_shuffling(sample, parameters.training.max_elements, pool_elements)
    measure_planning(sample, parameters.training.max_elements)


def measure_assembly(sample: Sample) -> None:
    """Reading a row group, and making padded features of it in two ways."""
    events = sample.dataset.read_groups(0, [0], COLUMNS)
    counts = np.bincount(np.repeat(np.arange(len(events)), events.counts("element"))[consumer_elements(events["element_type"])], minlength=len(events))
    start = np.arange(len(events)) * counts.max()
    out = np.zeros((len(events) * counts.max(), 55), dtype=np.float32)

    def fill() -> None:
        element, row, _ = place_elements(events, start)
        fill_features(out, events, element, row)

    def gather() -> None:
        kept = consumer_elements(events["element_type"])
        owner = np.repeat(np.arange(len(events)), events.counts("element"))[kept]
        features = element_features(events)[kept]
        out[np.repeat(start, counts) + np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)] = features

    fill()
    ours = out.copy()
    gather()
    assert ours.tobytes() == out.tobytes()
    times = [nanoseconds(action, len(out)) for action in (lambda: sample.dataset.read_groups(0, [0], COLUMNS), fill, gather)]
    print(f"  ns of CPU per element: read {times[0]:.0f}, features into place {times[1]:.0f}, by way of (N, 55) {times[2]:.0f}")


def nanoseconds(action: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(15):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return 1e9 * statistics.median(times) / count


def measure_rates(sample: Sample, parameters: RunParameters, workers: list[int]) -> None:
    budget = parameters.training.max_elements
    loaders = {number: Loader([sample], budget, seed=1, num_workers=number) for number in workers}
    steps = train_steps(Loader([sample], budget, seed=1), parameters)
    next(steps)
    rates: dict[object, list[float]] = {number: [] for number in (*workers, "training")}
    for _ in range(REPEATS):
        for number, loader in loaders.items():
            start = time.perf_counter()
            rates[number].append(sum(len(batch.mask) for batch in loader) / (time.perf_counter() - start))
        start = time.perf_counter()
        rates["training"].append(sum(islice(steps, TRAINING_BATCHES)) / (time.perf_counter() - start))
    training = statistics.median(rates.pop("training"))
    texts = [f"{number} workers {statistics.median(rate):.0f}/s ({statistics.median(rate) / training:.0f} x)" for number, rate in rates.items()]
    print(f"  loader: {', '.join(texts)}; training {training:.1f}/s on {torch.get_num_threads()} threads")


def train_steps(loader: Loader, parameters: RunParameters) -> Iterator[int]:
    """Trains; gives the number of events of each step."""
    model, loss = build_model(parameters.model), ParticleFlowLoss(parameters.loss)
    optimizer = torch.optim.AdamW(model.parameters())
    while True:
        for batch in list(loader):
            optimizer.zero_grad()
            loss(model(batch.features, batch.mask), batch)["total"].backward()
            optimizer.step()
            yield len(batch.mask)


def measure_memory(sample: Sample, max_elements: int) -> None:
    """Over epochs of small pools, after the first."""
    process, loader = psutil.Process(), Loader([sample], max_elements, seed=1, pool_elements=1)
    for _ in loader:
        pass
    seen = []
    for _ in range(5):
        for number, _ in enumerate(loader):
            if number % 5 == 0:
                seen.append(process.memory_info().rss / 1e6)
    tenth = max(1, len(seen) // 10)
    print(f"  memory over 5 epochs: first tenth {np.mean(seen[:tenth]):.0f} MB, last {np.mean(seen[-tenth:]):.0f} MB, most {max(seen):.0f} MB")


def measure_shuffling(sample: Sample, max_elements: int, pool_elements: int) -> None:
    loader = Loader([sample], max_elements, seed=1, pool_elements=pool_elements)
    pools = loader.plan.pools(0)
    order = np.argsort(sample.index.shard.astype(np.int64) * 2**32 + sample.index.group * 2**16 + sample.place)
    key = (sample.index.shard.astype(np.int64) * 2**32 + sample.index.group * 2**16 + sample.place)[order]
    where = [pool.groups[pool.group] for pool in pools]
    found = np.concatenate([groups[:, 1] * 2**32 + groups[:, 2] * 2**16 + pool.place for groups, pool in zip(where, pools, strict=True)])
    position = order[np.searchsorted(key, found)]
    counts = np.concatenate([np.diff(pool.offsets) for pool in pools])
    random = np.random.default_rng(0).permutation(len(sample))
    rows = sum(int((np.diff(pool.offsets) * pool.longest).sum()) for pool in pools)
    texts = []
    for name, values in (("position", np.arange(len(sample))), ("size", sample.num_elements), ("HT", sample.index.ht)):
        texts.append(f"{name} {neighbour_correlation(values[position], counts):+.2f} ({neighbour_correlation(values[random], counts):+.2f})")
    displacement = np.abs(position - np.arange(len(position))).mean() / len(position)
    print(
        f"  pools of {loader.plan.pool_elements}: {len(pools)}, {len(counts)} batches, padding {1 - sample.num_elements[position].sum() / rows:.1%}, "
        f"displacement {displacement:.3f}, correlation (random) {', '.join(texts)}"
    )


def neighbour_correlation(values: np.ndarray, counts: np.ndarray) -> float:
    """Of the mean of a batch with that of the next."""
    means = np.array([part.mean() for part in np.split(values.astype(float), np.cumsum(counts)[:-1])])
    return float(np.corrcoef(means[:-1], means[1:])[0, 1])


def measure_planning(sample: Sample, max_elements: int) -> None:
    """Of a dataset of a million events, made of copies of this one."""
    copies = -(-MILLION // len(sample))
    index = sample.index.select(np.tile(np.arange(len(sample)), copies))
    shard = index.shard + np.repeat(np.arange(copies), len(sample)) * (int(sample.index.shard.max()) + 1)
    starts = [sample.group_offsets[:-1] + copy * len(sample) for copy in range(copies)]
    offsets = np.append(np.concatenate(starts), copies * len(sample))
    large = Sample(sample.dataset, replace(index, shard=shard), np.tile(sample.place, copies), offsets, np.tile(sample.group_rows, copies))
    plan = Plan([large], max_elements, POOL_ELEMENTS, seed=1)
    times = []
    for action in (plan.num_batches, lambda: plan.pools(1)):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    print(f"planning {len(large)} events: {times[0]:.2f} s once, {times[1]:.2f} s per epoch of {plan.num_batches()} batches")


if __name__ == "__main__":
    main()
