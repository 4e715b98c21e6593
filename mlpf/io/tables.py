"""Collections of other formats as flat tables, and rules that make columns out of their members."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlpf.events import event_index, offsets_from_counts
from mlpf.kinematics import Values


class Table:
    """Objects of one kind, event after event.

    Args:
        offsets: ``(B + 1,)`` event boundaries.
        columns: name -> ``(N,)`` or ``(N, k)`` values.
    """

    def __init__(self, offsets: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        self.offsets = np.asarray(offsets, dtype=np.int64)
        self.columns = dict(columns)
        assert all(len(values) == len(self) for values in self.columns.values()), {name: len(values) for name, values in self.columns.items()}

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    @property
    def num_events(self) -> int:
        """B."""
        return len(self.offsets) - 1

    @property
    def event(self) -> np.ndarray:
        """``(N,)`` event of every row."""
        return event_index(self.offsets)

    @property
    def position(self) -> np.ndarray:
        """``(N,)`` place of every row inside its event."""
        return np.arange(len(self)) - self.offsets[self.event]

    def where(self, kept: np.ndarray) -> "Table":
        """The rows that a ``(N,) bool`` mask selects."""
        offsets = offsets_from_counts(np.bincount(self.event[kept], minlength=self.num_events))
        return Table(offsets, {name: values[kept] for name, values in self.columns.items()})

    def with_columns(self, columns: Mapping[str, np.ndarray]) -> "Table":
        """A copy with columns added or replaced."""
        return Table(self.offsets, {**self.columns, **columns})


def stack(tables: Sequence[Table]) -> tuple[Table, list[np.ndarray]]:
    """Rows of several tables event by event, in each event those of the first table first; what a table lacks is 0 in its rows.

    Returns:
        the table, and for each of the given ones the new places of its rows.
    """
    counts = np.array([len(table) for table in tables])
    event = np.concatenate([table.event for table in tables])
    order = np.argsort(event, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    columns = {}
    for name in dict.fromkeys(name for table in tables for name in table.columns):
        known = next(table[name] for table in tables if name in table)
        parts = [table[name] if name in table else np.zeros((len(table), *known.shape[1:]), known.dtype) for table in tables]
        columns[name] = np.concatenate(parts)[order]
    offsets = np.sum([table.offsets for table in tables], axis=0)
    return Table(offsets, columns), np.split(place, np.cumsum(counts)[:-1])


def _as_it_is(values: np.ndarray) -> np.ndarray:
    return values


@dataclass(frozen=True)
class Rule:
    """How a column is made of members of an object.

    Attributes:
        members: names, in the order of the function's arguments.
        function: arrays of members -> array of the column.
    """

    members: tuple[str, ...]
    function: Callable[..., Values] = _as_it_is


Rules = Mapping[str, Rule]


def rule(*members: str, function: Callable[..., Values] = _as_it_is) -> Rule:
    """A `Rule`, for tables of them."""
    return Rule(members, function)


def constant(value: float) -> Rule:
    """A `Rule` for a column that is the same everywhere."""
    return Rule((), lambda: value)


def possible(rules: Rules, members: Sequence[str] | Mapping[str, object]) -> dict[str, Rule]:
    """The rules whose members are all there."""
    return {name: r for name, r in rules.items() if all(member in members for member in r.members)}


def members_of(*schemas: Rules) -> tuple[str, ...]:
    """All members that rules use, each once."""
    return tuple(dict.fromkeys(member for rules in schemas for r in rules.values() for member in r.members))


def apply_rules(rules: Rules, table: Table) -> Table:
    """The columns that rules make of a table; those that lack a member are left out."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what comes of absurd members is found by name when it is used
        made = {name: np.asarray(r.function(*(table[member] for member in r.members))) for name, r in possible(rules, table.columns).items()}
    return Table(table.offsets, {name: values if values.ndim else np.broadcast_to(values, len(table)) for name, values in made.items()})


def first_match(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """``(W,)`` row of ``keys`` that equals each of ``wanted``, -1 where none does.

    Args:
        keys: ``(N,)`` or ``(N, k)``; of equal ones the first counts.
        wanted: ``(W,)`` or ``(W, k)``.
    """
    axis = None if keys.ndim == 1 else 0
    _, first, inverse = np.unique(np.concatenate([keys, wanted]), axis=axis, return_index=True, return_inverse=True)
    found = first[inverse.reshape(-1)[len(keys) :]]
    return np.where(found < len(keys), found, -1)
