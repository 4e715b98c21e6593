"""Weights of elements in the loss, so that rare classes are learned as well as frequent ones, and a class at all pt and eta.

Of an element of class c in the bin b of (pt, abs(eta)), with n_c elements of the class, n_cb of them in the bin, K_c of its bins not empty and p the power:

    w = clip(s n_c^-p f_cb, low, high)      f_cb = (sum over b of n_cb) / (K_c n_cb)

The flattening f leaves the total of a class as it is, as every bin that is not empty then has the same share of it. The scale s makes the mean of w over all
elements that were counted 1. A class without elements counts as if it had one; an empty bin, or an element whose pt or eta is not finite, has f = 1.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numba
import numpy as np
import pydantic
from scipy.optimize import brentq

from mlpf import schema
from mlpf.config import Config
from mlpf.errors import DatasetError
from mlpf.events import Events
from mlpf.features import CLASS_POSITION, consumer_elements
from mlpf.io.shards import ShardedDataset
from mlpf.io.workers import map_in_order
from mlpf.samples.split import SPLITS, SplitConfig, in_split

COLUMNS = ("element_type", "element_pt", "element_eta", "target_class", "target_pt", "target_eta")
DESCRIPTION = ("class", "elements", "share", "lowest weight", "mean weight", "highest weight", "share of all weight")
_GROUPS_PER_CHUNK = 32

_Edges = tuple[pydantic.NonNegativeFloat, ...]


class ElementWeightConfig(Config):
    """Parameters of the formula above."""

    class_power: float = pydantic.Field(default=0.5, ge=0.0, le=1.0)
    """Power p: at 0 all classes weigh alike, at 1 all have the same total."""
    flatten: bool = False
    """Whether each class gets the same total in all its bins of (pt, eta)."""
    pt_edges: _Edges = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    """Where one bin of pt ends and the next begins [GeV]; the first bin begins at 0 and the last is open."""
    abs_eta_edges: _Edges = (1.5, 2.5, 3.0)
    """The same for abs(eta): ends of barrel, tracker and endcap."""
    clip: tuple[pydantic.PositiveFloat, pydantic.PositiveFloat] = (0.1, 10.0)
    """Smallest and largest weight, with 1 between them."""

    @pydantic.field_validator("pt_edges", "abs_eta_edges")
    @classmethod
    def _edges_increase(cls, value: _Edges) -> _Edges:
        if not all(low < high for low, high in pairwise(value)):
            raise ValueError("edges must increase")
        return value

    @pydantic.field_validator("clip")
    @classmethod
    def _one_is_inside(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not value[0] < 1.0 < value[1]:
            raise ValueError("must be one number below and one above 1, the mean of the weights")
        return value

    @property
    def inner_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges of pt and of abs(eta) in use, ``float32``; none without `flatten`, which leaves one bin."""
        pt, abs_eta = (self.pt_edges, self.abs_eta_edges) if self.flatten else ((), ())
        return np.array(pt, dtype=np.float32), np.array(abs_eta, dtype=np.float32)

    @property
    def num_cells(self) -> int:
        """Cells of a class: its bins, pt by abs(eta), and one more for elements whose pt or eta is not finite."""
        pt, abs_eta = self.inner_edges
        return (len(pt) + 1) * (len(abs_eta) + 1) + 1


