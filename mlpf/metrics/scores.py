"""Scores of classes per element: streams of model outputs -> counts in fine bins of the scores; ROC, AUC, working points and calibration of those.

The score of a class is the probability that the consumer's rules (`mlpf.candidates.candidate_class`) give it to an element: P(particle) times the softmax of
the class head, where a charged hadron or muon on anything but a track is a neutral hadron, a tau or an unconfirmed muon on a track is a charged hadron, and
in the HF the type of the element decides, unless the class head says that there is nothing. Outputs that are NaN or of which infinity is the largest make a
score of 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlpf.candidates import MUON_FEATURES, Outputs
from mlpf.events import Events
from mlpf.features import class_positions, consumer_elements, feature_column
from mlpf.metrics.calibration import calibration
from mlpf.metrics.roc import Separation, Weights, auc, roc_curve
from mlpf.metrics.score_bins import LINE_CENTERS, LINE_EDGES, MEASURED_POSITIONS, NUM_LINE, NUM_PLANE, PLANE_EDGES, fill_scores
from mlpf.metrics.sums import CountSums
from mlpf.metrics.systems import MEASURED
from mlpf.metrics.working_points import one_score, passed_share, two_scores

DEFINITIONS = {
    "classification": "Per element that models see, a class against all others (elements without a particle are others), in bins of the element's pt; events "
    "count with their weight. Score of a class: the probability that the consumer's rules give it to the element. 'any': whether there is a particle, by "
    "P(particle) alone. 'pileup': whether most of the energy is of pileup, asked of elements with a particle.",
    "AUC": "Probability that an element of the class has a higher score than another one. 68 % interval of DeLong et al. (1988), or of Newcombe (2006) where "
    "nearly all are told apart; elements are taken as independent.",
    "working points": "Thresholds on P(particle) and on the probability of the class, each with the wanted efficiency among elements of the class that pass "
    "the loosest threshold (99 %) of the other. Efficiency: share of the elements of the class that pass both; misidentification: share of all others that do. "
    "Rule-based PF has no scores: what it decides.",
    "calibration": "Mean score and share of the class in bins of the score. Calibration error: mean distance of the two over all elements, without the bias "
    "of its noise (arXiv:1706.04599, arXiv:2012.08668).",
}
ANY, PILEUP = "any", "pileup"
CLASSES = (ANY, *MEASURED, PILEUP)
PT_EDGES = np.array([0.0, 1.0, 5.0, 20.0, np.inf])  # GeV, of the element: edges of the `BINS`
BINS = {"all": slice(None), **{name: slice(i, i + 1) for i, name in enumerate(("pt_0_1", "pt_1_5", "pt_5_20", "pt_20_inf"))}}
PARTICLE_THRESHOLD, CLASS_THRESHOLD, PILEUP_THRESHOLD = "particle_threshold", "class_threshold", "pileup_threshold"

# Weights and their squares are rounded to multiples of these: float64 sums are then exact, and so the same in any order, up to 2^33 and 2^23 (beyond that,
# the intervals of samples with weights depend on it in the 16th digit).
_WEIGHT_UNIT, _SQUARE_UNIT = 2.0**-20, 2.0**-30


class Truth:
    """Of the elements that models see: what they are. Made once for all models.

    Attributes:
        kept: ``(N,) bool`` elements of the events that a model sees, K of them.
        category: ``(K,)`` position of the target's class in `schema.CLASSES`.
        from_pileup: ``(K,) bool``.
        element_type: ``(K,)``.
        confirmed_muon: ``(K,) bool`` the track belongs to a reconstructed muon.
        pt_bin: ``(K,)`` bin of `PT_EDGES`.
        weight, square: ``(K,) float64`` weight of the event, rounded to 2^-20, and its square, rounded up to 2^-30.
    """

    def __init__(self, events: Events) -> None:
        self.kept = consumer_elements(events["element_type"])
        self.category = class_positions(events["target_class"][self.kept])
        self.from_pileup = events["target_ispu"][self.kept] > 0.5
        self.element_type = events["element_type"][self.kept]
        self.confirmed_muon = np.any([feature_column(events, name)[self.kept] != 0 for name in MUON_FEATURES], axis=0)
        self.pt_bin = np.digitize(np.nan_to_num(events["element_pt"][self.kept]), PT_EDGES[1:-1])
        weight = events["weight"].astype(np.float64) if "weight" in events else np.ones(len(events))
        weight = np.rint(weight / _WEIGHT_UNIT) * _WEIGHT_UNIT
        square = np.ceil(weight**2 / _SQUARE_UNIT) * _SQUARE_UNIT  # up: what has a weight fluctuates
        self.weight, self.square = (np.repeat(values, events.counts("element"))[self.kept] for values in (weight, square))


class ScoreCounts(CountSums):
    """Scores of one model.

    Arrays (class in the order of `CLASSES`; bin of pt; background, signal):
        sums, squares: ``(9, 4, 2, 2048)`` weights, and their squares, in bins of the score.
        numbers: ``(9, 4, 2)`` elements.
        planes: ``(7, 4, 2, 200, 200)`` weights in bins of P(particle) and of the probability of the class, for the classes that have both.
    """

    def __init__(self) -> None:
        shape = (len(CLASSES), len(PT_EDGES) - 1, 2)
        arrays = {"sums": (*shape, NUM_LINE), "squares": (*shape, NUM_LINE), "numbers": shape, "planes": (len(MEASURED), *shape[1:], NUM_PLANE, NUM_PLANE)}
        super().__init__({name: np.zeros(size, dtype=np.int64 if name == "numbers" else np.float64) for name, size in arrays.items()})

    def update(self, truth: Truth, outputs: Outputs) -> None:
        """Add events.

        Args:
            truth: of a dataset's events.
            outputs: what the model says of the elements it sees.
        """
        assert len(outputs.binary) == len(truth.category), f"{len(outputs.binary)} outputs of {len(truth.category)} elements"
        binary, pid, _, pileup = (np.ascontiguousarray(values, dtype=np.float32) for values in outputs)
        what = (truth.category, truth.from_pileup, truth.element_type, truth.confirmed_muon)
        fill_scores(binary, pid, pileup, *what, truth.pt_bin, truth.weight, truth.square, *self.counts.values())

    def arrays(self) -> dict[str, np.ndarray]:
        """What has to be kept to `restore` it: of the large arrays, mostly empty, the bins that are not."""
        kept = {"numbers": self.counts["numbers"]}
        for name in ("sums", "squares", "planes"):
            index = np.flatnonzero(self.counts[name])
            kept |= {f"{name}.index": index, name: self.counts[name].ravel()[index]}
        return kept

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Add what `arrays` gave."""
        self.counts["numbers"] += arrays["numbers"]
        for name in ("sums", "squares", "planes"):
            self.counts[name].ravel()[arrays[f"{name}.index"]] += arrays[name]

    def to_json(self) -> dict[str, dict[str, Any]]:
        """``{bin: {class: numbers}}``, without what has no element, and without pileup where nothing is."""
        classes = [name for name in CLASSES if name != PILEUP or self.counts["numbers"][CLASSES.index(PILEUP), :, 1].any()]
        return {label: {name: entry for name in classes if (entry := self._entry(name, chosen))} for label, chosen in BINS.items()}

    def _entry(self, name: str, chosen: slice) -> dict[str, Any]:
        c = CLASSES.index(name)
        num_background, num_signal = self.counts["numbers"][c, chosen].sum(axis=0).tolist()
        if not num_background + num_signal:
            return {}
        scores = Separation.of(*(self.counts[which][c, chosen].sum(axis=0) for which in ("sums", "squares")))
        if name in MEASURED:
            plane = self.counts["planes"][list(MEASURED).index(name), chosen].sum(axis=0)
            totals = (scores.background.total(), scores.signal.total())
            points = two_scores(plane, totals, PLANE_EDGES, (PARTICLE_THRESHOLD, CLASS_THRESHOLD))
        else:
            points = one_score(scores, LINE_EDGES, PARTICLE_THRESHOLD if name == ANY else PILEUP_THRESHOLD)
        return {
            "auc": auc(scores).to_json(),
            "num_signal": num_signal,
            "num_background": num_background,
            "roc": roc_curve(scores, LINE_EDGES),
            "working_points": points,
            **calibration(scores, LINE_CENTERS),
        }


