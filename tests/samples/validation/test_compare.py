import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlpf.errors import DatasetError, MlpfError
from mlpf.events import Events, concatenate, offsets_from_counts
from mlpf.io.shards import ShardedDataset
from mlpf.samples.validation.collect import Space, multiplicity_names, source_names
from mlpf.samples.validation.compare import Outcome, document, validate
from mlpf.samples.validation.config import ValidationConfig

SOURCES = ({"name": "soft", "type": "a"}, {"name": "hard", "type": "b"})
CONFIG = ValidationConfig(multiplicity_edges=(30, 60))


@pytest.fixture
def two_samples(random_dataset):
    """Events of two sources: the second has twice the pt, and more elements."""

    def make(num_events: int = 300) -> Events:
        soft, hard = random_dataset(num_events, 30.0, seed=1), random_dataset(num_events, 40.0, seed=2)
        hard = hard.with_columns({name: 2 * hard[name] for name in ("element_pt", "target_pt")})
        parts = [part.with_columns({"source": np.full(num_events, number)}) for number, part in enumerate((soft, hard))]
        return concatenate(parts)

    return make


def reordered(events, order):
    columns, offsets = {}, {name: offsets_from_counts(events.counts(name)[order]) for name in events.offsets}
    for name, values in events.columns.items():
        first = np.arange(len(events)) if events.layout.is_scalar(name) else events.offsets[events.layout.collection_of[name]][:-1]
        counts = np.ones(len(events), dtype=int) if events.layout.is_scalar(name) else events.counts(events.layout.collection_of[name])
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts[order]) - counts[order], counts[order])
        columns[name] = values[np.repeat(first[order], counts[order]) + within]
    return Events(columns, offsets, len(events), layout=events.layout)


def shuffled(events, seed=0):
    return reordered(events, np.random.default_rng(seed).permutation(len(events)))


def test_a_mixed_dataset_passes_and_a_sorted_one_fails(two_samples, write_shards):
    events = two_samples()
    mixed = validate(ShardedDataset(write_shards(shuffled(events), [150] * 4, SOURCES, "mixed")), CONFIG)
    assert mixed.passed
    assert len(mixed.warnings) < 0.1 * len(mixed.tests)
    assert {test.quantity for test in mixed.tests} == {"source", "class", "type", "multiplicity", "pt", "eta"}
    by_source = validate(ShardedDataset(write_shards(events, [150] * 4, SOURCES, "by_source")), CONFIG)
    assert not by_source.passed
    assert by_source.worst.quantity == "source"
    by_size = validate(ShardedDataset(write_shards(reordered(events, np.argsort(events.counts("element"))), [150] * 4, SOURCES, "by_size")), CONFIG)
    assert not by_size.passed
    assert {test.quantity for test in by_size.tests if test.p < by_size.bonferroni} >= {"source", "multiplicity", "type", "class", "pt"}


def test_what_differs_is_named(two_samples, write_shards):
    events = shuffled(two_samples())
    wrong = np.repeat(np.arange(600) >= 450, events.counts("element")) & (events["element_type"] == 1)
    events = events.with_columns({"element_pt": events["element_pt"] * np.where(wrong, 1.5, 1.0)})
    found = validate(ShardedDataset(write_shards(events, [150] * 4, SOURCES)), CONFIG)
    assert (found.worst.quantity, found.worst.within, found.worst.bin, found.parts[found.worst.part].name) == ("pt", "type", "TRACK", "shard_3.parquet")
    failed = {(test.quantity, test.within, test.bin) for test in found.tests if test.p < found.bonferroni}
    assert all(quantity == "pt" and within != "class" for quantity, within, _ in failed)
    assert ("pt", "type", "ECAL") not in failed


def test_chunks_take_the_place_of_shards_and_may_cross_them(two_samples, write_shards):
    events = two_samples()
    as_shards = validate(ShardedDataset(write_shards(events, [200] * 3, SOURCES, "three")), CONFIG)
    as_chunks = validate(ShardedDataset(write_shards(events, [90, 0, 510], SOURCES, "uneven")), CONFIG.model_copy(update={"chunks": 3}))
    assert [test.p for test in as_chunks.tests] == [test.p for test in as_shards.tests]
    assert [part.name for part in as_chunks.parts] == ["chunk 0", "chunk 1", "chunk 2"]
    assert [(part.first_event, part.num_events) for part in as_chunks.parts] == [(0, 200), (200, 200), (400, 200)]


def test_more_processes_and_smaller_pieces_give_the_same_numbers(two_samples, write_shards, monkeypatch):
    dataset = ShardedDataset(write_shards(shuffled(two_samples()), [150] * 4, SOURCES))
    expected = json.dumps(document(dataset, validate(dataset, CONFIG)))
    assert json.dumps(document(dataset, validate(dataset, CONFIG, jobs=2))) == expected
    monkeypatch.setattr("mlpf.samples.validation.collect.EVENTS_PER_TASK", 20)  # shards of ten row groups in eight pieces
    monkeypatch.setattr("mlpf.samples.validation.collect.GROUPS_PER_READ", 1)
    done = []
    assert json.dumps(document(dataset, validate(dataset, CONFIG, on_events=done.append))) == expected
    assert sum(done) == 600
    assert len(done) == 32


