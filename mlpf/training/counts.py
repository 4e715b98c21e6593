"""How well the elements of validation batches are told, as counts: batches stream by, and the counts of several processes add up."""

from dataclasses import dataclass, fields

import numpy as np
from torch import Tensor

from mlpf import schema
from mlpf.candidates import Outputs, candidate_class, four_momenta
from mlpf.dataset.batch import Batch
from mlpf.metrics.elements import ElementCounts, count_elements
from mlpf.metrics.systems import Particles
from mlpf.nn.heads import ModelOutput
from mlpf.schema import FEATURE_INDEX

RESPONSE_EDGES = np.geomspace(0.05, 20.0, 4801)  # steps of 0.12 %, an eighth of the resolution of tracks; medians are interpolated


@dataclass
class ValidationCounts:
    """Counts of elements; classes are in the order of `schema.CLASSES`.

    Attributes:
        num_events: events that were counted.
        elements: by true and predicted class, as in the report of an evaluation.
        response: ``(9, bins) int64`` elements that are and are said to be particles, by true class and predicted pt / true pt in `RESPONSE_EDGES`; the first
            and last bin hold what lies outside.
    """

    num_events: int
    elements: ElementCounts
    response: np.ndarray

    def __add__(self, other: "ValidationCounts") -> "ValidationCounts":
        return ValidationCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def response_quantiles(self, probabilities: tuple[float, ...] = (0.25, 0.5, 0.75)) -> np.ndarray:
        """``(9, Q)`` quantiles of the response of each true class, NaN where it has none."""
        cumulative = np.cumsum(self.response, axis=1, dtype=np.float64)
        result = np.full((len(cumulative), len(probabilities)), np.nan)
        edges = np.log(RESPONSE_EDGES)
        for row, counts in zip(result, cumulative, strict=True):
            if counts[-1]:
                row[:] = np.exp(np.interp(np.asarray(probabilities) * counts[-1], np.concatenate([[0.0], counts]), edges))
        return result


def count_batch(output: ModelOutput, batch: Batch) -> ValidationCounts:
    """Counts of one batch; an element's class is the one that its candidate would get (`mlpf.candidates`).

    Targets whose momentum the model does not learn (`Targets.has_momentum`) are not counted by pt and eta.
    """
    real = batch.mask > 0.5
    features, momentum, binary, pid = (_numpy(tensor[real].float()) for tensor in (batch.features, output.momentum, output.binary, output.pid))
    targets = batch.targets
    true_class, true_momentum, has_momentum = (_numpy(tensor[real]) for tensor in (targets.class_position, targets.momentum, targets.has_momentum))
    truth = np.asarray(schema.CLASS_IDS, dtype=np.int32)[true_class]
    found = candidate_class(features, Outputs(binary, pid, momentum, momentum[:, 0]))
    kept = found != 0
    predicted = four_momenta(features[kept], momentum[kept], found[kept])
    true_pt = np.exp(true_momentum[:, 0]) * features[:, FEATURE_INDEX["pt"]]
    true_pt, true_eta = (np.where(has_momentum, values, np.inf)[truth != 0] for values in (true_pt, true_momentum[:, 1]))  # infinite: in no bin
    elements = count_elements(
        _particles(truth, true_pt, true_eta),
        _particles(found, predicted["mlpfcandidate_pt"], predicted["mlpfcandidate_eta"]),
        np.ones(len(truth), dtype=bool),
    )
    both = has_momentum & kept
    return ValidationCounts(len(batch.mask), elements, _count_response(true_class[both], momentum[both, 0] - true_momentum[both, 0]))


def _count_response(true_class: np.ndarray, log_response: np.ndarray) -> np.ndarray:
    num_bins = len(RESPONSE_EDGES) - 1
    bins = np.clip(np.digitize(log_response, np.log(RESPONSE_EDGES)) - 1, 0, num_bins - 1)
    counts = np.bincount(true_class * num_bins + bins, minlength=schema.NUM_CLASSES * num_bins)
    return counts.reshape(schema.NUM_CLASSES, num_bins)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _particles(category: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> Particles:
    """What elements became, as far as counting needs it: ``(N,)`` classes of all, pt and eta of those that became a particle."""
    (element,) = np.nonzero(category)
    unknown = np.zeros_like(pt)
    return Particles(pt, eta, unknown, unknown, category[element], element, unknown, np.array([0, len(element)]))
