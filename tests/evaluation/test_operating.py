from itertools import pairwise

import numpy as np
import pytest

from mlpf import schema
from mlpf.candidates import Outputs, make_candidates
from mlpf.evaluation.operating import LOGITS, OperatingPoints, Point, at_fake_rate, operating_points
from mlpf.features import consumer_elements
from mlpf.io.shards import ShardedDataset
from mlpf.metrics import systems
from mlpf.metrics.particles import match_particles
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
    own, fakes = fraction(500, 1000), fraction(300, 1000)
    expected = 0.7 - np.hypot(own.value - own.low, 1.0 * (fakes.value - fakes.low))  # the slope is .3 / .3
    assert found.low == pytest.approx(expected)
    assert found.high > found.value


def test_a_model_that_has_fewer_fakes_at_any_threshold_has_its_loosest_efficiency():
    assert at_fake_rate(points((0.9, 0.2), (0.8, 0.1)), fraction(300, 1000)).value == 0.9


def test_no_threshold_gives_so_few_fakes():
    assert at_fake_rate(points((0.9, 0.6), (0.8, 0.4)), fraction(10, 1000)) is None


def test_without_candidates_or_targets_there_is_nothing_to_say():
    assert at_fake_rate(points((0.9, 0.6)), fraction(0, 0)) is None
    empty = [Point(fraction(5, 10), fraction(0, 0))] * 2
    assert at_fake_rate(empty, fraction(1, 10)) is None


def random_outputs(events, seed=0):
    rng = np.random.default_rng(seed)
    n = np.count_nonzero(consumer_elements(events["element_type"]))
    momentum = np.concatenate([rng.normal(0, 0.1, (n, 1)), rng.normal(0, 1, (n, 4))], axis=1)
    return Outputs(*(values.astype(np.float32) for values in (rng.normal(0, 2, (n, 2)), rng.normal(0, 1, (n, 9)), momentum, rng.normal(0, 1, n))))


def test_at_every_threshold_counts_are_those_of_candidates_above_it(random_dataset):
    """Against the producer's own candidates of outputs in which all elements below the threshold are decided to be none."""
    events = random_dataset(20, 40.0)
    outputs = random_outputs(events)
    found = OperatingPoints()
    found.update(events, outputs)
    truth = systems.targets(events)
    logit = outputs.binary[:, 1].astype(np.float64) - outputs.binary[:, 0]
    for t, threshold in enumerate(LOGITS):
        decided = outputs._replace(binary=np.where((logit > threshold)[:, None], [-1.0, 1.0], [1.0, -1.0]).astype(np.float32))
        candidates = systems.model(make_candidates(events, *consumer_input(events), decided), events)
        partner = match_particles(truth, candidates, events["element_type"])
        for c, category in enumerate(MEASURED.values()):
            own = truth.category == category
            counts = sum(found._model[t].point(c, b).efficiency.n for b in range(12))
            assert counts == own.sum()
            matched = sum(float(np.nan_to_num(p.efficiency.value) * p.efficiency.n) for p in (found._model[t].point(c, b) for b in range(12)))
            assert matched == pytest.approx((partner[own] >= 0).sum())
            fakes = sum(float(np.nan_to_num(p.fake_rate.value) * p.fake_rate.n) for p in (found._model[t].point(c, b) for b in range(12)))
            mine = np.flatnonzero(candidates.category == category)
            assert fakes == pytest.approx(len(mine) - np.isin(mine, partner).sum())


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
