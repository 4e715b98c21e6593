"""What is claimed: a measured number, what it should be and who says so."""

from typing import Any, NamedTuple

import numpy as np

from mlpf.metrics.uncertainty import Estimate

STATISTICAL_TOLERANCE = 2.0  # standard deviations of the measurement by which a number may lie outside before it counts as outside


class Check(NamedTuple):
    """A number that is held against an expectation.

    Attributes:
        topic: which table it belongs to.
        quantity: what was measured; its row.
        where: the bin; its column.
        measured: the number and its 68 % interval.
        low, high: what is tolerated.
        source: of the expectation.
    """

    topic: str
    quantity: str
    where: str
    measured: Estimate
    low: float
    high: float
    source: str

    @property
    def is_measured(self) -> bool:
        """Whether there were events enough for a number and its interval."""
        return bool(np.isfinite(np.array(self.measured[:3], dtype=np.float64)).all())

    @property
    def inside(self) -> bool:
        """Whether the number is tolerated: inside the limits or, of statistics alone, no further than two standard deviations outside."""
        value, low, high = (float(number) for number in self.measured[:3])
        return bool(value + STATISTICAL_TOLERANCE * (high - value) >= self.low and value - STATISTICAL_TOLERANCE * (value - low) <= self.high)

    def to_json(self) -> dict[str, Any]:
        """Everything, for `validation.json`."""
        return {
            "topic": self.topic,
            "quantity": self.quantity,
            "where": self.where,
            "measured": self.measured.to_json(),
            "tolerated": [None if np.isinf(bound) else float(bound) for bound in (self.low, self.high)],
            "source": self.source,
            "inside": self.inside,
        }


class Findings(NamedTuple):
    """What a part of the validation found.

    Attributes:
        curves: for the figures, as JSON.
        checks: for the tables.
    """

    curves: dict[str, Any]
    checks: list[Check]


def checks_of(
    topic: str, quantity: str, estimates: Estimate, edges: np.ndarray, tolerated: tuple[float, float], source: str, unit: str = "", first: float = -np.inf
) -> list[Check]:
    """A row of checks, one per bin that starts at ``first`` or above."""
    columns = (np.asarray(column) for column in estimates)
    single = (Estimate(*numbers) for numbers in zip(*columns, strict=True))
    bins = zip(edges[:-1], edges[1:], single, strict=True)
    return [Check(topic, quantity, f"{low:g} to {high:g}{unit}", estimate, *tolerated, source) for low, high, estimate in bins if low >= first]


def scaled(estimate: Estimate, factor: np.ndarray | float) -> Estimate:
    """An estimate times exact numbers."""
    value, low, high = (np.asarray(number) * factor for number in estimate[:3])
    return Estimate(value, low, high, estimate.n)


def curve(edges: np.ndarray, estimates: dict[str, Estimate], **expected: np.ndarray) -> dict[str, Any]:
    """Numbers in bins, for `validation.json`: ``edges``, one list per name, and what was expected in each bin."""
    return {
        "edges": [float(edge) for edge in edges],
        **{name: estimate.to_json() for name, estimate in estimates.items()},
        **{name: [float(number) if np.isfinite(number) else None for number in values] for name, values in expected.items()},
    }
