"""Model outputs of elements -> counts in fine bins of the scores of classes, element by element."""

import numba
import numpy as np

from mlpf import schema
from mlpf.candidates import sigmoid
from mlpf.metrics.systems import MEASURED
from mlpf.schema import CandidateClass, ElementType

# Bins of log(score / (1 - score)): for curves (2^-6 wide: float32 cannot tell scores beyond 16 from 1), and for two scores at once.
_LINE_LIMIT, NUM_LINE = 16.0, 2048
_PLANE_LIMIT, NUM_PLANE = 10.0, 200

MEASURED_POSITIONS = np.array([schema.CLASS_IDS.index(category) for category in MEASURED.values()])
"""In `schema.CLASSES`."""
_CHARGED, _NEUTRAL, _HF_HADRON, _HF_EM, _MUON, _TAU = (
    schema.CLASSES.index(c)
    for c in (
        CandidateClass.CHARGED_HADRON,
        CandidateClass.NEUTRAL_HADRON,
        CandidateClass.HF_HADRON,
        CandidateClass.HF_EM,
        CandidateClass.MUON,
        CandidateClass.TAU,
    )
)
_TRACK, _HFEM, _HFHAD = int(ElementType.TRACK), int(ElementType.HFEM), int(ElementType.HFHAD)


def _probability_edges(limit: float, num_bins: int) -> np.ndarray:
    """Edges of the bins as scores; the outermost bins reach to 0 and 1."""
    edges = sigmoid(np.linspace(-limit, limit, num_bins + 1))
    edges[[0, -1]] = 0.0, 1.0
    return edges


LINE_EDGES, PLANE_EDGES = _probability_edges(_LINE_LIMIT, NUM_LINE), _probability_edges(_PLANE_LIMIT, NUM_PLANE)
LINE_CENTERS = sigmoid((np.arange(NUM_LINE) + 0.5) * (2.0 * _LINE_LIMIT / NUM_LINE) - _LINE_LIMIT)


@numba.njit(cache=True)
def _bin(logit: float, limit: float, num_bins: int) -> int:
    """Bin of log(score / (1 - score)); the first for NaN."""
    if not logit > -limit:
        return 0
    if logit >= limit:
        return num_bins - 1
    return min(int((logit + limit) * (num_bins / (2.0 * limit))), num_bins - 1)


@numba.njit(cache=True)
def _within(logit: float) -> float:
    """Limited to what is far beyond all bins and still has a finite exponential; NaN stays."""
    return 100.0 if logit > 100.0 else -100.0 if logit < -100.0 else logit


@numba.njit(cache=True)
def _class_weights(logits: np.ndarray, element_type: int, confirmed_muon: bool, weights: np.ndarray) -> float:
    """Fill the probabilities of the classes by the consumer's rules, times their sum, and return it; NaN if a logit is not finite."""
    largest = logits[0]
    for c in range(1, len(logits)):
        largest = max(largest, logits[c])
    total = 0.0
    for c in range(len(logits)):
        weights[c] = np.exp(np.float64(logits[c]) - largest)
        total += weights[c]
    if element_type in (_HFEM, _HFHAD):
        some = weights[1:].sum()
        weights[1:] = 0.0
        weights[_HF_EM if element_type == _HFEM else _HF_HADRON] = some
    elif element_type != _TRACK:
        weights[_NEUTRAL] += weights[_MUON] + weights[_CHARGED]
        weights[_MUON] = weights[_CHARGED] = 0.0
    else:
        weights[_CHARGED] += weights[_TAU]
        weights[_TAU] = 0.0
        if not confirmed_muon:
            weights[_CHARGED] += weights[_MUON]
            weights[_MUON] = 0.0
    return total


@numba.njit(cache=True)
def fill_scores(
    binary: np.ndarray,
    pid: np.ndarray,
    pileup: np.ndarray,
    category: np.ndarray,
    from_pileup: np.ndarray,
    element_type: np.ndarray,
    confirmed_muon: np.ndarray,
    pt_bin: np.ndarray,
    weight: np.ndarray,
    square: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
    numbers: np.ndarray,
    planes: np.ndarray,
) -> None:
    """Add elements to the counts of `mlpf.metrics.scores.ScoreCounts`.

    Args:
        binary, pid, pileup: ``(K, 2)``, ``(K, 9)``, ``(K,)`` of `mlpf.candidates.Outputs`.
        category, from_pileup, element_type, confirmed_muon, pt_bin, weight, square: ``(K,)`` of `mlpf.metrics.scores.Truth`.
        sums, squares, numbers, planes: what is added to.
    """
    weights = np.zeros(pid.shape[1])
    score, signal = np.empty(len(sums)), np.empty(len(sums), dtype=np.int64)
    num_measured = len(MEASURED_POSITIONS)
    for i in range(len(category)):
        score[0], signal[0] = _within(np.float64(binary[i, 1]) - binary[i, 0]), category[i] > 0
        odds = np.exp(score[0])  # of a particle
        total = _class_weights(pid[i], element_type[i], confirmed_muon[i], weights)
        first = _bin(score[0], _PLANE_LIMIT, NUM_PLANE)
        for k in range(num_measured):
            own = weights[MEASURED_POSITIONS[k]]
            others = 0.0
            for c in range(len(weights)):
                others += weights[c] if c != MEASURED_POSITIONS[k] else 0.0
            signal[k + 1] = category[i] == MEASURED_POSITIONS[k]
            # p = odds / (1 + odds) own / total and 1 - p = (total + odds others) / (1 + odds) / total
            score[k + 1] = score[0] + np.log(own) - np.log(total + odds * others)
            planes[k, pt_bin[i], signal[k + 1], first, _bin(np.log(own) - np.log(others), _PLANE_LIMIT, NUM_PLANE)] += weight[i]
        score[num_measured + 1], signal[num_measured + 1] = pileup[i], from_pileup[i]
        for k in range(num_measured + 2 if category[i] > 0 else num_measured + 1):
            b = _bin(score[k], _LINE_LIMIT, NUM_LINE)
            sums[k, pt_bin[i], signal[k], b] += weight[i]
            squares[k, pt_bin[i], signal[k], b] += square[i]
            numbers[k, pt_bin[i], signal[k]] += 1
