import json
import time

import numpy as np
import pytest

from mlpf import schema
from mlpf.candidates import Outputs, candidate_class
from mlpf.events import Events, offsets_from_counts
from mlpf.features import consumer_elements, element_features
from mlpf.metrics.score_bins import LINE_CENTERS, LINE_EDGES, PLANE_EDGES
from mlpf.metrics.scores import BINS, CLASSES, DecisionCounts, ScoreCounts, Truth, by_class
from mlpf.metrics.systems import MEASURED
from mlpf.metrics.uncertainty import fraction
from mlpf.schema import ElementType

SEEN = [t for t in ElementType if t not in (ElementType.NONE, *schema.CONSUMER_DROPPED_TYPES)]


def make_events(rng, num_events=20, mean=40, **columns):
    """Elements of all types with targets and candidates of any class."""
    counts = rng.poisson(mean, num_events)
    n = int(counts.sum())
    drawn = {
        **{name: np.arange(num_events) for name in schema.IDENTITY},
        "element_type": rng.integers(1, 12, n),
        "element_pt": rng.lognormal(1.0, 1.5, n),
        "element_muon_type": rng.integers(0, 2, n),
        "target_class": rng.choice([0, *MEASURED.values()], n),
        "target_ispu": rng.choice([0.0, 0.3, 0.7, 1.0], n),
        "candidate_class": rng.choice([0, *MEASURED.values()], n),
    }
    return Events(drawn | columns, {"element": offsets_from_counts(counts)}, num_events, layout=schema.DATASET)


def make_outputs(rng, events, knowledge=1.5):
    """Logits that know something of the targets."""
    kept = consumer_elements(events["element_type"])
    category, n = events["target_class"][kept], np.count_nonzero(kept)
    binary = rng.normal(0, 1, (n, 2)) + knowledge * np.stack([category == 0, category != 0], axis=1)
    pid = rng.normal(0, 1, (n, 9)) + knowledge * (category[:, None] == np.array(schema.CLASS_IDS))
    pileup = rng.normal(0, 1, n) + knowledge * (events["target_ispu"][kept] > 0.5)
    return Outputs(*(values.astype(np.float32) for values in (binary, pid, np.zeros((n, 5)), pileup)))


def count(events, outputs):
    scores = ScoreCounts()
    scores.update(Truth(events), outputs)
    return scores


def part(events, outputs, start, stop):
    """Some of the events, and the outputs of their elements."""
    kept = consumer_elements(events["element_type"])
    ends = np.concatenate([[0], np.cumsum(kept)])[events.offsets["element"][[start, stop]]]
    return events.slice(start, stop), Outputs(*(values[slice(*ends)] for values in outputs))


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(1)
    events = make_events(rng, 100)
    return events, make_outputs(rng, events)


def test_scores_of_certain_outputs_are_the_consumers_decisions():
    """Every type, class, decision and muon: a score is 1 where `candidate_class` gives the class and 0 elsewhere."""
    rows = [(t, c, particle, muon) for t in SEEN for c in range(9) for particle in (0, 1) for muon in (0, 1)]
    element_type, position, particle, muon = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    events = Events(
        {"element_type": element_type, "element_muon_dt_hits": muon, "element_pt": np.ones(n)}, {"element": np.array([0, n])}, 1, layout=schema.DATASET
    )
    certain = 40.0
    binary, pid = certain * np.stack([1 - particle, particle], axis=1), certain * np.eye(9)[position]
    outputs = Outputs(*(values.astype(np.float32) for values in (binary, pid, np.zeros((n, 5)), np.zeros(n))))
    decided = candidate_class(element_features(events), outputs)
    for name, category in MEASURED.items():
        own = decided == category
        assert own.any()
        entry = count(events.with_columns({"target_class": category * own}), outputs).to_json()["all"][name]
        assert entry["auc"]["value"] == 1.0  # no score of those decided otherwise comes near
        assert (entry["num_signal"], entry["num_background"]) == (own.sum(), n - own.sum())
        assert entry["calibration"]["predicted"] == pytest.approx([0.0, 1.0], abs=1e-6)
        assert [observed["value"] for observed in entry["calibration"]["observed"]] == [0.0, 1.0]
        strict = entry["working_points"]["0.99"]
        assert (strict["efficiency"]["value"], strict["misidentification"]["value"]) == (1.0, 0.0)


