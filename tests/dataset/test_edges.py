import numpy as np
import pytest

from mlpf.dataset.edges import EventEdges, require_edges
from mlpf.errors import DatasetError
from mlpf.events import Events, offsets_from_counts
from mlpf.features import consumer_elements
from mlpf.schema import ElementType


@pytest.fixture
def events(random_dataset):
    """Events with random edges, elements that the consumer drops, and some without any edge."""
    made = random_dataset(num_events=12, mean_elements=20.0)
    rng = np.random.default_rng(1)
    kind = made["element_type"].copy()
    kind[rng.random(len(kind)) < 0.3] = ElementType.BREM
    counts = rng.poisson(30.0, len(made)) * (np.arange(len(made)) % 4 > 0)
    event = np.repeat(np.arange(len(made)), counts)
    source, target = (rng.integers(0, made.counts("element")[event]) for _ in range(2))
    columns = {"edge_source": source, "edge_target": target, "edge_distance": np.arange(len(event)), "edge_kind": rng.integers(1, 8, len(event))}
    return made.with_columns({**columns, "element_type": kind}, {"edge": offsets_from_counts(counts)})


def listed(events, number):
    """Edges of one event, by a loop: (source, target, distance, kind), ends counted among the elements that the consumer passes on."""
    one = events.slice(number, number + 1)
    kept = consumer_elements(one["element_type"])
    place = {i: place for place, i in enumerate(np.flatnonzero(kept).tolist())}
    ends = zip(one["edge_source"].tolist(), one["edge_target"].tolist(), one["edge_distance"].tolist(), one["edge_kind"].tolist(), strict=True)
    return [(place[i], place[j], distance, kind) for i, j, distance, kind in ends if kept[i] and kept[j]]


def test_edges_join_the_elements_that_are_left(events):
    edges = EventEdges.of(events)
    for number in range(len(events)):
        own = slice(*edges.offsets[number : number + 2])
        found = list(zip(*edges.index[:, own].tolist(), edges.distance[own].tolist(), edges.kind[own].tolist(), strict=True))
        assert found == listed(events, number)
    assert 0 < edges.offsets[-1] < events.size("edge")


def test_edges_of_chosen_events_follow_each_other_in_their_rows(events):
    chosen, start = np.array([7, 0, 3, 10]), np.array([100, 40, 0, 60])
    expected = [(i + first, j + first, d, k) for number, first in zip(chosen, start, strict=True) for i, j, d, k in listed(events, number)]
    found = EventEdges.of(events).in_rows(chosen, start)
    assert list(zip(*found.index.tolist(), found.distance.tolist(), found.kind.tolist(), strict=True)) == expected
    assert expected


def test_no_event_has_no_edge(events):
    edges = EventEdges.of(events).in_rows(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    assert [values.shape for values in edges] == [(2, 0), (0,), (0,)]


@pytest.mark.parametrize(("column", "value"), [("edge_source", -1), ("edge_target", 10_000)])
def test_an_edge_to_nowhere_is_refused_with_its_place(events, column, value):
    """An end of -1 would be an element of the event before."""
    ends = events[column].copy()
    fifth = events.collection_offsets("edge")[5] + 2
    ends[fifth] = value
    with pytest.raises(DatasetError, match="event 5: edge 2 joins elements that the event has not"):
        EventEdges.of(events.with_columns({column: ends}))


def test_a_dataset_without_edges_is_one_clear_line(events):
    require_edges(events)
    columns = {name: values for name, values in events.columns.items() if name not in ("edge_distance", "edge_kind")}
    with pytest.raises(DatasetError, match=r"holds no edge_distance, edge_kind, .*; make the dataset with mlpf postprocess and a choice of edges"):
        require_edges(Events(columns, events.offsets, len(events), "a.parquet", layout=events.layout))
