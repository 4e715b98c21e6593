import json
import os
import signal

import numpy as np
import pytest
import torch

from mlpf import schema
from mlpf.dataset import loader as loader_module
from mlpf.dataset.graph_dataset import GraphDataset
from mlpf.dataset.loader import Loader
from mlpf.dataset.sample import select_split
from mlpf.errors import DatasetError, MlpfError
from mlpf.events import Events, offsets_from_counts
from mlpf.io.files import sha256
from mlpf.io.shards import Shard, ShardedDataset, write_manifest, write_parquet
from mlpf.samples.split import SplitConfig
from mlpf.schema import ElementType
from mlpf.testing import random_dataset


def write(folder, *shards):
    """A dataset of one shard per chunk of events."""
    listed = []
    for number, events in enumerate(shards):
        path = folder / f"part-{number}.parquet"
        write_parquet(path, [events])
        listed.append(Shard(path.name, len(events), events.size("element"), sha256(path)))
    write_manifest(folder, listed, {})
    return ShardedDataset(folder)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """One of two shards with weights of events, and a small one without."""
    folder = tmp_path_factory.mktemp("data")
    events = ShardedDataset(random_dataset(folder / "source", num_events=130, mean_elements=20.0)).read()
    kind = events["element_type"].copy()
    kind[::9] = ElementType.PS1
    events = events.with_columns({"element_type": kind, "weight": np.random.default_rng(0).uniform(0.5, 2.0, len(events))})
    return [write(folder / "first", events.slice(0, 70), events.slice(70, 130)), ShardedDataset(random_dataset(folder / "second", 40, 3.0, seed=1))]


@pytest.fixture(scope="module")
def samples(datasets):
    return [select_split(dataset, "train", SplitConfig(train=0.7, validation=0.2, test=0.1)) for dataset in datasets]


def make(samples, **settings):
    return Loader(samples, **{"max_elements": 60, "pool_elements": 300, "seed": 3, **settings})


def content(batches):
    """All bytes of some batches."""
    return [
        b"".join(values.numpy().tobytes() for values in (b.features, b.mask, b.weight, *b.targets, b.event_id, *(b.edges or ()))) + str(b.mask.shape).encode()
        for b in batches
    ]


def test_a_batch_is_its_events_and_padding(datasets):
    """Against the graphs of the same events, which another code makes; events are told apart by their first feature row."""
    graphs = [graph for dataset in datasets for graph in GraphDataset(dataset)]
    by_features = {graph.x.numpy().tobytes(): graph for graph in graphs if len(graph.x)}
    num_empty = sum(not len(graph.x) for graph in graphs)
    assert num_empty > 0
    for batch in make([select_split(dataset) for dataset in datasets]):
        counts = batch.mask.sum(dim=1).int().tolist()
        assert batch.features.shape == (len(counts), max(counts), schema.NUM_FEATURES)
        for row, count in enumerate(counts):
            assert batch.mask[row].tolist() == [1.0] * count + [0.0] * (max(counts) - count)
            if not count:
                num_empty -= 1
                continue
            graph = by_features.pop(batch.features[row, :count].numpy().tobytes())
            assert not batch.features[row, count:].any()
            assert not batch.weight[row, count:].any()
            for name, values in batch.targets._asdict().items():
                expected = graph[f"y_{name}"]
                assert values.dtype == expected.dtype
                assert torch.equal(values[row, :count], expected), name
                assert not values[row, count:].any(), name
    assert not by_features
    assert num_empty == 0


def test_a_batch_knows_the_identity_of_its_events(datasets):
    """By the index, which is read from other columns than the elements; events of the two datasets have the same numbers."""
    for dataset in datasets:
        sample = select_split(dataset)
        counts = dict(zip(zip(*(getattr(sample.index, name).tolist() for name in schema.IDENTITY), strict=True), sample.num_elements.tolist(), strict=True))
        for batch in make([sample]):
            assert batch.event_id.dtype == torch.int64
            for identity, count in zip(batch.event_id.tolist(), batch.mask.sum(dim=1).tolist(), strict=True):
                assert counts.pop(tuple(identity)) == count
        assert not counts