class DecisionCounts(CountSums):
    """What rule-based particle flow decides.

    Arrays ``sums`` and ``squares``: ``(8, 4, 2, 2)`` weights, and their squares, by class, bin of pt, whether it is signal, whether it is found to be.
    """

    def __init__(self) -> None:
        shape = (len(CLASSES) - 1, len(PT_EDGES) - 1, 2, 2)
        super().__init__({name: np.zeros(shape) for name in ("sums", "squares")})

    def update(self, events: Events, truth: Truth) -> None:
        """Add a dataset's events."""
        found = class_positions(events["candidate_class"][truth.kept])
        for c, position in enumerate([None, *MEASURED_POSITIONS]):
            signal, passed = ((side > 0 if position is None else side == position).astype(np.int64) for side in (truth.category, found))
            cell = np.ravel_multi_index((truth.pt_bin, signal, passed), self.counts["sums"][c].shape)
            for name, values in {"sums": truth.weight, "squares": truth.square}.items():
                counts = self.counts[name][c]
                counts += np.bincount(cell, values, minlength=counts.size).reshape(counts.shape)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """``{bin: {class: {"working_points": {"fixed": numbers}}}}``; empty where there is no candidate at all."""
        if not self.counts["sums"][0, ..., 1].any():
            return {}
        return {label: {name: entry for c, name in enumerate(CLASSES[:-1]) if (entry := self._entry(c, chosen))} for label, chosen in BINS.items()}

    def _entry(self, c: int, chosen: slice) -> dict[str, Any]:
        sums, squares = (self.counts[which][c, chosen].sum(axis=0) for which in ("sums", "squares"))
        if not sums.any():
            return {}
        totals = (Weights(sums[0].sum(), squares[0].sum()), Weights(sums[1].sum(), squares[1].sum()))
        return {"working_points": {"fixed": passed_share(sums[:, 1], totals)}}


def by_class(systems: Mapping[str, ScoreCounts | DecisionCounts]) -> dict[str, dict[str, dict[str, Any]]]:
    """``{bin: {class: {system: numbers}}}`` of models and of rule-based particle flow."""
    numbers = {name: counts.to_json() for name, counts in systems.items()}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for label in BINS:
        for category in CLASSES:
            entries = {name: of_system[label][category] for name, of_system in numbers.items() if category in of_system.get(label, {})}
            if entries:
                found.setdefault(label, {})[category] = entries
    return found
