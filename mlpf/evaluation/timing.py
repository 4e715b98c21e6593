"""How long a model takes per event, against the number of elements: a stream of batches -> counts that add up."""

import math
from typing import Any, Self

import numpy as np

from mlpf.metrics.uncertainty import MIN_FOR_INTERVAL, Estimate

ELEMENTS = np.array([0, 100, 150, 200, 300, 400, 600, 800, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 8000, 10_000, 15_000, 20_000, 50_000])
"""Edges of the bins in number of elements; larger events are in the last bin."""
_BINS_PER_DECADE = 100
_MILLISECONDS = np.logspace(-3, 6, 9 * _BINS_PER_DECADE + 1)  # from a microsecond to a quarter of an hour
_WARM_UP, _REST = 0, 1


class Timing:
    """Wall time of a model's batches.

    The time of a batch is shared by its events in proportion to their elements. Batches said to be of the warm-up (compilation, first allocation) count
    only as long as there are no others.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        threads: of the CPU.
        processor: name of the CPU or GPU.
    """

    def __init__(self, device: str, threads: int, processor: str) -> None:
        self.device = device
        self.threads = threads
        self.processor = processor
        self._seconds = np.zeros(2)
        self._batches = np.zeros((2, len(ELEMENTS) - 1), dtype=np.int64)  # with an event of so many elements
        self._events = np.zeros((2, len(ELEMENTS) - 1, len(_MILLISECONDS) - 1), dtype=np.int64)
        self._elements = np.zeros(2, dtype=np.int64)

    def add(self, num_elements: np.ndarray, seconds: float, warm_up: bool = False) -> None:
        """Add a batch of events with so many elements each, not all 0."""
        part = _WARM_UP if warm_up else _REST
        size = np.searchsorted(ELEMENTS[1:-1], num_elements, side="right")
        milliseconds = 1e3 * seconds * num_elements / num_elements.sum()
        duration = np.searchsorted(_MILLISECONDS[1:-1], milliseconds, side="right")
        np.add.at(self._events[part], (size, duration), 1)
        self._batches[part, np.unique(size)] += 1
        self._seconds[part] += seconds
        self._elements[part] += num_elements.sum()

    def __add__(self, other: "Timing") -> "Timing":
        """Both together; where they ran on different things, the names of both and the larger number of threads."""
        devices, processors = (", ".join(dict.fromkeys([*a.split(", "), *b.split(", ")])) for a, b in zip(self._names(), other._names(), strict=True))
        total = Timing(devices, max(self.threads, other.threads), processors)
        for name in ("_seconds", "_batches", "_events", "_elements"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def _names(self) -> tuple[str, str]:
        return self.device, self.processor

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything, for an .npz file."""
        named = {"device": np.array(self.device), "threads": np.array(self.threads), "processor": np.array(self.processor)}
        return named | {"seconds": self._seconds, "batches": self._batches, "events": self._events, "elements": self._elements}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """What `arrays` gave."""
        timing = cls(str(arrays["device"]), int(arrays["threads"]), str(arrays["processor"]))
        for name in ("seconds", "batches", "events", "elements"):
            setattr(timing, f"_{name}", arrays[name])
        return timing

    def to_json(self) -> dict[str, Any]:
        """Device, totals, and the median time per event in bins of the number of elements; rates are None before the first batch."""
        part = _REST if self._seconds[_REST] > 0 else _WARM_UP
        seconds, num_events = float(self._seconds[part]), int(self._events[part].sum())
        median = [_median(*counts).to_json() for counts in zip(self._events[part], self._batches[part], strict=True)]
        return {
            "device": self.device,
            "threads": self.threads,
            "processor": self.processor,
            "seconds": seconds,
            "events_per_second": num_events / seconds if seconds else None,
            "elements_per_second": int(self._elements[part]) / seconds if seconds else None,
            "milliseconds_per_event": {"elements": ELEMENTS.tolist(), "median": median},
        }


class Stopwatch:
    """Times one model; its first batch ever is the warm-up."""

    def __init__(self, device: str, threads: int, processor: str) -> None:
        self._place = (device, threads, processor)
        self._timing = Timing(*self._place)
        self._is_warm = False

    def add(self, num_elements: np.ndarray, seconds: float) -> None:
        """Add a batch of events with so many elements each, not all 0."""
        self._timing.add(num_elements, seconds, warm_up=not self._is_warm)
        self._is_warm = True

    def take(self) -> Timing:
        """The batches since the last call of this."""
        taken, self._timing = self._timing, Timing(*self._place)
        return taken


def _median(counts: np.ndarray, num_batches: int) -> Estimate:
    """Median time [ms] of a histogram, to about 1 %; its interval from order statistics (David and Nagaraja, Order Statistics, 2003, 7.1).

    The times of one batch are one measurement, so the interval is that of ``num_batches`` values.
    """
    total = int(counts.sum())
    if not total:
        return Estimate(np.nan, np.nan, np.nan, 0)
    half = 0.5 / math.sqrt(num_batches)  # one standard deviation of the share of values below the median
    target = np.array([0.5, 0.5 - half, 0.5 + half]) * total
    below = np.cumsum(counts)
    inside = np.searchsorted(below, target.clip(0.5, total - 0.5))
    share = ((target - below[inside] + counts[inside]) / counts[inside]).clip(0.0, 1.0)
    value, low, high = _MILLISECONDS[inside] * (_MILLISECONDS[1] / _MILLISECONDS[0]) ** share
    if num_batches < MIN_FOR_INTERVAL:
        low = high = np.nan
    return Estimate(value, low, high, total)
