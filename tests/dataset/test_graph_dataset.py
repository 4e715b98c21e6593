import numpy as np
import pytest
import torch

from mlpf import schema
from mlpf.dataset.batch import Targets
from mlpf.dataset.graph_dataset import MAX_DECODED_GROUPS, GraphDataset
from mlpf.errors import DatasetError
from mlpf.events import Events, offsets_from_counts
from mlpf.features import element_features
from mlpf.io.files import sha256
from mlpf.io.shards import Shard, ShardedDataset, write_manifest, write_parquet
from mlpf.schema import ElementType
from mlpf.testing import random_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return ShardedDataset(random_dataset(tmp_path_factory.mktemp("random"), num_events=40))


def rewrite(dataset, folder, **columns):
    """A copy of a dataset with some columns replaced."""
    events = dataset.read().with_columns(columns)
    write_parquet(folder / "a.parquet", [events])
    write_manifest(folder, [Shard("a.parquet", len(events), events.size("element"), sha256(folder / "a.parquet"))], {})
    return ShardedDataset(folder)


def all_targets(graphs):
    """Targets of all elements."""
    return Targets(*(torch.cat([graph[f"y_{name}"] for graph in graphs]) for name in Targets._fields))


def test_a_graph_holds_the_raw_features_and_identity_of_its_event(dataset):
    events = dataset.read()
    graphs = GraphDataset(dataset, "train")
    for graph, row in zip(graphs, graphs.row.tolist(), strict=True):
        event = events.slice(row, row + 1)
        np.testing.assert_array_equal(graph.x.numpy(), element_features(event))
        np.testing.assert_array_equal(graph.element.numpy(), event["element_index"])
        assert graph.event_id.tolist() == [[int(event[name][0]) for name in ("run", "lumi", "event")]]


def test_elements_that_the_consumer_drops_are_not_nodes(dataset, tmp_path):
    kind = dataset.read()["element_type"].copy()
    kind[::3] = np.resize(schema.CONSUMER_DROPPED_TYPES, len(kind[::3]))
    graphs = GraphDataset(rewrite(dataset, tmp_path, element_type=kind))
    together = [torch.cat(values) for values in zip(*((graph.x[:, 0], graph.element) for graph in graphs), strict=True)]
    assert set(np.unique(together[0])) == set(kind) - set(schema.CONSUMER_DROPPED_TYPES)
    assert graphs.num_elements.sum() == len(kind) - len(kind[::3])
    assert graphs.num_elements.tolist() == [graph.num_nodes for graph in graphs]
    kept = np.flatnonzero(~np.isin(kind, schema.CONSUMER_DROPPED_TYPES))
    np.testing.assert_array_equal(together[1], dataset.read()["element_index"][kept])


def test_targets_are_classes_ratios_and_directions(dataset):
    events = dataset.read()
    targets = all_targets(GraphDataset(dataset))
    for i in range(0, events.size("element"), 7):
        supercluster = events["element_type"][i] == ElementType.SC
        expected = 0 if supercluster else events["target_class"][i]
        assert schema.CLASS_IDS[targets.class_position[i]] == expected
        assert bool(targets.has_momentum[i]) == (expected != 0 and events["element_pt"][i] > 0)
        momentum = [0.0] * 5
        if targets.has_momentum[i]:
            ratio = events["target_pt"][i] / events["element_pt"][i], events["target_energy"][i] / events["element_energy"][i]
            momentum = [np.log(ratio[0]), *(events[f"target_{name}"][i] for name in ("eta", "sin_phi", "cos_phi")), np.log(ratio[1])]
            assert targets.charge[i] == events["target_charge"][i] + 1
        np.testing.assert_allclose(targets.momentum[i], momentum, atol=1e-6)


def test_a_particle_on_an_element_without_pt_has_no_momentum_target(dataset, tmp_path):
    changed = rewrite(dataset, tmp_path, element_pt=np.zeros(dataset.read().size("element")))
    targets = all_targets(GraphDataset(changed))
    assert (targets.class_position > 0).any()
    assert not targets.has_momentum.any()
    assert (targets.momentum == 0).all()


def test_an_unknown_class_is_reported_with_event_and_element(dataset, tmp_path):
    events = dataset.read()
    target_class = events["target_class"].copy()
    third = int(np.flatnonzero(events["element_type"] == ElementType.TRACK)[3])
    target_class[third] = 212
    event, element = events.locate("target_class", third)
    with pytest.raises(DatasetError, match=rf"event {event}: target_class\[{element}\] = 212"):
        list(GraphDataset(rewrite(dataset, tmp_path, target_class=target_class)))


