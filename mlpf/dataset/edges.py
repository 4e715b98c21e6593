"""Edges of a dataset between the elements that a model sees."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch

from mlpf.dataset.batch import Edges
from mlpf.errors import DatasetError
from mlpf.events import Events, offsets_from_counts
from mlpf.features import consumer_elements

GRAPH_COLUMNS = ("edge_source", "edge_target", "edge_distance")
EDGE_COLUMNS = (*GRAPH_COLUMNS, "edge_kind")


class EventEdges(NamedTuple):
    """Edges of B events whose ends are both among the elements that the consumer passes to the model (all but PS1, PS2, BREM).

    Attributes:
        index: ``(2, E) int64`` source and target, counted among these elements of their event.
        distance: ``(E,) float32`` as the dataset has it.
        kind: ``(E,) int32`` as the dataset has it, 0 where it has none.
        offsets: ``(B + 1,) int64`` event boundaries.
    """

    index: np.ndarray  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    distance: np.ndarray
    kind: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, events: Events) -> Self:
        """Edges of a dataset's events.

        Raises:
            DatasetError: an edge has an end that is no element of its event.
        """
        kept = consumer_elements(events["element_type"])
        before = offsets_from_counts(kept)  # kept elements before each
        elements, edges = events.collection_offsets("element"), events.collection_offsets("edge")
        first, last = (np.repeat(bounds, np.diff(edges)) for bounds in (elements[:-1], elements[1:]))
        ends = np.stack([events["edge_source"], events["edge_target"]]) + first
        outside = ((ends < first) | (ends >= last)).any(axis=0)
        if outside.any():
            event, edge = events.locate("edge_source", int(np.argmax(outside)))
            raise DatasetError(f"{events.source}: event {event}: edge {edge} joins elements that the event has not; make the dataset again")
        both = kept[ends].all(axis=0)
        index = (before[ends] - before[first])[:, both]
        return cls(index, events["edge_distance"][both], events["edge_kind"][both], offsets_from_counts(both)[edges])

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Edges of all events of some parts, in their order."""
        index, distance, kind = (np.concatenate(values, axis=-1) for values in list(zip(*parts, strict=True))[:3])
        return cls(index, distance, kind, offsets_from_counts(np.concatenate([np.diff(part.offsets) for part in parts])))

    def in_rows(self, event: np.ndarray, start: np.ndarray) -> Edges:
        """Edges of some events, one after the other, between the rows of a buffer.

        Args:
            event: ``(K,) int64`` which events.
            start: ``(K,) int64`` row of the first element of each; the others follow.
        """
        counts = np.diff(self.offsets)[event]
        offsets = offsets_from_counts(counts)
        own = np.arange(offsets[-1]) + np.repeat(self.offsets[event] - offsets[:-1], counts)
        index = self.index[:, own] + np.repeat(start, counts)
        return Edges(torch.from_numpy(index), torch.from_numpy(self.distance[own]), torch.from_numpy(self.kind[own].astype(np.int64)))


def require_edges(events: Events) -> None:
    """Raise `DatasetError` unless a dataset's events come with edges."""
    if not events.has(*EDGE_COLUMNS):
        missing = ", ".join(name for name in EDGE_COLUMNS if name not in events)
        raise DatasetError(
            f"{events.source}: holds no {missing}, and the model works on edges; make the dataset with mlpf postprocess and a choice of edges, "
            "for example postprocess: {caloparticle: {edges: [links, knn]}}"
        )
