"""Thresholds for a wanted efficiency of one score, or of each of two, and what passes them."""

from typing import Any, NamedTuple

import numpy as np

from mlpf.metrics.roc import Separation, Weights, from_above, weighted_fraction

EFFICIENCIES = (0.80, 0.90, 0.95, 0.99)  # wanted; the last is the loosest


def passed_share(passed: np.ndarray, totals: tuple[Weights, Weights]) -> dict[str, Any]:
    """Efficiency and misidentification.

    Args:
        passed: ``(2,)`` weight of background and signal that passes.
        totals: of background and signal.
    """
    misidentification, efficiency = (weighted_fraction(passed[i], totals[i]).to_json() for i in (0, 1))
    return {"efficiency": efficiency, "misidentification": misidentification}


def one_score(scores: Separation, edges: np.ndarray, name: str) -> dict[str, dict[str, Any]]:
    """Working points of one score, the highest edge of its bins that as much signal as wanted reaches; none without signal.

    Args:
        scores: in K bins.
        edges: ``(K + 1,)``.
        name: of the threshold in the report.
    """
    if not scores.signal.sum.sum():
        return {}
    passing = [from_above(weights.sum) for weights in scores]
    totals = (scores.background.total(), scores.signal.total())
    points = {}
    for wanted in EFFICIENCIES:
        cut = highest_cut(scores.signal.sum, wanted)
        points[f"{wanted:.2f}"] = {name: float(edges[cut]), **passed_share(np.array([p[cut] for p in passing]), totals)}
    return points


def two_scores(plane: np.ndarray, totals: tuple[Weights, Weights], edges: np.ndarray, names: tuple[str, str]) -> dict[str, dict[str, Any]]:
    """Working points of two scores that must both pass; none without signal.

    The threshold of either is the one that the wanted efficiency has among the signal that passes the loosest threshold of the other; efficiency and
    misidentification are those of both together.

    Args:
        plane: ``(2, K, K)`` weight of background and signal in bins of the scores.
        totals: of background and signal.
        edges: ``(K + 1,)`` of both scores.
        names: of the thresholds in the report.
    """
    if not totals[1].sum:
        return {}
    loosest = loosest_cuts(plane[1], max(EFFICIENCIES))
    points = {}
    for wanted in EFFICIENCIES:
        cuts = Cuts(highest_cut(plane[1][:, loosest.second :].sum(axis=1), wanted), highest_cut(plane[1][loosest.first :].sum(axis=0), wanted))
        thresholds = dict(zip(names, edges[list(cuts)].tolist(), strict=True))
        points[f"{wanted:.2f}"] = {**thresholds, **passed_share(plane[:, cuts.first :, cuts.second :].sum(axis=(1, 2)), totals)}
    return points


class Cuts(NamedTuple):
    """Edges of two scores' bins, by number."""

    first: int
    second: int


def loosest_cuts(signal: np.ndarray, wanted: float) -> Cuts:
    """The cuts of which each keeps the wanted share of the signal that passes the other.

    Each is found anew with the other until nothing moves; the cuts are finitely many, so that this ends (should it come back to earlier cuts, there).

    Args:
        signal: ``(K, K)`` weight in bins of both scores.
        wanted: efficiency.
    """
    cuts, seen = Cuts(0, 0), set()
    while cuts not in seen:
        seen.add(cuts)
        first = highest_cut(signal[:, cuts.second :].sum(axis=1), wanted)
        cuts = Cuts(first, highest_cut(signal[first:].sum(axis=0), wanted))
    return cuts


def highest_cut(signal: np.ndarray, wanted: float) -> int:
    """The highest of the K bins whose lower edge keeps at least the wanted share of the weight."""
    passing = from_above(signal)
    return int(np.flatnonzero(passing >= wanted * passing[0])[-1]) if passing[0] > 0 else 0