def test_particles_know_their_jets_from_1_on(datasets, tmp_path):
    events = datasets[1].read()
    jets = np.random.default_rng(0).integers(-1, 4, events.size("element"))
    jets[::11] = -5  # not a jet either
    jet_of = dict(zip(events["element_eta"].tolist(), zip(jets.tolist(), events["target_class"].tolist(), strict=True), strict=True))
    seen = set()
    for batch in make([select_split(write(tmp_path, events.with_columns({"target_jet_index": jets})))]):
        assert not batch.targets.jet[batch.mask == 0].any()
        particle = batch.targets.class_position > 0  # superclusters yield none
        for jet, eta, is_particle in zip(
            *(values[batch.mask > 0].tolist() for values in (batch.targets.jet, batch.features[..., schema.FEATURE_INDEX["eta"]], particle)), strict=True
        ):
            assert jet == (max(jet_of[eta][0], -1) + 1 if is_particle else 0)
            seen.add(jet)
    assert seen == {0, 1, 2, 3, 4}


def test_without_jets_in_the_dataset_no_particle_has_one(samples):
    assert not any(batch.targets.jet.any() for batch in make(samples))


def with_edges(events, run):
    """Random edges between elements of every event, which gets another run, so that the identity tells datasets apart."""
    rng = np.random.default_rng(run)
    counts = np.where(events.counts("element") > 1, rng.poisson(25.0, len(events)), 0)
    event = np.repeat(np.arange(len(events)), counts)
    source, target = np.sort([rng.integers(0, events.counts("element")[event]) for _ in range(2)], axis=0)
    order = np.lexsort((target, source, event))
    columns = {"edge_source": source[order], "edge_target": target[order], "edge_distance": 1e5 * run + np.arange(len(event))}
    columns |= {"edge_kind": rng.integers(1, 8, len(event)), "run": np.full(len(events), run)}
    return events.with_columns(columns, {"edge": offsets_from_counts(counts)})