@dataclass(frozen=True, eq=False)
class ElementWeights:
    """Weights of elements, from counts over training events.

    Args:
        config: the parameters.
        counts: ``(NUM_CLASSES, config.num_cells) int64`` elements by class, in the order of `schema.CLASSES`, and cell.
    """

    config: ElementWeightConfig
    counts: np.ndarray

    @cached_property
    def table(self) -> np.ndarray:
        """``(NUM_CLASSES, config.num_cells) float32``: weight of an element in each cell."""
        low, high = self.config.clip
        unscaled = np.maximum(self.counts.sum(axis=1, keepdims=True), 1.0) ** -self.config.class_power * _flattening(self.counts)
        total = self.counts.sum()

        def excess(log_scale: float) -> float:
            return float((self.counts * np.clip(np.exp(log_scale) * unscaled, low, high)).sum() / total) - 1.0

        ends = np.log(low / unscaled.max()), np.log(high / unscaled.min())  # where all weights are the smallest, the largest
        scale = np.exp(brentq(excess, *ends, xtol=1e-12)) if total else 1.0
        return np.clip(scale * unscaled, low, high).astype(np.float32)

    def __call__(self, events: Events) -> np.ndarray:
        """``(N,) float32`` weights of all elements of a dataset's events, which must hold `COLUMNS`.

        Class "no particle" have, as in `mlpf.dataset.targets`, also the elements that can never yield a candidate (`schema.NO_CANDIDATE_TYPES`).

        Raises:
            DatasetError: a column is missing, or a class is not in `schema.CLASSES`.
        """
        return self.table.ravel()[element_cells(events, self.config)]

    def to_json(self) -> str:
        """Parameters and counts, from which `from_json` makes the same weights."""
        counts = {name: values.tolist() for name, values in zip(schema.CLASS_NAMES, self.counts, strict=True)}
        return json.dumps({"config": self.config.model_dump(mode="json"), "counts": counts}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "element weights") -> Self:
        """What `to_json` wrote.

        Raises:
            DatasetError: it is something else; ``source`` says in the message where it comes from.
        """
        try:
            content = json.loads(text)
            config = ElementWeightConfig.model_validate(content["config"])
            counts = np.array([content["counts"][name] for name in schema.CLASS_NAMES], dtype=np.int64)
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{source}: not weights of elements: {' '.join(str(error).split())[:200]}") from error
        if counts.shape != (schema.NUM_CLASSES, config.num_cells) or counts.min() < 0:
            raise DatasetError(f"{source}: counts of shape {counts.shape}, expected ({schema.NUM_CLASSES}, {config.num_cells}), none negative")
        return cls(config, counts)

    def describe(self) -> list[tuple[str, ...]]:
        """A row of text, with the columns `DESCRIPTION`, for every class that has elements."""
        rows, total = [], self.counts.sum()
        for name, counts, weights in zip(schema.CLASS_NAMES, self.counts, self.table.astype(float), strict=True):
            if counts.any():
                own, weight, there = counts.sum(), (counts * weights).sum(), weights[counts > 0]
                numbers = (own / total, there.min(), weight / own, there.max(), weight / total)
                rows.append((name, str(own), *(f"{number:.4g}" for number in numbers)))
        return rows


def _flattening(counts: np.ndarray) -> np.ndarray:
    """``f_cb`` of the formula above, of the same shape as the counts of `ElementWeights`."""
    binned = counts[:, :-1]
    factors = np.ones(counts.shape)
    share = binned.sum(axis=1, keepdims=True) / np.maximum((binned > 0).sum(axis=1, keepdims=True), 1)
    np.divide(share, binned, out=factors[:, :-1], where=binned > 0)
    return factors


def measure_element_weights(
    datasets: Sequence[ShardedDataset], split: str | None, split_config: SplitConfig, config: ElementWeightConfig, jobs: int = 1
) -> ElementWeights:
    """Count the elements that a model sees (without PS1, PS2 and BREM) by class, pt and eta, in one pass over a few columns.

    Args:
        datasets: all count together; each element once, whatever the weight of its event.
        split: one of `SPLITS`, or none for all events.
        split_config: how events are shared among the splits.
        config: the parameters.
        jobs: processes that read the shards.

    Raises:
        DatasetError: a damaged shard, no targets, an unknown class, or no element at all.
    """
    assert split is None or split in SPLITS
    tasks = [_Task(dataset, shard, split, split_config, config) for dataset in datasets for shard in range(len(dataset.shards))]
    counts = np.zeros((schema.NUM_CLASSES, config.num_cells), dtype=np.int64)
    for part in map_in_order(_count_shard, tasks, jobs):
        counts += part
    if not counts.any():
        places = ", ".join(str(dataset.path) for dataset in datasets)
        raise DatasetError(f"{places}: no element in the events of {split or 'the dataset'}, so nothing to weigh; use more events")
    return ElementWeights(config, counts)


