"""Efficiency of a model at the fake rate of rule-based particle flow, per particle, class and bin of pt.

At its own threshold a model differs from rule-based particle flow in both numbers, and neither says which one is better. Here the threshold of the particle
probability moves, particles are matched again at each, and the efficiency is read off where the fake rate is the same.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from mlpf import schema
from mlpf.candidates import Outputs, make_candidates
from mlpf.evaluation.choice import Choice, read_blocks
from mlpf.evaluation.predictor import ALL, Predictor
from mlpf.events import Events
from mlpf.features import consumer_elements
from mlpf.io.shards import ShardedDataset
from mlpf.metrics import binning, systems
from mlpf.metrics.particles import match_particles
from mlpf.metrics.sums import count_cells
from mlpf.metrics.systems import MEASURED, Particles, measured_positions
from mlpf.metrics.uncertainty import Estimate, fraction
from mlpf.producer.producer import consumer_input

LOGITS = np.linspace(-6.0, 10.0, 33)  # thresholds of the particle probability, from .0025 to .99995; at 0 is the model's own


def operating_points(model: Predictor, dataset: ShardedDataset, on_events: Callable[[int], object] = lambda _: None) -> dict[str, list[dict[str, Any]]]:
    """What `OperatingPoints.results` gives of a model on all events of a dataset.

    Args:
        model: makes the outputs.
        dataset: with targets and the candidates of rule-based particle flow.
        on_events: called now and then with the number of events read since.
    """
    points = OperatingPoints()
    wanted = ("event", "element", *(["edge"] if model.needs_edges else []))
    columns = [name for name, collection in schema.DATASET.collection_of.items() if collection in wanted]
    for events in read_blocks(dataset, columns, Choice({"model": model}, ALL), None, None, on_events):
        points.update(events, model(events).outputs)
    return points.results()


class OperatingPoints:
    """Counts of matched and unmatched particles of a model at each threshold, and of rule-based particle flow, on the same events."""

    def __init__(self) -> None:
        self._model = [_Counts() for _ in LOGITS]
        self._rule_based = _Counts()

    def update(self, events: Events, outputs: Outputs) -> None:
        """Add events of a dataset, and a model's outputs for the elements that it sees."""
        truth, types = systems.targets(events), events["element_type"]
        self._rule_based.update(truth, systems.rule_based(events), types)
        logit = np.full(len(types), -np.inf)
        logit[consumer_elements(types)] = outputs.binary[:, 1].astype(np.float64) - outputs.binary[:, 0]
        loosest = outputs._replace(binary=outputs.binary - np.array([0.0, LOGITS[0]], dtype=np.float32))
        everything = systems.model(make_candidates(events, *consumer_input(events), loosest), events)
        for counts, threshold in zip(self._model, LOGITS, strict=True):
            counts.update(truth, everything.select(logit[everything.element] > threshold), types)

    def results(self) -> dict[str, list[dict[str, Any]]]:
        """Per class a row for each bin of pt: its edges ``pt`` [GeV], ``fake_rate`` and ``efficiency`` of rule-based particle flow, and ``model``.

        The last is the model's efficiency at that fake rate, None where every threshold gives more fakes or there is nothing to compare.
        """
        edges = binning.PARTICLE_PT.tolist()
        rows: dict[str, list[dict[str, Any]]] = {}
        for c, name in enumerate(MEASURED):
            rows[name] = []
            for b, pt in enumerate(pairwise(edges), start=1):
                reference = self._rule_based.point(c, b)
                found = at_fake_rate([counts.point(c, b) for counts in self._model], reference.fake_rate)
                numbers = {"fake_rate": reference.fake_rate, "efficiency": reference.efficiency, "model": found}
                rows[name].append({"pt": list(pt)} | {key: value and value.to_json() for key, value in numbers.items()})
        return rows


class Point(NamedTuple):
    """What a system does at one threshold, for one class and bin of pt.

    Attributes:
        efficiency: share of the targets that are matched.
        fake_rate: share of the candidates that are not.
    """

    efficiency: Estimate
    fake_rate: Estimate


class _Counts:
    """Numbers of targets and of candidates, ``(C, bins + 2, 2)`` each: class of `MEASURED`, bin of pt with those below and above, not matched and matched."""

    def __init__(self) -> None:
        shape = (len(MEASURED), len(binning.PARTICLE_PT) + 1, 2)
        self._targets, self._candidates = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)

    def update(self, truth: Particles, found: Particles, element_type: np.ndarray) -> None:
        partner = match_particles(truth, found, element_type)
        used = np.zeros(len(found.pt), dtype=bool)
        used[partner[partner >= 0]] = True
        for counts, particles, matched in ((self._targets, truth, partner >= 0), (self._candidates, found, used)):
            position = measured_positions(particles.category)
            kept = position >= 0
            counts += count_cells(counts.shape, position[kept], binning.bin_index(particles.pt[kept], binning.PARTICLE_PT), matched[kept])

    def point(self, position: int, pt_bin: int) -> Point:
        (lost, matched), (fake, true) = self._targets[position, pt_bin], self._candidates[position, pt_bin]
        return Point(fraction(matched, lost + matched), fraction(fake, fake + true))


def at_fake_rate(curve: list[Point], wanted: Estimate) -> Estimate | None:
    """Efficiency where a curve has a fake rate, interpolated linearly between thresholds.

    Its error is that of the efficiency and, times the slope of the curve, those of both fake rates, in quadrature.

    Args:
        curve: a model's points, from the loosest threshold to the tightest.
        wanted: the fake rate.

    Returns:
        that of the loosest threshold if it has fewer fakes already; None where all thresholds have more, or there is nothing to count.
    """
    goal = float(wanted.value)
    fakes = np.array([float(point.fake_rate.value) for point in curve])
    below = np.flatnonzero(fakes <= goal)
    if not len(below):
        return None
    tight = int(below[0])
    efficiency, fake_rate = curve[tight]
    if tight == 0 or not np.isfinite(fakes[tight - 1]):
        return efficiency
    own, loose = float(efficiency.value), float(curve[tight - 1].efficiency.value)
    slope = (loose - own) / (fakes[tight - 1] - fakes[tight])
    value = own + slope * (goal - fakes[tight])
    moved = [slope * 0.5 * (float(rate.high) - float(rate.low)) for rate in (fake_rate, wanted)]
    below_it, above_it = (float(np.hypot(np.hypot(*moved), float(end) - own)) for end in (efficiency.low, efficiency.high))
    return Estimate(value, value - below_it, value + above_it, efficiency.n)
