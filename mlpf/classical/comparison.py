"""How two sets of candidates of the same events agree: those of this library against those that an ntuple came with."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mlpf.events import Events, offsets_from_counts
from mlpf.metrics.matching import closest_first, nearby_pairs
from mlpf.metrics.uncertainty import Estimate, fraction, spread
from mlpf.schema import CLASSES, CandidateClass

MAX_DELTA_R = 0.05


class ClassAgreement(NamedTuple):
    """What became of the reference's candidates of one class.

    Attributes:
        num_given: in the reference.
        matched: fraction of the reference that has a candidate of the class within `MAX_DELTA_R`, one to one.
        response: median of pt found over pt given of the matched.
    """

    num_given: int
    matched: Estimate
    response: Estimate


class Comparison:
    """Gathers events chunk by chunk."""

    def __init__(self) -> None:
        self._responses: dict[CandidateClass, list[np.ndarray]] = {kind: [] for kind in CLASSES}  # of those of the reference, NaN where not matched

    def add(self, given: Events, found: Events) -> None:
        """Events with the ``pfcandidate_*`` of the reference, and the same events with others."""
        for kind in CLASSES:
            reference, candidates = _of_class(given, kind), _of_class(found, kind)
            pairs = nearby_pairs(*reference.direction, reference.offsets, *candidates.direction, candidates.offsets, MAX_DELTA_R)
            partner, _ = closest_first(pairs, len(reference.pt), len(candidates.pt))
            response = np.full(len(reference.pt), np.nan)
            matched = partner >= 0
            response[matched] = candidates.pt[partner[matched]] / reference.pt[matched]
            self._responses[kind].append(response)

    def by_class(self) -> Mapping[CandidateClass, ClassAgreement]:
        """Of the classes that the reference has."""
        agreement = {}
        for kind, parts in self._responses.items():
            response = np.concatenate([np.empty(0), *parts])
            matched = np.isfinite(response)
            if len(response):
                agreement[kind] = ClassAgreement(len(response), fraction(int(matched.sum()), len(response)), spread(response[matched])["median"])
        return agreement


class _Candidates(NamedTuple):
    pt: np.ndarray
    direction: tuple[np.ndarray, np.ndarray]
    offsets: np.ndarray


def _of_class(events: Events, kind: CandidateClass) -> _Candidates:
    chosen = (np.abs(events["pfcandidate_pdgid"]) == kind) & (events["pfcandidate_pt"] > 0.0)
    offsets = offsets_from_counts(chosen)[events.collection_offsets("pfcandidate")]
    return _Candidates(events["pfcandidate_pt"][chosen], (events["pfcandidate_eta"][chosen], events["pfcandidate_phi"][chosen]), offsets)
