import pickle

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf import schema
from mlpf.errors import DatasetError
from mlpf.events import Events, offsets_from_counts
from mlpf.features import consumer_elements
from mlpf.io.files import sha256
from mlpf.io.shards import Shard, ShardedDataset, write_manifest, write_parquet
from mlpf.samples.element_weights import COLUMNS, DESCRIPTION, ElementWeightConfig, ElementWeights, measure_element_weights
from mlpf.samples.split import SPLITS, SplitConfig, split_index
from mlpf.schema import CandidateClass, ElementType

NO_CLIP = (1e-9, 1e9)
NONE, PHOTON, CHARGED_HADRON = (schema.CLASS_NAMES.index(name) for name in ("none", "photon", "charged_hadron"))


def one_event(target_class, pt=1.0, eta=0.0, element_type=ElementType.ECAL, element_pt=1.0, element_eta=0.0):
    """An event of elements with the given values, one number for all or one for each."""
    n = len(target_class)
    given = {"target_class": target_class, "target_pt": pt, "target_eta": eta}
    given |= {"element_type": element_type, "element_pt": element_pt, "element_eta": element_eta}
    columns = {name: np.broadcast_to(np.asarray(values, dtype=float), n) for name, values in given.items()}
    return Events(columns | {"event": [1], "run": [1], "lumi": [1]}, {"element": np.array([0, n])}, 1, layout=schema.DATASET)


@pytest.fixture
def measure(write_dataset):
    """Weights of events, measured on a dataset that holds them."""

    def run(events, **config):
        return measure_element_weights([ShardedDataset(write_dataset(events))], None, SplitConfig(), ElementWeightConfig(**config))

    return run