def test_the_first_may_be_the_reference_and_two_parts_are_compared_once(two_samples, write_shards):
    events = shuffled(two_samples())
    four = validate(ShardedDataset(write_shards(events, [150] * 4, SOURCES, "four")), CONFIG.model_copy(update={"reference": "first"}))
    assert {test.part for test in four.tests} == {1, 2, 3}
    assert {test.events for test in four.tests if test.quantity == "source"} == {(150, 150)}
    assert four.reference_name == "shard_0.parquet"
    two = validate(ShardedDataset(write_shards(events, [300] * 2, SOURCES, "two")), CONFIG)
    assert {test.part for test in two.tests} == {1}


def test_weights_are_used_only_where_asked_for(two_samples, write_shards):
    events = two_samples()
    weight = np.where(events["source"] == 0, 1.0, 0.25)
    order = np.concatenate([np.arange(0, 100), np.arange(300, 500), np.arange(100, 300), np.arange(500, 600)])  # 1:2 and 2:1
    events = reordered(events.with_columns({"weight": weight}), order)
    dataset = ShardedDataset(write_shards(events, [300, 300], SOURCES))
    plain = validate(dataset, CONFIG)
    assert plain.sums.counts["source"].counts.tolist() == [[100, 200], [200, 100]]
    weighted = validate(dataset, CONFIG.model_copy(update={"weighted": True}))
    assert weighted.sums.counts["source"].counts.tolist() == [[100, 50], [200, 25]]
    without = ShardedDataset(write_shards(two_samples(), [300, 300], SOURCES, "without"))
    with pytest.raises(DatasetError, match="no weights"):
        validate(without, CONFIG.model_copy(update={"weighted": True}))
    broken = events.with_columns({"weight": np.where(np.arange(600) == 417, np.nan, 1.0)})
    with pytest.raises(DatasetError, match=r"shard_1\.parquet: event 417: weight is not finite"):
        validate(ShardedDataset(write_shards(broken, [300, 300], SOURCES, "broken")), CONFIG.model_copy(update={"weighted": True}))


def test_events_with_most_of_the_weight_are_too_few_for_any_test(two_samples, write_shards):
    events = shuffled(two_samples())
    weight = np.where(np.arange(600) % 30 == 0, 100.0, 1.0)  # as good as 33 of equal weight
    dataset = ShardedDataset(write_shards(events.with_columns({"weight": weight}), [300, 300], SOURCES))
    with pytest.raises(DatasetError, match="too few for any test"):
        validate(dataset, CONFIG.model_copy(update={"weighted": True}))
    found = validate(dataset, CONFIG.model_copy(update={"weighted": True, "min_events": 10}))
    assert {test.method for test in found.tests} == {"chi2", "ks"}


def test_what_was_skipped_says_why(two_samples, write_shards):
    events = two_samples()
    events = events.with_columns({"element_pt": np.where(events["element_type"] == 4, 0.0, events["element_pt"])})
    found = validate(ShardedDataset(write_shards(events, [150] * 4, SOURCES)), CONFIG)
    reasons = {(skipped.quantity, skipped.within, skipped.bin, skipped.part): (skipped.reason, skipped.events) for skipped in found.skipped}
    assert reasons["pt", "source", "hard", 0] == ("too few events", (0, 300))
    assert reasons["pt", "type", "ECAL", 0][0] == "constant"
    assert not {(test.quantity, test.within, test.bin, test.part) for test in found.tests} & reasons.keys()
    everything = 4 * (4 + (1 + 2) + 2 * (2 + 6 + 6 + 3))  # shares, multiplicity, pt and eta in sources, types, classes and bins of multiplicity
    assert len(found.tests) + len(found.skipped) == everything


def test_nothing_to_compare_is_an_error_that_says_what_to_do(two_samples, write_shards, random_dataset):
    one = ShardedDataset(write_shards(two_samples(20), [40, 0], SOURCES, "one"))
    with pytest.raises(DatasetError, match=r"1 of 2 shards hold events.*--chunks 10"):
        validate(one, CONFIG)
    with pytest.raises(DatasetError, match=r"40 events cannot be cut into 41 chunks"):
        validate(one, CONFIG.model_copy(update={"chunks": 41}))
    with pytest.raises(DatasetError, match=r"40 events in 4 parts are too few for any test"):
        validate(one, CONFIG.model_copy(update={"chunks": 4}))
    bare = random_dataset(100).select(np.ones(100, dtype=bool))
    bare = Events(
        {name: bare[name] for name in ("event", "element_type", "element_pt", "element_eta")}, {"element": bare.offsets["element"]}, 100, layout=bare.layout
    )
    without_targets = ShardedDataset(write_shards(bare, [50, 50], name="bare"))
    found = validate(without_targets, CONFIG)
    assert found.sums.space.left_out == {"class": "the dataset has no targets"}
    assert not [test for test in found.tests if "class" in (test.quantity, test.within)]
    with pytest.raises(DatasetError, match="nothing to compare"):
        validate(without_targets, ValidationConfig(variables=("class",)))


