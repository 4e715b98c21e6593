"""Rows of tables: numbers of all systems from one place in `metrics.json` or `performance.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mlpf.plotting.report.estimates import Better, Estimate, has_value

Results = Mapping[str, Any]

GOOD: dict[str, Better] = {
    "median": "one",
    "iqr": "low",
    "iqr_over_median": "low",
    "tails": "low",
    "efficiency": "high",
    "right_class": "high",
    "fake_rate": "low",
    "matched": "high",
    "matched_wide": "high",
    "purity": "high",
}


@dataclass(frozen=True)
class Row:
    """A line of a table: what it is, the number of each system, what a good one would be."""

    title: str
    values: Mapping[str, Estimate]
    better: Better = None


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    title: str
    rows: Sequence[Row]


def find(results: Any, *place: str | int) -> Any:
    """What is at a place of nested dictionaries and lists; None where anything on the way is missing."""
    for key in place:
        if isinstance(results, Mapping):
            results = results.get(str(key))
        elif isinstance(results, list) and isinstance(key, int) and key < len(results):
            results = results[key]
        else:
            return None
    return results


def row(title: str, section: Results | None, place: Sequence[str | int], better: Better) -> Row:
    """The number at a place below each system of a section."""
    values = {system: found for system in section or {} if (found := find(section, system, *place)) is not None}
    return Row(title, values, better)


def groups(*candidates: Group) -> list[Group]:
    """Groups with those of their rows that have a number anywhere."""
    kept = [Group(group.title, [r for r in group.rows if any(map(has_value, r.values.values()))]) for group in candidates]
    return [group for group in kept if group.rows]


def bin_title(name: str) -> str:
    """``pt_1_5`` as people write it."""
    words = name.split("_")
    if len(words) != 3 or words[0] != "pt":
        return "all elements" if name == "all" else name.replace("_", " ")
    return f"elements above {words[1]} GeV" if words[2] == "inf" else f"elements of {words[1]}–{words[2]} GeV"


def in_bins(
    entry: Results,
    edges: str,
    section: str,
    place: tuple[str, ...],
    quantity: str | None,
    title: str,
    below: tuple[str, ...] = (),
    good: Better = None,
) -> list[Row]:
    """One row for each bin of a quantity; ``title`` takes the bin."""
    where = place + ((quantity,) if quantity else ()) + below
    limits = find(entry, "bins", edges) or []
    return [
        row(title.format(f"{low:g}–{high:g}"), entry.get(section), (*where, i), good or GOOD[quantity or ""]) for i, (low, high) in enumerate(pairwise(limits))
    ]


def fullest(found: list[Row]) -> list[Row]:
    """The row with the most entries."""
    return [max(found, key=lambda r: sum(estimate["n"] or 0 for estimate in r.values.values()))] if found else []