def realistic(seed=0, num_events=30):
    """Random events with every class but tau, and elements of every type with any target, as real ones have not."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(50, num_events)
    n = counts.sum()
    columns = {
        "target_class": rng.choice(schema.CLASS_IDS[:-1], n, p=[0.5, 0.2, 0.1, 0.05, 0.05, 0.08, 0.01, 0.01]),
        "element_type": rng.integers(0, schema.NUM_ELEMENT_TYPES, n),
        **{f"{kind}_pt": rng.lognormal(0.5, 1.5, n) for kind in ("target", "element")},
        **{f"{kind}_eta": rng.uniform(-5, 5, n) for kind in ("target", "element")},
        **{name: np.arange(num_events) + 100 * seed if name == "event" else np.ones(num_events) for name in schema.IDENTITY},
    }
    return Events(columns, {"element": offsets_from_counts(counts)}, num_events, layout=schema.DATASET)


def slow_counts(events, config, chosen_event):
    """Elements by class, bin of pt and bin of abs(eta), with loops and dictionaries; the bin is None where there is none."""
    pt_edges, eta_edges = ([0, *config.pt_edges, np.inf], [0, *config.abs_eta_edges, np.inf]) if config.flatten else ([0, np.inf], [0, np.inf])
    counts = {}
    offsets = events.collection_offsets("element")
    for event in range(len(events)):
        for i in range(offsets[event], offsets[event + 1]):
            kind, own = ElementType(events["element_type"][i]), CandidateClass(events["target_class"][i])
            if not chosen_event[event] or kind in schema.CONSUMER_DROPPED_TYPES:
                continue
            if kind in schema.NO_CANDIDATE_TYPES:
                own = CandidateClass.NONE
            prefix = "element" if own == CandidateClass.NONE else "target"
            pt, eta = events[f"{prefix}_pt"][i], abs(events[f"{prefix}_eta"][i])
            place = (
                next(j for j in range(len(pt_edges)) if pt_edges[j] <= pt < pt_edges[j + 1]),
                next(j for j in range(len(eta_edges)) if eta_edges[j] <= eta < eta_edges[j + 1]),
            )
            counts[own.name.lower(), place] = counts.get((own.name.lower(), place), 0) + 1
    return counts


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("split", [None, "train", "validation"])
def test_counts_are_those_of_a_slow_loop(write_dataset, flatten, split, monkeypatch):
    monkeypatch.setattr("mlpf.samples.element_weights._GROUPS_PER_CHUNK", 1)  # of 16 events, so the shard is read in two pieces
    events, config, split_config = realistic(), ElementWeightConfig(flatten=flatten), SplitConfig(train=0.5, validation=0.3, test=0.2)
    chosen = np.ones(len(events), dtype=bool)
    if split:
        chosen = split_index(events["run"], events["lumi"], events["event"], split_config) == SPLITS.index(split)
    counts = measure_element_weights([ShardedDataset(write_dataset(events))], split, split_config, config).counts
    num_eta = len(config.abs_eta_edges) + 1 if flatten else 1
    found = {(schema.CLASS_NAMES[c], (cell // num_eta, cell % num_eta)): counts[c, cell] for c, cell in np.argwhere(counts)}
    assert found == slow_counts(events, config, chosen)


def test_a_class_weighs_by_the_root_of_its_number(measure):
    events = one_event([0] * 16 + [22] * 4 + [211])
    weights = measure(events, clip=NO_CLIP)(events)
    # 16 / 4 + 4 / 2 + 1 / 1 = 7 before scaling to a sum of 21, so the scale is 3
    np.testing.assert_allclose(weights, [3 / 4] * 16 + [3 / 2] * 4 + [3.0], rtol=1e-6)
    assert weights.dtype == np.float32


def test_at_power_zero_all_weigh_alike_and_at_power_one_all_classes_have_the_same_total(measure):
    events = one_event([0] * 16 + [22] * 4 + [211])
    np.testing.assert_allclose(measure(events, clip=NO_CLIP, class_power=0.0)(events), 1.0, rtol=1e-6)
    weights = measure(events, clip=NO_CLIP, class_power=1.0)(events)
    np.testing.assert_allclose([weights[:16].sum(), weights[16:20].sum(), weights[20]], 7.0, rtol=1e-6)


def test_flattening_gives_every_filled_bin_of_a_class_the_same_total_and_leaves_the_total_of_the_class(measure):
    pt, eta = [0.5] * 6 + [5.0] * 2 + [5.0] * 1 + [1.0] * 4, [0.1] * 6 + [-1.0] * 2 + [-2.0] * 1 + [0.0] * 4
    events = one_event([22] * 9 + [211] * 4, pt, eta)
    options = {"pt_edges": (1.0, 10.0), "abs_eta_edges": (1.5,), "clip": NO_CLIP}
    flat, plain = measure(events, flatten=True, **options)(events), measure(events, **options)(events)
    # 9 photons in 3 bins of 6, 2 and 1: 3 each; photons weigh 1/3, hadrons 1/2, together 3 + 2 for 13 elements
    np.testing.assert_allclose(flat, 13 / 5 * np.array([3 / 6 / 3] * 6 + [3 / 2 / 3] * 2 + [3 / 1 / 3] + [1 / 2] * 4), rtol=1e-6)
    np.testing.assert_allclose(plain, 13 / 5 * np.array([1 / 3] * 9 + [1 / 2] * 4), rtol=1e-6)


def test_an_edge_belongs_to_the_bin_above_it_and_eta_counts_without_its_sign(measure):
    events = one_event([22] * 4, [0.999, 1.0, 2.0, 2.0], [1.5, -1.5, -1.499, 1.4])
    counts = measure(events, flatten=True, pt_edges=(1.0,), abs_eta_edges=(1.5,)).counts[PHOTON]
    assert counts.tolist() == [0, 1, 2, 1, 0]  # low pt central, low pt forward, high pt central, high pt forward, nowhere


def test_no_particle_is_binned_by_its_element_and_a_particle_by_itself(measure):
    events = one_event([0, 22], pt=[50.0, 50.0], element_pt=0.5)
    counts = measure(events, flatten=True, pt_edges=(1.0,), abs_eta_edges=()).counts
    assert counts[NONE].tolist() == [1, 0, 0]
    assert counts[PHOTON].tolist() == [0, 1, 0]


@pytest.mark.parametrize("kind", schema.NO_CANDIDATE_TYPES)
def test_elements_that_never_yield_a_candidate_weigh_like_no_particle(measure, kind):
    events = one_event([0] * 4 + [22, 211], element_type=[ElementType.ECAL] * 5 + [kind], element_pt=[1.0] * 5 + [0.0])
    weights = measure(events, clip=NO_CLIP)
    assert weights.counts[CHARGED_HADRON].sum() == 0
    assert weights.counts[NONE].sum() == (4 if kind in schema.CONSUMER_DROPPED_TYPES else 5)
    assert weights(events)[5] == weights(events)[0]


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("clip", [(0.1, 10.0), (0.7, 1.2), (0.999, 1.001)])
def test_weights_stay_inside_the_clip_and_their_mean_over_the_counted_elements_is_one(measure, flatten, clip):
    events = realistic()
    weights = measure(events, flatten=flatten, clip=clip)(events)
    assert weights.min() >= np.float32(clip[0])
    assert weights.max() <= np.float32(clip[1])
    assert weights[consumer_elements(events["element_type"])].mean(dtype=float) == pytest.approx(1.0, rel=1e-6)


def test_clipped_weights_are_paper_arithmetic(measure):
    events = one_event([0] * 16 + [22] * 4 + [211])
    weights = measure(events, clip=(0.1, 2.0))(events)
    # the hadron would weigh 3, so it has 2; the others share 21 - 2 as 4 to 2
    np.testing.assert_allclose(weights, [19 / 6 / 4] * 16 + [19 / 6 / 2] * 4 + [2.0], rtol=1e-6)


@given(st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_for_any_counts_flattening_moves_weight_inside_a_class_only_and_fills_its_bins_alike(seed, power):
    rng = np.random.default_rng(seed)
    config = ElementWeightConfig(class_power=power, flatten=True, clip=(1e-12, 1e12))
    counts = rng.integers(0, 10 ** rng.integers(1, 7, (schema.NUM_CLASSES, 1)), (schema.NUM_CLASSES, config.num_cells))
    counts *= rng.random(counts.shape) < 0.7
    sums = counts * ElementWeights(config, counts).table.astype(float)
    num = counts.sum(axis=1)
    np.testing.assert_allclose(sums.sum(axis=1) / sums.sum(), num ** (1 - power) * (num > 0) / (num ** (1 - power) * (num > 0)).sum(), rtol=1e-5)
    assert sums.sum() / counts.sum() == pytest.approx(1.0, rel=1e-6)
    for own in sums[:, :-1]:
        np.testing.assert_allclose(own[own > 0], own.max(), rtol=1e-5)


def test_values_that_are_not_finite_have_the_weight_of_their_class(measure):
    events = one_event([22] * 8, [np.nan, np.inf, 1.0, 1.0, 1.0, 1.0, 50.0, 50.0], [0.0, 0.0, np.nan, -np.inf, 0.0, 0.0, 0.0, 0.0])
    weights = measure(events, flatten=True, pt_edges=(1.0, 10.0), abs_eta_edges=(), clip=NO_CLIP)
    assert weights.counts[PHOTON].tolist() == [0, 2, 2, 4]
    np.testing.assert_allclose(weights(events), 1.0)  # two bins of two each are flat already


def test_classes_and_bins_that_were_not_counted_have_a_weight_too(measure):
    seen = one_event([0] * 16 + [22] * 4 + [211])
    weights = measure(seen, flatten=True, pt_edges=(10.0,), abs_eta_edges=(), clip=NO_CLIP)
    unseen = one_event([13, 22], pt=[1.0, 100.0])
    np.testing.assert_allclose(weights(unseen), [3.0, 3 / 2], rtol=1e-6)  # like a class of one element, and like any photon


def test_an_unknown_class_is_named_with_its_place(measure):
    events = one_event([0, 22, 17])
    with pytest.raises(DatasetError, match=r"event 0: target_class\[2\] = 17 is none of \(0, 211,"):
        measure(events)
    for value in (-1, 100_000):
        with pytest.raises(DatasetError, match=f"= {value} is none of"):
            measure(one_event([0]), clip=NO_CLIP)(one_event([value]))


def test_a_dataset_without_targets_is_refused(measure):
    events = one_event([0, 22])
    bare = Events({name: values for name, values in events.columns.items() if name != "target_class"}, events.offsets, 1, layout=schema.DATASET)
    with pytest.raises(DatasetError, match="holds no target_class"):
        measure(bare)


def test_a_split_without_elements_is_refused(write_dataset):
    dataset = ShardedDataset(write_dataset(one_event([0, 22])))
    with pytest.raises(DatasetError, match="no element in the events of test"):
        measure_element_weights([dataset], "test", SplitConfig(train=1.0, validation=0.0, test=0.0), ElementWeightConfig())


def in_shards(folder, parts):
    shards = []
    for i, events in enumerate(parts):
        path = folder / f"shard_{i}.parquet"
        num_events, num_elements = write_parquet(path, [events])
        shards.append(Shard(path.name, num_events, num_elements, sha256(path)))
    write_manifest(folder, shards, {})
    return ShardedDataset(folder)


def test_weights_do_not_depend_on_how_events_are_cut_ordered_or_shared_among_processes(tmp_path):
    events, config = realistic(num_events=90), ElementWeightConfig(flatten=True)
    whole = [in_shards(tmp_path / "whole", [events])]
    pieces = [in_shards(tmp_path / "late", [events.slice(50, 90), events.slice(20, 50)]), in_shards(tmp_path / "early", [events.slice(0, 20)])]
    expected = measure_element_weights(whole, "train", SplitConfig(), config)
    for jobs in (1, 2):
        found = measure_element_weights(pieces, "train", SplitConfig(), config, jobs)
        np.testing.assert_array_equal(found.counts, expected.counts)
        np.testing.assert_array_equal(found(events), expected(events))


@pytest.mark.parametrize("flatten", [False, True])
def test_weights_go_through_json_and_pickle(measure, flatten):
    events = realistic()
    weights = measure(events, flatten=flatten)
    for copy in (ElementWeights.from_json(weights.to_json()), pickle.loads(pickle.dumps(weights))):
        assert copy.config == weights.config
        np.testing.assert_array_equal(copy(events), weights(events))


@pytest.mark.parametrize("text", ["nonsense", "[]", '{"config": {}, "counts": {"none": [1, 2]}}', '{"config": {"power": 1}, "counts": {}}'])
def test_what_are_no_weights_is_one_clear_error(text):
    with pytest.raises(DatasetError, match=r"run/element_weights\.json: not weights of elements"):
        ElementWeights.from_json(text, "run/element_weights.json")


def test_counts_of_other_bins_are_one_clear_error(measure):
    text = measure(realistic(), flatten=True).to_json().replace("true", "false")
    with pytest.raises(DatasetError, match=r"counts of shape \(9, 33\), expected \(9, 2\)"):
        ElementWeights.from_json(text)


def test_the_description_has_a_row_for_every_class_that_was_seen(measure):
    rows = measure(one_event([0] * 16 + [22] * 4 + [211]), clip=NO_CLIP).describe()
    assert {len(row) for row in rows} == {len(DESCRIPTION)}
    assert rows[0] == ("none", "16", "0.7619", "0.75", "0.75", "0.75", "0.5714")
    assert [row[0] for row in rows] == ["none", "charged_hadron", "photon"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"class_power": 1.5}, "less than or equal to 1"),
        ({"pt_edges": (2.0, 1.0)}, "edges must increase"),
        ({"abs_eta_edges": (-1.0, 1.0)}, "greater than or equal to 0"),
        ({"clip": (1.0, 2.0)}, "one number below and one above 1"),
        ({"clip": (0.0, 2.0)}, "greater than 0"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(values, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        ElementWeightConfig(**values)


def test_the_columns_are_enough(measure):
    events = realistic()
    few = Events({name: events[name] for name in COLUMNS}, events.offsets, len(events), layout=schema.DATASET)
    np.testing.assert_array_equal(measure(events)(few), measure(events)(events))