def test_empty_shards_are_left_out_and_named(two_samples, write_shards):
    found = validate(ShardedDataset(write_shards(shuffled(two_samples()), [0, 200, 0, 400, 0], SOURCES)), CONFIG)
    assert found.empty == ("shard_0.parquet", "shard_2.parquet", "shard_4.parquet")
    assert [part.name for part in found.parts] == ["shard_1.parquet", "shard_3.parquet"]


def test_values_that_are_no_numbers_are_reported(two_samples, write_shards):
    events = shuffled(two_samples())
    pt, eta = events["element_pt"].copy(), events["target_eta"].copy()
    pt[[5, 70]], eta[3] = np.nan, np.inf
    found = validate(ShardedDataset(write_shards(events.with_columns({"element_pt": pt, "target_eta": eta}), [300] * 2, SOURCES)), CONFIG)
    assert found.sums.not_finite == {"element_pt": 2, "target_eta": 1}
    assert np.isfinite([test.p for test in found.tests]).all()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("source", 2, r"event 300: source 2, but the manifest lists 2"),
        ("target_class", 17, r"event 300: target_class\[0\] = 17 is no class"),
        ("target_class", -3, r"target_class\[0\] = -3 is no class"),
        ("element_type", 12, r"element_type\[0\] = 12 not a PF element type"),
    ],
)
def test_impossible_values_are_named(two_samples, write_shards, column, value, message):
    events = two_samples()
    values = events[column].copy()
    values[300 if column == "source" else events.offsets["element"][300]] = value
    with pytest.raises(MlpfError, match=rf"shard_1\.parquet: {message}" if "event" in message else message):
        validate(ShardedDataset(write_shards(events.with_columns({column: values}), [300, 300], SOURCES)), CONFIG)


def test_a_damaged_shard_and_one_of_another_length_are_errors(two_samples, write_shards):
    folder = write_shards(two_samples(), [300, 300], SOURCES)
    shard = folder / "shard_1.parquet"
    pq.write_table(pq.read_table(shard).slice(0, 200), shard)
    with pytest.raises(DatasetError, match=r"shard_1\.parquet: holds 200 events, manifest\.json says 300"):
        validate(ShardedDataset(folder), CONFIG)
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(DatasetError, match=r"shard_1\.parquet"):
        validate(ShardedDataset(folder), CONFIG)


def test_the_document_holds_every_test_and_what_it_is_of(two_samples, write_shards):
    dataset = ShardedDataset(write_shards(two_samples(), [150] * 4, SOURCES))
    found = validate(dataset, CONFIG)
    content = json.loads(json.dumps(document(dataset, found), allow_nan=False))
    assert content["sources"] == ["soft", "hard"]
    assert len(content["tests"]) == content["summary"]["num_tests"] == len(found.tests)
    assert content["summary"]["num_warnings"] == sum(test["warning"] for test in content["tests"]) == len(found.warnings)
    assert content["summary"]["bonferroni_threshold"] == pytest.approx(0.05 / len(found.tests))
    assert not content["summary"]["passed"]
    assert content["tests"][0]["part"] == "shard_0.parquet"
    other = ShardedDataset(write_shards(shuffled(two_samples()), [150] * 4, SOURCES, "other"))
    assert document(other, found)["fingerprint"] != content["fingerprint"]


def test_names_of_bins(two_samples, write_shards):
    assert multiplicity_names((10, 20, 50)) == ("below 10", "10 to 19", "20 to 49", "50 or more")
    assert multiplicity_names(()) == ("any number",)
    files = ShardedDataset(write_shards(two_samples(5), [10], [{"file": "a.root"}, {"file": "b.root"}], "files"))
    assert source_names(files) == ("a.root", "b.root")
    assert source_names(ShardedDataset(write_shards(two_samples(5), [10], name="unknown"))) == ("all events",)
    many = ShardedDataset(write_shards(two_samples(5), [10], [{"file": f"{i}.root"} for i in range(51)], "many"))
    assert Space.of(many, CONFIG).left_out == {"source": "51 sources, more than 50"}


def test_an_outcome_counts_as_a_warning_or_a_failure_by_its_p_value(two_samples, write_shards):
    found = validate(ShardedDataset(write_shards(two_samples(), [300, 300], SOURCES)), CONFIG)
    for p, passed, number in ((0.2, True, 0), (0.04, True, 1), (0.02, False, 1)):
        tests = tuple(Outcome("pt", "type", "TRACK", 0, (1, 1), "ks", 0.1, None, value) for value in (p, 0.9))
        judged = type(found)(found.config, found.parts, (), None, tests, (), found.sums)
        assert (judged.passed, len(judged.warnings), judged.bonferroni) == (passed, number, 0.025)