@dataclass(frozen=True)
class _Task:
    """A shard to count; travels to another process."""

    dataset: ShardedDataset
    shard: int
    split: str | None
    split_config: SplitConfig
    config: ElementWeightConfig

    def __str__(self) -> str:
        return str(self.dataset.shard_path(self.shard))


def _count_shard(task: _Task) -> np.ndarray:
    counts = np.zeros(schema.NUM_CLASSES * task.config.num_cells, dtype=np.int64)
    groups = range(len(task.dataset.group_offsets(task.shard)) - 1)
    for first in groups[::_GROUPS_PER_CHUNK]:
        events = task.dataset.read_groups(task.shard, groups[first : first + _GROUPS_PER_CHUNK], (*schema.IDENTITY, *COLUMNS))
        counted = consumer_elements(events["element_type"])
        own = in_split(events["run"], events["lumi"], events["event"], task.split, task.split_config)
        counted &= np.repeat(own, events.counts("element"))
        counts += np.bincount(element_cells(events, task.config)[counted], minlength=len(counts))
    return counts.reshape(schema.NUM_CLASSES, -1)


def element_cells(events: Events, config: ElementWeightConfig) -> np.ndarray:
    """``(N,) int64`` cell of every element, counted through all cells of all classes; of a particle by its own pt and eta, of no particle by the element's.

    Raises:
        DatasetError: a column is missing, or a class is not in `schema.CLASSES`.
    """
    missing = [name for name in COLUMNS if name not in events]
    if missing:
        raise DatasetError(f"{events.source}: holds no {', '.join(missing)}; make the dataset with mlpf postprocess from an ntuple with truth")
    cells = _cells(tuple(events[name] for name in COLUMNS), config.inner_edges, CLASS_POSITION, _YIELDS_NOTHING)
    if len(cells) and cells.min() < 0:
        first = int(np.argmax(cells < 0))
        event, element = events.locate("target_class", first)
        raise DatasetError(f"{events.source}: event {event}: target_class[{element}] = {events['target_class'][first]} is none of {schema.CLASS_IDS}")
    return cells


_YIELDS_NOTHING = np.isin(np.arange(schema.NUM_ELEMENT_TYPES), schema.NO_CANDIDATE_TYPES)


@numba.njit(cache=True)
def _cells(columns: tuple[np.ndarray, ...], edges: tuple[np.ndarray, np.ndarray], class_position: np.ndarray, yields_nothing: np.ndarray) -> np.ndarray:
    """See `element_cells`; -1 where the class is unknown."""
    element_type, element_pt, element_eta, target_class, target_pt, target_eta = columns  # as in COLUMNS
    pt_edges, abs_eta_edges = edges
    not_finite = (len(pt_edges) + 1) * (len(abs_eta_edges) + 1)
    cells = np.empty(len(element_type), dtype=np.int64)
    for i in range(len(cells)):
        own_class, kind = target_class[i], element_type[i]
        if 0 <= kind < len(yields_nothing) and yields_nothing[kind]:
            own_class = 0
        if own_class < 0 or own_class >= len(class_position) or class_position[own_class] < 0:
            cells[i] = -1
            continue
        pt, eta = (target_pt[i], target_eta[i]) if own_class > 0 else (element_pt[i], element_eta[i])
        cell = not_finite
        if np.isfinite(pt) and np.isfinite(eta):
            cell = _bin(pt, pt_edges) * (len(abs_eta_edges) + 1) + _bin(abs(eta), abs_eta_edges)
        cells[i] = class_position[own_class] * (not_finite + 1) + cell
    return cells


@numba.njit(cache=True)
def _bin(value: float, edges: np.ndarray) -> int:
    """Number of edges at or below the value; they are few."""
    position = 0
    while position < len(edges) and value >= edges[position]:
        position += 1
    return position
