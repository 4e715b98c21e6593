"""What the figures are drawn from: the numbers of one dataset."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mlpf.metrics.systems import MEASURED, TARGETS
from mlpf.plotting.summary.systems import Look, default_reference, look_of_systems

Results = dict[str, Any]
Estimate = dict[str, Any]  # value, low, high, n


@dataclass(frozen=True)
class Summary:
    """The numbers of one dataset, and how they are shown.

    Attributes:
        entry: of `metrics.json`, ``datasets[NAME]``.
        classification: of `performance.json`, ``classification[NAME]``.
        dataset: its name.
        reference: system that ratios are taken to, where it is among those drawn; else and by default `default_reference`.
        models: all models of the evaluation, in the order that gives them their looks; by default those of the entry.
    """

    entry: Results
    classification: Results = field(default_factory=dict)
    dataset: str = ""
    reference: str | None = None
    models: Sequence[str] | None = None

    @cached_property
    def titles(self) -> dict[str, str]:
        """Titles of the systems."""
        return self.entry["systems"]

    @cached_property
    def looks(self) -> dict[str, Look]:
        """Looks of the systems."""
        return look_of_systems(self.titles, self.models)

    def section(self, name: str) -> Results:
        """A section's content by system, in the order of the systems; empty where it is missing."""
        content = self.entry.get(name, {})
        return {system: content[system] for system in self.titles if system in content}

    def reference_among(self, systems: Iterable[str]) -> str | None:
        """The system that ratios are taken to; None where there is nothing to compare."""
        systems = list(systems)
        if len(systems) < 2:
            return None
        return self.reference if self.reference in systems else default_reference(systems)

    def classes(self) -> list[str]:
        """Classes that occur among the targets (all of them where there are no targets)."""
        numbers = self.entry.get("multiplicity", {}).get(TARGETS, {})
        return [name for name, number in numbers.items() if number["number"]["value"]] or list(MEASURED)

    def pileup_range(self) -> tuple[float, float]:
        """Of the numbers of pileup collisions of the events, in whole bins."""
        edges, is_filled = self.edges("vertices"), np.zeros(len(self.edges("vertices")) - 1, dtype=bool)
        for estimates in pick(self.section("met"), "residual", "vertices", "iqr").values():
            is_filled |= [estimate["n"] > 0 for estimate in estimates]
        shown = np.flatnonzero(is_filled if is_filled.any() else ~is_filled)
        return float(edges[shown[0]]), float(edges[shown[-1] + 1])

    def edges(self, bins: str) -> np.ndarray:
        """Edges of bins."""
        return np.array(self.entry["bins"][bins], dtype=np.float64)


def columns(estimates: Sequence[Estimate]) -> tuple[np.ndarray, np.ndarray]:
    """Values ``(n,)`` and distances to the ends of their intervals ``(2, n)``; NaN where undefined."""
    value, low, high = (np.array([np.nan if e[key] is None else e[key] for e in estimates], dtype=np.float64) for key in ("value", "low", "high"))
    return value, np.stack([value - low, high - value])


def has_values(curves: Mapping[str, Sequence[Estimate]]) -> bool:
    """Whether any system has any value."""
    return any(estimate["value"] is not None for estimates in curves.values() for estimate in estimates)


def pick(systems: Results, *place: str) -> Results:
    """What each system has at a place below it; without those that have nothing there."""
    found = {}
    for system, content in systems.items():
        for key in place:
            content = content.get(key) if isinstance(content, dict) else None
        if content is not None:
            found[system] = content
    return found
