"""Bins of a column, chosen by a look at its values: one per integer or per kind, of equal ratio for long tails, of equal and round width for all else."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlpf.plotting.association_graph import symbol
from mlpf.plotting.columns.config import BinningConfig
from mlpf.plotting.style import CLASS_TITLES
from mlpf.schema import CLASSES, EdgeKind, ElementType

NUM_BINS = 50  # about, in ranges that are chosen here
NUM_PHI_BINS = 36  # as many as HF towers: other numbers beat against them and show a comb
MAX_UNIT_BINS = 64
MAX_CATEGORIES = 20
TAIL = 1e-3  # share of the entries beyond the range, at either end, where the values go much further
FURTHER = 0.15  # of that range: extremes nearer than this are part of it
HEAVY = 12.0  # ratio of the upper end to the median; 10 for an exponential, 22 for a log-normal of width 1
MAX_SENTINELS = 2  # negative values, like -1 for "none", that do not stop an axis from being logarithmic
EXACT = 2.0**50  # halves next to smaller numbers are exact
KINDS: Mapping[str, Mapping[int, str]] = {
    "element_type": {int(kind): kind.name for kind in ElementType},
    **{column: {int(c): CLASS_TITLES[c.name.lower()] for c in CLASSES} for column in ("target_class", "candidate_class")},
    "edge_kind": {bits: " + ".join(str(kind.name).lower() for kind in EdgeKind if bits & kind) for bits in range(1, 2 ** len(EdgeKind))},
}
"""Columns of kinds: value -> name."""
PDGIDS = ("_pdgid", "_pid")


@dataclass(frozen=True)
class Binning:
    """Bins of one column.

    Attributes:
        edges: ``(n + 1,) float64``, increasing; a bin holds its lower edge, the last one both.
        log: the axis is logarithmic.
        categories: value -> name of the bins of a column of kinds, in their order: bin i is around i, all other values are above the last edge.
    """

    edges: np.ndarray
    log: bool = False
    categories: Mapping[int, str] | None = None

    def positions(self, values: np.ndarray) -> np.ndarray:
        """Values -> ``float64`` places on the axis."""
        if self.categories is None:
            return np.asarray(values, dtype=np.float64)
        known = np.array(sorted(self.categories))
        place = np.array([list(self.categories).index(value) for value in known], dtype=np.float64)
        found = np.minimum(np.searchsorted(known, values), len(known) - 1)
        return np.where(known[found] == values, place[found], float(len(known)))


def explicit(config: BinningConfig) -> Binning:
    """Bins of a parameter file."""
    edges = config.values()
    return Binning(edges, log=config.log)


def choose_binning(column: str, values: np.ndarray, allow_log: bool = True) -> Binning | None:
    """Bins for a column.

    Args:
        column: its name; columns of kinds and of pdgIds have one bin per value.
        values: some of its values, of all samples.
        allow_log: equal ratios are allowed.

    Returns:
        None where no value is finite.
    """
    values = values[np.isfinite(values)].astype(np.float64)
    if not len(values):
        return None
    if column in KINDS:
        return _categorical(KINDS[column])
    if column.endswith(PDGIDS):
        return _categorical(_common_pdgids(values, "candidate" in column))
    if values.min() == values.max():
        half = max(0.5, 1e-6 * abs(values[0]))
        return Binning(np.array([values[0] - half, values[0] + half]))
    if np.all(values == np.round(values)) and np.all(abs(values) < EXACT):
        return Binning(_integer_edges(*_range(values)))
    positive = values[values > 0]
    sentinels = len(np.unique(values[values < 0]))
    if allow_log and len(positive) and sentinels <= MAX_SENTINELS and np.quantile(positive, 1 - TAIL) > HEAVY * np.median(positive):
        return Binning(_ratio_edges(*_range(np.log(positive))), log=True)
    if _is_angle(values):
        return Binning(np.linspace(-np.pi, np.pi, NUM_PHI_BINS + 1))
    return Binning(_round_edges(*_range(values)))


def _categorical(names: Mapping[int, str]) -> Binning:
    return Binning(np.arange(len(names) + 1) - 0.5, categories=names)


def _common_pdgids(values: np.ndarray, candidate: bool) -> dict[int, str]:
    found, counts = np.unique(np.clip(values, -EXACT, EXACT).astype(np.int64), return_counts=True)
    common = found[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]].tolist()
    return {pid: symbol(pid, candidate) if pid else "none" for pid in sorted(common, key=lambda pid: (abs(pid), -pid))}


def _range(values: np.ndarray) -> tuple[float, float]:
    """Where all but the tails are. Zeros often mean "none of this kind of element": they do not tell the range, but lie in it if the rest is near."""
    informative = values[values != 0] if np.any(values != 0) else values
    inner = np.quantile(informative, (TAIL, 1 - TAIL))
    reach = FURTHER * (inner[1] - inner[0])
    extremes = values.min(), values.max()
    low = extremes[0] if inner[0] - extremes[0] <= reach else inner[0]
    high = extremes[1] if extremes[1] - inner[1] <= reach else inner[1]
    return float(low), float(high)


def _integer_edges(low: float, high: float) -> np.ndarray:
    """Bins of one integer each, or of several if there would be too many."""
    low, high = math.floor(low), math.ceil(high)
    width = 1 if high - low < MAX_UNIT_BINS else round_up((high - low + 1) / NUM_BINS, (1, 2, 5))
    first = math.floor(low / width) * width
    return first + width * np.arange((high - first) // width + 2) - 0.5


def _ratio_edges(log_low: float, log_high: float) -> np.ndarray:
    low, high = 1 / round_up(math.exp(-log_low), (1, 2, 5)), round_up(math.exp(log_high), (1, 2, 5))
    return np.geomspace(low, high, NUM_BINS + 1)


def _round_edges(low: float, high: float) -> np.ndarray:
    """Bins whose width and edges are round numbers."""
    if high <= low:  # all but a few values are the same
        low, high = low - max(0.5, 1e-6 * abs(low)), high + max(0.5, 1e-6 * abs(high))
    width = round_up((high - low) / NUM_BINS * 0.9, (1, 2, 2.5, 5))
    first, last = math.floor(low / width + 1e-6), math.ceil(high / width - 1e-6)
    return np.arange(first, last + 1) * width


def _is_angle(values: np.ndarray) -> bool:
    """Azimuths fill the circle."""
    return bool(-np.pi - 1e-3 < values.min() < -3.0 and 3.0 < values.max() < np.pi + 1e-3)


def round_up(value: float, steps: Sequence[float]) -> float:
    """The smallest of the steps times a power of ten that is not below a positive value."""
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    return next((step * power for step in steps if step * power >= value * (1 - 1e-9)), 10 * power)
