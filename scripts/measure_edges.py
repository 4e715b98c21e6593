#!/usr/bin/env python
"""Time the graphs of `mlpf.graph` against scipy's k-d tree: `python scripts/measure_edges.py [NTUPLE.root ...]`, a minute on one core.

Medians of CPU time in ms, one thread, of uniform points and of the elements of one event of each ntuple. Every call starts from coordinates: trees are built
and cells filled inside the measured time. The tree gets phi's period in the faster of two ways, a periodic box or copies of the points near the seam. Within a
radius it finds every pair once and no distances (`query_pairs`), where ours gives both directions, sorted, with distances; `once` is ours with every pair once.
Before anything is timed the pairs and distances are compared.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from mlpf.graph.knn import knn_graph
from mlpf.graph.radius import radius_graph
from mlpf.io.inputs import open_input

NUMBERS = (500, 1000, 5000, 10_000, 20_000)
RADII = (0.1, 0.2, 0.3, 0.4)
NEIGHBORS = (8, 16, 32)
FAR = 1000.0  # length of the box along eta: no neighbour across its ends
REPEATS = 9


class Cloud(NamedTuple):
    """Points of one event: eta and phi as float64, phi in [-pi, pi), and their offsets."""

    name: str
    eta: np.ndarray
    phi: np.ndarray
    offsets: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ntuples", nargs="*", help="ntuples whose largest event of the first hundred is measured too")
    clouds = [uniform(number) for number in NUMBERS] + [elements(path) for path in parser.parse_args().ntuples]
    print(f"{'points':26} {'graph':12} {'k-d tree':>9} {'ours':>9} {'ratio':>6} {'once':>9} {'ratio':>6}")
    for cloud in clouds:
        for radius in RADII:
            check_pairs(cloud, radius)
            tree = min(milliseconds(periodic_pairs, cloud, radius), milliseconds(copied_pairs, cloud, radius))
            ours = milliseconds(radius_graph, cloud.eta, cloud.phi, cloud.offsets, radius)
            once = milliseconds(radius_graph, cloud.eta, cloud.phi, cloud.offsets, radius, True)
            print(f"{cloud.name:26} {f'radius {radius}':12} {tree:9.3f} {ours:9.3f} {tree / ours:6.2f} {once:9.3f} {tree / once:6.2f}")
        for k in NEIGHBORS:
            check_nearest(cloud, k)
            tree = min(milliseconds(periodic_nearest, cloud, k), milliseconds(copied_nearest, cloud, k))
            ours = milliseconds(knn_graph, cloud.eta, cloud.phi, cloud.offsets, k)
            print(f"{cloud.name:26} {f'k {k}':12} {tree:9.3f} {ours:9.3f} {tree / ours:6.2f}")


def uniform(number: int) -> Cloud:
    rng = np.random.default_rng(number)
    return Cloud(f"uniform, {number}", rng.uniform(-5, 5, number), rng.uniform(-np.pi, np.pi, number), np.array([0, number]))


def elements(path: str) -> Cloud:
    with open_input(path) as ntuple:
        events = next(ntuple.iterate(("element_eta", "element_phi"), stop=min(100, ntuple.num_events)))
    largest = int(np.argmax(events.counts("element")))
    event = events.slice(largest, largest + 1)
    eta, phi = (event[f"element_{name}"].astype(np.float64) for name in ("eta", "phi"))
    number = len(np.unique(np.stack([eta, phi]), axis=1).T)
    return Cloud(f"elements, {len(eta)} at {number}", eta, np.where(phi < np.pi, phi, phi - 2 * np.pi), np.array([0, len(eta)]))


def milliseconds(work: Callable[..., object], *arguments: object) -> float:
    """Median CPU time of a call, after one that compiles."""
    work(*arguments)
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work(*arguments)
        times.append(time.process_time() - start)
    return 1000 * statistics.median(times)


def boxed(cloud: Cloud) -> tuple[np.ndarray, cKDTree]:
    points = np.stack([cloud.eta + FAR / 2, cloud.phi + np.pi], axis=1)
    return points, cKDTree(points, boxsize=(FAR, 2 * np.pi))


def periodic_pairs(cloud: Cloud, radius: float) -> np.ndarray:
    return boxed(cloud)[1].query_pairs(radius, output_type="ndarray")


def periodic_nearest(cloud: Cloud, k: int) -> tuple[np.ndarray, np.ndarray]:
    points, tree = boxed(cloud)
    return tree.query(points, k + 1)


def with_copies(cloud: Cloud, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """The points and, a turn away, copies of those up to ``reach`` from the seam; and which point each is."""
    low, high = np.flatnonzero(cloud.phi < reach - np.pi), np.flatnonzero(cloud.phi > np.pi - reach)
    original = np.concatenate([np.arange(len(cloud.eta)), low, high])
    turn = np.repeat([0.0, 2 * np.pi, -2 * np.pi], [len(cloud.eta), len(low), len(high)])
    return np.stack([cloud.eta[original], cloud.phi[original] + turn], axis=1), original


def copied_pairs(cloud: Cloud, radius: float) -> np.ndarray:
    points, original = with_copies(cloud, radius)
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    number = len(cloud.eta)
    inside, across = pairs[pairs[:, 1] < number], pairs[(pairs[:, 0] < number) & (pairs[:, 1] >= number)]
    across[:, 1] = original[across[:, 1]]
    return np.concatenate([inside, across[across[:, 0] < across[:, 1]]])


def copied_nearest(cloud: Cloud, k: int) -> tuple[np.ndarray, np.ndarray]:
    reach = 4 * np.sqrt(20 * np.pi * (k + 1) / len(cloud.eta) / np.pi)  # four times the radius that holds k on average: enough nearly always
    points, original = with_copies(cloud, reach)
    distance, nearest = cKDTree(points).query(points[: len(cloud.eta)], k + 1)
    return distance, original[nearest]


def check_pairs(cloud: Cloud, radius: float) -> None:
    edges = radius_graph(cloud.eta, cloud.phi, cloud.offsets, radius, once=True)
    ours = np.stack([edges.source, edges.target], axis=1)
    for pairs in (periodic_pairs(cloud, radius), copied_pairs(cloud, radius)):
        expected = pairs[np.lexsort(pairs.T[::-1])]
        assert np.array_equal(ours, expected), f"{cloud.name}, radius {radius}: other pairs than the tree's"


def check_nearest(cloud: Cloud, k: int) -> None:
    ours = knn_graph(cloud.eta, cloud.phi, cloud.offsets, k).distance.reshape(-1, k)
    np.testing.assert_allclose(ours, periodic_nearest(cloud, k)[0][:, 1:], rtol=1e-6, atol=1e-9)


if __name__ == "__main__":
    main()