def test_columns_that_the_dataset_lacks_read_as_zero(dataset, tmp_path):
    events = dataset.read()
    columns = {name: values for name, values in events.columns.items() if name not in ("element_time", "target_ispu")}
    write_parquet(tmp_path / "a.parquet", [Events(columns, events.offsets, len(events), layout=schema.DATASET)])
    write_manifest(tmp_path, [Shard("a.parquet", len(events), events.size("element"), sha256(tmp_path / "a.parquet"))], {})
    for graph in GraphDataset(ShardedDataset(tmp_path)):
        assert (graph.x[:, schema.FEATURE_INDEX["time"]] == 0).all()
        assert (graph.y_pileup == 0).all()


def test_a_dataset_without_targets_is_refused(dataset, tmp_path):
    events = dataset.read()
    columns = {name: values for name, values in events.columns.items() if name not in ("target_class", "target_pt")}
    write_parquet(tmp_path / "a.parquet", [Events(columns, events.offsets, len(events), layout=schema.DATASET)])
    write_manifest(tmp_path, [Shard("a.parquet", len(events), events.size("element"), sha256(tmp_path / "a.parquet"))], {})
    with pytest.raises(DatasetError, match=r"a\.parquet: holds no target_class, target_pt; make the dataset with mlpf postprocess"):
        GraphDataset(ShardedDataset(tmp_path))[0]


def test_events_without_elements_are_graphs_without_nodes(tmp_path):
    graphs = GraphDataset(ShardedDataset(random_dataset(tmp_path, num_events=30, mean_elements=1.0)))
    empty = np.flatnonzero(graphs.num_elements == 0)
    assert len(empty) > 0
    assert graphs[int(empty[0])].x.shape == (0, 55)


def test_graphs_are_the_same_in_any_order_and_few_row_groups_stay_in_memory(tmp_path):
    graphs = GraphDataset(ShardedDataset(random_dataset(tmp_path, num_events=16 * (MAX_DECODED_GROUPS + 3), mean_elements=3.0)), "train")
    in_order = list(graphs)
    for i in np.random.default_rng(0).permutation(len(graphs)):
        assert torch.equal(graphs[int(i)].x, in_order[i].x)
        assert len(graphs._decoded) <= MAX_DECODED_GROUPS
    with pytest.raises(IndexError, match=f"event {len(graphs)} of {len(graphs)}"):
        graphs[len(graphs)]


def test_a_graph_is_the_callers_own(dataset):
    graphs = GraphDataset(dataset)
    graph, expected = graphs[0], graphs[0].x.clone()
    for values in graph.to_dict().values():
        if isinstance(values, torch.Tensor):
            assert values.untyped_storage().nbytes() == values.nbytes  # it keeps and saves nothing of its neighbours
    graph.x.zero_()
    assert torch.equal(graphs[0].x, expected)
    assert expected.any()


def test_edges_join_the_nodes_that_their_elements_became(dataset, tmp_path):
    events = dataset.read()
    rng = np.random.default_rng(0)
    kind = events["element_type"].copy()
    kind[::4] = ElementType.BREM
    counts = np.where(events.counts("element") > 1, rng.poisson(30, len(events)), 0)
    event = np.repeat(np.arange(len(events)), counts)
    source, target = (rng.integers(0, events.counts("element")[event]) for _ in range(2))
    edges = {"edge_source": source, "edge_target": target, "edge_distance": np.arange(len(event), dtype=np.float32), "element_type": kind}
    events = events.with_columns(edges, {"edge": offsets_from_counts(counts)})
    write_parquet(tmp_path / "a.parquet", [events])
    write_manifest(tmp_path, [Shard("a.parquet", len(events), events.size("element"), sha256(tmp_path / "a.parquet"))], {})
    for number, graph in enumerate(GraphDataset(ShardedDataset(tmp_path))):
        first = events.collection_offsets("element")[number]
        own = [i for i in np.flatnonzero(event == number) if ElementType.BREM not in (kind[first + source[i]], kind[first + target[i]])]
        assert graph.edge_distance.tolist() == own
        assert graph.element[graph.edge_index[0]].tolist() == source[own].tolist()  # in this dataset an element's index is its position
        assert graph.element[graph.edge_index[1]].tolist() == target[own].tolist()


def test_without_edge_columns_graphs_have_no_edges(dataset):
    assert GraphDataset(dataset)[0].edge_index is None