@pytest.fixture(scope="module")
def edged(datasets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edges")
    first, second = with_edges(datasets[0].read(), 1), with_edges(datasets[1].read(), 2)
    return [write(folder / "first", first.slice(0, 70), first.slice(70, len(first))), write(folder / "second", second)]


def test_edges_are_those_of_the_graphs_of_the_events(edged):
    graphs = {tuple(graph.event_id[0].tolist()): graph for dataset in edged for graph in GraphDataset(dataset)}
    num_edges = 0
    for batch in make([select_split(dataset) for dataset in edged], edges=True):
        longest = batch.mask.shape[1]
        assert [values.dtype for values in batch.edges] == [torch.int64, torch.float32, torch.int64]
        assert (batch.mask.flatten()[batch.edges.index] == 1).all()
        event = batch.edges.index // longest
        assert torch.equal(event[0], event[1])
        for row, identity in enumerate(batch.event_id.tolist()):
            graph, own = graphs.pop(tuple(identity)), event[0] == row
            assert torch.equal(batch.edges.index[:, own] - row * longest, graph.edge_index)
            assert torch.equal(batch.edges.distance[own], graph.edge_distance)
            num_edges += int(own.sum())
    assert not graphs
    assert num_edges > 1000


def test_kinds_of_edges_follow_their_edges(edged):
    kind_of = {}
    for dataset in edged:
        events = dataset.read()
        kind_of |= dict(zip(events["edge_distance"].tolist(), events["edge_kind"].tolist(), strict=True))
    for batch in make([select_split(dataset) for dataset in edged], edges=True):
        assert batch.edges.kind.tolist() == [kind_of[distance] for distance in batch.edges.distance.tolist()]


def test_whoever_asks_for_no_edges_gets_none_and_the_same_batches(edged):
    samples = [select_split(dataset) for dataset in edged]
    without, with_them = list(make(samples)), list(make(samples, edges=True))
    assert all(batch.edges is None for batch in without)
    assert content(without) == content(batch._replace(edges=None) for batch in with_them)


def test_edges_do_not_depend_on_workers_nor_on_where_a_pass_begins(edged):
    samples = [select_split(dataset) for dataset in edged]
    whole = make(samples, edges=True)
    expected = content(whole)
    assert content(make(samples, edges=True, num_workers=2)) == expected
    for cut in range(1, len(whole), 3):
        resumed = make(samples, edges=True, num_workers=cut % 2)
        resumed.load_state_dict({**whole.state_dict(), "epoch": 0, "num_delivered": cut})
        assert content(resumed) == expected[cut:]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_dataset_without_edges_is_one_clear_line_also_from_a_worker(datasets, edged, num_workers):
    samples = [select_split(edged[0]), select_split(datasets[1])]
    with pytest.raises(DatasetError, match=r"second/part-0\.parquet: holds no edge_source, .*; make the dataset with mlpf postprocess and a choice of edges"):
        list(make(samples, edges=True, num_workers=num_workers))


def test_an_element_weighs_what_its_event_does_times_its_own(datasets):
    events = datasets[0].read()
    weight_of = dict(zip(events["element_eta"].tolist(), np.repeat(events["weight"], events.counts("element")).tolist(), strict=True))
    assert len(weight_of) == events.size("element")

    def tracks_thrice(chunk):
        return np.where(chunk["element_type"] == ElementType.TRACK, 3.0, 1.0).astype(np.float32)

    for batch in make([select_split(datasets[0])], element_weights=tracks_thrice):
        elements = batch.features[batch.mask > 0]
        expected = [weight_of[eta] for eta in elements[:, schema.FEATURE_INDEX["eta"]].tolist()] * np.where(elements[:, 0] == ElementType.TRACK, 3.0, 1.0)
        np.testing.assert_allclose(batch.weight[batch.mask > 0], expected, rtol=1e-6)
    assert all(torch.equal(batch.weight, batch.mask) for batch in make([select_split(datasets[1])]))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(samples, num_workers):
    alone, helped = make(samples), make(samples, num_workers=num_workers)
    for _ in range(2):
        assert content(alone) == content(helped)


def test_every_pass_is_an_epoch_of_the_same_length(samples):
    loader = make(samples)
    epochs = [content(loader) for _ in range(3)]
    assert {len(epoch) for epoch in epochs} == {len(loader)}
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert [content(make(samples)) for _ in range(2)] == [epochs[0]] * 2


def test_an_iterator_that_nobody_uses_is_not_an_epoch(samples):
    first, again = make(samples), make(samples)
    iter(first)
    assert content(first) == content(again)


def test_a_pass_that_was_left_early_is_over(samples):
    loader, again = make(samples), make(samples)
    next(iter(loader))
    content(again)
    assert content(loader) == content(again)


def test_without_shuffling_every_pass_is_the_same_and_has_every_event(samples):
    loader = make(samples, shuffle=False)
    passes = [list(loader) for _ in range(2)]
    assert content(passes[0]) == content(passes[1])
    assert sum(len(batch.mask) for batch in passes[0]) == sum(map(len, samples))


SETTINGS = [{}, {"proportions": [1.0, 2.0]}, {"rank": 1, "world": 2}]


@pytest.mark.parametrize("settings", SETTINGS)
def test_resuming_at_any_batch_gives_the_batches_of_the_uninterrupted_run(samples, settings):
    whole = make(samples, **settings)
    epochs = [content(whole) for _ in range(3)]
    length = len(whole)
    for epoch in range(2):
        for cut in range(length + 1):
            resumed = make(samples, **settings)
            resumed.load_state_dict({**whole.state_dict(), "epoch": epoch, "num_delivered": cut})
            found = content(resumed)
            if cut == length:  # nothing is left of the epoch
                assert found == epochs[epoch + 1]
            else:
                assert found == epochs[epoch][cut:]
                assert content(resumed) == epochs[epoch + 1]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_state_counts_what_was_delivered_not_what_workers_read_ahead(samples, settings):
    whole = make(samples, **settings)
    first, second = content(whole), content(whole)
    helped, resumed = make(samples, num_workers=2, **settings), make(samples, num_workers=2, **settings)
    for cut in (1, len(first) // 2, len(first) - 1):
        helped.set_epoch(0)
        batches = iter(helped)
        for _ in range(cut):
            next(batches)
        state = helped.state_dict()
        assert (state["epoch"], state["num_delivered"]) == (0, cut)
        resumed.load_state_dict(state)
        assert content(resumed) == first[cut:]
        assert content(resumed) == second


def test_all_ranks_share_a_state_and_see_disjoint_events(samples):
    ranks = [make(samples, rank=rank, world=2) for rank in range(2)]
    epochs = [content(loader) for loader in ranks]
    assert len(epochs[0]) == len(epochs[1]) == len(ranks[0])
    states = [loader.state_dict() for loader in ranks]
    assert states[0] == states[1]
    pts = [
        {float(pt) for batch in loader for pt in batch.features[..., schema.FEATURE_INDEX["pt"]][batch.mask > 0]}
        for loader in (make(samples, rank=0, world=2), make(samples, rank=1, world=2))
    ]
    assert not (pts[0] & pts[1]) - {0.0}


@pytest.mark.parametrize("change", [{"seed": 4}, {"max_elements": 61}, {"pool_elements": 2000}, {"proportions": [1.0, 1.0]}, {"world": 2, "rank": 0}])
def test_a_state_of_other_data_is_refused(samples, change):
    state = make(samples).state_dict()
    with pytest.raises(DatasetError, match=r"position in the training data .* is one of other data .*; resume with the same datasets"):
        make(samples, **change).load_state_dict(state)
    with pytest.raises(DatasetError, match="is one of other data"):
        make(samples[:1]).load_state_dict(state)


def test_a_state_survives_json(samples):
    loader = make(samples)
    next(iter(loader))
    assert json.loads(json.dumps(loader.state_dict())) == loader.state_dict()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_dataset_without_targets_is_one_clear_line_also_from_a_worker(datasets, tmp_path, num_workers):
    events = datasets[1].read()
    columns = {name: values for name, values in events.columns.items() if name not in ("target_class", "target_pt")}
    blank = write(tmp_path, Events(columns, events.offsets, len(events), layout=schema.DATASET))
    with pytest.raises(DatasetError) as caught:
        list(make([select_split(blank)], num_workers=num_workers))
    assert str(caught.value) == f"{tmp_path}/part-0.parquet: holds no target_class, target_pt; make the dataset with mlpf postprocess from an ntuple with truth"


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_worker_that_dies_is_one_clear_line(samples, num_workers):
    with pytest.raises(
        MlpfError, match=r"^a process that read training data ahead died \(DataLoader worker .*\), for lack of memory\? use fewer .*num_workers"
    ):
        list(make(samples, num_workers=num_workers, element_weights=lambda _: os.kill(os.getpid(), signal.SIGKILL)))


def test_a_lack_of_shared_memory_is_one_clear_line_and_leaves_nothing(samples, monkeypatch, tmp_path):
    def refuse(_tensor):
        (tmp_path / f"torch_{os.getpid()}_1_0").write_text("half of it")
        raise RuntimeError("unable to allocate shared memory(shm) for file: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    monkeypatch.setattr(loader_module, "SHARED_MEMORY", tmp_path)
    with pytest.raises(MlpfError, match=r"no space for \d+ MB of batches that were read ahead \(.*28\)\); make it larger"):
        list(make(samples, num_workers=1))
    assert not list(tmp_path.iterdir())
    assert len(list(make(samples))) > 0  # which needs none


def test_a_shard_that_changed_since_it_was_indexed_is_refused(datasets, tmp_path):
    events = datasets[1].read()
    sample = select_split(write(tmp_path, events))
    kind = events["element_type"].copy()
    kind[0] = ElementType.BREM
    write(tmp_path, events.with_columns({"element_type": kind}))
    with pytest.raises(DatasetError, match=r"part-0\.parquet: events from 0 on are not those of the index"):
        list(make([sample]))
    write(tmp_path, events.slice(0, 30))
    with pytest.raises(DatasetError, match="are not those of the index"):
        list(make([sample]))


def test_no_events_are_no_batches(datasets):
    nothing = select_split(datasets[1], "validation", SplitConfig(train=1.0, validation=0.0, test=0.0))
    loader = make([nothing])
    assert len(loader) == 0
    assert list(loader) == []
