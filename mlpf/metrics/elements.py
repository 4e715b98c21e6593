"""Per element: whether its candidate has the class of its target.

This is how the public MLPF counts efficiency and fake rate. Everything is a count, so that events stream through and chunks add up.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpf import schema
from mlpf.features import class_positions
from mlpf.metrics import binning
from mlpf.metrics.sums import CountSums, Sums, count_cells
from mlpf.metrics.systems import MEASURED, Particles
from mlpf.metrics.uncertainty import fraction

NUM_CLASSES = schema.NUM_CLASSES
VARIABLES = {"pt": binning.PARTICLE_PT, "eta": binning.PARTICLE_ETA}


@dataclass
class ElementCounts:
    """Elements by true and predicted class.

    Attributes:
        confusion: ``(9, 9)`` elements by true (row) and predicted class, in the order of `schema.CLASSES`.
        true: variable -> ``(9, bins, 2)`` elements by true class, bin of the target's variable, and whether the predicted class is the same.
        predicted: likewise by predicted class, bin of the candidate's variable, and whether the true class is the same.
    """

    confusion: np.ndarray
    true: dict[str, np.ndarray]
    predicted: dict[str, np.ndarray]

    @classmethod
    def nothing(cls) -> "ElementCounts":
        """Of no elements."""
        true, predicted = ({name: np.zeros((NUM_CLASSES, len(edges) - 1, 2), dtype=np.int64) for name, edges in VARIABLES.items()} for _ in range(2))
        return cls(np.zeros((NUM_CLASSES, NUM_CLASSES), dtype=np.int64), true, predicted)

    def __add__(self, other: "ElementCounts") -> "ElementCounts":
        true = {name: self.true[name] + other.true[name] for name in VARIABLES}
        predicted = {name: self.predicted[name] + other.predicted[name] for name in VARIABLES}
        return ElementCounts(self.confusion + other.confusion, true, predicted)

    @property
    def parts(self) -> dict[str, Sums]:
        """What adds up: views of the counts."""
        return {"confusion": CountSums({"all": self.confusion}), "true": CountSums(self.true), "predicted": CountSums(self.predicted)}

    def to_json(self) -> dict[str, Any]:
        """Efficiency and fake rate per class, overall and per bin, and the confusion matrix."""
        right, of_true, of_predicted = np.diag(self.confusion), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        efficiency, fake_rate = {}, {}
        for name, category in MEASURED.items():
            c = schema.CLASS_IDS.index(category)
            efficiency[name] = {"all": fraction(right[c], of_true[c]).to_json()}
            fake_rate[name] = {"all": fraction(of_predicted[c] - right[c], of_predicted[c]).to_json()}
            for variable in VARIABLES:
                true, predicted = self.true[variable][c], self.predicted[variable][c]
                efficiency[name][variable] = fraction(true[:, 1], true.sum(axis=1)).to_json()
                fake_rate[name][variable] = fraction(predicted[:, 0], predicted.sum(axis=1)).to_json()
        some_true, some_predicted, both = of_true[1:].sum(), of_predicted[1:].sum(), self.confusion[1:, 1:].sum()
        efficiency["any"] = {"all": fraction(both, some_true).to_json()}
        fake_rate["any"] = {"all": fraction(some_predicted - both, some_predicted).to_json()}
        return {"efficiency": efficiency, "fake_rate": fake_rate, "confusion": self.confusion.tolist(), "classes": list(schema.CLASS_NAMES)}


def count_elements(truth: Particles, found: Particles, kept: np.ndarray) -> ElementCounts:
    """Compare classes element by element.

    Args:
        truth, found: targets and candidates of the same events.
        kept: ``(N,) bool`` the elements that a model sees.
    """
    true_class, found_class = np.zeros(len(kept), dtype=np.int64), np.zeros(len(kept), dtype=np.int64)
    true_class[truth.element] = class_positions(truth.category)
    found_class[found.element] = class_positions(found.category)
    confusion = np.bincount(true_class[kept] * NUM_CLASSES + found_class[kept], minlength=NUM_CLASSES**2).reshape(NUM_CLASSES, NUM_CLASSES)
    return ElementCounts(confusion, _by_variable(truth, found_class, kept), _by_variable(found, true_class, kept))


def _by_variable(particles: Particles, other_class: np.ndarray, kept: np.ndarray) -> dict[str, np.ndarray]:
    particles = particles.select(kept[particles.element])
    own_class = class_positions(particles.category)
    same = own_class == other_class[particles.element]
    counts = {}
    for name, edges in VARIABLES.items():
        shape = (NUM_CLASSES, len(edges) + 1, 2)
        counts[name] = count_cells(shape, own_class, binning.bin_index(getattr(particles, name), edges), same)[:, 1:-1]
    return counts
