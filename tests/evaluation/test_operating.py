from itertools import pairwise

import numpy as np
import pytest

from mlpf import schema
from mlpf.candidates import make_candidates
from mlpf.evaluation.operating import LOGITS, OperatingPoints, Point, at_fake_rate, operating_points
from mlpf.evaluation.predictor import TorchPredictor
from mlpf.features import consumer_elements
from mlpf.io.shards import ShardedDataset
from mlpf.metrics.summary import Metrics
from mlpf.metrics.systems import MEASURED
from mlpf.metrics.uncertainty import fraction
from mlpf.producer.producer import consumer_input


def points(*pairs):
    """A curve of 1000 targets and 1000 candidates a point: (efficiency, fake rate)."""
    return [Point(fraction(1000 * efficiency, 1000), fraction(1000 * fake_rate, 1000)) for efficiency, fake_rate in pairs]


def test_the_efficiency_is_interpolated_between_thresholds():
    curve = points((0.9, 0.6), (0.8, 0.4), (0.5, 0.1))
    found = at_fake_rate(curve, fraction(300, 1000))
    assert found.value == pytest.approx(0.7)  # a third of the way from .8 to .5
    assert found.low < found.value < found.high


def test_the_quoted_error_is_the_scatter_of_independent_samples():
    """Toys of a model with a known curve, efficiency = 1 - (1 - fake rate)^2 / 2, of which targets, candidates and rule-based candidates are drawn."""
    rng = np.random.default_rng(0)
    fakes = np.linspace(0.8, 0.1, 15)
    found, quoted = [], []
    for _ in range(400):
        score = rng.random(2000)  # of a target: it passes all thresholds up to its own
        matched = [(score < 1.0 - (1.0 - f) ** 2 / 2.0).sum() for f in fakes]
        curve = [Point(fraction(m, 2000), fraction(rng.binomial(1000, f), 1000)) for m, f in zip(matched, fakes, strict=True)]
        estimate = at_fake_rate(curve, fraction(rng.binomial(1500, 0.42), 1500))
        found.append(estimate.value)
        quoted.append(0.5 * (estimate.high - estimate.low))
    assert np.mean(found) == pytest.approx(1.0 - 0.58**2 / 2.0, abs=0.005)
    assert np.std(found) == pytest.approx(np.mean(quoted), rel=0.15)


def test_a_model_that_has_fewer_fakes_at_any_threshold_has_its_loosest_efficiency():
    assert at_fake_rate(points((0.9, 0.2), (0.8, 0.1)), fraction(300, 1000)).value == 0.9


def test_no_threshold_gives_so_few_fakes():
    assert at_fake_rate(points((0.9, 0.6), (0.8, 0.4)), fraction(10, 1000)) is None


def test_without_candidates_or_targets_there_is_nothing_to_say():
    assert at_fake_rate(points((0.9, 0.6)), fraction(0, 0)) is None
    empty = [Point(fraction(5, 10), fraction(0, 0))] * 2
    assert at_fake_rate(empty, fraction(1, 10)) is None


def test_in_every_bin_rule_based_and_own_threshold_are_those_of_the_evaluation(run, random_dataset):
    events = random_dataset(200, 40.0)
    predictor = TorchPredictor(run, "cpu")
    prediction = predictor(events)
    points, metrics = OperatingPoints(), Metrics(["model"])
    points.update(events, prediction.outputs)
    metrics.update(events, {"model": prediction})
    expected = metrics.results()["particles"]
    own = points._model[int(np.flatnonzero(LOGITS == 0.0)[0])]
    for c, name in enumerate(MEASURED):
        for b, row in enumerate(points.results()[name]):
            for key in ("efficiency", "fake_rate"):
                assert row[key] == expected["pf"][key][name]["pt"][b]
                assert getattr(own.point(c, b + 1), key).to_json() == expected["model"][key][name]["pt"][b]


def test_at_every_threshold_the_candidates_are_those_above_it(run, random_dataset):
    """Against the candidates of outputs in which all elements below the threshold are decided to be none."""
    events = random_dataset(20, 40.0)
    outputs = TorchPredictor(run, "cpu")(events).outputs
    points = OperatingPoints()
    points.update(events, outputs)
    logit = outputs.binary[:, 1].astype(np.float64) - outputs.binary[:, 0]
    numbers = set()
    for counts, threshold in zip(points._model, LOGITS, strict=True):
        decided = outputs._replace(binary=np.where((logit > threshold)[:, None], [-1.0, 1.0], [1.0, -1.0]).astype(np.float32))
        candidates = make_candidates(events, *consumer_input(events), decided)
        for c, category in enumerate(MEASURED.values()):
            expected = np.count_nonzero(np.abs(candidates["mlpfcandidate_pdgid"]) == category)
            assert sum(counts.point(c, b).fake_rate.n for b in range(12)) == expected
            numbers.add(expected)
    assert len(numbers) > 10


def test_the_targets_themselves_are_all_found_at_any_fake_rate(random_dataset, write_dataset, target_predictor):
    class Exact(target_predictor):
        def _outputs(self, events):
            seen = consumer_elements(events["element_type"])
            pt = np.log(np.maximum(events["target_pt"][seen], 1e-3) / consumer_input(events).features[:, schema.FEATURE_INDEX["pt"]])
            direction = (events[f"target_{name}"][seen] for name in ("eta", "sin_phi", "cos_phi"))
            momentum = np.stack([pt, *direction, np.zeros(len(pt))], axis=1).astype(np.float32)
            return super()._outputs(events)._replace(momentum=momentum)

    rows = operating_points(Exact(), ShardedDataset(write_dataset(random_dataset(200, 40.0))))
    assert set(rows) == set(MEASURED)
    found = [row for row in rows["photon"] if row["model"] and row["model"]["n"]]
    assert len(found) > 5
    assert all(row["model"]["value"] == 1.0 for row in found)
    assert all(first["pt"][1] == second["pt"][0] for first, second in pairwise(rows["photon"]))
