"""Bins of events, and how many of each a mixture takes from every source."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mlpf.samples.index import EventIndex
from mlpf.samples.mixing.config import MixConfig


@dataclass(frozen=True)
class Bins:
    """All combinations of a type and one interval per variable, numbered from 0; the last variable runs fastest.

    Attributes:
        types: types of sources, each once, sorted.
        edges: variable -> increasing edges.
    """

    types: tuple[str, ...]
    edges: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, config: MixConfig) -> "Bins":
        """The bins that a configuration asks for."""
        return cls(tuple(sorted({source.type for source in config.sources})), {str(variable): edges for variable, edges in config.bins.items()})

    @property
    def cells(self) -> int:
        """Bins of one type."""
        return math.prod(len(edges) - 1 for edges in self.edges.values())

    def __len__(self) -> int:
        return len(self.types) * self.cells

    def assign(self, events: EventIndex, source_type: str) -> np.ndarray:
        """``(B,) int32`` bin of each event, -1 outside of all."""
        bins = np.full(len(events), self.types.index(source_type), dtype=np.int64)
        inside = np.ones(len(events), dtype=bool)
        for variable, edges in self.edges.items():
            values = getattr(events, variable)
            # 0.7 as float32 is below 0.7: edges are rounded as the values were
            interval = np.searchsorted(np.asarray(edges, values.dtype if values.dtype.kind == "f" else np.float64), values, side="right") - 1
            inside &= (interval >= 0) & (interval < len(edges) - 1)
            bins = bins * (len(edges) - 1) + interval
        return np.where(inside, bins, -1).astype(np.int32)

    def label(self, number: int) -> str:
        """A bin in words: ``qcd, leading_jet_pt 30 to 60``."""
        words = []
        for variable, edges in reversed(tuple(self.edges.items())):
            number, interval = divmod(number, len(edges) - 1)
            low, high = list(pairwise(edges))[interval]
            words.append(f"{variable} {low:g} to {high:g}")
        return ", ".join([self.types[number], *reversed(words)])


def share_quota(quota: int, available: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Share the events of a bin among its sources in proportion to weight; what a source lacks the others give.

    Shares are rounded up, each of what is left, from the smallest weight to the largest: no source goes without for being small, and the rounding is at the
    expense of those where it matters least.

    Args:
        quota: events to share, at most ``sum(available)``.
        available: events of every source.
        weights: of every source, above 0.

    Returns:
        events of every source; their sum is ``quota``.
    """
    shares = [0] * len(available)
    left = [i for i in sorted(range(len(weights)), key=lambda i: weights[i]) if available[i]]
    while left:
        per_weight = (quota - sum(shares)) / sum(weights[i] for i in left)
        exhausted = [i for i in left if available[i] <= per_weight * weights[i]]
        if not exhausted:
            break
        for i in exhausted:
            shares[i] = available[i]
            left.remove(i)
    for place, i in enumerate(left):
        asked = (quota - sum(shares)) * weights[i] / sum(weights[k] for k in left[place:])
        shares[i] = min(math.ceil(asked - 1e-6), available[i])  # a share of 7 may come out as 7.0000000001
    return shares
