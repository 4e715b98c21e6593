"""Classification of elements against its definitions: scores by plain loops, areas by counting pairs, working points by applying them."""

import math

import numpy as np
import pytest
from toy_particles import ECAL, HFEM, HFHAD, TRACK, Element, Event, Particle, build, classes, random_toys

from mlpf.metrics.summary import Metrics
from mlpf.schema import CLASS_IDS

CLASSES = classes()
PT_BINS = {"pt_0_1": (0, 1), "pt_1_5": (1, 5), "pt_5_20": (5, 20), "pt_20_inf": (20, math.inf), "all": (0, math.inf)}


def scores_of(binary, pid, kind):
    """P(particle), and of each class the share that the consumer's rules leave it: no tau; charged hadrons and muons on tracks only; the HF by type."""
    share = dict(zip(CLASS_IDS, np.exp(pid - max(pid)) / sum(np.exp(pid - max(pid))), strict=True))
    moves = {211: 130, 13: 130}
    if kind == TRACK:
        moves = {15: 211, 13: 211}  # no track here is one of a reconstructed muon
    if kind in (HFEM, HFHAD):
        moves = {c: 2 if kind == HFEM else 1 for c in CLASS_IDS if c}
    named = dict.fromkeys(CLASS_IDS, 0.0)
    for c in CLASS_IDS:
        named[moves.get(c, c)] += share[c]
    return 1 / (1 + math.exp(binary[0] - binary[1])), named


@pytest.fixture(scope="module")
def sample():
    """Random elements with logits that know something of their targets.

    Returns:
        what `Metrics.performance` and `Metrics.results` say, and of each element ``(kind, pt, target, rule-based, P(particle), class shares, pileup logit)``.
    """
    rng = np.random.default_rng(11)
    toys = random_toys(40, seed=11)
    elements = [element for event in toys for element in event.elements]
    for element in elements:
        truth = element.target.category if element.target else 0
        binary = rng.normal(0, 1.0, 2) + (0, 1.5) if truth else rng.normal(0, 1.0, 2)
        pid = rng.normal(0, 1.5, 9) + 2.0 * (np.array(CLASS_IDS) == truth)
        element.logits = tuple(float(np.float32(x)) for x in (*binary, *pid))
    dataset, predictions = build(toys)
    pileup = predictions["model"].outputs.pileup
    pileup[:] = rng.normal(0, 1, len(pileup)) + (dataset["target_ispu"] > 0.5)
    metrics = Metrics(["model"])
    metrics.update(dataset, predictions)
    rows = []
    for element, pt, p in zip(elements, dataset["element_pt"], pileup, strict=True):
        rows.append((element.kind, pt, element.target, element.rule_based, *scores_of(element.logits[:2], np.array(element.logits[2:]), element.kind), p))
    return metrics.performance(), metrics.results(), rows


def in_bin(rows, label):
    low, high = PT_BINS[label]
    return [row for row in rows if low <= row[1] < high]


def truth_and_score(rows, name):
    """``(is signal, score)`` of each element for a class, ``any`` or ``pileup``, which only elements with a target can come from."""
    if name == "pileup":
        pairs = [(target.pileup > 0.5, p) for _, _, target, _, _, _, p in rows if target]
    elif name == "any":
        pairs = [(target is not None, particle) for _, _, target, _, particle, _, _ in rows]
    else:
        pairs = [(target is not None and target.category == CLASSES[name], particle * share[CLASSES[name]]) for _, _, target, _, particle, share, _ in rows]
    return np.array([signal for signal, _ in pairs]), np.array([score for _, score in pairs])


@pytest.mark.parametrize("label", PT_BINS)
def test_areas_are_shares_of_ordered_pairs(sample, label):
    performance, _, rows = sample
    said = performance[label]
    assert {"any", "pileup", *CLASSES} == said.keys()
    for name, systems in said.items():
        signal, score = truth_and_score(in_bin(rows, label), name)
        assert (systems["model"]["num_signal"], systems["model"]["num_background"]) == (signal.sum(), (~signal).sum())
        if signal.any():
            difference = score[signal][:, None] - score[~signal][None, :]
            assert systems["model"]["auc"]["value"] == pytest.approx(np.mean((difference > 0) + 0.5 * (difference == 0)), abs=2e-3), name
        else:
            assert systems["model"]["auc"]["value"] is None


def test_curves_are_what_their_thresholds_say(sample):
    performance, _, rows = sample
    for name, systems in performance["all"].items():
        if name == "pileup":
            continue
        signal, score = truth_and_score(rows, name)
        roc = {key: np.array(values) for key, values in systems["model"]["roc"].items()}
        assert len(roc["threshold"]) <= 200
        assert (roc["efficiency"][0], roc["misidentification"][0]) == (0, 0)
        assert (roc["efficiency"][-1], roc["misidentification"][-1]) == (1, 1)
        assert all((np.diff(roc[key]) >= 0).all() for key in ("efficiency", "misidentification"))
        inner = slice(1, -1)
        for key, chosen in (("efficiency", signal), ("misidentification", ~signal)):
            expected = [np.mean(score[chosen] >= threshold) for threshold in roc["threshold"][inner]]
            assert roc[key][inner] == pytest.approx(expected, abs=1.5 / chosen.sum()), name
        assert np.trapezoid(roc["efficiency"], roc["misidentification"]) == pytest.approx(systems["model"]["auc"]["value"], abs=5e-3)


