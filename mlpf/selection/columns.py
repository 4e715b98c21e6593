"""Columns as cuts and plots see them: one value per event or per entry of a collection, with the number of entries as a column of its own."""

import numpy as np

from mlpf.errors import nearest
from mlpf.events import Events
from mlpf.schema import Layout

MULTIPLICITY = "num_"
ONE_PER_EVENT = ("genmet",)  # collections that a layout holds as lists, whose lists have one entry


def collection_of(column: str, layout: Layout) -> str | None:
    """Whose entries a column (or ``num_<collection>``) has values for; None: one value per event.

    Raises:
        KeyError: there is no such column; the message names the nearest.
    """
    if column in layout.columns:
        collection = layout.collections[layout.collection_of[column]]
        return None if collection.scalar or collection.name in ONE_PER_EVENT else collection.name
    if counted_by(column, layout) is None:
        raise KeyError(f"no column '{column}' in the {layout.name} schema{nearest(column, (*layout.columns, *multiplicities(layout)))}")
    return None


def counted_by(column: str, layout: Layout) -> str | None:
    """The collection whose entries ``num_<collection>`` counts; None for any other column."""
    return column.removeprefix(MULTIPLICITY) if column in multiplicities(layout) else None


def multiplicities(layout: Layout) -> tuple[str, ...]:
    """``num_<collection>`` of all collections of a layout that have a varying number of entries."""
    return tuple(MULTIPLICITY + name for name, collection in layout.collections.items() if not collection.scalar and name not in ONE_PER_EVENT)


def column_values(events: Events, column: str) -> np.ndarray:
    """Values of a column as stored, of ``num_<collection>``, or of a list of one entry per event: ``(B,)``, NaN where the list is empty."""
    counted = counted_by(column, events.layout)
    if counted is not None:
        return events.counts(counted)
    collection = events.layout.collection_of[column]
    if collection not in ONE_PER_EVENT or events.layout.is_scalar(column):
        return events[column]
    values = np.full(len(events), np.nan)
    filled = events.counts(collection) > 0
    values[filled] = events[column][events.collection_offsets(collection)[:-1][filled]]
    return values


def per_entry(events: Events, values: np.ndarray, collection: str | None) -> np.ndarray:
    """Values per event -> values per entry of a collection; None: as they are."""
    return values if collection is None else np.repeat(values, events.counts(collection))