def softmax(x):
    weights = np.exp(x - x.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def test_scores_are_those_of_the_definition_without_corrections():
    """On ECAL clusters, of classes that need none: P(particle) times the softmax of the class, area and working points from the scores themselves."""
    rng = np.random.default_rng(2)
    events = make_events(rng, 30)
    events = events.with_columns(
        {"element_type": np.full(events.size("element"), ElementType.ECAL), "target_class": rng.choice([0, 22, 11], events.size("element"))}
    )
    outputs = make_outputs(rng, events)
    particle, share = softmax(outputs.binary.astype(float))[:, 1], softmax(outputs.pid.astype(float))
    entries = count(events, outputs).to_json()["all"]
    for name, category in (("photon", 22), ("electron", 11)):
        own = share[:, schema.CLASS_IDS.index(category)]
        signal, score = events["target_class"] == category, particle * own
        order = score[signal][:, None] - score[~signal]
        assert entries[name]["auc"]["value"] == pytest.approx(np.mean((order > 0) + 0.5 * (order == 0)), abs=2e-4)
        for point in entries[name]["working_points"].values():
            passed = (particle >= point["particle_threshold"]) & (own >= point["class_threshold"])
            for key, chosen in (("efficiency", signal), ("misidentification", ~signal)):
                assert point[key] == pytest.approx(fraction(passed[chosen].sum(), chosen.sum()).to_json())
        roc = entries[name]["roc"]
        for k in range(1, len(roc["threshold"]) - 1, 10):
            assert roc["efficiency"][k] == pytest.approx(np.mean(score[signal] >= roc["threshold"][k]), abs=1e-9)


def test_bins_of_pt_add_up_to_all(sample):
    result = count(*sample).to_json()
    assert list(result) == list(BINS) == ["all", "pt_0_1", "pt_1_5", "pt_5_20", "pt_20_inf"]
    kept = consumer_elements(sample[0]["element_type"])
    pt, some = sample[0]["element_pt"][kept], sample[0]["target_class"][kept] != 0
    for name in CLASSES:
        for which in ("num_signal", "num_background"):
            assert sum(result[label][name][which] for label in list(BINS)[1:]) == result["all"][name][which]
    for label, low, high in (("pt_0_1", 0, 1), ("pt_1_5", 1, 5), ("pt_5_20", 5, 20), ("pt_20_inf", 20, np.inf)):
        assert result[label]["any"]["num_signal"] == np.sum((pt >= low) & (pt < high) & some)


def test_any_is_the_binary_head_alone_and_pileup_is_asked_of_targets_only(sample):
    events, outputs = sample
    kept = consumer_elements(events["element_type"])
    some, from_pileup = events["target_class"][kept] != 0, events["target_ispu"][kept] > 0.5
    result = count(events, outputs).to_json()["all"]
    for name, score, signal, asked in (
        ("any", outputs.binary[:, 1] - outputs.binary[:, 0], some, np.ones(len(some), dtype=bool)),
        ("pileup", outputs.pileup, from_pileup, some),
    ):
        order = score[asked & signal][:, None] - score[asked & ~signal]
        assert result[name]["auc"]["value"] == pytest.approx(np.mean((order > 0) + 0.5 * (order == 0)), abs=2e-4)
        assert result[name]["num_signal"] + result[name]["num_background"] == asked.sum()
    assert set(result["pileup"]["working_points"]["0.90"]) == {"pileup_threshold", "efficiency", "misidentification"}
    assert set(result["any"]["working_points"]["0.90"]) == {"particle_threshold", "efficiency", "misidentification"}


def test_without_pileup_nothing_is_said_of_it(sample):
    events, outputs = sample
    result = count(events.with_columns({"target_ispu": np.zeros(events.size("element"))}), outputs).to_json()
    assert all("pileup" not in classes and "any" in classes for classes in result.values())


def test_chunks_in_any_order_give_the_same_bits(sample, tmp_path):
    events, outputs = sample
    events = events.with_columns({"weight": np.random.default_rng(3).exponential(1.0, len(events))})
    whole, reverse = count(events, outputs), ScoreCounts()
    for start in range(80, -20, -20):
        reverse += count(*part(events, outputs, start, start + 20))
    np.savez(tmp_path / "sums.npz", **reverse.arrays())
    again = ScoreCounts()
    with np.load(tmp_path / "sums.npz", allow_pickle=False) as arrays:
        again.restore(arrays)
    for name, values in whole.counts.items():
        assert np.array_equal(reverse.counts[name], values)
        assert np.array_equal(again.counts[name], values)
    assert json.dumps(again.to_json(), allow_nan=False) == json.dumps(whole.to_json(), allow_nan=False)


def test_events_of_weight_3_count_three_times_and_without_weights_once(sample):
    events, outputs = sample
    plain = count(events, outputs)
    assert np.array_equal(count(events.with_columns({"weight": np.ones(len(events))}), outputs).counts["sums"], plain.counts["sums"])
    weight = np.resize([1.0, 3.0, 0.0], len(events))
    weighted, repeated = count(events.with_columns({"weight": weight}), outputs), ScoreCounts()
    for i, times in enumerate(weight.astype(int)):
        for _ in range(times):
            repeated += count(*part(events, outputs, i, i + 1))
    for name in ("sums", "planes"):
        assert np.array_equal(weighted.counts[name], repeated.counts[name])
    assert np.array_equal(weighted.counts["numbers"], plain.counts["numbers"])
    entries = weighted.to_json()["all"]["photon"], repeated.to_json()["all"]["photon"]
    assert entries[0]["roc"] == entries[1]["roc"]
    widths = [entry["auc"]["high"] - entry["auc"]["low"] for entry in entries]
    assert widths[0] > widths[1]


@pytest.mark.parametrize("weight", [1e-4, 0.3, 1e5])
def test_a_common_weight_of_all_events_changes_nothing_but_the_last_digits(sample, weight):
    events, outputs = sample
    plain, weighted = (count(events.with_columns({"weight": np.full(len(events), w)}), outputs).to_json()["all"]["photon"] for w in (1.0, weight))
    for section in ("auc", "calibration_error"):
        assert weighted[section] == pytest.approx(plain[section], rel=0.05 if weight < 0.1 else 1e-6)
    assert weighted["roc"] == {name: pytest.approx(values) for name, values in plain["roc"].items()}


def test_events_that_weigh_nothing_leave_numbers_of_elements_only(sample):
    events, outputs = sample
    for weight in (0.0, 1e-9):
        entry = count(events.with_columns({"weight": np.full(len(events), weight)}), outputs).to_json()["all"]["photon"]
        assert entry["num_signal"] > 0
        assert entry["auc"]["value"] is entry["calibration_error"]["value"] is None
        assert (entry["working_points"], entry["roc"]["threshold"], entry["calibration"]["observed"]) == ({}, [], [])
    little = count(events.with_columns({"weight": np.full(len(events), 1e-5)}), outputs).to_json()["all"]["photon"]
    assert little["auc"]["low"] < little["auc"]["value"] < little["auc"]["high"]


def test_bins_of_scores_are_of_equal_width_in_the_logit_and_reach_to_0_and_1(sample):
    roc = count(*sample).to_json()["all"]["photon"]["roc"]
    assert (roc["threshold"][0], roc["threshold"][-1]) == (1.0, 0.0)
    assert (PLANE_EDGES[0], PLANE_EDGES[-1]) == (0.0, 1.0)
    edges, centers = (np.log(scores) - np.log1p(-scores) for scores in (LINE_EDGES[1:-1], LINE_CENTERS[1:-1]))
    assert np.diff(edges) == pytest.approx(2.0**-6, rel=1e-6)
    assert centers == pytest.approx((edges[1:] + edges[:-1]) / 2, abs=1e-6)


def test_outputs_that_are_not_finite_are_scores_of_0(sample):
    events, outputs = sample
    broken, denied = (Outputs(*(values.copy() for values in outputs)) for _ in range(2))
    broken.binary[:5], broken.pid[5:10, 3], broken.pid[10:15], broken.pileup[:15] = np.nan, np.nan, np.inf, np.nan
    denied.binary[:15], denied.pileup[:15] = (100.0, -100.0), -100.0
    found, expected = count(events, broken), count(events, denied)
    classes = slice(1, None)  # P(particle) needs no class
    for name in ("sums", "squares", "numbers"):
        assert np.array_equal(found.counts[name][classes], expected.counts[name][classes])
    assert np.isfinite([entry["auc"]["value"] for entry in found.to_json()["all"].values()]).all()
    infinite = Outputs(np.tile(np.float32([-np.inf, np.inf]), (len(outputs.binary), 1)), *outputs[1:])
    assert count(events, infinite).to_json()["all"]["any"]["calibration"]["predicted"] == pytest.approx([1.0], abs=1e-6)
    certain = Outputs(np.tile(np.float32([-30.0, 30.0]), (len(outputs.binary), 1)), *outputs[1:])
    assert np.array_equal(count(events, infinite).counts["sums"], count(events, certain).counts["sums"])


def test_perfect_random_and_constant_scores():
    rng = np.random.default_rng(4)
    events = make_events(rng, 60)
    assert count(events, make_outputs(rng, events, 60.0)).to_json()["all"]["any"]["auc"]["value"] == 1.0
    by_chance = count(events, make_outputs(rng, events, 0.0)).to_json()["all"]
    inside = [entry["auc"]["low"] <= 0.5 <= entry["auc"]["high"] for name, entry in by_chance.items() if name in ("any", "pileup", "photon")]
    assert sum(inside) >= 1
    kept = np.count_nonzero(consumer_elements(events["element_type"]))
    constant = Outputs(*(np.zeros((kept, *shape), dtype=np.float32) for shape in ((2,), (9,), (5,), ())))
    entry = count(events, constant).to_json()["all"]["any"]
    assert entry["auc"]["value"] == 0.5
    assert entry["working_points"]["0.80"]["misidentification"]["value"] == 1.0


def test_a_class_without_signal_or_without_background_has_no_area():
    rng = np.random.default_rng(5)
    events = make_events(rng, 5)
    outputs = make_outputs(rng, events)
    n = events.size("element")
    entries = count(events.with_columns({"target_class": np.full(n, 22)}), outputs).to_json()["all"]
    for name in ("any", "muon"):
        assert entries[name]["auc"] == {"value": None, "low": None, "high": None, "n": 0}
        assert entries[name]["roc"]["threshold"] == []
    assert entries["any"]["working_points"]["0.90"]["misidentification"]["value"] is None
    assert entries["muon"]["working_points"] == {}
    assert entries["photon"]["num_background"] == 0
    json.dumps(entries, allow_nan=False)


def test_what_has_no_element_is_left_out():
    assert all(not classes for classes in ScoreCounts().to_json().values())
    rng = np.random.default_rng(6)
    events = make_events(rng, 5)
    low = events.with_columns({"element_pt": np.resize([0.5, np.nan, -1.0], events.size("element"))})
    result = count(low, make_outputs(rng, low)).to_json()
    assert result["pt_0_1"] == result["all"]
    assert result["pt_20_inf"] == {}
    assert list(by_class({"model": count(low, make_outputs(rng, low))})) == ["all", "pt_0_1"]


def test_rule_based_decisions_are_counted_by_hand(sample):
    events, _ = sample
    counts = DecisionCounts()
    counts.update(events, Truth(events))
    kept = consumer_elements(events["element_type"])
    truth, found, pt = (events[name][kept] for name in ("target_class", "candidate_class", "element_pt"))
    result = counts.to_json()
    for label, chosen in (("all", pt > 0), ("pt_1_5", (pt >= 1) & (pt < 5))):
        for name, category in [("any", None), *MEASURED.items()]:
            signal, passed = (side != 0 if category is None else side == category for side in (truth[chosen], found[chosen]))
            point = result[label][name]["working_points"]["fixed"]
            assert point["efficiency"] == pytest.approx(fraction((signal & passed).sum(), signal.sum()).to_json())
            assert point["misidentification"] == pytest.approx(fraction((~signal & passed).sum(), (~signal).sum()).to_json())
    nothing = DecisionCounts()
    events = events.with_columns({"candidate_class": np.zeros(events.size("element"))})
    nothing.update(events, Truth(events))
    assert nothing.to_json() == {}


def test_numbers_of_models_and_rule_based_particle_flow_stand_side_by_side(sample):
    events, outputs = sample
    decisions = DecisionCounts()
    decisions.update(events, Truth(events))
    result = by_class({"pf": decisions, "a": count(events, outputs), "b": count(events, outputs)})
    assert set(result["all"]["photon"]) == {"pf", "a", "b"}
    assert set(result["all"]["pileup"]) == {"a", "b"}
    assert result["all"]["photon"]["a"] == result["all"]["photon"]["b"]


def test_a_quarter_million_elements_take_less_than_a_second():
    rng = np.random.default_rng(7)
    events = make_events(rng, 250, 1000)
    outputs = make_outputs(rng, events)
    count(*part(events, outputs, 0, 1))  # compiled
    start = time.process_time()
    scores, decisions = count(events, outputs), DecisionCounts()
    decisions.update(events, Truth(events))
    by_class({"pf": decisions, "model": scores})
    assert time.process_time() - start < 1.0