@pytest.mark.parametrize("name", ["any", "photon", "charged_hadron", "neutral_hadron", "hf_em"])
def test_working_points_are_what_passes_them(sample, name):
    performance, _, rows = sample
    points = performance["all"][name]["model"]["working_points"]
    signal, _ = truth_and_score(rows, name)
    particle = np.array([row[4] for row in rows])
    share = np.array([1.0 if name == "any" else row[5][CLASSES[name]] for row in rows])
    loosest = points["0.99"]
    for wanted, point in points.items():
        passes_particle, passes_class = particle >= point["particle_threshold"], share >= point.get("class_threshold", 0.0)
        for key, chosen in (("efficiency", signal), ("misidentification", ~signal)):
            assert point[key]["value"] == pytest.approx(np.mean((passes_particle & passes_class)[chosen]), abs=1.5 / chosen.sum()), wanted
        check_quantile(particle[signal & (share >= loosest.get("class_threshold", 0.0))], point["particle_threshold"], float(wanted))
        if name != "any":
            check_quantile(share[signal & (particle >= loosest["particle_threshold"])], point["class_threshold"], float(wanted))


def check_quantile(scores, threshold, wanted):
    """As many as wanted pass, and with the next higher threshold (a tenth in the logit, from 5e-5) they would not."""
    assert np.mean(scores >= threshold) >= wanted
    odds, limit = (x / np.maximum(1 - x, 1e-12) for x in (scores, threshold))
    assert np.mean(odds >= 1.13 * limit + 6e-5) < wanted


def test_rule_based_particle_flow_decides_as_it_does_per_element(sample):
    performance, results, rows = sample
    said, elements = performance["all"], results["elements"]["pf"]
    for name in ("any", *CLASSES):
        fixed = said[name]["pf"]["working_points"]["fixed"]
        assert fixed["efficiency"] == pytest.approx(elements["efficiency"][name]["all"])
        signal, _ = truth_and_score(rows, name)
        found = np.array([row[3] is not None and (name == "any" or row[3].category == CLASSES[name]) for row in rows])
        assert fixed["misidentification"]["value"] == pytest.approx(np.mean(found[~signal]))
        assert fixed["misidentification"]["n"] == (~signal).sum()


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_score_is_calibrated_where_it_is_the_share_of_particles(shift):
    """Targets are drawn with the probability of the score; one that is too sure by 1 in its logit is off by as much as that says."""
    rng = np.random.default_rng(6)
    logits = rng.normal(0, 1.5, 4000)
    there = rng.random(4000) < 1 / (1 + np.exp(-logits))
    elements = [Element(ECAL, Particle(22, 2.0, 0.0, 0.0) if t else None, logits=(0.0, x + shift, *[0.0] * 9)) for t, x in zip(there, logits, strict=True)]
    metrics = Metrics(["model"])
    metrics.update(*build([Event(elements)]))
    said = metrics.performance()["all"]["any"]["model"]
    truth = np.mean(np.abs(1 / (1 + np.exp(-logits - shift)) - 1 / (1 + np.exp(-logits))))
    assert said["calibration_error"]["value"] == pytest.approx(truth, abs=0.015)
    predicted, observed = said["calibration"]["predicted"], said["calibration"]["observed"]
    assert sum(o["n"] for o in observed) == 4000
    assert sum(o["n"] * o["value"] for o in observed) == pytest.approx(there.sum())
    assert sum(o["n"] * p for o, p in zip(observed, predicted, strict=True)) == pytest.approx(np.sum(1 / (1 + np.exp(-logits - shift))), rel=1e-3)
    if not shift:
        inside = np.mean([o["low"] <= p <= o["high"] for o, p in zip(observed, predicted, strict=True)])
        assert inside > 0.5


def test_an_event_of_weight_two_counts_as_two():
    toys = random_toys(12, seed=2)
    dataset, predictions = build(toys)
    candidates, outputs = predictions["model"]
    weighted, twice = Metrics(["model"]), Metrics(["model"])
    weighted.update(dataset.with_columns({"weight": np.array([2.0, 1.0] * 6, dtype=np.float32)}), predictions)
    twice.update(dataset, predictions)
    for i in range(0, 12, 2):
        start, stop = dataset.offsets["element"][i : i + 2]
        part = type(outputs)(*(values[start:stop] for values in outputs))
        twice.update(dataset.slice(i, i + 1), {"model": type(predictions["model"])(candidates.slice(i, i + 1), part)})
    expected = twice.performance()
    for label, said in weighted.performance().items():
        for name, systems in said.items():
            other = expected[label][name]
            assert systems["model"]["auc"]["value"] == other["model"]["auc"]["value"]
            for point, numbers in systems["model"]["working_points"].items():
                assert numbers["efficiency"]["value"] == pytest.approx(other["model"]["working_points"][point]["efficiency"]["value"])
