"""Cuts, and what passes them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from mlpf.events import Events
from mlpf.schema import Layout
from mlpf.selection.language import compile_cut, counts_before


@dataclass(frozen=True)
class Selection:
    """One cut, see `mlpf.selection`.

    Attributes:
        text: what was typed.
        collection: whose entries it chooses; None: events.
        needs: columns it reads, with ``num_<collection>``.
    """

    text: str
    collection: str | None
    needs: frozenset[str]
    _condition: Callable[[Events], np.ndarray] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, layout: Layout) -> "Selection":
        """Read a cut on the columns of a layout.

        Raises:
            ConfigError: with the cut, the place in it, what is wrong there and the nearest column.
        """
        text = " ".join(text.split())
        value, needs = compile_cut(text, layout)
        return cls(text, value.collection, needs, value.evaluate)

    def mask(self, events: Events) -> np.ndarray:
        """``bool``, for every entry of the collection, or ``(B,)`` for every event; arithmetic in float64, comparisons with NaN are false (but ``!=``)."""
        with np.errstate(all="ignore"):
            return self._condition(events)

    def apply(self, events: Events) -> Events:
        """The entries, or the events, that pass."""
        return select(events, [self])


def select(events: Events, selections: Iterable[Selection]) -> Events:
    """What passes all cuts, each looking at the events as they are given here; so their order does not matter.

    Positions inside the event (links, indices) keep their values, which count the entries there were before.
    """
    masks: dict[str | None, np.ndarray] = {}
    for selection in selections:
        mask = selection.mask(events)
        masks[selection.collection] = masks[selection.collection] & mask if selection.collection in masks else mask
    chosen_events = masks.pop(None, None)
    for collection, mask in masks.items():
        events = _select_entries(events, str(collection), mask)
    return events if chosen_events is None else events.select(chosen_events)


def _select_entries(events: Events, collection: str, mask: np.ndarray) -> Events:
    columns = {name: values[mask] for name, values in events.columns.items() if events.layout.collection_of[name] == collection}
    return events.with_columns(columns, {collection: counts_before(mask)[events.collection_offsets(collection)]})
